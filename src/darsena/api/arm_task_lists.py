"""Tasks, task runs and agent pools, as far as this version has them: there are none, and making one is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from darsena.api.arm.context import ArmContext, Call, Handler, make_route
from darsena.api.arm.registries import ONE
from darsena.api.arm.views import ListView
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.errors import NotImplementedHere, ResourceUnknown
from darsena.resources.ids import REGISTRY_TYPE

TAG = "Tasks"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Collection:
    path: str
    name: str
    """Of one, for people."""
    instead: str
    detail: str | None = None
    """The action below one that shows more of it."""

    @property
    def action(self) -> str:
        return f"{REGISTRY_TYPE}/{self.path}"


_COLLECTIONS = (
    _Collection(
        path="tasks",
        name="task",
        detail="listDetails",
        instead="start runs by scheduleRun with a DockerBuildRequest, an EncodedTaskRunRequest or a FileTaskRunRequest",
    ),
    _Collection(path="taskRuns", name="task run", detail="listDetails", instead="start runs by scheduleRun"),
    _Collection(
        path="agentPools",
        name="agent pool",
        detail="listQueueStatus",
        instead="runs go to the build agent that belongs to this server",
    ),
)


def list_task_routes(context: ArmContext) -> list[Route]:
    return [route for collection in _COLLECTIONS for route in _routes(context, collection)]


def _routes(context: ArmContext, collection: _Collection) -> list[Route]:
    base = f"{ONE}/{collection.path}"
    one = f"{base}/{{child}}"

    async def get(call: Call) -> Response:
        await _check_registry(call)
        name = call.request.params["child"]
        raise ResourceUnknown(f"The {collection.name} '{name[:80]}' could not be found.")

    async def put(call: Call) -> Response:
        await _check_registry(call)
        raise NotImplementedHere(
            f"{collection.name[0].upper()}{collection.name[1:]}s are not in this version: {collection.instead}."
        )

    def route(method: str, pattern: str, handler: Handler, summary: str, verb: str, response: Any = None) -> Route:
        action = f"{collection.action}/{verb}"
        return make_route(context, method, pattern, handler, summary=summary, action=action, response=response, tag=TAG)

    name = collection.name
    routes = [
        route("GET", base, _list, f"Every {name} of a registry", "read", ListView[dict[str, Any]]),
        route("GET", one, get, f"One {name}", "read"),
        route("PUT", one, put, f"Create one {name}: not in this version", "write"),
        route("PATCH", one, get, f"Update one {name}", "write"),
        route("DELETE", one, _delete, f"Delete one {name}", "delete"),
    ]
    if collection.detail is not None:
        action = f"{collection.detail}/action"
        routes.append(route("POST", f"{one}/{collection.detail}", get, f"More of one {name}", action))
    return routes


async def _list(call: Call) -> Response:
    await _check_registry(call)
    return call.answer(ListView[dict[str, Any]](value=[]))


async def _delete(call: Call) -> Response:
    """What is not there is gone."""
    await _check_registry(call)
    return Response(204)


async def _check_registry(call: Call) -> None:
    await call.context.resources.read_registry(call.subscription_id, call.group, call.registry)
