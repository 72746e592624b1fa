"""One request, one response, over plain ASGI. Every edge is made of these; no framework stands on the hot path."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, unquote

import msgspec

from darsena.api.held import HELD
from darsena.api.turns import ANSWERED, Turns
from darsena.core.errors import RequestInvalid, RequestTooLarge
from darsena.core.names import plain

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
T = TypeVar("T")

BODY_LIMIT_BYTES = 4 * 1024 * 1024
READ_TIMEOUT_S = 60.0
"""A client that sends nothing for so long is cut off."""
BODY_TIMEOUT_S = 300.0
"""For a body that is read whole, however steadily it trickles."""


_NO_ROOM = "the body came too slowly, and others needed the room: send it again"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Disconnected(Exception):
    """The client went away, or its chunked framing broke off: nobody is there to be answered."""


class TooSlow(Disconnected):
    """The body did not come in time: it is waited for no longer."""


class Request:
    """What the edge knows of a request. `host` is the configured name that matched, never the raw header."""

    __slots__ = (
        "_is_cut_off",
        "_left",
        "_receive",
        "_waiting",
        "body_ended",
        "correlation_id",
        "headers",
        "held_bytes",
        "host",
        "method",
        "params",
        "raw_path",
        "scheme",
        "scope",
    )

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self._receive = receive
        self.method: str = scope["method"]
        self.raw_path: str = scope["raw_path"].decode("latin-1").partition("?")[0]
        """As sent: `%2F` and `%3A` are not decoded."""
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        """Lower-case names; of a repeated header the last."""
        self.host: str = ""
        self.scheme: str = "https"
        """Of links, as `host`."""
        self.params: dict[str, str] = {}
        """What the route's pattern captured, decoded."""
        self.correlation_id: str = ""
        self._left = _announced(self.headers)
        """Bytes of the body that are still to come, where that was announced."""
        self.body_ended = self._left == 0 or (
            self.method in ("GET", "HEAD", "DELETE")
            and b"content-length" not in self.headers
            and b"transfer-encoding" not in self.headers
        )
        """Whether nothing of the body is still to come."""
        self.held_bytes = 0
        """Of a body that is read whole; see held.py."""
        self._waiting: asyncio.Timeout | None = None
        self._is_cut_off = False

    def header(self, name: str, default: str = "") -> str:
        return self.headers.get(name.lower().encode("latin-1"), default.encode("latin-1")).decode("latin-1")

    @property
    def query(self) -> dict[str, str]:
        """Of a repeated parameter the last; blank values are kept."""
        return dict(self.query_list)

    @property
    def query_list(self) -> list[tuple[str, str]]:
        text = self.scope["query_string"].decode("latin-1")
        try:
            return parse_qsl(text, keep_blank_values=True, max_num_fields=200)
        except ValueError as error:
            raise RequestInvalid(f"the query is not valid: {error}") from error

    @property
    def content_length(self) -> int | None:
        """None when the body is chunked or absent. Raises RequestInvalid when it is no number."""
        text = self.header("content-length")
        if not text:
            return None
        if not text.isascii() or not text.isdigit():
            raise RequestInvalid(f"Content-Length {text!r} is not a number of bytes")
        return int(text)

    async def stream(self, *, timeout_s: float = READ_TIMEOUT_S, whole_s: float = math.inf) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Disconnected when it breaks off, TooSlow when it takes longer than `whole_s`."""
        if self.body_ended:
            return
        end_s = time.monotonic() + whole_s
        while True:
            if time.monotonic() > end_s:
                raise TooSlow(f"the body did not come within {whole_s:.0f} s")
            if self._is_cut_off:
                raise TooSlow(_NO_ROOM)
            try:
                async with asyncio.timeout(timeout_s) as self._waiting:  # wait_for would make a task for every piece
                    message = await self._receive()
            except TimeoutError:
                raise TooSlow(
                    _NO_ROOM if self._is_cut_off else f"no byte of the body came for {timeout_s:.0f} s"
                ) from None
            finally:
                self._waiting = None
            if message["type"] == "http.disconnect":
                self.body_ended = True
                raise Disconnected("the body broke off: its chunks are malformed, or the client closed the connection")
            chunk = message.get("body", b"")
            if self._left is not None:
                self._left -= len(chunk)
            # The library tells of the end by an empty piece, which would have to be waited for.
            self.body_ended = self._left == 0 or not message.get("more_body", False)
            if chunk:
                yield chunk
            if self.body_ended:
                return

    def cut_off(self) -> None:
        """Wait no longer for what is still to come of the body."""
        self._is_cut_off = True
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def body(self, limit_bytes: int = BODY_LIMIT_BYTES, *, whole_s: float = BODY_TIMEOUT_S) -> bytes:
        """The whole body, at most `limit_bytes`. Raises RequestTooLarge beyond, TooSlow when it takes too long,
        Unavailable where there is no room for it. Who answers the request releases that room (see held.py)."""
        announced = self.content_length
        if announced is not None and announced > limit_bytes:
            raise RequestTooLarge("the request body", limit_bytes)
        parts: list[bytes] = []
        size = 0
        try:
            async for chunk in self.stream(whole_s=whole_s):
                size += len(chunk)
                if size > limit_bytes:
                    raise RequestTooLarge("the request body", limit_bytes)
                HELD.take(self, len(chunk))
                parts.append(chunk)
        finally:
            HELD.end_reading(self)
        return b"".join(parts)

    async def json(self, type_: type[T], *, limit_bytes: int = BODY_LIMIT_BYTES, replace_nul: bool = False) -> T:
        """The body decoded as JSON into `type_` (a msgspec Struct or builtin). Raises RequestInvalid.

        `replace_nul`: for what a program found somewhere and cannot help, a NUL is a sign like any that is unreadable.
        """
        body = await self.body(limit_bytes)
        if replace_nul:
            body = body.replace(b"\\u0000", b"\\ufffd")
        try:
            if b"\\u0000" in body and _holds_nul(msgspec.json.decode(body)):
                raise RequestInvalid("the request body holds a NUL character")
            return msgspec.json.decode(body or b"{}", type=type_)
        except msgspec.ValidationError as error:
            raise RequestInvalid(f"the request body is not what is expected here: {error}") from error
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise RequestInvalid(f"the request body is not valid JSON: {error}") from error

    async def form(self, *, limit_bytes: int = 128 * 1024) -> list[tuple[str, str]]:
        """An `application/x-www-form-urlencoded` body as pairs."""
        body = await self.body(limit_bytes)
        try:
            pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=200, errors="strict")
        except (UnicodeDecodeError, ValueError) as error:
            raise RequestInvalid(f"the form is not valid: {error}") from error
        if any("\0" in name or "\0" in value for name, value in pairs):
            raise RequestInvalid("the form holds a NUL character")
        return pairs

    async def wait_disconnect(self) -> None:
        """Return when the client has gone. Only once the body has been read: run it beside a streamed answer."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return


def _announced(headers: dict[bytes, bytes]) -> int | None:
    """Content-Length, where it counts: not beside Transfer-Encoding (RFC 9112, section 6.3)."""
    length = headers.get(b"content-length")
    if length is None or len(length) > 19 or not length.isdigit() or b"transfer-encoding" in headers:
        return None
    return int(length)


Chunk = bytes | bytearray | memoryview
Headers = Iterable[tuple[bytes, bytes]]


class Response:
    """`body` is bytes, or an async iterator of chunks with `length` known (or None: sent chunked)."""

    __slots__ = ("body", "headers", "length", "status")

    def __init__(
        self,
        status: int = 200,
        body: Chunk | AsyncIterator[Chunk] = b"",
        headers: Headers = (),
        *,
        content_type: str | None = None,
        length: int | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.headers: list[tuple[bytes, bytes]] = list(headers)
        if content_type is not None:
            self.headers.append((b"content-type", content_type.encode("latin-1")))
        self.length = len(body) if isinstance(body, bytes | bytearray | memoryview) else length

    def header(self, name: str, value: str) -> Response:
        """What no header can carry becomes a question mark: the HTTP library would make a bare 500 of the answer."""
        text = value if value.isprintable() else _CONTROL.sub("?", value)
        self.headers.append((name.lower().encode("latin-1"), text.encode("latin-1", "replace")))
        return self


def json_response(value: Any, status: int = 200, headers: Headers = ()) -> Response:
    return Response(
        status, msgspec.json.encode(value, enc_hook=plain), headers, content_type="application/json; charset=utf-8"
    )


async def send_response(request: Request, response: Response, send: Send) -> None:
    """Put the response on the wire. HEAD gets the headers of GET; a stream stops when its client has gone."""
    headers = response.headers
    no_body = response.status in (204, 304) or response.status < 200
    if response.length is not None and not no_body:
        headers = [*headers, (b"content-length", str(response.length).encode())]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = response.body
    if isinstance(body, bytes | bytearray | memoryview):
        ANSWERED.short += 1
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" or no_body else body})
        return
    if request.method == "HEAD":
        await _close(body)
        await send({"type": "http.response.body", "body": b""})
        return
    turns = Turns()
    gone = asyncio.ensure_future(request.wait_disconnect())
    try:
        async for chunk in body:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(turns.take(len(chunk)))  # a fast reader would never give the loop back
            if gone.done():
                return
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        await _close(body)


async def _close(body: AsyncIterator[Chunk]) -> None:
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()


def _holds_nul(value: Any) -> bool:
    """No database keeps it in a text everywhere, and nothing here has a use for it."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return any(_holds_nul(part) for pair in members.items() for part in pair)
    return isinstance(value, list) and any(_holds_nul(part) for part in cast("list[Any]", value))


def decode_segment(raw: str) -> str:
    """One raw path segment decoded. Raises RequestInvalid for bytes that are not UTF-8 or a NUL."""
    try:
        text = unquote(raw, errors="strict")
    except UnicodeDecodeError as error:
        raise RequestInvalid(f"the path segment {raw!r} is not UTF-8") from error
    if "\0" in text:
        raise RequestInvalid("the path holds a NUL byte")
    return text
