"""A CONNECT proxy on loopback that knows one thing: how to reach this server's registries, whatever name look-up says.

Only hosts equal to or below the registry domain, and only on the server's port; all else is answered with 403. It ends
with the agent. It sees no plaintext: TLS goes through it from end to end.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

_HEAD_MAX = 8192
_IDLE_S = 600.0


class RegistryProxy:
    def __init__(self, domain: str, server: tuple[str, int]) -> None:
        self._domain = domain
        self._server = server
        self._listener: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        """The proxy's URL."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_HEAD_MAX)
        return f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def allows(self, target: str) -> bool:
        host, _, port = target.rpartition(":")
        host = host.lower().rstrip(".")
        return port == str(self._server[1]) and (host == self._domain or host.endswith("." + self._domain))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            async with asyncio.timeout(10):
                target = await _read_target(reader)
            if target is None or not self.allows(target):
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
                return
            await self._tunnel(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            self._open.discard(task)
            writer.close()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                far_reader, far_writer = await asyncio.open_connection(*self._server)
        except (OSError, TimeoutError):
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        try:
            writer.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            far_writer.close()


async def _read_target(reader: asyncio.StreamReader) -> str | None:
    """The `host:port` of a CONNECT request; None for any other."""
    head = await reader.readuntil(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3 or words[0] != b"CONNECT":
        return None
    return words[1].decode("ascii", errors="replace")


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Until the source ends; then the target hears of it. A side that is silent for long is closed."""
    try:
        while True:
            async with asyncio.timeout(_IDLE_S):
                chunk = await source.read(65536)
            if not chunk:
                break
            target.write(chunk)
            await target.drain()
    finally:
        with suppress(OSError):
            if target.can_write_eof():
                target.write_eof()
