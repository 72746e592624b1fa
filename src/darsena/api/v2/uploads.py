"""`/v2/<name>/blobs/uploads/`: a blob pushed in one request, in two, in chunks, or mounted."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

from darsena.api.http import Request, Response
from darsena.api.v2.paths import Target
from darsena.api.v2.ranges import parse_content_range
from darsena.core.digest import Digest
from darsena.core.errors import DigestInvalid, NameInvalid, SizeMismatch
from darsena.core.names import RepositoryName
from darsena.identity.model import Caller
from darsena.registry.model import Registry
from darsena.registry.service import RegistryService


class UploadRoutes:
    def __init__(self, service: RegistryService) -> None:
        self._uploading = service.uploading

    async def begin(self, request: Request, registry: Registry, target: Target, caller: Caller) -> Response:
        query = request.query
        if "mount" in query and await self._mount(query, registry, target, caller):
            return _created(target, Digest.parse(query["mount"]))
        owner = caller.principal.actor
        expected = Digest.parse(query["digest"]) if "digest" in query else None
        if expected is not None:
            await self._uploading.put(registry, target.repository, owner, request.stream(), expected)
            return _created(target, expected)
        uid = await self._uploading.begin(registry, target.repository, owner)
        return _progress(Response(202), target, uid, 0)

    async def status(self, _request: Request, registry: Registry, target: Target, caller: Caller) -> Response:
        offset = await self._uploading.offset(registry, target.repository, target.reference, caller.principal.actor)
        return _progress(Response(204), target, target.reference, offset)

    async def append(self, request: Request, registry: Registry, target: Target, caller: Caller) -> Response:
        at, body = _read_chunk(request)
        offset = await self._uploading.append(
            registry, target.repository, target.reference, caller.principal.actor, body, at=at
        )
        return _progress(Response(202), target, target.reference, offset)

    async def finish(self, request: Request, registry: Registry, target: Target, caller: Caller) -> Response:
        text = request.query.get("digest", "")
        if not text:
            raise DigestInvalid("", "finish the upload with ?digest=sha256:<hex> of the whole content")
        expected = Digest.parse(text)
        at, body = _read_chunk(request)
        owner = caller.principal.actor
        if request.body_ended or request.content_length == 0:
            body = None
        await self._uploading.finish(registry, target.repository, target.reference, owner, body, expected, at=at)
        return _created(target, expected)

    async def cancel(self, _request: Request, registry: Registry, target: Target, caller: Caller) -> Response:
        await self._uploading.cancel(registry, target.repository, target.reference, caller.principal.actor)
        return Response(204)

    async def _mount(self, query: dict[str, str], registry: Registry, target: Target, caller: Caller) -> bool:
        """Only from where the caller may pull; with no `from`, from anywhere that it may (Mounting a blob)."""
        digest = Digest.parse(query["mount"])

        def may_read(name: str) -> bool:
            return caller.grants.allows("repository", name, "pull")

        if "from" in query:
            try:
                source = RepositoryName.parse(query["from"])
            except NameInvalid:
                return False
            sources = [source] if may_read(source) else []
        else:
            names, has_wider = caller.grants.list_names("repository", "pull")
            wider = may_read if has_wider else None
            sources = await self._uploading.list_holders(registry, digest, names, wider)
        return bool(sources) and await self._uploading.mount(registry, target.repository, digest, sources)


def _read_chunk(request: Request) -> tuple[int | None, AsyncIterator[bytes]]:
    """Where the chunk begins, if the client says so, and its bytes: as many as it says."""
    chunk = parse_content_range(request.header("content-range"), request.content_length)
    if chunk is None:
        return None, request.stream()
    start, length = chunk
    return start, request.stream() if request.content_length is not None else _exactly(length, request.stream())


async def _exactly(length: int, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What came stays, as after a broken connection: the client asks where the upload stands and goes on."""
    received = 0
    async for chunk in stream:
        received += len(chunk)
        if received > length:
            break
        yield chunk
    if received != length:
        raise SizeMismatch(length, received)


def _progress(response: Response, target: Target, uid: str, offset: int) -> Response:
    """Where to go on, and how far it is. The state is opaque to clients; they hand it back as it is."""
    state = base64.urlsafe_b64encode(f"{uid}.{offset}".encode()).decode().rstrip("=")
    location = f"/v2/{target.repository}/blobs/uploads/{uid}?_nouploadcache=false&_state={state}"
    response.header("location", location).header("docker-upload-uuid", uid)
    return response.header("range", f"0-{max(offset - 1, 0)}")


def _created(target: Target, digest: Digest) -> Response:
    response = Response(201).header("location", f"/v2/{target.repository}/blobs/{digest}")
    return response.header("docker-content-digest", str(digest))
