"""Scope maps: which repositories a token may do what with. The grammar of their actions, and what these are worth."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from darsena.core.errors import RequestInvalid
from darsena.identity.model import ScopeRequest
from darsena.identity.scopes import DELETE, METADATA_READ, METADATA_WRITE, PULL, PUSH, REPOSITORY, UNTAG

MAX_ACTIONS: Final = 500
_WORTH: Final = {
    "content/read": frozenset({PULL}),
    "content/write": frozenset({PUSH}),
    "content/delete": frozenset({DELETE, UNTAG}),
    "metadata/read": frozenset({METADATA_READ}),
    "metadata/write": frozenset({METADATA_WRITE, UNTAG}),
}
_OLD_VERBS: Final = {
    "pull": "content/read",
    "contentRead": "content/read",
    "contentWrite": "content/write",
    "delete": "content/delete",
    "contentDelete": "content/delete",
    "metadataRead": "metadata/read",
    "metadataWrite": "metadata/write",
}
"""As Azure's published API description and its examples write them."""
_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"(?:\*|{_PART}(?:/{_PART})*(?:/\*)?)\Z")
_GATEWAY: Final = re.compile(r"gateway/[A-Za-z0-9]{5,50}/(?:config|message)/(?:read|write)\Z")
_MAX_NAME: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemScopeMap:
    """One that every registry has and nobody changes."""

    name: str
    description: str
    verbs: tuple[str, ...]

    @property
    def actions(self) -> tuple[str, ...]:
        return tuple(f"repositories/*/{verb}" for verb in self.verbs)


SYSTEM_SCOPE_MAPS: Final = {
    row.name: row
    for row in (
        SystemScopeMap(
            name="_repositories_admin",
            description="Can perform all read, write and delete operations on the registry",
            verbs=("metadata/read", "metadata/write", "content/read", "content/write", "content/delete"),
        ),
        SystemScopeMap(
            name="_repositories_pull",
            description="Can pull any repository of the registry",
            verbs=("content/read",),
        ),
        SystemScopeMap(
            name="_repositories_pull_metadata_read",
            description="Can perform all read operations on the registry",
            verbs=("content/read", "metadata/read"),
        ),
        SystemScopeMap(
            name="_repositories_push",
            description="Can push to any repository of the registry",
            verbs=("content/read", "content/write"),
        ),
        SystemScopeMap(
            name="_repositories_push_metadata_write",
            description="Can perform all read and write operations on the registry",
            verbs=("metadata/read", "metadata/write", "content/read", "content/write"),
        ),
    )
}
"""By name, which is in lower case; in the order of names."""


def parse_actions(texts: Iterable[str]) -> tuple[str, ...]:
    """Each once, in the order given. Raises RequestInvalid for an empty list and for what is no action."""
    actions = tuple(dict.fromkeys(texts))
    if not actions:
        raise RequestInvalid("A scope map needs at least one action.", "properties.actions")
    if len(actions) > MAX_ACTIONS:
        raise RequestInvalid(f"A scope map has at most {MAX_ACTIONS} actions.", "properties.actions")
    for action in actions:
        if not (_parse(action) or _GATEWAY.match(action)):
            raise RequestInvalid(
                f"The action '{action[:300]}' is invalid: write repositories/<repository>/<content|metadata>/"
                "<read|write|delete>, where <repository> is a name, a name followed by /*, or *; or "
                "gateway/<connected registry>/<config|message>/<read|write>, where its name has 5 to 50 letters and "
                "digits.",
                "properties.actions",
            )
    return actions


def list_rights(actions: Iterable[str]) -> list[ScopeRequest]:
    """What the actions are worth on images, one entry for each repository or pattern. A gateway's are worth nothing."""
    rights: dict[str, frozenset[str]] = {}
    for action in actions:
        if (parsed := _parse(action)) is not None:
            name, verb = parsed
            rights[name] = rights.get(name, frozenset()) | _WORTH[verb]
    return [ScopeRequest(REPOSITORY, name, granted) for name, granted in rights.items()]


def _parse(action: str) -> tuple[str, str] | None:
    """(repository or pattern, verb) of `repositories/<repository>/<verb>`; None for anything else."""
    kind, _, rest = action.partition("/")
    head, _, last = rest.rpartition("/")
    repository, _, middle = head.rpartition("/")
    verb = f"{middle}/{last}"
    if middle not in ("content", "metadata"):
        repository, verb = head, _OLD_VERBS.get(last, "")
    if kind != "repositories" or verb not in _WORTH or len(repository) > _MAX_NAME:
        return None
    if not _REPOSITORY.match(repository):
        return None
    return repository, verb
