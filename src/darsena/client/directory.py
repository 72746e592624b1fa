"""Signing in at the directory that the server's metadata names: a program by its secret, a person by a password."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from darsena.client.errors import CallRefused, SignInFailed, Unreachable
from darsena.client.http import Http, read_object
from darsena.client.profile import Profile
from darsena.client.shapes import Object

REGISTRY_AUDIENCE = "https://containerregistry.azure.net"
PUBLIC_CLIENT = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
"""The Azure CLI's own, which every directory of this kind knows: people sign in through a program."""
_EARLY_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What `/metadata/endpoints` says about a server."""

    resource_manager: str
    token_endpoint: str
    audience: str
    registry_domain: str
    """With the port, without a dot in front."""


class Directory:
    """Tokens are kept for this process only. `now` is in seconds."""

    def __init__(self, http: Http, profile: Profile, now: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._profile = profile
        self._now = now
        self._metadata: Metadata | None = None
        self._tokens: dict[str, tuple[str, float]] = {}

    @property
    def metadata(self) -> Metadata:
        """Raise Unreachable when the control host is none of ours."""
        if self._metadata is None:
            url = f"{self._profile.control_url.rstrip('/')}/metadata/endpoints?api-version=2022-09-01"
            self._metadata = _read_metadata(read_object(self._http.send("GET", url)), self._profile)
        return self._metadata

    def with_port(self, host: str) -> str:
        """A login server with the port that all of this server's login servers have, unless it has one."""
        domain, _, port = self.metadata.registry_domain.partition(":")
        return f"{host}:{port}" if port and ":" not in host and host.endswith(f".{domain}") else host

    def arm_token(self) -> str:
        return self._token(f"{self.metadata.audience}/.default")

    def registry_token(self) -> str:
        return self._token(f"{REGISTRY_AUDIENCE}/.default")

    def _token(self, scope: str) -> str:
        token, until = self._tokens.get(scope, ("", 0.0))
        if until > self._now():
            return token
        try:
            answer = read_object(self._http.send("POST", self.metadata.token_endpoint, form=self._form(scope)))
        except CallRefused as error:
            if error.status not in (400, 401, 403):
                raise
            raise SignInFailed(
                f"signing in as {self._profile.client_id} was refused: {error.message}",
                hint="sign in anew with `darsena login`",
                request_id=error.request_id,
            ) from error
        token = str(answer.get("access_token") or "")
        if not token:
            raise Unreachable("the directory answered without a token")
        lifetime_s = float(answer.get("expires_in") or 300)
        self._tokens[scope] = (token, self._now() + max(lifetime_s - _EARLY_S, lifetime_s / 2))
        return token

    def _form(self, scope: str) -> dict[str, str]:
        name, secret = self._profile.client_id, self._profile.client_secret
        if self._profile.is_person:
            who = {"grant_type": "password", "client_id": PUBLIC_CLIENT, "username": name, "password": secret}
        else:
            who = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
        return {**who, "scope": scope}


def _read_metadata(answer: Object, profile: Profile) -> Metadata:
    try:
        authentication = answer["authentication"]
        login = str(authentication["loginEndpoint"]).rstrip("/")
        audience = str(authentication["audiences"][0])
        suffix = str(answer["suffixes"]["acrLoginServer"])
    except (KeyError, IndexError, TypeError) as error:
        raise Unreachable(f"{profile.control_url} does not describe itself as an Azure-like cloud") from error
    resource_manager = str(answer.get("resourceManager") or profile.control_url).rstrip("/")
    for address in (login, resource_manager):
        if urlsplit(address).scheme not in ("https", profile.scheme):
            raise Unreachable(f"{profile.control_url} wants credentials sent to {address!r}, which is no https address")
    path = "/oauth2/token" if login.endswith("/adfs") else f"/{profile.tenant_id or 'organizations'}/oauth2/v2.0/token"
    return Metadata(
        resource_manager=resource_manager,
        token_endpoint=login + path,
        audience=audience,
        registry_domain=suffix.removeprefix("."),
    )
