"""What each route of the login server needs, and the one place that asks identity for it."""

from __future__ import annotations

from dataclasses import dataclass

from darsena.api.http import Request
from darsena.api.v2.network import Network, address_of
from darsena.api.v2.paths import Kind, Target
from darsena.core.errors import AccessDenied, MethodNotAllowed, NameInvalid, Unauthenticated
from darsena.core.names import RepositoryName
from darsena.db import set_caller
from darsena.identity.authenticator import Authenticator
from darsena.identity.model import ANY, Caller, RegistryFacts, ScopeRequest
from darsena.registry.model import Registry


@dataclass(frozen=True, slots=True)
class Need:
    """The scope that is challenged, and what is enough: all of `actions`, or any one of `instead`."""

    challenge: str
    actions: tuple[str, ...]
    instead: tuple[str, ...] = ()


_PULL = Need("pull", ("pull",))
_CONTENT = Need("pull", ("pull",), ("quarantine_read",))
_PUSH = Need("pull,push", ("pull", "push"))
_DELETE = Need("delete", ("delete",))
_UNTAG = Need("delete", ("delete",), ("untag",))
_LIST = Need("pull", ("pull",), ("metadata_read", "quarantine_read"))
_READ = Need("metadata_read", ("metadata_read",))
_READ_IMAGE = Need("metadata_read", ("metadata_read",), ("quarantine_read",))
_WRITE = Need("metadata_write", ("metadata_write",))
_RELEASE = Need("metadata_write", ("metadata_write",), ("quarantine_write",))
_CATALOG = Need("*", ("*",))

NEEDS: dict[Kind, dict[str, Need | None]] = {
    "base": {"GET": None, "HEAD": None},
    "catalog": {"GET": _CATALOG, "HEAD": _CATALOG},
    "tags": {"GET": _LIST, "HEAD": _LIST},
    "manifest": {"GET": _CONTENT, "HEAD": _CONTENT, "PUT": _PUSH, "DELETE": _DELETE},
    "blob": {"GET": _CONTENT, "HEAD": _CONTENT, "DELETE": _DELETE},
    "uploads": {"POST": _PUSH},
    "upload": {"GET": _PUSH, "PATCH": _PUSH, "PUT": _PUSH, "DELETE": _PUSH},
    "referrers": {"GET": _PULL, "HEAD": _PULL},
    "acr_catalog": {"GET": _CATALOG, "HEAD": _CATALOG},
    "acr_repository": {"GET": _READ, "HEAD": _READ, "PATCH": _WRITE, "DELETE": _DELETE},
    "acr_tags": {"GET": _READ_IMAGE, "HEAD": _READ_IMAGE},
    "acr_tag": {"GET": _READ_IMAGE, "HEAD": _READ_IMAGE, "PATCH": _WRITE, "DELETE": _UNTAG},
    "acr_manifests": {"GET": _READ_IMAGE, "HEAD": _READ_IMAGE},
    "acr_manifest": {"GET": _READ_IMAGE, "HEAD": _READ_IMAGE, "PATCH": _RELEASE},
}
"""Every route of the data plane by method; None asks for a valid credential only.

The rights of quarantine are held only where a registry has one. With `quarantine_read` alone nothing else is read.
"""


class Door:
    """Lets a request in or says what is missing; nothing behind it runs before."""

    def __init__(self, authenticator: Authenticator, network: Network) -> None:
        self._authenticator = authenticator
        self._network = network

    async def admit(self, request: Request, facts: RegistryFacts, target: Target) -> Caller:
        """Raises MethodNotAllowed, NetworkDenied, Unauthenticated, AccessDenied (both answered with a challenge)."""
        address = address_of(request)
        refusal = self._network.admit(request, facts)
        methods = NEEDS[target.kind]
        if request.method not in methods:
            raise MethodNotAllowed(request.method, sorted(methods))
        need = methods[request.method]
        if need is not None:
            type_, name = scope_of(target)
            request.scope["darsena.challenge_scope"] = (
                f"{type_}:{name}:{need.challenge}{_source_scope(request, target)}"
            )
        authorization = request.headers.get(b"authorization")
        try:
            caller = await self._authenticator.authenticate(facts, authorization, address)
        except Unauthenticated as refused:
            if refusal is not None:
                raise refusal from refused
            if need is None:
                raise
            raise AccessDenied(refused.message, missing=_list_needed(target, need)) from refused
        if refusal is not None and authorization is not None and caller.principal.kind != "run":
            raise refusal
        set_caller(caller.principal.actor, request.correlation_id, address)
        if need is not None:
            _check(caller, target, need)
            self._check_source(request, facts, caller, target)
        elif caller.principal.kind == "anonymous" and authorization is None:
            raise Unauthenticated("sign in first")
        return caller

    def _check_source(self, request: Request, facts: RegistryFacts, caller: Caller, target: Target) -> None:
        """A token that does not reach the source of a mount, though its owner does, is challenged for one that reaches.

        Clients keep a token for what comes next, and ask for more when told to. Raises AccessDenied.
        """
        source = _read_source(request, target)
        if source in (None, ANY) or caller.grants.allows("repository", source, "pull"):
            return
        missing = ScopeRequest("repository", source, frozenset({"pull"}))
        if self._authenticator.may_ask_for(facts, request.headers.get(b"authorization"), missing):
            raise AccessDenied(
                f"the token does not say pull on repository:{source}", missing=[("repository", source, "pull")]
            )


def scope_of(target: Target) -> tuple[str, str]:
    """(type, name) of the token scope that the route belongs to."""
    if target.kind in ("catalog", "acr_catalog"):
        return "registry", "catalog"
    return "repository", target.repository


def _source_scope(request: Request, target: Target) -> str:
    """A mount reads another repository: a client that signs in for what it is asked can mount then.

    Only told; who has no right to read it gets an ordinary upload instead of the mount.
    """
    source = _read_source(request, target)
    return "" if source is None else f" repository:{source}:pull"


def _read_source(request: Request, target: Target) -> str | None:
    """Where a mount is to take the blob from; `*` where the client leaves it to us. None: no mount, or no name."""
    if target.kind != "uploads" or "mount" not in (query := request.query):
        return None
    try:
        return RepositoryName.parse(query["from"]) if "from" in query else ANY
    except NameInvalid:
        return None


def check_action(caller: Caller, target: Target, action: str) -> None:
    """For what a route needs besides. Raises AccessDenied."""
    _check(caller, target, Need(action, (action,)))


def hides_quarantined(caller: Caller, registry: Registry, target: Target) -> bool:
    """Whether what waits to be released is not for this caller to see."""
    return registry.quarantine and not may_read_quarantined(caller, target)


def may_read_quarantined(caller: Caller, target: Target) -> bool:
    return caller.grants.allows("repository", target.repository, "quarantine_read")


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
