"""The signed URLs of the blob host: a build source goes up, a run's log comes down."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import IO
from xml.sax.saxutils import escape

import httpx

from darsena.client.http import Http

SINGLE_LIMIT_BYTES = 64 * 1024 * 1024
"""Up to this size one PUT; above, blocks and a block list, so that a failure costs one block."""

BLOCK_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 128 * 1024
_BLOB_HEADERS = {
    "x-ms-version": "2026-04-06",
    "x-ms-blob-type": "BlockBlob",
    "Content-Type": "application/octet-stream",
}


class _Window:
    """`size` bytes of a file from `start`, reporting the absolute position as they are sent."""

    def __init__(self, file: IO[bytes], start: int, size: int, sent: Callable[[int], None]) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._sent = sent

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(self._start)
        position, end = self._start, self._start + self._size
        while position < end:
            chunk = self._file.read(min(_CHUNK_BYTES, end - position))
            if not chunk:
                return
            yield chunk
            position += len(chunk)
            self._sent(position)


def upload(
    http: Http, url: str, file: IO[bytes], size: int, sent: Callable[[int], None] = lambda position: None
) -> None:
    """The whole file, whatever its size. `sent(position)` goes back when an attempt is repeated."""
    if size <= SINGLE_LIMIT_BYTES:
        http.upload(url, _BLOB_HEADERS, lambda: _Window(file, 0, size, sent), size)
        return
    identifiers: list[str] = []
    for start in range(0, size, BLOCK_BYTES):
        length = min(BLOCK_BYTES, size - start)
        identifier = base64.b64encode(f"{len(identifiers):032d}".encode()).decode()
        # Bound as defaults: the loop's names move on before a repeated attempt would read them.
        http.upload(
            _with_query(url, comp="block", blockid=identifier),
            _BLOB_HEADERS,
            lambda start=start, length=length: _Window(file, start, length, sent),
            length,
        )
        identifiers.append(identifier)
    listed = "".join(f"<Latest>{escape(identifier)}</Latest>" for identifier in identifiers)
    body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode()
    headers = {"x-ms-version": _BLOB_HEADERS["x-ms-version"], "Content-Type": "application/xml"}
    http.send("PUT", _with_query(url, comp="blocklist"), headers=headers, content=body)


def _with_query(url: str, **parameters: str) -> str:
    """The signed URL with more parameters. Its own query is signed, so it stays byte for byte as it is."""
    added = str(httpx.QueryParams(parameters))
    return f"{url}{'&' if '?' in url else '?'}{added}"


class LogBlob:
    """A log that grows: its size and state, and any range below the size."""

    def __init__(self, http: Http, url: str) -> None:
        self._http = http
        self._url = url

    def state(self) -> tuple[int, str] | None:
        """The bytes that there are and the word of completion, empty while it grows; None when there is no log yet."""
        answer = self._http.send("HEAD", self._url, headers={"x-ms-version": "2026-04-06"}, expect=frozenset({404}))
        if answer.status_code == 404:
            return None
        return int(answer.headers.get("content-length") or 0), answer.headers.get("x-ms-meta-complete", "")

    def read(self, start: int, stop: int) -> bytes:
        headers = {"x-ms-version": "2026-04-06", "x-ms-range": f"bytes={start}-{stop - 1}"}
        answer = self._http.send("GET", self._url, headers=headers)
        # A server that ignores the range answers 200 with the whole.
        return answer.content if answer.status_code == 206 else answer.content[start:stop]
