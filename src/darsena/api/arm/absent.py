"""What ARM hangs on groups and registries and this version does not have: listed empty, refused on creation."""

from __future__ import annotations

from typing import Any

from darsena.api.arm.context import ArmContext, Call, Handler, make_route
from darsena.api.arm.groups import ONE as GROUP
from darsena.api.arm.registries import ONE as REGISTRY
from darsena.api.arm.views import ListView
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.errors import ChildUnknown, NotImplementedHere

Document = dict[str, Any]

LOCKS = "Microsoft.Authorization/locks"
DEPLOYMENTS = "Microsoft.Resources/deployments"
_INSTEAD = {
    LOCKS: "Locks are not in this version: give the roles that may delete to few, and lock images by their attributes.",
    DEPLOYMENTS: "Template deployments are not in this version: create groups and registries one by one.",
}


def list_absent_routes(context: ArmContext) -> list[Route]:
    return [
        *_routes(context, "/subscriptions/{subscription}", LOCKS),
        *_routes(context, GROUP, LOCKS),
        *_routes(context, REGISTRY, LOCKS),
        *_routes(context, GROUP, DEPLOYMENTS),
    ]


def _routes(context: ArmContext, owner: str, kind: str) -> list[Route]:
    name = kind.rpartition("/")[2]
    base = f"{owner}/providers/{kind}"
    one = f"{base}/{{child}}"

    async def put(call: Call) -> Response:
        await call.request.json(Document)
        await _check_owner(call)
        raise NotImplementedHere(_INSTEAD[kind])

    def route(method: str, pattern: str, handler: Handler, summary: str, verb: str) -> Route:
        return make_route(
            context,
            method,
            pattern,
            handler,
            summary=summary,
            action=f"{kind}/{verb}",
            request=Document if method == "PUT" else None,
            response=ListView[Document] if pattern == base else None,
            tag="Not in this version",
        )

    return [
        route("GET", base, _list, f"The {name}: there are none", "read"),
        route("GET", one, _get, f"One of the {name}", "read"),
        route("PUT", one, put, f"Create one of the {name}: not in this version", "write"),
        route("DELETE", one, _delete, f"Delete one of the {name}", "delete"),
    ]


async def _list(call: Call) -> Response:
    await _check_owner(call)
    return call.answer(ListView[Document](value=[]))


async def _get(call: Call) -> Response:
    await _check_owner(call)
    raise ChildUnknown(call.request.params["child"])


async def _delete(call: Call) -> Response:
    """What is not there is gone."""
    await _check_owner(call)
    return Response(204)


async def _check_owner(call: Call) -> None:
    params = call.request.params
    await call.context.resources.check_scope(call.subscription_id, params.get("group"), params.get("registry"))
