"""The admin user of a registry: two passwords, sealed and shown again on demand, that do not expire."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Final

from darsena.core.errors import RequestInvalid, ResourceUnknown
from darsena.core.ids import new_secret, new_uid
from darsena.db import Tx
from darsena.identity import store
from darsena.identity.events import PrincipalCreated
from darsena.journal import subscription_stream
from darsena.storage.keyring import SYSTEM, Keyring

SLOTS: Final = ("password", "password2")
_KIND: Final = "admin-password"


class AdminPasswords:
    """By the registry's uid, inside the caller's transaction. `on_changed` is called after the commit."""

    def __init__(
        self, keyring: Keyring, *, tenant_id: str, subscription_id: str, on_changed: Callable[[], None]
    ) -> None:
        self._keyring = keyring
        self._tenant_id = tenant_id
        self._stream = subscription_stream(subscription_id)
        self._on_changed = on_changed

    def ensure(self, tx: Tx, registry_uid: str) -> None:
        """Make the admin user with both passwords unless they are there. Whether it may sign in is the registry's
        `adminUserEnabled`."""
        if store.find_admin(tx, registry_uid) is None:
            made = store.insert_principal(
                tx,
                object_id=str(uuid.UUID(registry_uid)),
                kind="admin",
                name="admin",
                tenant_id=self._tenant_id,
                registry_uid=registry_uid,
            )
            event = PrincipalCreated(
                object_id=made.object_id, principal_kind=made.kind, name=made.name, registry_uid=registry_uid
            )
            tx.emit(self._stream, event)
        present = {slot for slot, _, _ in store.list_admin_passwords(tx, registry_uid)}
        for slot in (slot for slot in SLOTS if slot not in present):
            store.add_admin_password(tx, registry_uid, slot, uid=new_uid(), sealed=self._make(registry_uid, slot))

    def list(self, tx: Tx, registry_uid: str) -> Mapping[str, str]:
        """Values by name, `password` first. Raises ResourceUnknown when `ensure` was never called for the registry."""
        found = {
            slot: self._open(registry_uid, slot, sealed)
            for slot, _, sealed in store.list_admin_passwords(tx, registry_uid)
        }
        if not found:
            raise ResourceUnknown("this registry has no admin user: enable it first")
        return found

    def regenerate(self, tx: Tx, registry_uid: str, name: str) -> None:
        """A new value for one of the two: the old one, and tokens made from it, stop within a second. The journal's
        event is the caller's."""
        if name not in SLOTS:
            raise RequestInvalid(f"there is no password {name!r}: name one of {', '.join(SLOTS)}", "name")
        sealed = self._make(registry_uid, name)
        store.replace_admin_password(tx, registry_uid, name, uid=new_uid(), sealed=sealed)
        tx.after_commit(self._on_changed)

    def delete(self, tx: Tx, registry_uid: str) -> None:
        """With the registry: its admin user, run credentials and tokens. The journal's event is the caller's."""
        store.delete_registry_principals(tx, registry_uid)
        tx.after_commit(self._on_changed)

    def reveal(self, tx: Tx, registry_uid: str) -> list[tuple[str, str]]:
        """(uid, value) of each."""
        return [
            (uid, self._open(registry_uid, slot, sealed))
            for slot, uid, sealed in store.list_admin_passwords(tx, registry_uid)
        ]

    def _make(self, registry_uid: str, slot: str) -> bytes:
        return self._keyring.seal(SYSTEM, _KIND, f"{registry_uid}/{slot}", new_secret().encode())

    def _open(self, registry_uid: str, slot: str, sealed: bytes) -> str:
        return self._keyring.unseal(SYSTEM, _KIND, f"{registry_uid}/{slot}", sealed).decode()
