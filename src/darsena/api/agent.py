"""The agent protocol: a private API on the control host, under a token of its own that opens nothing else.

    POST hello · POST claim (long poll) · GET runs/{uid}/source · POST runs/{uid}/beat · log · finish

409 with the code RunLost tells an agent that a run is not its own any more: it ends it and writes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, cast

import msgspec

from darsena.api.http import Request, Response, json_response
from darsena.api.router import Route
from darsena.core.errors import RequestInvalid, Unauthenticated
from darsena.jobs.lease import LEASE_S
from darsena.tasks.agents import AgentService
from darsena.tasks.model import DEFAULT_POOL, LOG_WORDS, Claimant, Ending, ImageDescriptor
from darsena.tasks.orders import RunOrder

BASE = "/darsena/v1/agent"
TAG = "Agent"
LOG_CHUNK_BYTES = 8 * 1024 * 1024
_BODY_BYTES = 4 * 1024 * 1024
_LONGEST_ERROR = 2000
_AGENT = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")

Fence = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """Unknown members are ignored, so that an agent may be newer than its server."""


class FaultBody(Body, frozen=True, kw_only=True):
    text: str
    fix: str = ""


class EngineBody(Body, frozen=True, kw_only=True):
    engine: str = "none"
    version: str = ""
    mode: str = "none"
    platforms: list[str] = []
    cpu: Annotated[float, msgspec.Meta(ge=1, le=4096)] = 1.0
    features: list[str] = []
    faults: list[FaultBody] = []


class HelloBody(Body, frozen=True, kw_only=True):
    """`runs` are the uids of the runs that the agent still works on; without it nothing is concluded. `dead` are those
    of runs that an agent on the same machine left when it ended."""

    agent: str
    info: EngineBody
    pool: str = DEFAULT_POOL
    runs: list[str] | None = None
    dead: list[str] = []


class HelloView(Body, frozen=True, kw_only=True):
    lease_s: int


class ClaimBody(Body, frozen=True, kw_only=True):
    agent: str
    pool: str = DEFAULT_POOL
    cpu: Annotated[float, msgspec.Meta(ge=0, le=4096)] = 0.0
    platforms: list[str] = []
    wait_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class BeatBody(Body, frozen=True, kw_only=True):
    """With `wait_s` the answer comes after that time, or as soon as the run is to be canceled."""

    agent: str
    fence: Fence
    status: str = "Running"
    wait_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class BeatView(Body, frozen=True, kw_only=True):
    cancel: bool
    lease_s: int


class LogView(Body, frozen=True, kw_only=True):
    offset: int


class ImageBody(Body, frozen=True, kw_only=True):
    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None


class FinishBody(Body, frozen=True, kw_only=True):
    agent: str
    fence: Fence
    status: str
    error: str | None = None
    output_images: list[ImageBody] = []
    dependencies: list[dict[str, Any]] = []
    log_size: int | None = None


Handler = Callable[[Request], Awaitable[Response]]


class AgentEdge:
    """`token` is what the agent was started with; nothing else is accepted here."""

    def __init__(self, agents: AgentService, token: str) -> None:
        self._agents = agents
        self._expected = b"Bearer " + token.encode()
        run = f"{BASE}/runs/{{run_uid}}"
        self.routes: list[Route] = [
            self._route("POST", f"{BASE}/hello", self._hello, "An agent is there", HelloBody, HelloView),
            self._route("POST", f"{BASE}/claim", self._claim, "The next run, waited for", ClaimBody, RunOrder),
            self._route("GET", f"{run}/source", self._source, "The uploaded source of a run", None, None),
            self._route("POST", f"{run}/beat", self._beat, "Renew the lease of a run", BeatBody, BeatView),
            self._route("POST", f"{run}/log", self._log, "Append to the log of a run", None, LogView),
            self._route("POST", f"{run}/finish", self._finish, "End a run", FinishBody, None),
        ]

    def _route(self, method: str, pattern: str, handler: Handler, summary: str, request: Any, response: Any) -> Route:
        async def handle(raw: Request) -> Response:
            given = raw.headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                raise Unauthenticated("the agent's token is missing or wrong")
            return await handler(raw)

        return Route(
            method=method,
            pattern=pattern,
            handler=handle,
            summary=summary,
            request=request,
            response=response,
            tag=TAG,
        )

    async def _hello(self, request: Request) -> Response:
        body = await request.json(HelloBody, limit_bytes=_BODY_BYTES, replace_nul=True)
        info = cast("dict[str, Any]", msgspec.to_builtins(body.info))
        await self._agents.hello(_check_agent(body.agent), body.pool, info, body.runs, body.dead)
        return json_response(HelloView(lease_s=LEASE_S))

    async def _claim(self, request: Request) -> Response:
        body = await request.json(ClaimBody, limit_bytes=_BODY_BYTES)
        claimant = Claimant(
            agent=_check_agent(body.agent), pool=body.pool, cpu=int(body.cpu), platforms=tuple(body.platforms)
        )
        gone = asyncio.ensure_future(request.wait_disconnect())
        try:
            order = await self._agents.claim(claimant, body.wait_s, is_gone=gone.done)
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone
        return Response(204) if order is None else json_response(order)

    async def _source(self, request: Request) -> Response:
        size, chunks = await self._agents.read_source(request.params["run_uid"], _read_number(request, "fence"))
        return Response(200, chunks, content_type="application/gzip", length=size)

    async def _beat(self, request: Request) -> Response:
        body = await request.json(BeatBody, limit_bytes=_BODY_BYTES)
        beat = await self._agents.beat(
            request.params["run_uid"], _check_agent(body.agent), body.fence, wait_s=body.wait_s
        )
        return json_response(BeatView(cancel=beat.cancel, lease_s=LEASE_S))

    async def _log(self, request: Request) -> Response:
        data = await request.body(LOG_CHUNK_BYTES)
        size = await self._agents.append_log(
            request.params["run_uid"],
            _check_agent(request.query.get("agent", "")),
            _read_number(request, "fence"),
            _read_number(request, "offset"),
            data,
        )
        return json_response(LogView(offset=size))

    async def _finish(self, request: Request) -> Response:
        body = await request.json(FinishBody, limit_bytes=_BODY_BYTES, replace_nul=True)
        if body.status not in LOG_WORDS:
            raise RequestInvalid(f"a run does not end as {body.status[:40]!r}", "status")
        ending = Ending(
            status=body.status,
            error=body.error[:_LONGEST_ERROR] if body.error else None,
            output_images=tuple(
                ImageDescriptor(registry=row.registry, repository=row.repository, tag=row.tag, digest=row.digest)
                for row in body.output_images
            ),
            dependencies=tuple(body.dependencies),
        )
        await self._agents.finish(request.params["run_uid"], _check_agent(body.agent), body.fence, ending)
        return json_response({})


def _check_agent(text: str) -> str:
    if not _AGENT.match(text):
        raise RequestInvalid("an agent's id has 1 to 100 of A-Z a-z 0-9 . _ -", "agent")
    return text


def _read_number(request: Request, name: str) -> int:
    text = request.query.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise RequestInvalid(f"the parameter {name} is missing or no number", name)
    return int(text)
