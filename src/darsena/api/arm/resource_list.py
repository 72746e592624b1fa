"""Resources of every type in one list: how clients find a registry's group by its name."""

from __future__ import annotations

from darsena.api.arm import views
from darsena.api.arm.context import ArmContext, Call, make_route
from darsena.api.arm.filters import parse_filter
from darsena.api.arm.paging import Listing, make_next_link, parse_window
from darsena.api.arm.render import resource_view
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.resources.ids import REGISTRY_TYPE, subscription_path
from darsena.resources.model import RegistryRow

TAG = "Resources"


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
    resources, group = call.context.resources, call.request.params.get("group")
    window = parse_window(call.request)
    query = {name.lower(): value for name, value in call.request.query_list}
    test = parse_filter(query.get("$filter", ""))
    expand = frozenset(part.strip().lower() for part in query.get("$expand", "").split(","))
    read = f"{REGISTRY_TYPE}/read"
    all_readable = group is not None or await call.may(read, subscription_path(call.subscription_id))

    async def keep(row: RegistryRow) -> bool:
        return test(_facts(row)) and (all_readable or await call.may(read, row.resource_id))

    listing = Listing(
        fetch=lambda after, limit: resources.list_registries(
            call.subscription_id, group=group, after=after, limit=limit
        ),
        key=lambda row: row.name.lower(),
        keep=keep,
    )
    page = await listing.read(window)
    link = make_next_link(call.request, call.base_url, page.next_key)
    return call.answer(views.ListView(value=[resource_view(row, expand) for row in page.items], next_link=link))


def _facts(row: RegistryRow) -> dict[str, str]:
    tags = {f"tags/{name.lower()}": value for name, value in row.tags.items()}
    return {
        "id": row.resource_id,
        "name": row.name,
        "location": row.location,
        "resourcetype": REGISTRY_TYPE,
        "resourcegroup": row.group,
        **tags,
    }
