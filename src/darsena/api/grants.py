"""`POST …/token`: each grant, from the form to the tokens. What is refused is raised, and rendered by the edge."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import msgspec

from darsena.api.client_auth import Client, ClientAuthentication, Fields, Scope, missing, read_scope
from darsena.api.forms import client_address, get_single
from darsena.api.http import Request, Response, json_response
from darsena.api.oauth_errors import NO_STORE, WRONG_PASSWORD, Refusal
from darsena.core.errors import Unauthenticated
from darsena.identity.audiences import REGISTRY_AUDIENCE
from darsena.identity.credentials import Credentials
from darsena.identity.refusals import SignInRefused
from darsena.identity.room import IdentityRoom
from darsena.identity.sign_ins import SignedIn, SignIns

CLIENT_CREDENTIALS: Final = "client_credentials"
PASSWORD: Final = "password"  # noqa: S105
AUTHORIZATION_CODE: Final = "authorization_code"
DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105
GRANTS: Final = (CLIENT_CREDENTIALS, PASSWORD, AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN)


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last four are there when a person signed in."""

    token_type: str
    expires_in: int
    ext_expires_in: int
    access_token: str
    scope: str = ""
    refresh_token: str = ""
    id_token: str = ""
    client_info: str = ""


Grant = Callable[[Request, Fields, Client, str], Awaitable[Response]]


class Grants:
    """`control_url` has no slash at its end."""

    def __init__(self, identity: IdentityRoom, *, tenant_id: str, control_url: str) -> None:
        self._credentials: Credentials = identity.credentials
        self._sign_ins: SignIns = identity.sign_ins
        self._tokens = identity.tokens
        self._audiences = identity.audiences
        self._clients = ClientAuthentication(identity.credentials, identity.assertions)
        self._tenant_id = tenant_id
        self._control_url = control_url
        self._table: dict[str, Grant] = {
            CLIENT_CREDENTIALS: self._grant_client,
            PASSWORD: self._grant_password,
            AUTHORIZATION_CODE: self._grant_code,
            DEVICE_CODE: self._grant_device,
            REFRESH_TOKEN: self._grant_refresh,
        }

    async def answer(self, request: Request, fields: Fields, issuer: str, audiences: Collection[str]) -> Response:
        """`audiences` are the addresses that a client's assertion may be made for."""
        grant = get_single(fields, "grant_type")
        if not grant:
            raise missing("grant_type")
        handle = self._table.get(grant)
        if handle is None:
            raise Refusal(
                "unsupported_grant_type", f"the grant type {grant[:64]!r} is none of {', '.join(GRANTS)}", code=70003
            )
        client = await self._clients.authenticate(request, fields, audiences)
        return await handle(request, fields, client, issuer)

    def check_resource(self, scope: Scope) -> str:
        """The audience of the token that is asked for. Raises Refusal."""
        if not scope.resource:
            return f"{self._control_url}/"
        audience = self._audiences.find(scope.resource)
        if audience is None:
            raise Refusal(
                "invalid_scope",
                f"tokens are made for {self._control_url}//.default and {REGISTRY_AUDIENCE}/.default, "
                f"not for {scope.resource[:200]!r}",
                code=500011,
            )
        return audience

    # --- grants -----------------------------------------------------------------------------------------------------

    async def _grant_client(self, request: Request, fields: Fields, client: Client, issuer: str) -> Response:
        if client.identity is None:
            raise Refusal(
                "unauthorized_client", "this client keeps no secret and has no rights of its own", code=7000216
            )
        scope = read_scope(fields)
        if not scope.resource:
            raise Refusal("invalid_scope", "the scope must hold one resource, as in https://host//.default", code=70011)
        audience = self.check_resource(scope)
        token, expires_in = await self._tokens.issue_directory(client.identity, audience, issuer, proof=client.proof)
        answer = TokenAnswer(
            token_type="Bearer",  # noqa: S106
            expires_in=expires_in,
            ext_expires_in=expires_in,
            access_token=token,
        )
        return _send(answer)

    async def _grant_password(self, request: Request, fields: Fields, client: Client, issuer: str) -> Response:
        scope = read_scope(fields)
        self.check_resource(scope)
        username, password = _need(fields, "username"), _need(fields, "password")
        try:
            identity = await self._credentials.check_person(username, password, client_address(request))
        except Unauthenticated:
            raise SignInRefused("password_wrong", WRONG_PASSWORD) from None
        signed_in = await self._sign_ins.start(identity, client.client_id, scope.text)
        return await self._send_user(signed_in, client, scope, issuer)

    async def _grant_code(self, request: Request, fields: Fields, client: Client, issuer: str) -> Response:
        wanted = read_scope(fields)
        self.check_resource(wanted)
        signed_in = await self._sign_ins.redeem_code(
            _need(fields, "code"),
            client.client_id,
            get_single(fields, "redirect_uri"),
            get_single(fields, "code_verifier"),
        )
        return await self._send_user(signed_in, client, wanted, issuer)

    async def _grant_device(self, request: Request, fields: Fields, client: Client, issuer: str) -> Response:
        wanted = read_scope(fields)
        self.check_resource(wanted)
        code = get_single(fields, "device_code") or get_single(fields, "code")
        if not code:
            raise missing("device_code")
        return await self._send_user(await self._sign_ins.poll_device(code, client.client_id), client, wanted, issuer)

    async def _grant_refresh(self, request: Request, fields: Fields, client: Client, issuer: str) -> Response:
        wanted = read_scope(fields)
        self.check_resource(wanted)
        signed_in = await self._sign_ins.refresh(_need(fields, "refresh_token"), client.client_id)
        return await self._send_user(signed_in, client, wanted, issuer)

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _send_user(self, signed_in: SignedIn, client: Client, wanted: Scope, issuer: str) -> Response:
        """For the resource of this request, else for that of the sign-in."""
        scope = wanted if wanted.resource else read_scope([("scope", signed_in.scope)])
        identity = signed_in.identity
        audience = self.check_resource(scope)
        token, expires_in = await self._tokens.issue_directory(
            identity, audience, issuer, client.client_id, proof=client.proof
        )
        answer = TokenAnswer(
            token_type="Bearer",  # noqa: S106
            expires_in=expires_in,
            ext_expires_in=expires_in,
            access_token=token,
            scope=scope.granted,
            refresh_token=signed_in.refresh_token,
            id_token=await self._tokens.issue_id(identity, client.client_id, issuer, signed_in.nonce),
            client_info=_client_info(identity.principal.object_id, self._tenant_id),
        )
        return _send(answer)


def _need(fields: Fields, name: str) -> str:
    value = get_single(fields, name)
    if not value:
        raise missing(name)
    return value


def _client_info(object_id: str, tenant_id: str) -> str:
    text = msgspec.json.encode({"uid": object_id, "utid": tenant_id})
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _send(answer: TokenAnswer) -> Response:
    return json_response(answer, headers=NO_STORE)
