"""The directory on the control host: discovery, keys, tokens, device codes. `/adfs` is what the server announces; the
same stands under `/{tenant}` as Microsoft Entra has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from darsena.api.client_auth import missing, read_scope
from darsena.api.forms import client_address, get_single
from darsena.api.grants import GRANTS, Grants, TokenAnswer
from darsena.api.http import Request, Response, json_response
from darsena.api.oauth_errors import NO_STORE, OAuthError, Refusal, render, to_refusal
from darsena.api.router import Handler, Route
from darsena.api.sign_in_pages import DEVICE_PATH, SignInPages
from darsena.core.errors import RequestInvalid, RequestTooLarge, Throttled, Unauthenticated
from darsena.identity.clients import find_public_client
from darsena.identity.room import IdentityRoom
from darsena.identity.sign_ins import DEVICE_S, INTERVAL_S, show_user_code
from darsena.identity.throttle import Throttle

_SHARED_TENANTS: Final = frozenset({"common", "organizations"})
_FORM_LIMIT_BYTES: Final = 64 * 1024
DEVICE_STARTS: Final = 60
"""Device codes a minute for one address."""

Answer = Callable[[Request], Awaitable[Response]]


class DeviceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 8628, section 3.2; `message` is what a program prints."""

    device_code: str
    user_code: str
    verification_uri: str
    expires_in: int
    interval: int
    message: str


class DirectoryEdge:
    """`control_url` is what links use where the request does not say; without a slash at its end."""

    def __init__(self, identity: IdentityRoom, *, tenant_id: str, control_url: str) -> None:
        self._clock = identity.db.clock
        self._tokens = identity.tokens
        self._keys = identity.keys
        self._sign_ins = identity.sign_ins
        self._tenant_id = tenant_id.lower()
        self._control_url = control_url.rstrip("/")
        self._tenants = {self._tenant_id, urlsplit(control_url).hostname or "localhost", *_SHARED_TENANTS}
        """A tenant is known by its id, and by its domain."""
        self._starts = Throttle(identity.db.clock, DEVICE_STARTS)
        self._grants = Grants(identity, tenant_id=self._tenant_id, control_url=self._control_url)
        pages = SignInPages(identity, self._grants, self._check_tenant)
        self.routes: list[Route] = [*self._list_documents(), *self._list_endpoints(), *pages.routes]

    def _list_documents(self) -> list[Route]:
        adfs, aad, keys = (
            self._answer(self._describe_adfs),
            self._answer(self._describe_aad),
            self._answer(self._list_keys),
        )
        document = ".well-known/openid-configuration"
        return [
            _route("GET", f"/adfs/{document}", adfs, "Discovery", dict[str, Any]),
            # az turns the domain given as --tenant into an id here.
            _route("GET", f"/adfs/{{tenant}}/v2.0/{document}", aad, "Discovery", dict[str, Any]),
            _route("GET", f"/{{tenant}}/{document}", aad, "Discovery", dict[str, Any]),
            _route("GET", f"/{{tenant}}/v2.0/{document}", aad, "Discovery", dict[str, Any]),
            _route("GET", "/adfs/discovery/keys", keys, "Signing keys", dict[str, Any]),
            _route("GET", "/{tenant}/discovery/keys", keys, "Signing keys", dict[str, Any]),
            _route("GET", "/{tenant}/discovery/v2.0/keys", keys, "Signing keys", dict[str, Any]),
            _route(
                "GET",
                "/{tenant}/discovery/instance",
                self._answer(self._describe_instance),
                "Instance discovery",
                dict[str, Any],
            ),
            _route(
                "GET",
                "/{tenant}/userrealm/{user}",
                self._answer(self._describe_realm),
                "A user's realm",
                dict[str, Any],
            ),
        ]

    def _list_endpoints(self) -> list[Route]:
        adfs, aad, device = (
            self._answer(self._post_token_adfs),
            self._answer(self._post_token_aad),
            self._answer(self._start_device),
        )
        return [
            _route("POST", "/adfs/oauth2/token", adfs, "Get a token", TokenAnswer),
            _route("POST", "/adfs/oauth2/v2.0/token", adfs, "Get a token", TokenAnswer),  # azure-identity, without MSAL
            _route("POST", "/{tenant}/oauth2/token", aad, "Get a token", TokenAnswer),
            _route("POST", "/{tenant}/oauth2/v2.0/token", aad, "Get a token", TokenAnswer),
            _route("POST", "/adfs/oauth2/devicecode", device, "Get a device code", DeviceAnswer),
            _route("POST", "/{tenant}/oauth2/devicecode", device, "Get a device code", DeviceAnswer),
            _route("POST", "/{tenant}/oauth2/v2.0/devicecode", device, "Get a device code", DeviceAnswer),
        ]

    # --- discovery --------------------------------------------------------------------------------------------------

    async def _describe_adfs(self, request: Request) -> Response:
        base = f"{self._base(request)}/adfs"
        document = _describe(
            self._tokens.adfs_issuer,
            authorize=f"{base}/oauth2/authorize",
            token=f"{base}/oauth2/token",
            device=f"{base}/oauth2/devicecode",
            keys=f"{base}/discovery/keys",
        )
        return json_response(document)

    async def _describe_aad(self, request: Request) -> Response:
        base = f"{self._base(request)}/{self._tenant_id}"
        document = _describe(
            self._tokens.aad_issuer,
            authorize=f"{base}/oauth2/v2.0/authorize",
            token=f"{base}/oauth2/v2.0/token",
            device=f"{base}/oauth2/v2.0/devicecode",
            keys=f"{base}/discovery/v2.0/keys",
        )
        return json_response(document)

    async def _list_keys(self, request: Request) -> Response:
        return json_response({"keys": self._keys.list_public("directory")})

    async def _describe_instance(self, request: Request) -> Response:
        """That this host is an authority of its own, for clients that ask it instead of Microsoft's."""
        base, host = self._base(request), request.host
        cloud = {"preferred_network": host, "preferred_cache": host, "aliases": [host]}
        discovery = f"{base}/{self._tenant_id}/v2.0/.well-known/openid-configuration"
        return json_response({"api-version": "1.1", "tenant_discovery_endpoint": discovery, "metadata": [cloud]})

    async def _describe_realm(self, request: Request) -> Response:
        """Every name is answered alike: nobody learns here who exists."""
        return json_response(
            {"ver": "1.0", "account_type": "Managed", "domain_name": "darsena", "cloud_instance_name": ""}
        )

    # --- tokens -----------------------------------------------------------------------------------------------------

    async def _post_token_adfs(self, request: Request) -> Response:
        return await self._post_token(request, self._tokens.adfs_issuer)

    async def _post_token_aad(self, request: Request) -> Response:
        return await self._post_token(request, self._tokens.aad_issuer)

    async def _post_token(self, request: Request, issuer: str) -> Response:
        fields = await request.form(limit_bytes=_FORM_LIMIT_BYTES)
        return await self._grants.answer(request, fields, issuer, self._list_audiences(request))

    async def _start_device(self, request: Request) -> Response:
        fields = await request.form(limit_bytes=_FORM_LIMIT_BYTES)
        client_id = get_single(fields, "client_id")
        if not client_id:
            raise missing("client_id")
        client = find_public_client(client_id)
        if client is None:
            text = f"the client {client_id[:64]!r} cannot use a device code: only the known public clients can"
            raise Refusal("unauthorized_client", text, code=700016)
        scope = read_scope(fields)
        self._grants.check_resource(scope)
        self._starts.fail(client_address(request), "")
        started = await self._sign_ins.start_device(client.client_id, scope.text)
        uri, code = f"{self._base(request)}{DEVICE_PATH}", show_user_code(started.user_code)
        answer = DeviceAnswer(
            device_code=started.device_code,
            user_code=code,
            verification_uri=uri,
            expires_in=DEVICE_S,
            interval=INTERVAL_S,
            message=f"To sign in, use a web browser to open the page {uri} and enter the code {code} to authenticate.",
        )
        return json_response(answer, headers=NO_STORE)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _answer(self, handle: Answer) -> Handler:
        """The tenant is checked first; what is refused is answered as OAuth has it."""

        async def answer(request: Request) -> Response:
            try:
                self._check_tenant(request)
                return await handle(request)
            except Refusal as refusal:
                return render(refusal, request, self._clock)
            except (Unauthenticated, Throttled, RequestInvalid, RequestTooLarge) as problem:
                return render(to_refusal(problem), request, self._clock)

        return answer

    def _check_tenant(self, request: Request) -> None:
        tenant = request.params.get("tenant", self._tenant_id).lower()
        if tenant not in self._tenants:
            raise Refusal(
                "invalid_request", f"there is no tenant {tenant[:64]!r} here; it is {self._tenant_id}", code=90002
            )

    def _base(self, request: Request) -> str:
        return f"{request.scheme}://{request.host}" if request.host else self._control_url

    def _list_audiences(self, request: Request) -> frozenset[str]:
        """The addresses that stand for this directory in a client's assertion, lower case, without a last slash."""
        bases = {self._base(request), self._control_url, f"{request.scheme}://{request.header('host')}"}
        paths = {"/adfs", "/adfs/oauth2/token", "/adfs/oauth2/v2.0/token"}
        for tenant in self._tenants:
            paths |= {f"/{tenant}/{path}" for path in ("v2.0", "oauth2/token", "oauth2/v2.0/token")}
        return frozenset(f"{base}{path}".lower() for base in bases for path in paths)


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
        "grant_types_supported": list(GRANTS),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "code_challenge_methods_supported": ["S256"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256"],
        "scopes_supported": ["openid", "profile", "offline_access"],
        "claims_supported": [
            "sub",
            "iss",
            "aud",
            "exp",
            "iat",
            "nonce",
            "name",
            "oid",
            "tid",
            "preferred_username",
            "upn",
        ],
    }


__all__ = ["DirectoryEdge", "OAuthError"]
