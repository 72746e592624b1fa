"""Tokens and their passwords. Everything is done in the request's own transaction, so every answer is final."""

from __future__ import annotations

from collections.abc import Mapping

from darsena.api.arm import token_bodies as bodies
from darsena.api.arm.changes import choose
from darsena.api.arm.context import ArmContext, Call, Handler, make_route
from darsena.api.arm.paging import make_next_link, parse_window
from darsena.api.arm.registries import ONE
from darsena.api.arm.render import SUCCEEDED, system_data_view
from darsena.api.arm.scope_maps import child, find_registry
from darsena.api.arm.views import ListView
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.clock import parse_time, render_time_offset
from darsena.core.errors import RequestInvalid
from darsena.identity.token_certificates import TokenCertificate, parse_token_certificate
from darsena.identity.token_store import RepositoryToken
from darsena.resources.ids import REGISTRY_TYPE
from darsena.resources.model import RegistryRow
from darsena.resources.scope_maps import system_data
from darsena.resources.tokens import SLOTS, RepositoryTokens, TokenChange

TYPE = f"{REGISTRY_TYPE}/tokens"
_TAG = "Tokens"
_STATUS: Mapping[str, bool] = {"enabled": True, "disabled": False}
_PASSWORDS: Mapping[str, str] = {slot: slot for slot in SLOTS}
_CERTIFICATES: Mapping[str, str] = {name: name for name in ("certificate1", "certificate2")}


def list_token_routes(context: ArmContext, tokens: RepositoryTokens) -> list[Route]:
    all_, one = f"{ONE}/tokens", f"{ONE}/tokens/{{child}}"

    async def list_all(call: Call) -> Response:
        window = parse_window(call.request)
        row, page = await tokens.list(find_registry(call), after=window.after, limit=window.top)
        link = make_next_link(call.request, call.base_url, page.next_key)
        return call.answer(ListView(value=[_view(row, found) for found in page.items], next_link=link))

    async def get(call: Call) -> Response:
        return call.answer(_view(*await tokens.get(find_registry(call), child(call))))

    async def put(call: Call) -> Response:
        change = _parse_change(call, await call.request.json(bodies.TokenBody))
        row, made, created = await tokens.put(find_registry(call, lock=True), child(call), change, author=call.author)
        return call.answer(_view(row, made), 201 if created else 200)

    async def patch(call: Call) -> Response:
        change = _parse_change(call, await call.request.json(bodies.TokenBody))
        changed = await tokens.patch(find_registry(call, lock=True), child(call), change, author=call.author)
        return call.answer(_view(*changed))

    async def delete(call: Call) -> Response:
        return Response(200 if await tokens.delete(find_registry(call, lock=True), child(call)) else 204)

    async def generate(call: Call) -> Response:
        body = await call.request.json(bodies.GenerateCredentialsBody)
        if body.token_id is None:
            raise RequestInvalid("The property 'tokenId' is required.", "tokenId")
        slots = SLOTS if body.name is None else (choose(body.name, _PASSWORDS, "name"),)
        made = await tokens.generate(
            find_registry(call, lock=True),
            _parse_id(call, body.token_id, "tokens", "tokenId"),
            slots,
            expires_at=None if body.expiry is None else _parse_expiry(body.expiry),
        )
        passwords = _list_passwords(made.token, made.values)
        return call.answer(bodies.GeneratedCredentialsView(username=made.token.name, passwords=passwords))

    def route(method: str, pattern: str, handler: Handler, summary: str, verb: str) -> Route:
        body = bodies.TokenBody if method in ("PUT", "PATCH") else None
        view = ListView[bodies.TokenView] if pattern == all_ else (None if method == "DELETE" else bodies.TokenView)
        return make_route(context, method, pattern, handler, summary=summary, action=f"{TYPE}/{verb}", request=body,
                          response=view, tag=_TAG)  # fmt: skip

    return [
        route("GET", all_, list_all, "Tokens of a registry", "read"),
        route("GET", one, get, "A token", "read"),
        route("PUT", one, put, "Create or replace a token", "write"),
        route("PATCH", one, patch, "Update a token", "write"),
        route("DELETE", one, delete, "Delete a token", "delete"),
        make_route(context, "POST", f"{ONE}/generateCredentials", generate, summary="Make a token's passwords anew",
                   action=f"{REGISTRY_TYPE}/generateCredentials/action", request=bodies.GenerateCredentialsBody,
                   response=bodies.GeneratedCredentialsView, tag=_TAG),
    ]  # fmt: skip


def _parse_change(call: Call, body: bodies.TokenBody) -> TokenChange:
    asked = body.properties or bodies.TokenPropertiesBody()
    credentials = asked.credentials
    kept = None if credentials is None else credentials.passwords
    certificates = None if credentials is None else credentials.certificates
    return TokenChange(
        scope_map=None
        if asked.scope_map_id is None
        else _parse_id(call, asked.scope_map_id, "scopeMaps", "properties.scopeMapId"),
        enabled=None if asked.status is None else choose(asked.status, _STATUS, "properties.status"),
        keep_passwords=None
        if kept is None
        else [choose(row.name or "", _PASSWORDS, "properties.credentials.passwords.name") for row in kept],
        certificates=None if certificates is None else [_parse_certificate(row) for row in certificates],
    )


def _parse_certificate(body: bodies.CertificateBody) -> TokenCertificate:
    name = choose(body.name or "", _CERTIFICATES, "properties.credentials.certificates.name")
    return parse_token_certificate(name, body.encoded_pem_certificate or "")


def _parse_id(call: Call, id_: str, kind: str, target: str) -> str:
    """The name at the end of an id that lies in this registry. Ids compare without case."""
    parent, _, name = id_.rpartition("/")
    if not name or parent.lower() != f"{call.scope}/{kind}".lower():
        raise RequestInvalid(
            f"'{id_[:300]}' is not the id of one of the {kind} of this registry: write {call.scope}/{kind}/<name>.",
            target,
        )
    return name


def _parse_expiry(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError:
        raise RequestInvalid(
            f"The expiry '{text[:64]}' is not a time such as 2030-12-31T12:59:59Z.", "expiry"
        ) from None


def _view(row: RegistryRow, found: RepositoryToken) -> bodies.TokenView:
    return bodies.TokenView(
        id=f"{row.resource_id}/tokens/{found.name}",
        name=found.name,
        type=TYPE,
        system_data=system_data_view(system_data(found.authors)),
        properties=bodies.TokenPropertiesView(
            creation_date=render_time_offset(found.authors.created_at),
            provisioning_state=SUCCEEDED,
            scope_map_id=f"{row.resource_id}/scopeMaps/{found.scope_map}",
            credentials=bodies.TokenCredentialsView(
                certificates=[
                    bodies.TokenCertificateView(
                        name=row.name, thumbprint=row.thumbprint, expiry=render_time_offset(row.expires_at)
                    )
                    for row in found.certificates
                ],
                passwords=_list_passwords(found, {}),
            ),
            status="enabled" if found.enabled else "disabled",
        ),
    )


def _list_passwords(found: RepositoryToken, values: Mapping[str, str]) -> list[bodies.TokenPasswordView]:
    return [
        bodies.TokenPasswordView(
            creation_time=render_time_offset(password.created_at),
            name=password.name,
            expiry=None if password.expires_at is None else render_time_offset(password.expires_at),
            value=values.get(password.name),
        )
        for password in found.passwords
    ]
