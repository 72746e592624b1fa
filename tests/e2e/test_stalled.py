"""Thousands of connections that stand still: others are answered at once, and the server lets go of them by itself.

Four kinds: a TCP connection without a word, half a header, half a body, an answer that nobody reads.
"""

from __future__ import annotations

import base64
import os
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from pushing import Pusher, digest_of
from stand import Stand, standing, wait_until

from oracles import Footprint

REGISTRY = "stallregistry"
SILENT, HEADERS, BODIES, READERS = 500, 1500, 1200, 300
MEMORY_BYTES = 700 << 20
"""Far below 1 MB for each: most of it is the readers', in the HTTP server's buffers."""
KEPT_BYTES = 160 << 20
"""What allocators keep of the peak: as much after five crowds as after two."""
LET_GO_S = 90
"""The longest time of grace is 60 s."""


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Started under the limit of descriptors that a shell gives, which the server has to raise by itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        with standing(tmp_path_factory.mktemp("stalled"), "--no-build") as running:
            running.ok("group", "create", "-n", "tests")
            running.ok("create", "-g", "tests", "-n", REGISTRY, "--sku", "Premium")
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            yield running
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """Clients that stall, over TLS."""

    def __init__(self, stand: Stand, layer: str) -> None:
        self._stand = stand
        self._context = ssl.create_default_context(cafile=str(stand.data / "tls" / "ca.pem"))
        secret = base64.b64encode(stand.credentials.encode()).decode()
        common = f"Host: {stand.login_server(REGISTRY)}\r\nAuthorization: Basic {secret}\r\n"
        zeros = "0" * 64
        self._header = f"GET /v2/ HTTP/1.1\r\n{common}X-Never-Ends: ".encode()
        target = f"/v2/many/images/blobs/uploads/?digest=sha256:{zeros}"
        self._body = f"POST {target} HTTP/1.1\r\n{common}Content-Length: 100000\r\n\r\nabc".encode()
        self._get = f"GET /v2/many/images/blobs/{layer} HTTP/1.1\r\n{common}\r\n".encode()
        self._sockets: list[socket.socket] = []

    def come(self, share: float) -> None:
        with ThreadPoolExecutor(8) as pool:
            for kind, count in ((b"", SILENT), (self._header, HEADERS), (self._body, BODIES), (self._get, READERS)):
                self._sockets += pool.map(self._connect, [kind] * round(count * share))

    def _connect(self, text: bytes) -> socket.socket:
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        plain.settimeout(60)
        plain.connect(("127.0.0.1", self._stand.port))
        if not text:
            return plain
        secret = self._context.wrap_socket(plain, server_hostname="localhost")
        secret.sendall(text)
        return secret

    def close(self) -> None:
        for one in self._sockets:
            one.close()
        self._sockets = []


def check_answers(pusher: Pusher, manifest: bytes) -> None:
    """Pulls and a push, each within a moment."""
    took: list[float] = []
    for _ in range(20):
        begun = time.monotonic()
        assert pusher.get("manifests/v1").content == manifest
        took.append(time.monotonic() - begun)
    begun = time.monotonic()
    pusher.push_blob(os.urandom(100_000))
    assert time.monotonic() - begun < 5
    assert sorted(took)[len(took) // 2] < 1
    assert max(took) < 5


def wait_back_at(base: Footprint, pid: int, *, within_s: float) -> None:
    try:
        wait_until(
            lambda: Footprint.of(pid).is_back_at(base, memory_bytes=KEPT_BYTES),
            "nothing of them is left",
            within_s=within_s,
        )
    except AssertionError as error:
        raise AssertionError(f"{error}: {Footprint.of(pid)} after {base}") from error


@pytest.mark.timeout(900)
def test_crowd(stand: Stand) -> None:
    pusher = Pusher(stand, REGISTRY, "many/images")
    layer = os.urandom(8 << 20)
    manifest = pusher.make_manifest(layer)
    pusher.put_manifest("v1", manifest)
    assert stand.process is not None
    pid = stand.process.pid
    check_answers(pusher, manifest)
    base = Footprint.of(pid)
    with closing(Crowd(stand, digest_of(layer))) as crowd:
        come_and_go(stand, pusher, manifest, crowd, base)
    assert stand.fsck() in ("clean", "garbage")  # uploads that were cut off may be continued for a week


def come_and_go(stand: Stand, pusher: Pusher, manifest: bytes, crowd: Crowd, base: Footprint) -> None:
    pid = stand.process.pid  # type: ignore[union-attr]
    for _ in range(2):
        crowd.come(1.0)
        check_answers(pusher, manifest)
        assert Footprint.of(pid).memory_bytes < base.memory_bytes + MEMORY_BYTES
        crowd.close()
        wait_back_at(base, pid, within_s=60)
        check_answers(pusher, manifest)

    crowd.come(0.2)
    check_answers(pusher, manifest)
    wait_back_at(base, pid, within_s=LET_GO_S)


def test_limit_is_raised(stand: Stand) -> None:
    limits = Path(f"/proc/{stand.worker_pid()}/limits").read_text()
    soft, hard = next(line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files"))
    assert int(soft) == min(int(hard), 65_536)
