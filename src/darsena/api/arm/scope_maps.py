"""Scope maps. Everything is done in the request's own transaction, so every answer is final."""

from __future__ import annotations

from msgspec import UNSET

from darsena.api.arm.context import ArmContext, Call, Handler, make_route
from darsena.api.arm.paging import make_next_link, parse_window
from darsena.api.arm.registries import ONE
from darsena.api.arm.render import SUCCEEDED, system_data_view
from darsena.api.arm.token_bodies import ScopeMapBody, ScopeMapPropertiesBody, ScopeMapPropertiesView, ScopeMapView
from darsena.api.arm.views import ListView
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.clock import render_time_offset
from darsena.core.errors import RequestInvalid
from darsena.db import Tx
from darsena.identity.token_store import ScopeMap
from darsena.resources.ids import REGISTRY_TYPE
from darsena.resources.model import RegistryRow
from darsena.resources.scope_maps import FindRegistry, ScopeMaps, is_system, system_data

TYPE = f"{REGISTRY_TYPE}/scopeMaps"
_TAG = "Scope maps"


def list_scope_map_routes(context: ArmContext, scope_maps: ScopeMaps) -> list[Route]:
    all_, one = f"{ONE}/scopeMaps", f"{ONE}/scopeMaps/{{child}}"

    async def list_all(call: Call) -> Response:
        window = parse_window(call.request)
        row, page = await scope_maps.list(find_registry(call), after=window.after, limit=window.top)
        link = make_next_link(call.request, call.base_url, page.next_key)
        return call.answer(ListView(value=[_view(row, found) for found in page.items], next_link=link))

    async def get(call: Call) -> Response:
        return call.answer(_view(*await scope_maps.get(find_registry(call), child(call))))

    async def put(call: Call) -> Response:
        asked = (await call.request.json(ScopeMapBody)).properties
        if asked is None:
            raise RequestInvalid("The member 'properties' is required.", "properties")
        made = await scope_maps.put(
            find_registry(call, lock=True),
            child(call),
            description=None if asked.description is UNSET else asked.description,
            actions=asked.actions or [],
            author=call.author,
        )
        return call.answer(_view(*made))

    async def patch(call: Call) -> Response:
        asked = (await call.request.json(ScopeMapBody)).properties or ScopeMapPropertiesBody()
        changed = await scope_maps.patch(
            find_registry(call, lock=True),
            child(call),
            description=None if asked.description is UNSET else asked.description or "",
            actions=asked.actions,
            author=call.author,
        )
        return call.answer(_view(*changed))

    async def delete(call: Call) -> Response:
        deleted = await scope_maps.delete(find_registry(call, lock=True), child(call))
        return Response(200 if deleted else 204)

    def route(method: str, pattern: str, handler: Handler, summary: str, verb: str) -> Route:
        body = ScopeMapBody if method in ("PUT", "PATCH") else None
        view = ListView[ScopeMapView] if pattern == all_ else (None if method == "DELETE" else ScopeMapView)
        return make_route(context, method, pattern, handler, summary=summary, action=f"{TYPE}/{verb}", request=body,
                          response=view, tag=_TAG)  # fmt: skip

    return [
        route("GET", all_, list_all, "Scope maps of a registry", "read"),
        route("GET", one, get, "A scope map", "read"),
        route("PUT", one, put, "Create or replace a scope map", "write"),
        route("PATCH", one, patch, "Update a scope map", "write"),
        route("DELETE", one, delete, "Delete a scope map that no token uses", "delete"),
    ]


def find_registry(call: Call, *, lock: bool = False) -> FindRegistry:
    def find(tx: Tx) -> RegistryRow:
        registries = call.context.resources.registries
        return registries.get(tx, call.subscription_id, call.group, call.registry, lock=lock)

    return find


def child(call: Call) -> str:
    return call.request.params["child"]


def _view(row: RegistryRow, found: ScopeMap) -> ScopeMapView:
    return ScopeMapView(
        id=f"{row.resource_id}/scopeMaps/{found.name}",
        name=found.name,
        type=TYPE,
        system_data=system_data_view(system_data(found.authors)),
        properties=ScopeMapPropertiesView(
            type="SystemDefined" if is_system(found.name) else "UserDefined",
            creation_date=render_time_offset(found.authors.created_at),
            provisioning_state=SUCCEEDED,
            actions=[*found.actions],
            description=found.description,
        ),
    )
