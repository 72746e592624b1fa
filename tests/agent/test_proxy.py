"""The proxy reaches this server's registries and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from darsena.agent.proxy import RegistryProxy


async def _ask(url: str, request: bytes) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(request)
    async with asyncio.timeout(5):
        return await reader.readuntil(b"\r\n\r\n"), reader, writer


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read(100)).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield int(server.sockets[0].getsockname()[1])
    server.close()


async def test_what_is_let_through(echo: int) -> None:
    proxy = RegistryProxy("azurecr.localhost", ("127.0.0.1", echo))
    url = await proxy.start()
    head, reader, writer = await _ask(url, f"CONNECT reg.azurecr.localhost:{echo} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert head.startswith(b"HTTP/1.1 200")
    writer.write(b"hello")
    async with asyncio.timeout(5):
        assert await reader.read(100) == b"HELLO"
    writer.close()
    for target in (
        f"evil.com:{echo}",
        "reg.azurecr.localhost:22",
        f"azurecr.localhost.evil.com:{echo}",
        f"xazurecr.localhost:{echo}",
        f"127.0.0.1:{echo}",
    ):
        head, _, writer = await _ask(url, f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
        assert head.startswith(b"HTTP/1.1 403"), target
        writer.close()
    head, _, writer = await _ask(url, b"GET http://reg.azurecr.localhost/ HTTP/1.1\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403")
    writer.close()
    await proxy.stop()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
