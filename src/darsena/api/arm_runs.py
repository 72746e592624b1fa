"""ARM's runs of a registry: schedule, read, list, keep, cancel; their sources' and logs' signed addresses."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from darsena.api.arm.context import ArmContext, Call, Handler, make_route
from darsena.api.arm.registries import ONE
from darsena.api.arm_run_views import (
    LogLinkView,
    RunListView,
    RunUpdateBody,
    RunView,
    UploadView,
    run_view,
    scheduled_view,
)
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.errors import RequestInvalid
from darsena.resources.ids import REGISTRY_TYPE
from darsena.resources.model import RegistryRow
from darsena.tasks.blobs import BlobService
from darsena.tasks.filters import parse_filter
from darsena.tasks.requests import parse_request
from darsena.tasks.service import RunService
from darsena.tasks.wire import RunRequestBody

TAG = "Runs"
PAGE = 100
_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _Window:
    """What part of the list is asked for: runs older than `before`, `top` in all (None: every one)."""

    before: int | None
    top: int | None


class RunsEdge:
    def __init__(self, context: ArmContext, runs: RunService, blobs: BlobService) -> None:
        self._context = context
        self._runs = runs
        self._blobs = blobs
        run = f"{ONE}/runs/{{run}}"
        self.routes: list[Route] = [
            self._route("POST", f"{ONE}/scheduleRun", self._schedule, "Schedule a run", "scheduleRun/action",
                        request=RunRequestBody, response=RunView),
            self._route("POST", f"{ONE}/listBuildSourceUploadUrl", self._create_upload,
                        "An address to upload a build source to", "listBuildSourceUploadUrl/action",
                        response=UploadView),
            self._route("GET", f"{ONE}/runs", self._list, "Runs of a registry", "runs/read", response=RunListView),
            self._route("GET", run, self._get, "A run", "runs/read", response=RunView),
            self._route("PATCH", run, self._patch, "Keep a run, or keep it no longer", "runs/write",
                        request=RunUpdateBody, response=RunView),
            self._route("POST", f"{run}/cancel", self._cancel, "Cancel a run", "runs/cancel/action"),
            self._route("POST", f"{run}/listLogSasUrl", self._create_log_url, "The address of a run's log",
                        "runs/listLogSasUrl/action", response=LogLinkView),
        ]  # fmt: skip

    def _route(
        self,
        method: str,
        pattern: str,
        handler: Handler,
        summary: str,
        action: str,
        *,
        request: type | None = None,
        response: type | None = None,
    ) -> Route:
        return make_route(
            self._context,
            method,
            pattern,
            handler,
            summary=summary,
            action=f"{REGISTRY_TYPE}/{action}",
            request=request,
            response=response,
            tag=TAG,
        )

    async def _registry(self, call: Call) -> RegistryRow:
        return await self._context.resources.read_registry(call.subscription_id, call.group, call.registry)

    async def _schedule(self, call: Call) -> Response:
        row = await self._registry(call)
        body = await call.request.json(RunRequestBody)
        caller = "" if call.principal is None else call.principal.object_id
        facts = self._context.resources.facts(row)
        run = await self._runs.schedule(facts, parse_request(body), call.author, caller)
        return call.answer(scheduled_view(row, run))

    async def _create_upload(self, call: Call) -> Response:
        row = await self._registry(call)
        url, name = await self._blobs.create_upload(row.uid)
        return call.answer(UploadView(upload_url=url, relative_path=name))

    async def _get(self, call: Call) -> Response:
        row = await self._registry(call)
        run = await self._runs.get(row.uid, call.request.params["run"])
        return call.answer(run_view(row, run, await self._runs.find_place(run)))

    async def _list(self, call: Call) -> Response:
        """`$top` is how many are wanted in all; an answer holds a hundred at most and links to the next."""
        row = await self._registry(call)
        query = {name.lower(): value for name, value in call.request.query_list}
        window = _parse_window(query)
        limit = PAGE if window.top is None else min(window.top, PAGE)
        test = parse_filter(query.get("$filter", ""))
        page = await self._runs.list(row.uid, test=test, before=window.before, limit=limit)
        left = None if window.top is None else window.top - len(page.runs)
        link = None
        if page.next_before is not None and left != 0:
            link = _next_link(call, page.next_before, left)
        return call.answer(RunListView(value=[run_view(row, run) for run in page.runs], next_link=link))

    async def _patch(self, call: Call) -> Response:
        row = await self._registry(call)
        body = await call.request.json(RunUpdateBody)
        run_id = call.request.params["run"]
        if body.is_archive_enabled is None:
            return call.answer(run_view(row, await self._runs.get(row.uid, run_id)))
        facts = self._context.resources.facts(row)
        run = await self._runs.set_archive(facts, run_id, body.is_archive_enabled, call.author)
        return call.answer(run_view(row, run))

    async def _cancel(self, call: Call) -> Response:
        row = await self._registry(call)
        await self._runs.cancel(row.uid, call.request.params["run"])
        return Response(200)

    async def _create_log_url(self, call: Call) -> Response:
        row = await self._registry(call)
        run = await self._runs.get(row.uid, call.request.params["run"])
        return call.answer(LogLinkView(log_link=await self._blobs.create_log_url(run)))


def _parse_window(query: dict[str, str]) -> _Window:
    top, token = query.get("$top", ""), query.get("$skiptoken", "")
    if top and not (_is_number(top) and int(top) > 0):
        raise RequestInvalid(f"The value '{top[:40]}' of $top is not a positive number.", "$top")
    if token and not _is_number(token):
        raise RequestInvalid("The $skipToken is not one that was given out here.", "$skipToken")
    return _Window(before=int(token) if token else None, top=min(int(top), _MOST) if top else None)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _next_link(call: Call, before: int, left: int | None) -> str:
    """The same request for what is left of it."""
    kept = [(name, value) for name, value in call.request.query_list if name.lower() not in ("$skiptoken", "$top")]
    kept += [("$top", str(left))] if left is not None else []
    query = urlencode([*kept, ("$skipToken", str(before))], quote_via=quote, safe="$")
    return f"{call.base_url}{call.request.raw_path}?{query}"
