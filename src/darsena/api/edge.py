"""The outermost edge: framing duties, which host is meant, one answer for every request, one log line.

The HTTP library leaves these to us (adr/0002): a missing or doubled Host, a Host that is not configured, a body that
breaks off. Of Content-Length beside Transfer-Encoding it keeps the latter only (RFC 9112, section 6.1). Names of hosts
in links come from settings, never from the header.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from darsena.api.held import HELD
from darsena.api.http import Disconnected, Receive, Request, Response, Scope, Send, TooSlow, send_response
from darsena.api.problems import arm_response, internal_error, oci_response, plain_response
from darsena.core.errors import Problem, RequestInvalid, RequestTimedOut
from darsena.identity.model import RegistryFacts

_log: structlog.stdlib.BoundLogger = structlog.get_logger("darsena.request")

MAX_TARGET_BYTES = 8 * 1024
"""Path and query together; longer is 414."""
MAX_HEADER_BYTES = 64 * 1024
"""All header lines together; more is 431. ARM tokens and signed URLs stay far below it."""
DRAIN_BYTES = 8 * 1024 * 1024
"""Read of a body that is refused. The Azure SDKs send each chunk of 4 MiB without a token first, and need the 401."""

_ONCE = frozenset({b"authorization", b"transfer-encoding"})
"""Whoever stands before this server might go by another of two. The library sees to Content-Length."""
_QUIET = ("/oauth2/", "/adfs/", "/darsena/v1/agent/")

Handle = Callable[[Request], Awaitable[Response]]
Render = Callable[[Problem, Request], Response]


class LoginServer(Protocol):
    """What answers on `<registry>.<registry domain>`."""

    async def fast(self, scope: Scope, send: Send, facts: RegistryFacts) -> bool:
        """Answer a pull outright and return True, or leave everything untouched and return False."""
        ...

    async def handle(self, request: Request, facts: RegistryFacts) -> Response: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Host header values, lower case, with their ports."""

    control: frozenset[str]
    blob: frozenset[str]
    login_server_suffix: str
    """`.azurecr.localhost:8443`; one label stands before it."""
    control_name: str
    """The one that links use."""
    scheme: str = "https"
    """Of links."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An ASGI application for `http` scopes."""

    hosts: Hosts
    find_registry: Callable[[str], RegistryFacts | None]
    """Login server host (with port) to facts; answers from memory."""
    login_server: LoginServer
    control: Handle
    blob: Handle
    log_requests: str
    """`all`, `changes` or `none`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host, refusal = _read_host(scope)
        if refusal is not None:
            await self._refuse(scope, receive, send, refusal)
            return
        if host.endswith(self.hosts.login_server_suffix) and host not in self.hosts.blob:
            try:
                facts = self.find_registry(host)
            except Problem as problem:
                await self._answer(scope, receive, send, host, _raising(problem), oci_response)
                return
            if facts is not None:
                await self._answer_registry(scope, receive, send, host, facts)
                return
            refusal = Response(404, b"404 no registry has this name here\n", content_type="text/plain; charset=utf-8")
            await self._refuse(scope, receive, send, refusal)
        elif host in self.hosts.control:
            await self._answer(scope, receive, send, self.hosts.control_name, self.control, arm_response)
        elif host in self.hosts.blob:
            await self._answer(scope, receive, send, host, self.blob, plain_response)
        else:
            refusal = Response(421, b"421 this server does not answer to that host name\n", content_type="text/plain")
            await self._refuse(scope, receive, send, refusal)

    async def _answer_registry(
        self, scope: Scope, receive: Receive, send: Send, host: str, facts: RegistryFacts
    ) -> None:
        if self.log_requests != "all":
            try:
                if await self.login_server.fast(scope, send, facts):
                    return
            except Exception:  # a defect there must not cost a pull: the ordinary path answers
                _log.exception("hot_path_failed", path=scope["path"])

        async def handle(request: Request) -> Response:
            scope["darsena.facts"] = facts
            return await self.login_server.handle(request, facts)

        await self._answer(scope, receive, send, host, handle, oci_response)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, host: str, handle: Handle, render: Render
    ) -> None:
        started = time.perf_counter()
        request = Request(scope, receive)
        request.host, request.scheme = host, self.hosts.scheme
        request.correlation_id = str(uuid.uuid4())
        try:
            response = await _respond(request, handle, render)
        finally:
            HELD.release(request)
        if not request.body_ended:
            await _drain(request, response)
        try:
            await send_response(request, response, send)
        except Exception:  # in the middle of a body: what is not sent tells the client that it has not all
            _log.exception("response_cut_off", path=request.raw_path, correlation_id=request.correlation_id)
        self._log_line(request, response, started)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, response: Response) -> None:
        await send_response(Request(scope, receive), response, send)

    def _log_line(self, request: Request, response: Response, started: float) -> None:
        if self.log_requests == "none" or (self.log_requests == "changes" and not _is_change(request, response)):
            return
        _log.info(
            "request",
            method=request.method,
            host=request.host,
            path=request.raw_path,  # never the query: it may hold a signature
            status=response.status,
            took_ms=round((time.perf_counter() - started) * 1000, 1),
            correlation_id=request.correlation_id,
        )


def _is_change(request: Request, response: Response) -> bool:
    """Whether something was changed or went wrong: no reads, no sign-ins, no challenge that invites one."""
    if response.status >= 400:
        return not (response.status == 401 and b"authorization" not in request.headers)
    path = request.raw_path
    quiet = path.startswith(_QUIET) or path.rpartition("/")[2].startswith("list")
    return request.method not in ("GET", "HEAD") and not quiet


def _raising(problem: Problem) -> Handle:
    async def handle(_request: Request) -> Response:
        raise problem

    return handle


async def _respond(request: Request, handle: Handle, render: Render) -> Response:
    try:
        try:
            return await handle(request)
        except Problem as problem:
            return render(problem, request)
    except Disconnected as gone:
        problem = RequestTimedOut(str(gone)) if isinstance(gone, TooSlow) else RequestInvalid(str(gone))
        return render(problem, request).header("connection", "close")
    except Exception:
        _log.exception("request_failed", path=request.raw_path, correlation_id=request.correlation_id)
        return internal_error(request)


async def _drain(request: Request, response: Response) -> None:
    """An early refusal is only seen by a client that still writes its body when some of that body is read first."""
    if response.status < 400 or response.status == 408 or request.header("expect"):
        return
    budget = DRAIN_BYTES
    try:
        async for chunk in request.stream(timeout_s=2.0):
            budget -= len(chunk)
            if budget < 0:
                return
    except Disconnected:
        return


def _read_host(scope: Scope) -> tuple[str, Response | None]:
    """The one Host value, lower case; or why the request is refused."""
    host: bytes | None = None
    size = 0
    seen: tuple[bytes, ...] = ()
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        if name == b"host":
            if host is not None:
                return "", _bad("400 the request has more than one Host header")
            host = value
        elif name in _ONCE:
            if name in seen:
                return "", _bad(f"400 the request has more than one {name.decode().title()} header")
            seen = (*seen, name)
            if name == b"transfer-encoding" and value.lower() != b"chunked":
                return "", _bad("400 the only Transfer-Encoding that is understood here is chunked")
    if not host:
        return "", _bad("400 the request has no Host header")
    if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_TARGET_BYTES:
        return "", Response(414, b"414 the request target is too long\n", content_type="text/plain")
    if size > MAX_HEADER_BYTES:
        return "", Response(431, b"431 the request headers are too large\n", content_type="text/plain")
    return host.decode("latin-1").lower(), None


def _bad(text: str) -> Response:
    return Response(400, f"{text}\n".encode(), [(b"connection", b"close")], content_type="text/plain; charset=utf-8")
