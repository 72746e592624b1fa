"""Resources of every type in one list: how clients find a registry's group by its name."""

from __future__ import annotations

from darsena.api.arm import views
from darsena.api.arm.context import ArmContext, Call, make_route
from darsena.api.arm.filters import parse_filter
from darsena.api.arm.paging import Listing, make_next_link, parse_window
from darsena.api.arm.render import identity_resource_view, resource_view
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.resources.identities import make_key, parse_key
from darsena.resources.ids import IDENTITY_TYPE, REGISTRY_TYPE, subscription_path
from darsena.resources.model import Page, RegistryRow, UserIdentity

TAG = "Resources"
_LATER = "~"

Row = RegistryRow | UserIdentity


def list_routes(context: ArmContext) -> list[Route]:
    view = views.ListView[views.ResourceView]
    return [
        make_route(context, "GET", "/subscriptions/{subscription}/resources", _list,
                   summary="Resources of a subscription", response=view, tag=TAG),
        make_route(context, "GET", "/subscriptions/{subscription}/resourceGroups/{group}/resources", _list,
                   summary="Resources of a resource group",
                   action="Microsoft.Resources/subscriptions/resourceGroups/resources/read", response=view, tag=TAG),
    ]  # fmt: skip


async def _list(call: Call) -> Response:
    """In a subscription those that the caller may read, also one by one."""
    group = call.request.params.get("group")
    window = parse_window(call.request)
    test = parse_filter(call.query_option("$filter"))
    expand = frozenset(part.strip().lower() for part in call.query_option("$expand").split(","))
    readable = {
        kind: group is not None or await call.may(f"{kind}/read", subscription_path(call.subscription_id))
        for kind in (REGISTRY_TYPE, IDENTITY_TYPE)
    }

    async def keep(row: Row) -> bool:
        kind = _kind(row)
        return test(_facts(row)) and (readable[kind] or await call.may(f"{kind}/read", row.resource_id))

    async def fetch(after: str, limit: int) -> Page[Row]:
        return await _fetch(call, group, after, limit)

    page = await Listing(fetch=fetch, key=_key, keep=keep).read(window)
    link = make_next_link(call.request, call.base_url, page.next_key)
    return call.answer(views.ListView(value=[_view(call, row, expand) for row in page.items], next_link=link))


async def _fetch(call: Call, group: str | None, after: str, limit: int) -> Page[Row]:
    """Registries first, then identities, whose keys begin with a tilde."""
    resources, subscription = call.context.resources, call.subscription_id
    if after.startswith(_LATER):
        key = parse_key(after.removeprefix(_LATER))
        found = await resources.list_identities(subscription, group=group, after=key, limit=limit)
        further = None if found.next_key is None else f"{_LATER}{found.next_key}"
        return Page(items=list[Row](found.items), next_key=further)
    page = await resources.list_registries(subscription, group=group, after=after, limit=limit)
    return Page(items=list[Row](page.items), next_key=page.next_key or _LATER)


def _key(row: Row) -> str:
    return row.name.lower() if isinstance(row, RegistryRow) else f"{_LATER}{make_key(row)}"


def _kind(row: Row) -> str:
    return REGISTRY_TYPE if isinstance(row, RegistryRow) else IDENTITY_TYPE


def _view(call: Call, row: Row, expand: frozenset[str]) -> views.ResourceView:
    if isinstance(row, RegistryRow):
        return resource_view(row, expand, call.context.tenant_id)
    return identity_resource_view(row, expand)


def _facts(row: Row) -> dict[str, str]:
    tags = {f"tags/{name.lower()}": value for name, value in row.tags.items()}
    principal = row.properties.identity.system_object_id if isinstance(row, RegistryRow) else None
    return {
        "id": row.resource_id,
        "name": row.name,
        "location": row.location,
        "resourcetype": _kind(row),
        "resourcegroup": row.group,
        "identity/principalid": principal or "",
        **tags,
    }
