"""The scope grammar of the token endpoint: `<type>:<name>:<action>[,<action>…]`.

The type ends at the first colon and the actions begin after the last one, so a name may hold both `/` and `:`. What
cannot be understood is ignored: unknown types and actions, missing parts, names that are patterns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from darsena.identity.model import ANY, ScopeRequest

REPOSITORY: Final = "repository"
REGISTRY: Final = "registry"
LEGACY_ARTIFACT: Final = "artifact-repository"

PULL: Final = "pull"
PUSH: Final = "push"
DELETE: Final = "delete"
METADATA_READ: Final = "metadata_read"
METADATA_WRITE: Final = "metadata_write"
DELETED_READ: Final = "deleted_read"
DELETED_RESTORE: Final = "deleted_restore"
UNTAG: Final = "untag"
"""Ours alone: removing a tag. Whoever asks for `delete` and may only do this is granted this."""
QUARANTINE_READ: Final = "quarantine_read"
"""Ours alone: what is in quarantine, by digest. Whoever asks for `pull` or `metadata_read` is granted it as well."""
QUARANTINE_WRITE: Final = "quarantine_write"
"""Ours alone: releasing from quarantine. Whoever asks for `metadata_write` is granted it as well."""

CATALOG: Final = "catalog"
DELETED_CATALOG: Final = "deleted_catalog"

REPOSITORY_ACTIONS: Final = (PULL, PUSH, DELETE, METADATA_READ, METADATA_WRITE, DELETED_READ, DELETED_RESTORE)
"""In the order in which tokens list them; `*` asks for all."""
ARTIFACT_ACTIONS: Final = (PULL, PUSH, DELETE)

MAX_SCOPES: Final = 50
_MAX_NAME: Final = 256
_ACTIONS: Final = {
    REPOSITORY: frozenset(REPOSITORY_ACTIONS),
    LEGACY_ARTIFACT: frozenset(ARTIFACT_ACTIONS),
}
_IN_ORDER: Final = (*REPOSITORY_ACTIONS, UNTAG, QUARANTINE_READ, QUARANTINE_WRITE, ANY)
_ORDER: Final = {action: index for index, action in enumerate(_IN_ORDER)}


def parse_scopes(texts: Iterable[str]) -> list[ScopeRequest]:
    """Every scope in every text, each text holding one or more with blanks between. Scopes of the same type and name
    become one. At most MAX_SCOPES are looked at."""
    merged: dict[tuple[str, str], frozenset[str]] = {}
    parts = [part for text in texts for part in text.split()]
    for part in parts[:MAX_SCOPES]:
        scope = _parse(part)
        if scope is not None:
            key = (scope.type, scope.name)
            merged[key] = merged.get(key, frozenset()) | scope.actions
    return [ScopeRequest(type_, name, actions) for (type_, name), actions in merged.items()]


def _parse(text: str) -> ScopeRequest | None:
    type_, first, rest = text.partition(":")
    name, last, actions = rest.rpartition(":")
    if not first or not last or not name or len(name) > _MAX_NAME:
        return None
    asked = frozenset(actions.split(","))
    if type_ == REGISTRY:
        known = name in (CATALOG, DELETED_CATALOG) and ANY in asked
        return ScopeRequest(type_, name, frozenset({ANY})) if known else None
    if type_ not in _ACTIONS or (ANY in name and name != ANY):
        return None
    understood = _ACTIONS[type_] if ANY in asked else asked & _ACTIONS[type_]
    return ScopeRequest(type_, name, understood) if understood else None


def sort_actions(actions: Iterable[str]) -> list[str]:
    return sorted(actions, key=lambda action: (_ORDER.get(action, len(_ORDER)), action))
