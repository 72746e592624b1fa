"""The token service of a login server: `/oauth2/token` and `/oauth2/exchange`.

Valid credentials always get a token; what it may do is in it. Refusing for lack of rights is the resource's business.
"""

from __future__ import annotations

from typing import Final

import msgspec

from darsena.api.forms import client_address, get_single
from darsena.api.http import Request, Response, json_response
from darsena.api.rate import RateMeter
from darsena.api.router import Handler, Route
from darsena.core.clock import Clock
from darsena.core.errors import RequestInvalid, Unauthenticated
from darsena.identity.authenticator import Authenticator
from darsena.identity.basic import BasicCredentials, parse_authorization
from darsena.identity.model import Identity, RegistryFacts
from darsena.identity.scopes import parse_scopes
from darsena.identity.tokens import Tokens

CALLS_PER_MINUTE: Final = 10_000
_NO_STORE: Final = ((b"cache-control", b"no-store"),)
_EXCHANGE_GRANTS: Final = ("access_token", "access_token_refresh_token")

Fields = list[tuple[str, str]]


class AccessTokenAnswer(msgspec.Struct, frozen=True):
    """`token` is the same again, for clients of the Docker token specification."""

    access_token: str
    token: str
    expires_in: int


class RefreshTokenAnswer(msgspec.Struct, frozen=True):
    refresh_token: str


class OAuth2Edge:
    """Routes for every login server; the registry's facts stand in the request's scope as `darsena.facts`."""

    def __init__(self, authenticator: Authenticator, tokens: Tokens, clock: Clock) -> None:
        self._authenticator = authenticator
        self._tokens = tokens
        self._rate = RateMeter(clock, CALLS_PER_MINUTE)
        self.routes = [
            _route("GET", "/oauth2/token", self.get_token, AccessTokenAnswer, "Get an access token (Basic or none)"),
            _route("POST", "/oauth2/token", self.post_token, AccessTokenAnswer, "Get an access token"),
            _route("POST", "/oauth2/exchange", self.exchange, RefreshTokenAnswer, "Get a refresh token"),
        ]

    async def get_token(self, request: Request) -> Response:
        """Basic, or nothing for the anonymous caller; scopes in the query."""
        identity = await self._check_header(request)
        scopes = [value for key, value in request.query_list if key == "scope"]
        return await self._answer_access(request, identity, scopes)

    async def post_token(self, request: Request) -> Response:
        fields = await request.form()
        identity = await self._check_grant(request, fields)
        scopes = [value for key, value in fields if key == "scope"]
        return await self._answer_access(request, identity, scopes)

    async def exchange(self, request: Request) -> Response:
        """A directory token in, the registry's refresh token out."""
        fields, facts = await request.form(), _facts(request)
        grant = get_single(fields, "grant_type")
        if grant not in _EXCHANGE_GRANTS:
            raise RequestInvalid(f"grant_type must be access_token, not {(grant or '')[:64]!r}", "grant_type")
        token = get_single(fields, "access_token")
        if not token:
            raise RequestInvalid("the field access_token is missing: send the directory's token in it", "access_token")
        identity = self._authenticator.open_directory(facts, token)
        grants = self._authenticator.decide(facts, identity, None)
        refresh = await self._tokens.issue_refresh(facts, identity, grants)
        return self._finish(request, RefreshTokenAnswer(refresh))

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _check_grant(self, request: Request, fields: Fields) -> Identity:
        facts, grant = _facts(request), get_single(fields, "grant_type")
        if grant == "refresh_token":
            return self._authenticator.open_refresh(facts, get_single(fields, "refresh_token") or "")
        if grant == "password" or (grant is None and not fields):
            username, password = get_single(fields, "username") or "", get_single(fields, "password") or ""
            if not username and not password:
                return await self._check_header(request)
            return await self._authenticator.check_login(facts, username, password, client_address(request))
        raise RequestInvalid(f"grant_type must be refresh_token or password, not {(grant or '')[:64]!r}", "grant_type")

    async def _check_header(self, request: Request) -> Identity:
        header = request.headers.get(b"authorization")
        if header is None:
            return self._authenticator.anonymous()
        parsed = parse_authorization(header)
        if not isinstance(parsed, BasicCredentials):
            raise Unauthenticated("this endpoint takes Basic credentials; a refresh token is sent in the form")
        return await self._authenticator.check_login(
            _facts(request), parsed.username, parsed.password, client_address(request)
        )

    async def _answer_access(self, request: Request, identity: Identity, scopes: list[str]) -> Response:
        facts = _facts(request)
        grants = self._authenticator.decide(facts, identity, parse_scopes(scopes))
        token, expires_in = await self._tokens.issue_access(facts, identity, grants)
        return self._finish(request, AccessTokenAnswer(token, token, expires_in))

    def _finish(self, request: Request, answer: AccessTokenAnswer | RefreshTokenAnswer) -> Response:
        response = json_response(answer, headers=_NO_STORE)
        remaining = self._rate.count(_facts(request).uid)
        return response.header("x-ms-ratelimit-remaining-calls-per-second", f"{remaining:.2f}")


def _route(method: str, pattern: str, handler: Handler, response: type[msgspec.Struct], summary: str) -> Route:
    return Route(
        method=method, pattern=pattern, handler=handler, summary=summary, response=response, tag="oauth2", secured=False
    )


def _facts(request: Request) -> RegistryFacts:
    facts: RegistryFacts = request.scope["darsena.facts"]
    return facts
