"""`/v2/<name>/blobs/<digest>`: pulled whole or by range, unlinked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from darsena.api.http import Request, Response
from darsena.api.v2.conditions import is_known
from darsena.api.v2.paths import Target
from darsena.api.v2.ranges import parse_range
from darsena.core.digest import Digest
from darsena.core.errors import RangeNotSatisfiable
from darsena.identity.model import Caller
from darsena.registry.model import Registry
from darsena.registry.service import RegistryService

SMALL_BYTES = 1024 * 1024


class BlobRoutes:
    def __init__(self, service: RegistryService) -> None:
        self._service = service

    async def get(self, request: Request, registry: Registry, target: Target, _caller: Caller) -> Response:
        digest = Digest.parse(target.reference)
        size = await self._service.manifests.get_blob_size(registry, target.repository, digest)
        headers = blob_headers(digest)
        if is_known(request, digest):
            return Response(304, b"", headers)
        if request.method == "HEAD":
            return Response(200, _nothing(), headers, length=size)
        try:
            part = _read_range(request, digest, size)
        except RangeNotSatisfiable as error:
            headers += [(b"content-range", f"bytes */{error.size}".encode())]
            return Response(416, b"", headers)
        start, stop = part or (0, size)
        if part is not None:
            headers += [(b"content-range", f"bytes {start}-{stop - 1}/{size}".encode())]
        body = await self._open(registry, digest, start, stop)
        return Response(200 if part is None else 206, body, headers, length=stop - start)

    async def delete(self, _request: Request, registry: Registry, target: Target, _caller: Caller) -> Response:
        digest = Digest.parse(target.reference)
        await self._service.deleting.delete_blob(registry, target.repository, digest)
        return Response(202).header("docker-content-digest", str(digest))

    async def _open(self, registry: Registry, digest: Digest, start: int, stop: int) -> AsyncIterator[bytes]:
        """Reading begins before the answer does, so that what cannot be read is answered as an error."""
        chunks = self._service.blobs.read(registry.uid, digest, start, stop)
        if start == stop:
            return _nothing()
        return _continue(await anext(chunks), chunks)


def blob_headers(digest: Digest) -> list[tuple[bytes, bytes]]:
    text = str(digest).encode()
    return [
        (b"content-type", b"application/octet-stream"),
        (b"docker-content-digest", text),
        (b"etag", b'"' + text + b'"'),
        (b"accept-ranges", b"bytes"),
        (b"cache-control", b"max-age=31536000"),
    ]


def _read_range(request: Request, digest: Digest, size: int) -> tuple[int, int] | None:
    header = request.header("range")
    condition = request.header("if-range")
    if not header or (condition and condition != f'"{digest}"'):
        return None
    return parse_range(header, size)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _continue(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for chunk in rest:
            yield chunk
    finally:
        if isinstance(rest, AsyncGenerator):  # a client that goes away must not leave the file open
            await rest.aclose()
