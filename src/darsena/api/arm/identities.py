"""User-assigned managed identities: `Microsoft.ManagedIdentity/userAssignedIdentities`."""

from __future__ import annotations

from darsena.api.arm import views
from darsena.api.arm.bodies import IdentityResourceBody
from darsena.api.arm.context import ArmContext, Call, make_route
from darsena.api.arm.paging import Listing, make_next_link, parse_window
from darsena.api.arm.render import user_identity_view
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.resources.identities import make_key, parse_key
from darsena.resources.ids import IDENTITY_TYPE, subscription_path
from darsena.resources.model import Page, UserIdentity

TAG = "Managed identities"
IN_SUBSCRIPTION = f"/subscriptions/{{subscription}}/providers/{IDENTITY_TYPE}"
IN_GROUP = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{IDENTITY_TYPE}"
ONE = f"{IN_GROUP}/{{identity}}"

_READ, _WRITE, _DELETE = (f"{IDENTITY_TYPE}/{verb}" for verb in ("read", "write", "delete"))


def list_routes(context: ArmContext) -> list[Route]:
    view, body = views.UserIdentityView, IdentityResourceBody
    return [
        make_route(context, "GET", IN_SUBSCRIPTION, _list, summary="Identities of a subscription",
                   response=views.ListView[view], tag=TAG),
        make_route(context, "GET", IN_GROUP, _list, summary="Identities of a resource group", action=_READ,
                   response=views.ListView[view], tag=TAG),
        make_route(context, "PUT", ONE, _put, summary="Create or update an identity", action=_WRITE, request=body,
                   response=view, tag=TAG),
        make_route(context, "PATCH", ONE, _patch, summary="Update an identity", action=_WRITE, request=body,
                   response=view, tag=TAG),
        make_route(context, "GET", ONE, _get, summary="An identity", action=_READ, response=view, tag=TAG),
        make_route(context, "DELETE", ONE, _delete, summary="Delete an identity with its roles", action=_DELETE,
                   tag=TAG),
    ]  # fmt: skip


async def _list(call: Call) -> Response:
    """In a subscription those that the caller may read, also one by one."""
    group, window = call.request.params.get("group"), parse_window(call.request)
    all_readable = group is not None or await call.may(_READ, subscription_path(call.subscription_id))

    async def keep(row: UserIdentity) -> bool:
        return all_readable or await call.may(_READ, row.resource_id)

    async def fetch(after: str, limit: int) -> Page[UserIdentity]:
        return await call.context.resources.list_identities(
            call.subscription_id, group=group, after=parse_key(after), limit=limit
        )

    page = await Listing(fetch=fetch, key=make_key, keep=keep).read(window)
    link = make_next_link(call.request, call.base_url, page.next_key)
    value = [user_identity_view(row, call.context.tenant_id) for row in page.items]
    return call.answer(views.ListView(value=value, next_link=link))


async def _put(call: Call) -> Response:
    body = await call.request.json(IdentityResourceBody)
    row, created = await call.context.resources.put_identity(
        call.subscription_id,
        call.group,
        call.request.params["identity"],
        location=body.location,
        tags=body.tags,
        author=call.author,
    )
    return _answer(call, row, 201 if created else 200)


async def _patch(call: Call) -> Response:
    body = await call.request.json(IdentityResourceBody)
    row = await call.context.resources.patch_identity(
        call.subscription_id, call.group, call.request.params["identity"], tags=body.tags, author=call.author
    )
    return _answer(call, row)


async def _get(call: Call) -> Response:
    row = await call.context.resources.get_identity(call.subscription_id, call.group, call.request.params["identity"])
    return _answer(call, row)


async def _delete(call: Call) -> Response:
    deleted = await call.context.resources.delete_identity(
        call.subscription_id, call.group, call.request.params["identity"]
    )
    return Response(200 if deleted else 204)


def _answer(call: Call, row: UserIdentity, status: int = 200) -> Response:
    return call.answer(user_identity_view(row, call.context.tenant_id), status)
