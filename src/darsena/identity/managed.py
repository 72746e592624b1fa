"""Managed identities: principals without a secret, which live and die with a resource. Inside its transaction."""

from __future__ import annotations

from collections.abc import Callable

from darsena.core.ids import new_guid
from darsena.db import Tx
from darsena.identity import directory_store, store
from darsena.identity.events import PrincipalCreated, PrincipalDeleted
from darsena.identity.model import Principal


class ManagedIdentities:
    """`on_changed` is called after the commit."""

    def __init__(self, *, tenant_id: str, stream: str, on_changed: Callable[[], None]) -> None:
        self.tenant_id = tenant_id
        self._stream = stream
        self._on_changed = on_changed

    def create(self, tx: Tx, name: str, *, registry_uid: str | None = None) -> Principal:
        """With `registry_uid` it goes with that registry at the latest."""
        principal = store.insert_principal(
            tx,
            object_id=new_guid(),
            kind="managed_identity",
            name=str(name),
            tenant_id=self.tenant_id,
            client_id=new_guid(),
            registry_uid=registry_uid,
        )
        event = PrincipalCreated(
            object_id=principal.object_id,
            principal_kind=principal.kind,
            name=principal.name,
            client_id=principal.client_id,
            registry_uid=registry_uid,
        )
        tx.emit(self._stream, event)
        return principal

    def delete(self, tx: Tx, object_id: str) -> None:
        """With the roles that it holds. Nothing happens when it is gone already."""
        stored = directory_store.find_by_object_id(tx, object_id, lock=True)
        if stored is None or stored.principal.kind != "managed_identity":
            return
        directory_store.delete_principal(tx, stored.principal.id)
        event = PrincipalDeleted(object_id=object_id, principal_kind="managed_identity", name=stored.principal.name)
        tx.emit(self._stream, event)
        tx.after_commit(self._on_changed)
