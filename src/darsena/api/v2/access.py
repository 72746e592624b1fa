"""What each route of the login server needs, and the one place that asks identity for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from darsena.api.http import Request
from darsena.api.v2.paths import Kind, Target
from darsena.core.errors import AccessDenied, MethodNotAllowed, Unauthenticated
from darsena.db import set_caller
from darsena.identity.authenticator import Authenticator
from darsena.identity.model import Caller, RegistryFacts


@dataclass(frozen=True, slots=True)
class Need:
    """The scope that is challenged, and what is enough: all of `actions`, or any one of `instead`."""

    challenge: str
    actions: tuple[str, ...]
    instead: tuple[str, ...] = ()


_PULL = Need("pull", ("pull",))
_PUSH = Need("pull,push", ("pull", "push"))
_DELETE = Need("delete", ("delete",))
_UNTAG = Need("delete", ("delete",), ("untag",))
_LIST = Need("pull", ("pull",), ("metadata_read",))
_READ = Need("metadata_read", ("metadata_read",))
_WRITE = Need("metadata_write", ("metadata_write",))
_CATALOG = Need("*", ("*",))

NEEDS: dict[Kind, dict[str, Need | None]] = {
    "base": {"GET": None, "HEAD": None},
    "catalog": {"GET": _CATALOG, "HEAD": _CATALOG},
    "tags": {"GET": _LIST, "HEAD": _LIST},
    "manifest": {"GET": _PULL, "HEAD": _PULL, "PUT": _PUSH, "DELETE": _DELETE},
    "blob": {"GET": _PULL, "HEAD": _PULL, "DELETE": _DELETE},
    "uploads": {"POST": _PUSH},
    "upload": {"GET": _PUSH, "PATCH": _PUSH, "PUT": _PUSH, "DELETE": _PUSH},
    "referrers": {"GET": _PULL, "HEAD": _PULL},
    "acr_catalog": {"GET": _CATALOG},
    "acr_repository": {"GET": _READ, "PATCH": _WRITE, "DELETE": _DELETE},
    "acr_tags": {"GET": _READ},
    "acr_tag": {"GET": _READ, "PATCH": _WRITE, "DELETE": _UNTAG},
    "acr_manifests": {"GET": _READ},
    "acr_manifest": {"GET": _READ, "PATCH": _WRITE},
}
"""Every route of the data plane by method; None asks for a valid credential only."""


class Door:
    """Lets a request in or says what is missing; nothing behind it runs before."""

    def __init__(self, authenticator: Authenticator, check_network: Callable[[str, str], None]) -> None:
        self._authenticator = authenticator
        self._check_network = check_network

    async def admit(self, request: Request, facts: RegistryFacts, target: Target) -> Caller:
        """Raises MethodNotAllowed, NetworkDenied, Unauthenticated, AccessDenied (both answered with a challenge)."""
        address = address_of(request)
        self._check_network(facts.login_server, address)
        methods = NEEDS[target.kind]
        if request.method not in methods:
            raise MethodNotAllowed(request.method, sorted(methods))
        need = methods[request.method]
        if need is not None:
            type_, name = scope_of(target)
            request.scope["darsena.challenge_scope"] = f"{type_}:{name}:{need.challenge}"
        authorization = request.headers.get(b"authorization")
        try:
            caller = await self._authenticator.authenticate(facts, authorization, address)
        except Unauthenticated as refused:
            if need is None:
                raise
            raise AccessDenied(refused.message, missing=_list_needed(target, need)) from refused
        set_caller(caller.principal.actor, request.correlation_id)
        if need is not None:
            _check(caller, target, need)
        elif caller.principal.kind == "anonymous" and authorization is None:
            raise Unauthenticated("sign in first")
        return caller


def scope_of(target: Target) -> tuple[str, str]:
    """(type, name) of the token scope that the route belongs to."""
    if target.kind in ("catalog", "acr_catalog"):
        return "registry", "catalog"
    return "repository", target.repository


def address_of(request: Request) -> str:
    client = request.scope.get("client")
    return str(client[0]) if client else ""


def _list_needed(target: Target, need: Need) -> list[tuple[str, str, str]]:
    type_, name = scope_of(target)
    return [(type_, name, action) for action in need.actions]


def _check(caller: Caller, target: Target, need: Need) -> None:
    type_, name = scope_of(target)
    missing = [action for action in need.actions if not caller.grants.allows(type_, name, action)]
    if missing and not any(caller.grants.allows(type_, name, action) for action in need.instead):
        raise AccessDenied(
            f"{caller.principal.kind} {caller.principal.name} lacks {', '.join(missing)} on {type_}:{name}",
            missing=[(type_, name, action) for action in missing],
        )
