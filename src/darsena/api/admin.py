"""Maintenance over HTTP, on the control host: gc, fsck, sizes. The callers are ARM's, and so are their rights.

What concerns one registry asks for rights on it; everything else asks for them on the subscription.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

import msgspec

from darsena.api.admin_views import (
    EndLine,
    FailureLine,
    FsckRequest,
    GcRequest,
    GcRunView,
    PlanView,
    RegistrySizeView,
    view_finding,
    view_plan,
    view_progress,
    view_registry_size,
    view_repository_size,
    view_run,
)
from darsena.api.arm.context import ArmContext, Call, Handler, make_route
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.errors import Problem, RequestInvalid, ResourceUnknown, Unauthenticated
from darsena.core.names import RepositoryName
from darsena.identity.model import RegistryFacts
from darsena.registry.fsck_model import Examined, Finding
from darsena.registry.gc_model import GcRun
from darsena.registry.maintenance import Maintenance
from darsena.registry.model import Registry
from darsena.registry.service import to_registry
from darsena.resources.ids import REGISTRY_TYPE, subscription_path

TAG = "Maintenance"
BASE = "/darsena/v1/admin"
READ: Final = f"{REGISTRY_TYPE}/read"
WRITE: Final = f"{REGISTRY_TYPE}/write"

_PAGE = 100
_TELL_EVERY_S = 1.0
_GRACE_LIMIT_S = 366 * 86_400
_SEVERITIES: Final = ("garbage", "inconsistent", "lost")


def list_admin_routes(context: ArmContext, maintenance: Maintenance) -> list[Route]:
    edge = AdminEdge(context, maintenance)

    def route(
        method: str,
        path: str,
        handler: Handler,
        summary: str,
        response: type | None = None,
        request: type | None = None,
    ) -> Route:
        return make_route(
            context,
            method,
            f"{BASE}/{path}",
            handler,
            summary=summary,
            request=request,
            response=response,
            tag=TAG,
            versioned=False,
        )

    return [
        route("POST", "gc", edge.start, "Collect garbage, or say what would go (dryRun)", GcRunView, GcRequest),
        route("GET", "gc", edge.last, "The newest run of gc", GcRunView),
        route("GET", "gc/{run}", edge.get, "A run of gc and its progress", GcRunView),
        route("POST", "gc/pause", edge.pause, "Pause gc, across restarts too", GcRunView),
        route("POST", "gc/resume", edge.resume, "Go on with gc", GcRunView),
        route("POST", "fsck", edge.fsck, "Compare rows and bytes; a line of JSON per finding", None, FsckRequest),
        route("GET", "sizes/{name}", edge.sizes, "Sizes of a registry, or of one ?repository=", RegistrySizeView),
    ]


class AdminEdge:
    def __init__(self, context: ArmContext, maintenance: Maintenance) -> None:
        self._context = context
        self._maintenance = maintenance

    # --- gc -------------------------------------------------------------------------------------------------------

    async def start(self, call: Call) -> Response:
        body = await call.request.json(GcRequest)
        facts = await self._admit(call, body.registry, READ if body.dry_run else WRITE)
        _check_grace(body.grace_seconds)
        registry, gc = None if facts is None else to_registry(facts), self._maintenance.gc
        if body.dry_run:
            view: PlanView = view_plan(await gc.plan(registry, body.grace_seconds))
            return call.answer(view)
        return await self._answer(call, await gc.start(registry, body.grace_seconds), 202)

    async def last(self, call: Call) -> Response:
        facts = await self._admit(call, call.request.query.get("registry"), READ)
        run = await self._maintenance.gc.find_last(None if facts is None else to_registry(facts))
        if run is None:
            raise ResourceUnknown("gc has not run yet")
        return await self._answer(call, run)

    async def get(self, call: Call) -> Response:
        """Who may not read the whole subscription must be allowed on the registry that the run is of."""
        text = call.request.params["run"]
        run = (
            await self._maintenance.gc.get(int(text)) if text.isascii() and text.isdigit() and len(text) < 19 else None
        )
        facts = None
        if run is not None and run.registry_uid is not None:
            facts = await call.context.resources.lookup.find_by_uid(run.registry_uid)
        await self._authorize(call, READ, facts)
        if run is None:
            raise ResourceUnknown(f"there is no run {text[:20]!r} of gc; the last fifty are kept")
        return await self._answer(call, run)

    async def pause(self, call: Call) -> Response:
        await self._admit(call, None, WRITE)
        return await self._answer(call, await self._maintenance.gc.pause())

    async def resume(self, call: Call) -> Response:
        await self._admit(call, None, WRITE)
        return await self._answer(call, await self._maintenance.gc.resume())

    async def _answer(self, call: Call, run: GcRun, status: int = 200) -> Response:
        facts = None
        if run.registry_uid is not None:
            facts = await call.context.resources.lookup.find_by_uid(run.registry_uid)
        return call.answer(view_run(run, run.registry_uid if facts is None else facts.name), status)

    # --- fsck -----------------------------------------------------------------------------------------------------

    async def fsck(self, call: Call) -> Response:
        body = await call.request.json(FsckRequest)
        facts = await self._admit(call, body.registry, WRITE)
        registry = None if facts is None else to_registry(facts)
        lines = check_in_lines(self._maintenance, registry, body, self._name)
        return Response(200, lines, content_type="application/x-ndjson")

    async def _name(self, uid: str) -> str:
        facts = await self._context.resources.lookup.find_by_uid(uid)
        return uid if facts is None else facts.name

    # --- sizes ----------------------------------------------------------------------------------------------------

    async def sizes(self, call: Call) -> Response:
        facts = await self._admit(call, call.request.params["name"], READ)
        assert facts is not None
        registry = to_registry(facts)
        name = call.request.query.get("repository")
        if name is not None:
            size = await self._maintenance.measure_repository(registry, RepositoryName.parse(name))
            return call.answer(view_repository_size(size))
        page = await self._maintenance.list_sizes(registry, last=call.request.query.get("last", ""), limit=_PAGE)
        total = await self._maintenance.measure_registry(registry)
        views = [view_repository_size(size) for size in page.items]
        return call.answer(view_registry_size(facts.name, total, views, page.last))

    # --- who may --------------------------------------------------------------------------------------------------

    async def _admit(self, call: Call, name: str | None, action: str) -> RegistryFacts | None:
        """The registry that is named. Who has no right on it does not learn whether there is one."""
        if name is None:
            await self._authorize(call, action, None)
            return None
        try:
            facts = await call.context.resources.lookup.get_by_name(name.partition(".")[0])
        except ResourceUnknown:
            await self._authorize(call, action, None)
            raise
        await self._authorize(call, action, facts)
        return facts

    async def _authorize(self, call: Call, action: str, facts: RegistryFacts | None) -> None:
        if call.principal is None:
            raise Unauthenticated("Authentication failed. The 'Authorization' header is missing.")
        scope = subscription_path(call.subscription_id) if facts is None else facts.resource_id
        await call.context.gate.authorize_arm(call.principal, action, scope)


async def check_in_lines(
    maintenance: Maintenance, registry: Registry | None, body: FsckRequest, name: Callable[[str], Awaitable[str]]
) -> AsyncIterator[bytes]:
    """Lines as they come; the last one is the end or the failure, so that a line cut off is noticed.

    `name` gives a registry's name by its uid.
    """
    examined = Examined()
    worst, total, repaired = -1, 0, 0
    check = maintenance.check(registry, examined, repair=body.repair, digests=body.digests)
    try:
        async for finding in _with_pauses(check):
            if finding is None:
                yield _line(view_progress(examined))
                continue
            total, repaired = total + 1, repaired + finding.is_repaired
            if not finding.is_repaired:
                worst = max(worst, _SEVERITIES.index(finding.severity))
            yield _line(view_finding(finding, await name(finding.registry_uid)))
    except Problem as problem:
        yield _line(FailureLine(message=problem.message))
        return
    counts = msgspec.structs.asdict(view_progress(examined))
    verdict = "clean" if worst < 0 else _SEVERITIES[worst]
    yield _line(EndLine(verdict=verdict, findings=total, repaired=repaired, **counts))


def _check_grace(grace_s: float | None) -> None:
    if grace_s is not None and not 0 <= grace_s <= _GRACE_LIMIT_S:
        raise RequestInvalid(f"graceSeconds {grace_s} is outside 0 to {_GRACE_LIMIT_S}", "graceSeconds")


async def _with_pauses(findings: AsyncIterator[Finding]) -> AsyncIterator[Finding | None]:
    """None for each while in which nothing was found, so that a client sees that the check goes on."""

    async def step() -> Finding | None:
        return await anext(findings, None)

    pending = asyncio.ensure_future(step())
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=_TELL_EVERY_S)
            if not done:
                yield None
                continue
            finding = pending.result()
            if finding is None:
                return
            yield finding
            pending = asyncio.ensure_future(step())
    finally:
        pending.cancel()
        with suppress(asyncio.CancelledError, Problem):
            await pending


def _line(value: msgspec.Struct) -> bytes:
    return msgspec.json.encode(value) + b"\n"
