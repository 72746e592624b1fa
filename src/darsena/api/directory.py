"""The directory on the control host: discovery, keys, tokens. `/adfs` is what the server announces; the same stands
under `/{tenant}` as Microsoft Entra has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from darsena.api.client_auth import Refusal, read_client, read_resource
from darsena.api.forms import client_address, get_single
from darsena.api.http import Request, Response, json_response
from darsena.api.router import Handler, Route
from darsena.core.errors import Problem, RequestInvalid, RequestTooLarge, Throttled, Unauthenticated
from darsena.identity.audiences import Audiences
from darsena.identity.credentials import Credentials
from darsena.identity.signing import SigningKeys
from darsena.identity.tokens import Tokens

CLIENT_CREDENTIALS: Final = "client_credentials"
_NO_STORE: Final = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
_SHARED_TENANTS: Final = frozenset({"common", "organizations"})
_FORM_LIMIT_BYTES: Final = 64 * 1024


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    token_type: str = "Bearer"  # noqa: S105
    expires_in: int
    ext_expires_in: int
    access_token: str


class OAuthError(msgspec.Struct, frozen=True):
    """RFC 6749, section 5.2."""

    error: str
    error_description: str


class DirectoryEdge:
    """`control_url` is what links use where the request does not say; without a slash at its end."""

    def __init__(
        self,
        credentials: Credentials,
        tokens: Tokens,
        keys: SigningKeys,
        audiences: Audiences,
        *,
        tenant_id: str,
        control_url: str,
    ) -> None:
        self._credentials = credentials
        self._tokens = tokens
        self._keys = keys
        self._audiences = audiences
        self._tenant_id = tenant_id.lower()
        self._control_url = control_url.rstrip("/")
        get, post = "GET", "POST"
        self.routes: list[Route] = [
            _route(get, "/adfs/.well-known/openid-configuration", self.describe_adfs, "Discovery", dict[str, Any]),
            _route(get, "/adfs/discovery/keys", self.list_keys, "Signing keys", dict[str, Any]),
            _route(post, "/adfs/oauth2/token", self.post_token_adfs, "Get a token", TokenAnswer),
            _route(post, "/adfs/oauth2/devicecode", self.refuse_grant, "Device code sign-in", OAuthError),
            _route(get, "/adfs/oauth2/authorize", self.refuse_grant, "Interactive sign-in", OAuthError),
            _route(get, "/{tenant}/.well-known/openid-configuration", self.describe_aad, "Discovery", dict[str, Any]),
            _route(
                get, "/{tenant}/v2.0/.well-known/openid-configuration", self.describe_aad, "Discovery", dict[str, Any]
            ),
            _route(get, "/{tenant}/discovery/keys", self.list_keys, "Signing keys", dict[str, Any]),
            _route(get, "/{tenant}/discovery/v2.0/keys", self.list_keys, "Signing keys", dict[str, Any]),
            _route(post, "/{tenant}/oauth2/token", self.post_token_aad, "Get a token", TokenAnswer),
            _route(post, "/{tenant}/oauth2/v2.0/token", self.post_token_aad, "Get a token", TokenAnswer),
            _route(post, "/{tenant}/oauth2/v2.0/devicecode", self.refuse_grant, "Device code sign-in", OAuthError),
            _route(get, "/{tenant}/oauth2/v2.0/authorize", self.refuse_grant, "Interactive sign-in", OAuthError),
        ]

    # --- discovery --------------------------------------------------------------------------------------------------

    async def describe_adfs(self, request: Request) -> Response:
        base = f"{self._base(request)}/adfs"
        return json_response(
            _describe(
                self._tokens.adfs_issuer,
                authorize=f"{base}/oauth2/authorize",
                token=f"{base}/oauth2/token",
                device=f"{base}/oauth2/devicecode",
                keys=f"{base}/discovery/keys",
            )
        )

    async def describe_aad(self, request: Request) -> Response:
        return await self._answer(request, self._describe_aad)

    async def _describe_aad(self, request: Request) -> Response:
        self._check_tenant(request)
        base = f"{self._base(request)}/{self._tenant_id}"
        return json_response(
            _describe(
                self._tokens.aad_issuer,
                authorize=f"{base}/oauth2/v2.0/authorize",
                token=f"{base}/oauth2/v2.0/token",
                device=f"{base}/oauth2/v2.0/devicecode",
                keys=f"{base}/discovery/v2.0/keys",
            )
        )

    async def list_keys(self, request: Request) -> Response:
        return await self._answer(request, self._list_keys)

    async def _list_keys(self, request: Request) -> Response:
        self._check_tenant(request)
        return json_response({"keys": self._keys.list_public("directory")})

    # --- tokens -----------------------------------------------------------------------------------------------------

    async def post_token_adfs(self, request: Request) -> Response:
        async def handle(request: Request) -> Response:
            return await self._post_token(request, self._tokens.adfs_issuer)

        return await self._answer(request, handle)

    async def post_token_aad(self, request: Request) -> Response:
        async def handle(request: Request) -> Response:
            self._check_tenant(request)
            return await self._post_token(request, self._tokens.aad_issuer)

        return await self._answer(request, handle)

    async def refuse_grant(self, request: Request) -> Response:
        async def handle(request: Request) -> Response:
            raise Refusal(
                "unsupported_grant_type",
                "this directory signs in service principals only (grant_type=client_credentials): "
                "use `az login --service-principal`",
            )

        return await self._answer(request, handle)

    async def _post_token(self, request: Request, issuer: str) -> Response:
        fields = await request.form(limit_bytes=_FORM_LIMIT_BYTES)
        grant = get_single(fields, "grant_type")
        if not grant:
            raise Refusal("invalid_request", "the field grant_type is missing")
        if grant != CLIENT_CREDENTIALS:
            raise Refusal(
                "unsupported_grant_type",
                f"the grant type {grant[:64]!r} is not supported: this directory signs in service principals with "
                "client_credentials",
            )
        client_id, secret = read_client(request, fields)
        identity = await self._credentials.check_client(client_id, secret, client_address(request))
        audience = self._audiences.find(read_resource(fields))
        if audience is None:
            raise Refusal(
                "invalid_scope",
                f"tokens are made for {self._control_url}//.default and "
                f"https://containerregistry.azure.net/.default, not for {read_resource(fields)[:200]!r}",
            )
        token, expires_in = await self._tokens.issue_directory(identity, audience, issuer)
        answer = TokenAnswer(expires_in=expires_in, ext_expires_in=expires_in, access_token=token)
        return json_response(answer, headers=_NO_STORE)

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _answer(self, request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
        try:
            return await handle(request)
        except Refusal as refusal:
            return _refuse(refusal.error, refusal.description, refusal.status)
        except (Unauthenticated, Throttled, RequestInvalid, RequestTooLarge) as problem:
            return _render(request, problem)

    def _check_tenant(self, request: Request) -> None:
        tenant = request.params.get("tenant", self._tenant_id).lower()
        if tenant != self._tenant_id and tenant not in _SHARED_TENANTS:
            raise Refusal("invalid_request", f"there is no tenant {tenant[:64]!r} here; it is {self._tenant_id}")

    def _base(self, request: Request) -> str:
        return f"https://{request.host}" if request.host else self._control_url


def _route(method: str, pattern: str, handler: Handler, summary: str, response: Any) -> Route:
    return Route(
        method=method,
        pattern=pattern,
        handler=handler,
        summary=summary,
        response=response,
        tag="directory",
        secured=False,
    )


def _describe(issuer: str, *, authorize: str, token: str, device: str, keys: str) -> dict[str, Any]:
    """OpenID Connect Discovery 1.0, section 3."""
    return {
        "issuer": issuer,
        "authorization_endpoint": authorize,
        "token_endpoint": token,
        "device_authorization_endpoint": device,
        "jwks_uri": keys,
        "grant_types_supported": [CLIENT_CREDENTIALS],
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "scopes_supported": ["openid", "profile", "offline_access"],
    }


def _render(request: Request, problem: Problem) -> Response:
    if isinstance(problem, Unauthenticated):
        response = _refuse("invalid_client", "the client id or the client secret is wrong, expired or disabled", 401)
        if request.header("authorization"):
            response.header("www-authenticate", 'Basic realm="directory"')
        return response
    if isinstance(problem, Throttled):
        response = _refuse("temporarily_unavailable", problem.message, 429)
        return response.header("retry-after", str(problem.retry_after_s))
    return _refuse("invalid_request", problem.message, 413 if isinstance(problem, RequestTooLarge) else 400)


def _refuse(error: str, description: str, status: int) -> Response:
    return json_response(OAuthError(error, description), status, _NO_STORE)
