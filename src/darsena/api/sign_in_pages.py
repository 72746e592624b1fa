"""Where people sign in with a browser: the authorization endpoint, and the page for device codes.

No session is kept: each sign-in is one form. A form counts only with the cookie that its page set and from the page's
own origin, so no other site can send one for somebody.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from darsena.api import pages
from darsena.api.client_auth import read_scope
from darsena.api.forms import client_address
from darsena.api.grants import Grants
from darsena.api.http import Request, Response
from darsena.api.oauth_errors import WRONG_PASSWORD, Refusal
from darsena.api.router import Handler, Route
from darsena.core.errors import Problem, RequestInvalid, RequestTooLarge, Throttled, Unauthenticated
from darsena.identity.clients import find_public_client, get_origin, is_loopback_redirect, is_registered_redirect
from darsena.identity.model import Identity
from darsena.identity.room import IdentityRoom
from darsena.identity.sign_ins import CodeRequest, read_user_code
from darsena.identity.throttle import Throttle

DEVICE_PATH: Final = "/device"
COOKIE: Final = "__Host-darsena-form"
FORM_FIELD: Final = "form_token"
_KEPT: Final = (
    "client_id", "redirect_uri", "response_type", "response_mode", "scope", "resource", "state", "nonce",
    "code_challenge", "code_challenge_method",
)  # fmt: skip
"""What the form carries on from the query."""
_LIMIT_BYTES: Final = 32 * 1024
_LONGEST: Final = 4096
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_MODES: Final = ("query", "fragment", "form_post")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """An authorization request whose client and address are good: what else is wrong is told there."""

    client_id: str
    client_name: str
    is_public: bool
    redirect_uri: str
    mode: str
    values: dict[str, str]

    @property
    def hidden(self) -> list[tuple[str, str]]:
        return [(name, self.values[name]) for name in _KEPT if name in self.values]


class SignInPages:
    def __init__(self, identity: IdentityRoom, grants: Grants, check_tenant: Callable[[Request], None]) -> None:
        self._credentials = identity.credentials
        self._sign_ins = identity.sign_ins
        self._directory = identity.directory
        self._grants = grants
        self._check_tenant = check_tenant
        self._guesses = Throttle(identity.db.clock)
        paths = ("/adfs/oauth2/authorize", "/{tenant}/oauth2/authorize", "/{tenant}/oauth2/v2.0/authorize")
        self.routes = [
            route
            for path in paths
            for route in (
                _route("GET", path, self._answer(self._show_authorize), "Sign in with a browser"),
                _route("POST", path, self._answer(self._post_authorize), "Sign in with a browser: the form"),
            )
        ] + [
            _route("GET", DEVICE_PATH, self._answer(self._show_device), "Enter a device code"),
            _route("POST", DEVICE_PATH, self._answer(self._post_device), "Enter a device code: the forms"),
        ]

    # --- the authorization endpoint ---------------------------------------------------------------------------------

    async def _show_authorize(self, request: Request) -> Response:
        asked = await self._read(request.query_list)
        try:
            self._check(asked)
        except Refusal as refusal:
            return self._send_back(request, asked, {"error": refusal.error, "error_description": refusal.description})
        if asked.values.get("prompt") == "none":
            text = "nobody is signed in here: every sign-in asks for the password"
            return self._send_back(request, asked, {"error": "login_required", "error_description": text})
        return self._sign_in_form(request, asked, user_name=asked.values.get("login_hint", ""))

    async def _post_authorize(self, request: Request) -> Response:
        fields = await request.form(limit_bytes=_LIMIT_BYTES)
        asked = await self._read(fields)
        self._check(asked)
        values = dict(fields)
        user_name = values.get("username", "")
        if not _is_own_form(request, values):
            return self._sign_in_form(request, asked, user_name=user_name, error=_FOREIGN, status=403)
        try:
            identity = await self._sign_in(request, values)
        except (Unauthenticated, Throttled) as problem:
            error, status = _tell(problem)
            return self._sign_in_form(request, asked, user_name=user_name, error=error, status=status)
        wanted = CodeRequest(
            client_id=asked.client_id,
            redirect_uri=asked.redirect_uri,
            scope=read_scope(
                [(name, asked.values[name]) for name in ("scope", "resource") if name in asked.values]
            ).text,
            challenge=asked.values.get("code_challenge") or None,
            nonce=asked.values.get("nonce") or None,
        )
        return self._send_back(request, asked, {"code": await self._sign_ins.create_code(identity, wanted)})

    async def _read(self, fields: list[tuple[str, str]]) -> _Asked:
        """Raises RequestInvalid, shown here, while it is not known that the person may be sent anywhere."""
        values = dict(fields)
        doubled = [name for name in _KEPT if sum(key == name for key, _ in fields) > 1]
        if doubled or any(len(values.get(name, "")) > _LONGEST or "\0" in values.get(name, "") for name in _KEPT):
            raise RequestInvalid("A parameter of the request came twice, is too long, or holds a NUL character.")
        client_id, redirect_uri = values.get("client_id", "").lower(), values.get("redirect_uri", "")
        public = find_public_client(client_id)
        if public is not None:
            name, allowed = public.name, is_loopback_redirect(redirect_uri)
        else:
            stored = await self._directory.find(client_id, ("service_principal",))
            if stored is None or not stored.is_enabled or stored.principal.client_id != client_id:
                raise RequestInvalid(f"The program {client_id[:64]!r} is not known here.")
            name = stored.principal.name
            registered = await self._directory.list_redirect_uris(stored.principal)
            allowed = any(is_registered_redirect(redirect_uri, uri) for uri in registered)
        if not allowed:
            raise RequestInvalid(f"{name} may not be answered at the address {redirect_uri[:200]!r}.")
        mode = values.get("response_mode") or "query"
        return _Asked(
            client_id=client_id,
            client_name=name,
            is_public=public is not None,
            redirect_uri=redirect_uri,
            mode=mode if mode in _MODES else "query",
            values=values,
        )

    def _check(self, asked: _Asked) -> None:
        values = asked.values
        if values.get("response_type") != "code":
            raise Refusal("unsupported_response_type", "response_type must be code", code=70005)
        if (values.get("response_mode") or "query") not in _MODES:
            raise Refusal("invalid_request", f"response_mode must be one of {', '.join(_MODES)}", code=900144)
        challenge = values.get("code_challenge", "")
        if challenge and (values.get("code_challenge_method") != "S256" or not _CHALLENGE.match(challenge)):
            raise Refusal("invalid_request", "code_challenge must be one of the method S256", code=9002313)
        if asked.is_public and not challenge:
            raise Refusal("invalid_request", "a client without a secret must send a code_challenge", code=9002325)
        scope = read_scope([(name, values[name]) for name in ("scope", "resource") if name in values])
        self._grants.check_resource(scope)

    def _sign_in_form(
        self, request: Request, asked: _Asked, *, user_name: str = "", error: str = "", status: int = 200
    ) -> Response:
        token = _find_token(request) or secrets.token_urlsafe(32)
        page = pages.sign_in_page(
            request.host,
            action=request.raw_path,
            client=asked.client_name,
            hidden=[(FORM_FIELD, token), *asked.hidden],
            user_name=user_name[:320],
            error=error,
            form_targets=(get_origin(asked.redirect_uri),),
            status=status,
        )
        return _with_cookie(page, token)

    def _send_back(self, request: Request, asked: _Asked, answer: dict[str, str]) -> Response:
        """To the program, in the way that it asked for."""
        state = asked.values.get("state")
        fields = [*answer.items(), *([] if state is None else [("state", state)])]
        if asked.mode == "form_post":
            origin = get_origin(asked.redirect_uri)
            if "error" in answer:
                title = "This did not work"
                return pages.message_page(request.host, title, answer["error_description"], status=400)
            return pages.continue_page(
                request.host, action=asked.redirect_uri, client=asked.client_name, hidden=fields, origin=origin
            )
        parts = urlsplit(asked.redirect_uri)
        text = urlencode(fields)
        if asked.mode == "fragment":
            parts = parts._replace(fragment=text)
        else:
            parts = parts._replace(query=f"{parts.query}&{text}" if parts.query else text)
        response = Response(303).header("location", urlunsplit(parts)).header("cache-control", "no-store")
        return response.header("referrer-policy", "no-referrer")

    # --- device codes -----------------------------------------------------------------------------------------------

    async def _show_device(self, request: Request) -> Response:
        return self._code_form(request)

    async def _post_device(self, request: Request) -> Response:
        values = dict(await request.form(limit_bytes=_LIMIT_BYTES))
        if not _is_own_form(request, values):
            return self._code_form(request, error=_FOREIGN, status=403)
        code, address = read_user_code(values.get("user_code", "")), client_address(request)
        try:
            self._guesses.check(address, "")
            waiting = await self._sign_ins.find_device(code)
            if waiting is None:
                self._guesses.fail(address, "")
                return self._code_form(request, error=_UNKNOWN_CODE, status=400)
        except Throttled as problem:
            return self._code_form(request, error=problem.message, status=429)
        client = find_public_client(waiting.client_id)
        name = client.name if client is not None else waiting.client_id
        if values.get("decision") == "decline":
            await self._sign_ins.decide_device(code, None)
            return pages.message_page(request.host, "Declined", f"{name} was told that you declined.")
        if "password" not in values:
            return self._device_form(request, code, name)
        try:
            identity = await self._sign_in(request, values)
        except (Unauthenticated, Throttled) as problem:
            error, status = _tell(problem)
            return self._device_form(request, code, name, values.get("username", ""), error, status)
        if not await self._sign_ins.decide_device(code, identity):
            return self._code_form(request, error=_UNKNOWN_CODE, status=400)
        text = f"{name} goes on as {identity.principal.user_name}. You may close this page."
        return pages.message_page(request.host, "You are signed in", text)

    def _code_form(self, request: Request, *, error: str = "", status: int = 200) -> Response:
        token = _find_token(request) or secrets.token_urlsafe(32)
        page = pages.user_code_page(
            request.host, action=DEVICE_PATH, hidden=[(FORM_FIELD, token)], error=error, status=status
        )
        return _with_cookie(page, token)

    def _device_form(
        self, request: Request, code: str, client: str, user_name: str = "", error: str = "", status: int = 200
    ) -> Response:
        token = _find_token(request) or secrets.token_urlsafe(32)
        page = pages.sign_in_page(
            request.host,
            action=DEVICE_PATH,
            client=client,
            hidden=[(FORM_FIELD, token), ("user_code", code)],
            user_name=user_name[:320],
            error=error,
            may_decline=True,
            status=status,
        )
        return _with_cookie(page, token)

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _sign_in(self, request: Request, values: dict[str, str]) -> Identity:
        """Raises Unauthenticated, Throttled."""
        return await self._credentials.check_person(
            values.get("username", "").strip(), values.get("password", ""), client_address(request)
        )

    def _answer(self, handle: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                self._check_tenant(request)
                return await handle(request)
            except Refusal as refusal:
                return pages.message_page(request.host, "This did not work", refusal.description, status=400)
            except (RequestInvalid, RequestTooLarge) as problem:
                return pages.message_page(request.host, "This did not work", problem.message, status=400)

        return answer


_FOREIGN: Final = "The form did not come from this page, or your browser takes no cookies. Try again here."
_UNKNOWN_CODE: Final = "No device waits with this code. Look at the code again, or start anew on the device."


def _tell(problem: Problem) -> tuple[str, int]:
    if isinstance(problem, Throttled):
        return f"{problem.message[:1].upper()}{problem.message[1:]}.", 429
    return f"{WRONG_PASSWORD[:1].upper()}{WRONG_PASSWORD[1:]}.", 400


def _is_own_form(request: Request, values: dict[str, str]) -> bool:
    """Whether the form holds what the cookie says, and comes from a page of this very host."""
    token, origin = _find_token(request), request.header("origin")
    if origin and origin.partition("://")[2] != request.header("host"):
        return False
    if request.header("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    return token is not None and hmac.compare_digest(token.encode(), values.get(FORM_FIELD, "").encode())


def _find_token(request: Request) -> str | None:
    for part in request.header("cookie").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE and _TOKEN.match(value):
            return value
    return None


def _with_cookie(response: Response, token: str) -> Response:
    return response.header("set-cookie", f"{COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=3600")


def _route(method: str, pattern: str, handler: Handler, summary: str) -> Route:
    response: Any = None
    return Route(
        method=method,
        pattern=pattern,
        handler=handler,
        summary=summary,
        response=response,
        tag="directory",
        secured=False,
    )
