"""Registries, their admin credentials and usages."""

from __future__ import annotations

from typing import Literal

from darsena.api.arm import bodies, views
from darsena.api.arm.changes import choose, parse_patch, parse_put, parse_scope
from darsena.api.arm.context import ArmContext, Call, make_route
from darsena.api.arm.paging import Listing, make_next_link, parse_window
from darsena.api.arm.providers import REGISTRY_VERSIONS
from darsena.api.arm.render import credentials_view, registry_view, usage_view
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.errors import RequestInvalid, ResourceUnknown
from darsena.resources.identities import is_identity_id
from darsena.resources.ids import IDENTITY_TYPE, REGISTRY_TYPE, subscription_path
from darsena.resources.model import IdentityChange, RegistryRow

TAG = "Registries"
PROVIDER = "providers/Microsoft.ContainerRegistry"
IN_SUBSCRIPTION = f"/subscriptions/{{subscription}}/{PROVIDER}/registries"
IN_GROUP = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/{PROVIDER}/registries"
ONE = f"{IN_GROUP}/{{registry}}"
CHECK_NAME = f"/subscriptions/{{subscription}}/{PROVIDER}/checkNameAvailability"

_READ, _WRITE, _DELETE = (f"{REGISTRY_TYPE}/{verb}" for verb in ("read", "write", "delete"))
_SUPPORTED = [(b"api-supported-versions", ", ".join(REGISTRY_VERSIONS).encode())]
_PASSWORDS: dict[str, Literal["password", "password2"]] = {"password": "password", "password2": "password2"}


def list_routes(context: ArmContext) -> list[Route]:
    view, body = views.RegistryView, bodies.RegistryBody
    return [
        make_route(context, "GET", IN_SUBSCRIPTION, _list, summary="Registries of a subscription",
                   response=views.ListView[view], tag=TAG),
        make_route(context, "GET", IN_GROUP, _list, summary="Registries of a resource group", action=_READ,
                   response=views.ListView[view], tag=TAG),
        make_route(context, "PUT", ONE, _put, summary="Create or replace a registry", action=_WRITE, request=body,
                   response=view, tag=TAG),
        make_route(context, "PATCH", ONE, _patch, summary="Update a registry", action=_WRITE, request=body,
                   response=view, tag=TAG),
        make_route(context, "GET", ONE, _get, summary="A registry", action=_READ, response=view, tag=TAG),
        make_route(context, "HEAD", ONE, _head, summary="Whether a registry exists", action=_READ, tag=TAG),
        make_route(context, "DELETE", ONE, _delete, summary="Delete a registry with everything in it",
                   action=_DELETE, tag=TAG),
        make_route(context, "POST", f"{ONE}/listCredentials", _list_credentials, summary="The admin user's passwords",
                   action=f"{REGISTRY_TYPE}/listCredentials/action", response=views.CredentialsView, tag=TAG),
        make_route(context, "POST", f"{ONE}/regenerateCredential", _regenerate_credential,
                   summary="Make one of the admin user's passwords anew",
                   action=f"{REGISTRY_TYPE}/regenerateCredential/action", request=bodies.RegenerateCredentialBody,
                   response=views.CredentialsView, tag=TAG),
        make_route(context, "GET", f"{ONE}/listUsages", _list_usages, summary="Limits of the tier and what is used",
                   action=f"{REGISTRY_TYPE}/listUsages/read", response=views.UsageListView, tag=TAG),
        make_route(context, "POST", CHECK_NAME, _check_name, summary="Whether a registry name is free",
                   action="Microsoft.ContainerRegistry/checkNameAvailability/read", request=bodies.CheckNameBody,
                   response=views.NameAvailabilityView, tag=TAG),
    ]  # fmt: skip


async def _list(call: Call) -> Response:
    """In a subscription those that the caller may read, also one by one."""
    resources, group = call.context.resources, call.request.params.get("group")
    window = parse_window(call.request)
    all_readable = group is not None or await call.may(_READ, subscription_path(call.subscription_id))

    async def keep(row: RegistryRow) -> bool:
        return all_readable or await call.may(_READ, row.resource_id)

    listing = Listing(
        fetch=lambda after, limit: resources.list_registries(
            call.subscription_id, group=group, after=after, limit=limit
        ),
        key=lambda row: row.name.lower(),
        keep=keep,
    )
    page = await listing.read(window)
    link = make_next_link(call.request, call.base_url, page.next_key)
    value = [registry_view(row, resources.login_servers) for row in page.items]
    return call.answer(views.ListView(value=value, next_link=link), headers=_SUPPORTED)


async def _put(call: Call) -> Response:
    body = parse_put(await call.request.json(bodies.RegistryBody))
    await _check_identities(call, body.identity)
    row, created = await call.context.resources.put_registry(
        call.subscription_id, call.group, call.registry, body, author=call.author
    )
    return _answer(call, row, 201 if created else 200)


async def _patch(call: Call) -> Response:
    body = parse_patch(await call.request.json(bodies.RegistryBody))
    await _check_identities(call, body.identity)
    row = await call.context.resources.patch_registry(
        call.subscription_id, call.group, call.registry, body, author=call.author
    )
    return _answer(call, row)


async def _get(call: Call) -> Response:
    return _answer(call, await call.context.resources.read_registry(call.subscription_id, call.group, call.registry))


async def _head(call: Call) -> Response:
    """204 or 404, which is all that ARM's clients take for an answer."""
    try:
        await call.context.resources.read_registry(call.subscription_id, call.group, call.registry)
    except ResourceUnknown:
        return Response(404)
    return Response(204)


async def _delete(call: Call) -> Response:
    deleted = await call.context.resources.delete_registry(call.subscription_id, call.group, call.registry)
    return Response(200 if deleted else 204, headers=_SUPPORTED)


async def _list_credentials(call: Call) -> Response:
    row, passwords = await call.context.resources.list_credentials(call.subscription_id, call.group, call.registry)
    return call.answer(credentials_view(row, passwords), headers=_SUPPORTED)


async def _regenerate_credential(call: Call) -> Response:
    body = await call.request.json(bodies.RegenerateCredentialBody)
    if body.name is None:
        raise RequestInvalid("The property 'name' is required: password or password2.", "name")
    row, passwords = await call.context.resources.regenerate_credential(
        call.subscription_id, call.group, call.registry, choose(body.name, _PASSWORDS, "name")
    )
    return call.answer(credentials_view(row, passwords), headers=_SUPPORTED)


async def _list_usages(call: Call) -> Response:
    usages = await call.context.resources.list_usages(call.subscription_id, call.group, call.registry)
    return call.answer(views.UsageListView(value=[usage_view(usage) for usage in usages]), headers=_SUPPORTED)


async def _check_name(call: Call) -> Response:
    body = await call.request.json(bodies.CheckNameBody)
    for member in ("name", "type"):
        if getattr(body, member) is None:
            raise RequestInvalid(f"The property '{member}' is required.", member)
    choose(body.type or "", {REGISTRY_TYPE: True}, "type")
    found = await call.context.resources.check_name(
        call.subscription_id,
        body.name or "",
        scope=parse_scope(body.auto_generated_domain_name_label_scope),
        group=body.resource_group_name or "",
    )
    view = views.NameAvailabilityView(
        name_available=found.available,
        reason=found.reason,
        message=found.message,
        available_login_server_name=found.login_server,
    )
    return call.answer(view)


async def _check_identities(call: Call, change: IdentityChange | None) -> None:
    """Whoever gives a registry an identity lends it that identity's rights, and must be allowed to."""
    if change is None or call.principal is None:
        return
    for resource_id, is_wanted in change.assigned.items():
        if is_wanted and is_identity_id(resource_id):  # what is no id is refused as such
            await call.context.gate.authorize_arm(call.principal, f"{IDENTITY_TYPE}/assign/action", resource_id)


def _answer(call: Call, row: RegistryRow, status: int = 200) -> Response:
    return call.answer(registry_view(row, call.context.resources.login_servers), status, _SUPPORTED)
