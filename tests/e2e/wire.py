"""Bytes to a server's socket as they are written here, and the answer as it comes: what no HTTP client would send."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stand import Stand

PATIENCE_S = 60.0
Pieces = bytes | Iterable[bytes]


@dataclass(frozen=True)
class Answer:
    status: int
    """0: the connection ended without an answer."""
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Wire:
    stand: Stand
    host: str

    @contextmanager
    def connect(self) -> Iterator[ssl.SSLSocket]:
        context = ssl.create_default_context(cafile=str(self.stand.data / "tls" / "ca.pem"))
        with (
            socket.create_connection(("127.0.0.1", self.stand.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.settimeout(PATIENCE_S)
            yield secure

    def send(self, pieces: Pieces) -> Answer:
        """Whatever the server does to the connection is an answer; only silence is a failure (a timeout)."""
        with self.connect() as connection:
            try:
                for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                    connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                pass  # it was refused early: what it said is there to be read
            return read_answer(connection)

    def request(
        self,
        method: str = "GET",
        target: str | bytes = "/v2/",
        *lines: str | bytes,
        body: bytes = b"",
        auth: str | bytes | None = "",
        host: str | None = None,
        version: str = "HTTP/1.1",
    ) -> bytes:
        """A request that is sound but for what is given; `auth` of "" is the owner's, None is none."""
        target = target.encode("latin-1") if isinstance(target, str) else target
        head = [f"{method} ".encode() + target + f" {version}".encode()]
        if host != "":
            head.append(f"Host: {host or self.host}".encode())
        if auth is not None:
            head.append(b"Authorization: " + (self.owner if auth == "" else _encode(auth)))
        head += [b"Connection: close", *map(_encode, lines)]
        return b"\r\n".join(head) + b"\r\n\r\n" + body

    def ask(self, *arguments: str | bytes, **options: bytes | str | None) -> Answer:
        return self.send(self.request(*arguments, **options))  # type: ignore[arg-type]

    @property
    def owner(self) -> bytes:
        return b"Basic " + base64.b64encode(self.stand.credentials.encode())


def read_answer(connection: ssl.SSLSocket) -> Answer:
    """The final one (not 100 Continue), read until the server closes."""
    data = b""
    try:
        while part := connection.recv(1 << 16):
            data += part
    except (ConnectionResetError, ssl.SSLError):
        pass
    while data.startswith(b"HTTP/1.1 100 "):
        data = data.partition(b"\r\n\r\n")[2]
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return Answer(int(first.split()[1]) if first.startswith("HTTP/") else 0, headers, body)


def _encode(text: str | bytes) -> bytes:
    return text.encode("latin-1") if isinstance(text, str) else text
