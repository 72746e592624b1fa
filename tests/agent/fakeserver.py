"""The server's side of the agent protocol, with a registry behind it: real TLS on one port, as the product has it."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from darsena.core.ids import new_uid
from darsena.testing.upstream import Upstream, make_certificates

DOMAIN = "azurecr.localhost"
TOKEN = "the-agents-token"
USER, PASSWORD = "00000000-0000-0000-0000-000000000000", "run-credential-0123456789"


@dataclass
class FakeRun:
    order: dict[str, Any]
    archive: bytes = b""
    log: bytearray = field(default_factory=bytearray)
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    beats: int = 0
    cancel: bool = False
    lost: bool = False
    finish: dict[str, Any] | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def text(self) -> str:
        return self.log.decode()


class FakeServer:
    def __init__(self, folder: Path, upstream: Upstream) -> None:
        self.certificates = make_certificates(folder / "front", ["localhost", f"*.{DOMAIN}"])
        self.upstream = upstream
        self.runs: dict[str, FakeRun] = {}
        self.queues: dict[str, list[FakeRun]] = {}
        self.hellos: list[dict[str, Any]] = []
        self.refusing = threading.Event()
        """While set every agent call is answered with 503."""
        self.refused = 0
        self.changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificates.certificate, self.certificates.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def registry(self) -> str:
        return f"reg.{DOMAIN}:{self.port}"

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def submit(self, request: dict[str, Any], archive: bytes = b"", pool: str = "default", **changes: Any) -> FakeRun:
        order = {
            "run_uid": new_uid(),
            "run_id": f"ca{len(self.runs) + 1}",
            "fence": 1,
            "lease_s": 60,
            "timeout_s": 120,
            "cpu": 1,
            "created_at": int(time.time() * 1_000_000),
            "registry": {"uid": "a" * 32, "name": "reg", "login_server": self.registry},
            "credential": {"username": USER, "password": PASSWORD},
            "custom_registries": {},
            "platform": {"os": "linux", "architecture": "amd64", "variant": None},
            "source": {"kind": "upload" if archive else "none", "location": "source/x.tar.gz", "token": None},
            "request": request,
            "base_images": {"mcr.microsoft.com/hello-world": f"{self.registry}/hello-world"},
            "secrets": [],
            "task_name": None,
        } | changes
        run = FakeRun(order=order, archive=archive)
        with self.changed:
            self.runs[order["run_uid"]] = run
            self.queues.setdefault(pool, []).append(run)
            self.changed.notify_all()
        return run

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while not condition():
                assert time.monotonic() < deadline, "it did not come"
                self.changed.wait(0.1)


def _handler(server: FakeServer) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - one class, with the server in reach
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def log_message(self, *_: Any) -> None:
            return

        def _body(self) -> bytes:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _answer(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
            data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if "Content-Length" not in (headers or {}):
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def _serve(self) -> None:
            body = self._body()
            if self.path.startswith("/v2/"):
                self._forward(body)
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}" or self.headers["Host"] != "localhost:8443":
                self._answer(401, {"error": "who?"})
            elif server.refusing.is_set():
                server.refused += 1
                self._answer(503, {"error": "down"})
            else:
                self._agent_call(body)

        def _forward(self, body: bytes) -> None:
            given = self.headers.get("Authorization", "")
            if given != server.basic:
                self._answer(401, {}, {"WWW-Authenticate": 'Basic realm="reg"'})
                return
            upstream = http.client.HTTPConnection("127.0.0.1", server.upstream.port, timeout=30)
            names = {name.lower() for name in self.headers} - {"authorization", "transfer-encoding"}
            headers = {name: ", ".join(self.headers.get_all(name, [])) for name in names}
            headers |= {"x-forwarded-proto": "https", "content-length": str(len(body))}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            data = answer.read()
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in ("transfer-encoding", "connection")}
            self._answer(answer.status, data, kept)
            upstream.close()

        def _agent_call(self, body: bytes) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            words = parts.path.removeprefix("/darsena/v1/agent/").split("/")
            if words == ["hello"]:
                server.hellos.append(json.loads(body))
                self._answer(200, {"lease_s": 60})
            elif words == ["claim"]:
                self._claim(json.loads(body))
            else:
                run = server.runs[words[1]]
                with server.changed:
                    if run.lost or run.ended.is_set():
                        self._answer(409, {})
                    else:
                        getattr(self, f"_{words[2]}")(run, body, query)
                    server.changed.notify_all()

        def _claim(self, claim: dict[str, Any]) -> None:
            with server.changed:
                waiting = server.queues.setdefault(claim["pool"], [])
                server.changed.wait_for(lambda: bool(waiting), min(claim["wait_s"], 2))
                run = waiting.pop(0) if waiting else None
            self._answer(204) if run is None else self._answer(200, run.order)

        def _source(self, run: FakeRun, body: bytes, query: dict[str, str]) -> None:
            self._answer(200, run.archive)

        def _beat(self, run: FakeRun, body: bytes, query: dict[str, str]) -> None:
            run.beats += 1
            self._answer(200, {"cancel": run.cancel, "lease_s": run.order["lease_s"]})

        def _log(self, run: FakeRun, body: bytes, query: dict[str, str]) -> None:
            offset = int(query["offset"])
            assert offset <= len(run.log)
            run.log += body[len(run.log) - offset :]
            run.arrivals.append((time.monotonic(), len(run.log)))
            self._answer(200, {"offset": len(run.log)})

        def _finish(self, run: FakeRun, body: bytes, query: dict[str, str]) -> None:
            run.finish = finish = json.loads(body)
            assert finish["log_size"] == len(run.log)
            run.ended.set()
            self._answer(200, {})

    for method in ("GET", "POST", "PUT", "PATCH", "HEAD", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._serve)
    return Handler


@contextmanager
def running_server(folder: Path, upstream: Upstream) -> Iterator[FakeServer]:
    server = FakeServer(folder, upstream)
    try:
        yield server
    finally:
        server.stop()
