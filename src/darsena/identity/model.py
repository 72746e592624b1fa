"""Values of identity: who asks, what they hold, what was asked for, what was granted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

PrincipalKind = Literal["user", "service_principal", "managed_identity", "token", "admin", "run", "anonymous"]

NULL_GUID: Final = "00000000-0000-0000-0000-000000000000"
"""The user name under which a token is a password."""

ANY: Final = "*"
"""As a name: every repository. As an action: what `registry:catalog` asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryFacts:
    """What identity and the data plane need to know of a registry. At most a second old."""

    uid: str
    name: str
    login_server: str
    """`host[:port]`, lower case: the audience of the registry's tokens."""
    subscription_id: str
    resource_group: str
    resource_id: str
    """The registry's canonical ARM id."""
    region: str
    admin_enabled: bool = False
    anonymous_pull: bool = False
    arm_audience_allowed: bool = True
    abac: bool = False
    tier: str = "Basic"
    storage_limit_bytes: int = 0
    """Of its tier; 0: none."""
    quarantine: bool = False
    """Whether pushed manifests wait to be released."""
    tasks_bypass: bool = False
    """Whether runs of its tasks pass its network rules."""
    version: int = 1
    """Raised by every change of the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """`id` is unique among all kinds: negative for run credentials, 0 for the anonymous caller."""

    id: int
    object_id: str
    kind: PrincipalKind
    name: str
    client_id: str | None = None
    user_name: str | None = None
    """What a person signs in with."""
    tenant_id: str
    version: int = 1
    """Raised when the principal is disabled: tokens of an earlier version are refused."""

    @property
    def is_entra(self) -> bool:
        """Whether its rights come from role assignments."""
        return self.kind in ("user", "service_principal", "managed_identity")

    @property
    def actor(self) -> str:
        """`<kind>:<object id>`, as the journal names who did something."""
        return f"{self.kind}:{self.object_id}"


@dataclass(frozen=True, slots=True)
class ScopeRequest:
    """One scope that was asked for, or granted: `repository:a/b:pull,push`."""

    type: str
    name: str
    actions: frozenset[str]


@dataclass(frozen=True, slots=True)
class RoleAssignment:
    """A role that a principal holds at an ARM scope and everything below it."""

    role_definition_id: str
    """The built-in role's GUID."""
    scope: str
    condition: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A principal with all that it holds, as the database has it now."""

    principal: Principal
    enabled: bool = True
    registry_uid: str | None = None
    """Of an admin user, run credential or token: the one registry it is for."""
    assignments: tuple[RoleAssignment, ...] = ()
    scope_actions: tuple[str, ...] = ()
    """Of a token: the actions of its scope map."""
    credentials: tuple[tuple[str, int | None], ...] = ()
    """(uid, expiry) of each. A new secret has a new uid, so what was made from the old one stops with it."""

    def holds(self, credential: str, now_us: int) -> bool:
        return any(uid == credential and (until is None or now_us < until) for uid, until in self.credentials)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A credential that was accepted."""

    holder: Holder
    credential: str
    """The uid of the credential at the root: the secret, also when a token made from it was presented."""
    ceiling: tuple[ScopeRequest, ...] | None = None
    """Of a presented access token: what it was limited to. What is made from it has no more, and ends no later."""
    not_after_us: int | None = None
    """When the presented token ends."""

    @property
    def principal(self) -> Principal:
        return self.holder.principal


@dataclass(frozen=True, slots=True)
class ConditionalGrant:
    """Actions of a type, on every one name of which `holds` says so. Never on `*`."""

    type: str
    actions: frozenset[str]
    holds: Callable[[str, str], bool]
    """(name, action) → whether."""


class Grants:
    """What a caller may do in one registry. Empty grants allow nothing.

    Entries name one repository, `*`, or `team/*`. Types and actions: `repository` with `pull`, `push`, `delete`,
    `metadata_read`, `metadata_write`, `deleted_read`, `deleted_restore` and `untag` (removing a tag, which delete,
    push and metadata_write all carry; challenge it as `delete`); `registry` with `catalog:*` and `deleted_catalog:*`.
    """

    __slots__ = ("_exact", "_patterns", "conditional", "entries")

    def __init__(self, entries: Iterable[ScopeRequest] = (), conditional: Iterable[ConditionalGrant] = ()) -> None:
        self.entries = tuple(entries)
        self.conditional = tuple(conditional)
        self._exact: dict[tuple[str, str], frozenset[str]] = {}
        self._patterns: list[tuple[str, str, frozenset[str]]] = []
        for entry in self.entries:
            if entry.name.endswith(ANY):
                self._patterns.append((entry.type, entry.name[:-1], entry.actions))
            else:
                key = (entry.type, entry.name)
                self._exact[key] = self._exact.get(key, frozenset()) | entry.actions

    def allows(self, type_: str, name: str, action: str) -> bool:
        """Whether this one action on this one name was granted; `name` may be `*` (every repository)."""
        exact = self._exact.get((type_, name))
        if exact is not None and action in exact:
            return True
        for type_of, prefix, actions in self._patterns:
            if type_ == type_of and action in actions and name.startswith(prefix):
                return True
        for grant in self.conditional:
            if type_ == grant.type and action in grant.actions and name != ANY and grant.holds(name, action):
                return True
        return action == "untag" and self.allows(type_, name, "delete")

    def list_names(self, type_: str, action: str) -> tuple[list[str], bool]:
        """The names on which the action was granted one by one, and whether there may be others besides."""
        names = [name for (type_of, name), actions in self._exact.items() if type_of == type_ and action in actions]
        wider = any(type_of == type_ and action in actions for type_of, _, actions in self._patterns)
        return names, wider or any(grant.type == type_ and action in grant.actions for grant in self.conditional)

    def __bool__(self) -> bool:
        return bool(self.entries or self.conditional)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grants):
            return False
        return set(self.entries) == set(other.entries) and self.conditional == other.conditional

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Grants({list(self.entries)!r})"


NO_GRANTS: Final = Grants()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what they may do in the registry they asked."""

    principal: Principal
    grants: Grants = field(default_factory=lambda: NO_GRANTS)


def anonymous(tenant_id: str) -> Holder:
    """The one principal that all callers without a credential are."""
    principal = Principal(id=0, object_id=NULL_GUID, kind="anonymous", name="anonymous", tenant_id=tenant_id)
    return Holder(principal=principal, credentials=(("", None),))
