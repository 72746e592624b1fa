"""Resource groups."""

from __future__ import annotations

from darsena.api.arm import views
from darsena.api.arm.bodies import GroupBody
from darsena.api.arm.context import ArmContext, Call, make_route
from darsena.api.arm.filters import parse_filter
from darsena.api.arm.operations import accept
from darsena.api.arm.paging import Listing, make_next_link, parse_window
from darsena.api.arm.render import group_view
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.errors import ResourceUnknown
from darsena.resources.ids import GROUP_TYPE, subscription_path
from darsena.resources.model import Group

TAG = "Resource groups"
ACTION = "Microsoft.Resources/subscriptions/resourceGroups"
LIST = "/subscriptions/{subscription}/resourceGroups"
ONE = f"{LIST}/{{group}}"


def list_routes(context: ArmContext) -> list[Route]:
    view, read, write = views.GroupView, f"{ACTION}/read", f"{ACTION}/write"
    return [
        make_route(context, "GET", LIST, _list, summary="Resource groups", response=views.ListView[view], tag=TAG),
        make_route(context, "PUT", ONE, _put, summary="Create or update a resource group", action=write,
                   request=GroupBody, response=view, tag=TAG),
        make_route(context, "PATCH", ONE, _patch, summary="Update a resource group", action=write, request=GroupBody,
                   response=view, tag=TAG),
        make_route(context, "GET", ONE, _get, summary="A resource group", action=read, response=view, tag=TAG),
        make_route(context, "HEAD", ONE, _head, summary="Whether a resource group exists", action=read, tag=TAG),
        make_route(context, "DELETE", ONE, _delete, summary="Delete a resource group with everything in it",
                   action=f"{ACTION}/delete", tag=TAG),
    ]  # fmt: skip


async def _list(call: Call) -> Response:
    """Those that the caller may read, also one by one."""
    window = parse_window(call.request)
    test = parse_filter(call.query_option("$filter"))
    all_readable = await call.may(f"{ACTION}/read", subscription_path(call.subscription_id))

    async def keep(group: Group) -> bool:
        return test(_facts(group)) and (all_readable or await call.may(f"{ACTION}/read", group.resource_id))

    listing = Listing(
        fetch=lambda after, limit: call.context.resources.list_groups(call.subscription_id, after=after, limit=limit),
        key=lambda group: group.name.lower(),
        keep=keep,
    )
    page = await listing.read(window)
    link = make_next_link(call.request, call.base_url, page.next_key)
    return call.answer(views.ListView(value=[group_view(group) for group in page.items], next_link=link))


async def _put(call: Call) -> Response:
    body = await call.request.json(GroupBody)
    group, created = await call.context.resources.put_group(
        call.subscription_id, call.group, location=body.location, tags=body.tags, managed_by=body.managed_by
    )
    return call.answer(group_view(group), 201 if created else 200)


async def _patch(call: Call) -> Response:
    body = await call.request.json(GroupBody)
    group = await call.context.resources.patch_group(
        call.subscription_id, call.group, tags=body.tags, managed_by=body.managed_by
    )
    return call.answer(group_view(group))


async def _get(call: Call) -> Response:
    return call.answer(group_view(await call.context.resources.get_group(call.subscription_id, call.group)))


async def _head(call: Call) -> Response:
    try:
        await call.context.resources.get_group(call.subscription_id, call.group)
    except ResourceUnknown:
        return Response(404)
    return Response(204)


async def _delete(call: Call) -> Response:
    operation = await call.context.resources.delete_group(call.subscription_id, call.group)
    return accept(call, operation)


def _facts(group: Group) -> dict[str, str]:
    tags = {f"tags/{name.lower()}": value for name, value in group.tags.items()}
    return {
        "id": group.resource_id,
        "name": group.name,
        "location": group.location,
        "resourcetype": GROUP_TYPE,
        "resourcegroup": group.name,
        **tags,
    }
