"""The blob host: the few Azure Blob calls that clients make with a signed URL.

    PUT (BlockBlob) · PUT ?comp=block · PUT ?comp=blocklist · HEAD · GET with x-ms-range or Range

The signature is checked before anything is looked up; whatever is wrong with it gives the same 403.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import unquote

from darsena.api.blob_answers import add_common_headers, blob_not_found, describe, error_response
from darsena.api.blocklist import parse_block_list
from darsena.api.http import Request, Response
from darsena.api.router import Route
from darsena.api.v2.ranges import parse_range
from darsena.core.errors import AccessDenied, Conflict, PreconditionFailed, Problem, RequestInvalid, RequestTooLarge
from darsena.tasks.blobs import SOURCE_LIMIT_BYTES, BlobService, BlobState, Signed
from darsena.tasks.model import Source
from darsena.tasks.signing import SIGNED_NAMES

TAG = "Blobs"
_BLOCK_LIST_BYTES = 8 * 1024 * 1024


class BlobEdge:
    """`routes` are for the blob host; `list_routes` gives them below a prefix, for addresses in path style."""

    def __init__(self, blobs: BlobService) -> None:
        self._blobs = blobs
        self.routes: list[Route] = self.list_routes()

    def list_routes(self, prefix: str = "") -> list[Route]:
        pattern = f"{prefix}/{{container}}/{{path*}}"
        read, write = self._answer(self._get, prefix), self._answer(self._put, prefix)
        return [
            Route(method="GET", pattern=pattern, handler=read, summary="Read a blob", tag=TAG),
            Route(method="PUT", pattern=pattern, handler=write, summary="Write a blob", tag=TAG),
        ]

    def _answer(
        self, handler: Callable[[Request, Signed], Awaitable[Response]], prefix: str
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            try:
                container, path = request.params["container"], request.params["path"]
                _check_spelling(request, f"{prefix}/{container}/{path}")
                signed = await self._blobs.check(container, path, request.query)
                response = await handler(request, signed)
            except Problem as problem:
                response = error_response(problem, request)
            return add_common_headers(response, request)

        return handle

    # --- reading ------------------------------------------------------------------------------------------------

    async def _get(self, request: Request, signed: Signed) -> Response:
        """HEAD, too: the body is left out where the answer is sent."""
        if request.query.get("comp"):
            raise _unsupported(request.query["comp"])
        state = await self._blobs.find(signed)
        if state is None:
            return blob_not_found(request)
        headers = describe(state)
        if state.run is None:
            _check_conditions(request, dict(headers)[b"etag"])
        asked = request.header("x-ms-range") or request.header("range")
        wanted = parse_range(asked, state.size) if asked and request.method == "GET" else None
        start, stop = wanted or (0, state.size)
        if wanted is not None:
            headers.append((b"content-range", f"bytes {start}-{stop - 1}/{state.size}".encode()))
        body = self._blobs.read(signed, state, start, stop) if request.method == "GET" else b""
        status = 200 if wanted is None else 206
        response = Response(status, body, headers, length=stop - start)
        response.length = stop - start
        return response

    # --- writing ------------------------------------------------------------------------------------------------

    async def _put(self, request: Request, signed: Signed) -> Response:
        if not signed.may_write:
            raise AccessDenied("this address is signed for reading only")
        match request.query.get("comp", ""):
            case "":
                return await self._put_blob(request, signed)
            case "block":
                return await self._put_block(request, signed)
            case "blocklist":
                return await self._put_block_list(request, signed)
            case other:
                raise _unsupported(other)

    async def _put_blob(self, request: Request, signed: Signed) -> Response:
        kind = request.header("x-ms-blob-type")
        if kind.lower() != "blockblob":
            code = "InvalidHeaderValue" if kind else "MissingRequiredHeader"
            raise RequestInvalid("The header x-ms-blob-type must be BlockBlob.", "x-ms-blob-type", code=code)
        _check_length(request)
        if request.header("if-none-match") == "*" and await self._blobs.find(signed) is not None:
            raise Conflict("The specified blob already exists.", code="BlobAlreadyExists")
        return _created(await self._blobs.put(signed, _checked(request)))

    async def _put_block(self, request: Request, signed: Signed) -> Response:
        block_id = _read_block_id(request)
        _check_length(request)
        await self._blobs.stage_block(signed, block_id, _checked(request))
        return Response(201, headers=[(b"x-ms-request-server-encrypted", b"true")])

    async def _put_block_list(self, request: Request, signed: Signed) -> Response:
        block_ids = parse_block_list(await request.body(_BLOCK_LIST_BYTES))
        return _created(await self._blobs.commit_blocks(signed, block_ids))


def _check_spelling(request: Request, address: str) -> None:
    """An address is signed as it was given out: no slash more, nothing said twice. Quoting does not matter."""
    if unquote(request.raw_path) != address:
        raise AccessDenied("the signature does not fit this address")
    names = [name for name, _ in request.query_list]
    if any(names.count(name) > 1 for name in SIGNED_NAMES):
        raise AccessDenied("a signed part of the address comes twice")
    for name in ("comp", "blockid"):
        if names.count(name) > 1:
            raise RequestInvalid(f"The parameter {name} comes twice.", name, code="InvalidQueryParameterValue")


def _created(source: Source) -> Response:
    written = BlobState(size=0, modified_us=source.written_at_us or 0, created_us=source.created_at_us)
    facts = [row for row in describe(written) if row[0] in (b"etag", b"last-modified")]
    return Response(201, headers=[*facts, (b"x-ms-request-server-encrypted", b"true")])


def _check_length(request: Request) -> None:
    announced = request.content_length
    if announced is not None and announced > SOURCE_LIMIT_BYTES:
        raise RequestTooLarge("the source", SOURCE_LIMIT_BYTES)


async def _checked(request: Request) -> AsyncIterator[bytes]:
    """The body; at its end an error when it is not what the client's Content-MD5 says."""
    expected = request.header("content-md5")
    hasher = hashlib.md5(usedforsecurity=False) if expected else None
    async for chunk in request.stream():
        if hasher is not None:
            hasher.update(chunk)
        yield chunk
    if hasher is not None and base64.b64encode(hasher.digest()).decode() != expected:
        raise RequestInvalid("The MD5 value in the request did not match the content.", code="Md5Mismatch")


def _read_block_id(request: Request) -> str:
    text = request.query.get("blockid", "")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not 1 <= len(raw) <= 64:
        raise RequestInvalid(
            "The parameter blockid must be the base64 of 1 to 64 bytes.", "blockid", code="InvalidQueryParameterValue"
        )
    return text


def _check_conditions(request: Request, etag: bytes) -> None:
    wanted = request.header("if-match")
    if wanted and wanted != "*" and etag.decode() not in (part.strip() for part in wanted.split(",")):
        raise PreconditionFailed("The condition specified using HTTP conditional header(s) is not met.")


def _unsupported(comp: str) -> RequestInvalid:
    return RequestInvalid(
        f"The operation comp={comp[:40]} is not one that this blob host performs.",
        "comp",
        code="InvalidQueryParameterValue",
    )
