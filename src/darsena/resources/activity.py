"""What was changed on the control plane, by whom, when and from where: the subscription's stream of the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from darsena.db import Tx
from darsena.identity.store import list_principal_names
from darsena.journal import Entry, list_newest, subscription_stream
from darsena.resources.ids import REGISTRY_TYPE, group_path, registry_path, subscription_path
from darsena.resources.model import Page

_WRITES: Final = frozenset({"created", "updated", "assigned", "assignment_updated"})
_DELETES: Final = frozenset({"deleted", "unassigned"})
_TYPES: Final = {
    "group": "Microsoft.Resources/subscriptions/resourceGroups",
    "registry": REGISTRY_TYPE,
    "role": "Microsoft.Authorization/roleAssignments",
    "scope_map": f"{REGISTRY_TYPE}/scopeMaps",
    "token": f"{REGISTRY_TYPE}/tokens",
    "managed_identity": "Microsoft.ManagedIdentity/userAssignedIdentities",
}
"""By the first word of an event's kind. What has no resource in ARM stands under `Darsena`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One change. `operation` is ARM's name for it; `details` is the event's body."""

    seq: int
    at_us: int
    kind: str
    operation: str
    resource_type: str
    resource_id: str
    group: str | None
    actor: str
    """`<principal kind>:<object id>`, or `system`."""
    caller: str
    """A person's user name, a program's client id; what the actor says where there is no such principal (any more)."""
    caller_name: str
    address: str | None
    request_id: str
    details: dict[str, Any]


def list_activity(tx: Tx, subscription_id: str, *, before: int | None, since_us: int, limit: int) -> Page[Activity]:
    """The newest first; `next_key` is the seq to go on before."""
    entries = list_newest(tx, subscription_stream(subscription_id), before=before, since_us=since_us, limit=limit + 1)
    shown = entries[:limit]
    names = list_principal_names(tx, {entry.actor.partition(":")[2] for entry in shown})
    items = [_activity(subscription_id, entry, names) for entry in shown]
    return Page(items=items, next_key=str(shown[-1].seq) if len(entries) > limit else None)


def _activity(subscription_id: str, entry: Entry, names: dict[str, tuple[str, str]]) -> Activity:
    body = entry.decode()
    noun, _, verb = entry.kind.partition(".")
    object_id = entry.actor.partition(":")[2]
    caller, caller_name = names.get(object_id, (object_id or entry.actor, entry.actor))
    type_ = _TYPES.get(noun, f"Darsena/{noun}")
    group = body["name"] if noun == "group" else body.get("resource_group")
    return Activity(
        seq=entry.seq,
        at_us=entry.at_us,
        kind=entry.kind,
        operation=f"{type_}/{_verb(verb)}",
        resource_type=type_,
        resource_id=_resource_id(subscription_id, noun, type_, body),
        group=group,
        actor=entry.actor,
        caller=caller,
        caller_name=caller_name,
        address=entry.address,
        request_id=entry.request_id,
        details=body,
    )


def _verb(verb: str) -> str:
    if verb in _WRITES:
        return "write"
    return "delete" if verb in _DELETES else f"{verb}/action"


def _resource_id(subscription_id: str, noun: str, type_: str, body: dict[str, Any]) -> str:
    """What the change was about, as far as its event names it."""
    group, name = body.get("resource_group"), str(body.get("name", ""))
    if noun == "group":
        return group_path(subscription_id, name)
    if noun == "role":
        return f"{body['scope']}/providers/{type_}/{body['id']}"
    if noun == "registry":
        return registry_path(subscription_id, str(group), name)
    if group is not None and "registry" in body:
        base = registry_path(subscription_id, str(group), str(body["registry"]))
        return f"{base}/{type_.removeprefix(f'{REGISTRY_TYPE}/')}/{name}"
    if group is not None:
        return f"{group_path(subscription_id, str(group))}/providers/{type_}/{name}"
    return f"{subscription_path(subscription_id)}/providers/{type_}/{body.get('object_id') or name}"
