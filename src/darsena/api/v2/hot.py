"""The hot path: a pull of a manifest or of a small blob, from the raw path to the bytes without anything between.

On SQLite only, where a prepared statement on a read-only connection takes microseconds in the event loop. What cannot
be answered here in one go (a first-seen token, a Range, a big blob, any refusal) is left to the ordinary path.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from darsena.api.http import Scope, Send
from darsena.api.problems import LOGIN_SERVER_HEADERS
from darsena.api.turns import ANSWERED
from darsena.api.v2.blobs import SMALL_BYTES, blob_headers
from darsena.core.digest import Digest
from darsena.core.errors import ContentCorrupt, DigestInvalid, NetworkDenied, ResourceUnknown, Unavailable
from darsena.core.recent import Recent
from darsena.identity.authenticator import Authenticator
from darsena.identity.model import RegistryFacts
from darsena.registry.hot_lookup import HotLookup, HotRow
from darsena.storage.port import BlobStore

_PATH = re.compile(rb"/v2/([a-z0-9][a-z0-9._/-]{0,254})/(manifests|blobs)/([A-Za-z0-9_][A-Za-z0-9._:-]{0,140})\Z")
_NOT_HERE = frozenset({b"range", b"if-none-match", b"transfer-encoding"})
_BODY_CACHE_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class _Answer:
    """Headers ready to send; the correlation id is added per request."""

    headers: list[tuple[bytes, bytes]]
    body: bytes


class HotPath:
    def __init__(
        self,
        lookup: HotLookup,
        blobs: BlobStore,
        authenticator: Authenticator,
        check_network: Callable[[str, str], None],
        count_pull: Callable[[int, bytes], None],
    ) -> None:
        self._count_pull = count_pull
        self._lookup = lookup
        self._blobs = blobs
        self._authenticator = authenticator
        self._check_network = check_network
        self._manifests: Recent[tuple[str, int, bytes, str], _Answer] = Recent(_BODY_CACHE_BYTES)
        """Content by digest never changes, its media type only when it is pushed anew: memory alone bounds this."""

    async def answer(self, scope: Scope, send: Send, facts: RegistryFacts) -> bool:
        """True when the request was answered."""
        method = scope["method"]
        if method not in ("GET", "HEAD"):
            return False
        match = _PATH.match(scope["raw_path"])
        if match is None or not self._admits(scope, facts, match[1].decode("ascii")):
            return False
        name, what, reference = match[1].decode("ascii"), match[2], match[3].decode("ascii")
        try:
            if what == b"manifests":
                found = self._manifest(facts, name, reference, method)
            else:
                found = self._blob(facts, name, reference, method)
        except (DigestInvalid, ContentCorrupt, ResourceUnknown, Unavailable, sqlite3.Error):
            return False  # the ordinary path says what is wrong
        if found is None:
            return False
        ANSWERED.short += 1
        await _send(send, found, method)
        return True

    def _admits(self, scope: Scope, facts: RegistryFacts, name: str) -> bool:
        authorization: bytes | None = None
        for header, value in scope["headers"]:
            if header == b"authorization":
                authorization = value
            elif header in _NOT_HERE:
                return False
        if authorization is None:
            return False
        caller = self._authenticator.cached(facts, authorization)
        if caller is None or not caller.grants.allows("repository", name, "pull"):
            return False
        try:
            client = scope.get("client")
            self._check_network(facts.login_server, client[0] if client else "")
        except NetworkDenied:
            return False
        return True

    def _manifest(self, facts: RegistryFacts, name: str, reference: str, method: str) -> _Answer | None:
        row = self._lookup.find_manifest(facts.uid, name, reference)
        if row is None:
            return None
        key = (facts.uid, row.repository_id, row.digest, row.media_type)
        answer = self._manifests.find(key)
        if answer is None:
            answer = self._open_manifest(facts, row, key)
        if answer is not None and method == "GET":
            self._count_pull(row.repository_id, row.digest)
        return answer

    def _open_manifest(self, facts: RegistryFacts, row: HotRow, key: tuple[str, int, bytes, str]) -> _Answer | None:
        digest = str(Digest.from_stored(row.digest))
        content = self._lookup.open_manifest(facts.uid, row)
        if content is None:
            return None
        answer = _Answer(_ready(_manifest_headers(row.media_type, digest), len(content)), content)
        self._manifests.keep(key, answer, len(content))
        return answer

    def _blob(self, facts: RegistryFacts, name: str, reference: str, method: str) -> _Answer | None:
        digest = Digest.parse(reference)
        size = self._lookup.find_blob_size(facts.uid, name, digest.stored)
        if size is not None and method == "HEAD":
            return _Answer(_ready(blob_headers(digest), size), b"")
        if size is None or size > SMALL_BYTES:
            return None
        content = self._blobs.read_small(facts.uid, digest, size)
        return None if content is None else _Answer(_ready(blob_headers(digest), len(content)), content)


def _manifest_headers(media_type: str, digest: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", media_type.encode()),
        (b"docker-content-digest", digest.encode()),
        (b"etag", f'"{digest}"'.encode()),
    ]


def _ready(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    return [*headers, (b"content-length", str(length).encode()), *LOGIN_SERVER_HEADERS]


def _guid() -> bytes:
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}".encode()


async def _send(send: Send, answer: _Answer, method: str) -> None:
    headers = [*answer.headers, (b"x-ms-correlation-request-id", _guid())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})
