"""The decision: who may do what. Pure functions, deny by default; every door of the server asks here and only here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from darsena.identity.conditions import condition_allows
from darsena.identity.model import (
    ANY,
    ConditionalGrant,
    Grants,
    Holder,
    RegistryFacts,
    RoleAssignment,
    ScopeRequest,
)
from darsena.identity.roles import Role, find_role
from darsena.identity.scope_maps import list_rights
from darsena.identity.scopes import (
    ARTIFACT_ACTIONS,
    CATALOG,
    DELETE,
    DELETED_CATALOG,
    DELETED_READ,
    DELETED_RESTORE,
    LEGACY_ARTIFACT,
    METADATA_READ,
    METADATA_WRITE,
    PULL,
    PUSH,
    QUARANTINE_READ,
    QUARANTINE_WRITE,
    REGISTRY,
    REPOSITORY,
    REPOSITORY_ACTIONS,
    UNTAG,
)

_ACR: Final = "Microsoft.ContainerRegistry/registries"
_LISTS: Final = frozenset({CATALOG, DELETED_CATALOG})
_EVERYTHING: Final = frozenset({*REPOSITORY_ACTIONS, UNTAG, *_LISTS})

_LEGACY: Final = {
    f"{_ACR}/pull/read": (PULL, METADATA_READ, CATALOG),
    f"{_ACR}/push/write": (PUSH, UNTAG),
    f"{_ACR}/artifacts/delete": (DELETE, UNTAG),
    f"{_ACR}/metadata/read": (METADATA_READ,),
    f"{_ACR}/metadata/write": (METADATA_WRITE, UNTAG),
    f"{_ACR}/deleted/read": (DELETED_READ, DELETED_CATALOG),
    f"{_ACR}/deleted/restore/action": (DELETED_RESTORE,),
    f"{_ACR}/quarantine/read": (QUARANTINE_READ,),
    f"{_ACR}/quarantine/write": (QUARANTINE_WRITE,),
}
"""What a control-plane action is worth on images while the registry is in legacy permission mode."""

_ABAC: Final = {
    f"{_ACR}/repositories/content/read": (PULL,),
    f"{_ACR}/repositories/content/write": (PUSH,),
    f"{_ACR}/repositories/content/delete": (DELETE, UNTAG),
    f"{_ACR}/repositories/metadata/read": (METADATA_READ,),
    f"{_ACR}/repositories/metadata/write": (METADATA_WRITE, UNTAG),
    f"{_ACR}/catalog/read": (CATALOG,),
    f"{_ACR}/quarantinedArtifacts/read": (QUARANTINE_READ,),
    f"{_ACR}/quarantinedArtifacts/write": (QUARANTINE_WRITE,),
}
"""What a data action is worth while the registry is in ABAC mode, where nothing else counts."""
_QUARANTINE: Final = frozenset({QUARANTINE_READ, QUARANTINE_WRITE})
"""Worth nothing while the registry has no quarantine."""
_BESIDE: Final = {
    PULL: QUARANTINE_READ,
    METADATA_READ: QUARANTINE_READ,
    METADATA_WRITE: QUARANTINE_WRITE,
    DELETE: UNTAG,
}
"""Who asks for the one asks for the other, which has no name that clients know."""


def decide(holder: Holder, facts: RegistryFacts, requested: Sequence[ScopeRequest] | None) -> Grants:
    """Of the requested scopes what this holder may have in this registry; None asks for all that it has.

    A scope of which nothing is granted is absent from the answer.
    """
    held = Grants(_list_entries(holder, facts), _list_conditional(holder, facts))
    if requested is None:
        return held
    if facts.abac and holder.principal.is_entra:
        requested = [scope for scope in requested if scope.type == REGISTRY or scope.name != ANY]
    return restrict(held, requested)


def restrict(grants: Grants, requested: Iterable[ScopeRequest]) -> Grants:
    """What is in both. Asking to delete where only tags may be removed gives `untag`."""
    entries: list[ScopeRequest] = []
    for scope in requested:
        wanted = scope.actions | {_BESIDE[action] for action in scope.actions if action in _BESIDE}
        granted = frozenset(action for action in wanted if grants.allows(scope.type, scope.name, action))
        if DELETE in granted:
            granted -= {UNTAG}  # delete says it already
        if granted:
            entries.append(ScopeRequest(scope.type, scope.name, granted))
    return Grants(entries)


def arm_allows(assignments: Iterable[RoleAssignment], action: str, scope: str) -> bool:
    """Whether a role held at `scope`, or above it, has this control-plane action."""
    return any(
        role.allows(action) and condition_allows(condition, action)
        for role, condition in _list_roles(assignments, scope)
    )


def covers(assigned: str, scope: str) -> bool:
    """Whether an assignment at one ARM scope counts at the other: the same id or one below it, case aside."""
    above, here = assigned.strip("/").lower(), scope.strip("/").lower()
    return not above or here == above or here.startswith(f"{above}/")


def _list_entries(holder: Holder, facts: RegistryFacts) -> list[ScopeRequest]:
    """What is held whatever the name of the repository, or for the names and patterns of a token's scope map."""
    if holder.principal.kind == "token":
        mine = holder.enabled and holder.registry_uid == facts.uid
        return list_rights(holder.scope_actions) if mine else []
    return _entries(_list_rights(holder, facts))


def _list_rights(holder: Holder, facts: RegistryFacts) -> frozenset[str]:
    """Everything that the holder may do in the registry, on every repository of it."""
    if not holder.enabled:
        return frozenset()
    match holder.principal.kind:
        case "user" | "service_principal" | "managed_identity":
            return _list_role_rights(holder, facts)
        case "admin":
            mine = facts.admin_enabled and holder.registry_uid == facts.uid
            return _EVERYTHING if mine else frozenset()
        case "run":
            if holder.registry_uid != facts.uid:
                return frozenset()
            return _list_role_rights(holder, facts) if facts.abac else frozenset({PULL, PUSH, METADATA_READ})
        case "anonymous":
            return frozenset({PULL, METADATA_READ}) if facts.anonymous_pull else frozenset()
        case "token":
            return frozenset()  # a token has no rights but its scope map's


def _list_role_rights(holder: Holder, facts: RegistryFacts) -> frozenset[str]:
    """What roles give on every repository, and on the registry's lists."""
    rights: set[str] = set()
    for condition, action, worth in _list_worth(holder, facts):
        if condition is None:
            rights.update(worth)
        elif condition_allows(condition, action):
            rights.update(_LISTS & worth)
    return frozenset(rights)


def _list_conditional(holder: Holder, facts: RegistryFacts) -> list[ConditionalGrant]:
    """What roles under a condition give: it is asked for each repository. A run has those of its caller."""
    is_run = holder.principal.kind == "run" and holder.registry_uid == facts.uid and facts.abac
    if not (holder.enabled and (holder.principal.is_entra or is_run)):
        return []
    return [
        ConditionalGrant(REPOSITORY, worth - _LISTS, _make_holds(condition, action))
        for condition, action, worth in _list_worth(holder, facts)
        if condition is not None and worth - _LISTS
    ]


def _make_holds(condition: str, action: str) -> Callable[[str, str], bool]:
    return lambda name, _right: condition_allows(condition, action, name)


def _list_worth(holder: Holder, facts: RegistryFacts) -> Iterator[tuple[str | None, str, frozenset[str]]]:
    """(condition, action, what the action is worth) for each action of a role that counts in the registry's mode."""
    table = _ABAC if facts.abac else _LEGACY
    allows: Callable[[Role, str], bool] = Role.allows_data if facts.abac else Role.allows
    for role, condition in _list_roles(holder.assignments, facts.resource_id):
        for action, worth in table.items():
            useful = frozenset(worth) if facts.quarantine else frozenset(worth) - _QUARANTINE
            if useful and allows(role, action):
                yield condition, action, useful


def _list_roles(assignments: Iterable[RoleAssignment], scope: str) -> list[tuple[Role, str | None]]:
    """Roles that count at this scope, each with its condition."""
    found = [
        (find_role(assignment.role_definition_id), assignment.condition)
        for assignment in assignments
        if covers(assignment.scope, scope)
    ]
    return [(role, condition) for role, condition in found if role is not None]


def _entries(rights: frozenset[str]) -> list[ScopeRequest]:
    """Rights as scopes: on all repositories, and on the registry's lists."""
    entries: list[ScopeRequest] = []
    repository = rights - _LISTS
    if repository:
        entries.append(ScopeRequest(REPOSITORY, ANY, repository))
    artifact = rights & frozenset(ARTIFACT_ACTIONS)
    if artifact:
        entries.append(ScopeRequest(LEGACY_ARTIFACT, ANY, artifact))
    entries.extend(
        ScopeRequest(REGISTRY, name, frozenset({ANY})) for name in (CATALOG, DELETED_CATALOG) if name in rights
    )
    return entries
