"""The directory's people, service principals and managed identities, as they are managed. Told to the journal."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from darsena.core.errors import Conflict, NameInvalid, RequestInvalid, ResourceUnknown
from darsena.core.ids import new_guid, new_uid
from darsena.db import Database, Tx
from darsena.identity import directory_store, sign_in_store, store
from darsena.identity.assignments import Assignments
from darsena.identity.directory_store import StoredCertificate, StoredPrincipal, StoredSecret
from darsena.identity.events import (
    CredentialRemoved,
    CredentialReset,
    PrincipalCreated,
    PrincipalDeleted,
    PrincipalDisabled,
    PrincipalEnabled,
    PrincipalRenamed,
)
from darsena.identity.hashing import PersonPasswords, SecretHasher
from darsena.identity.model import Principal, PrincipalKind
from darsena.identity.principal_keys import NewSecret, PrincipalKeys
from darsena.identity.role_service import FindScope
from darsena.identity.roles import OWNER
from darsena.identity.store import StoredAssignment
from darsena.journal import EventBody

ENTRA: Final[tuple[PrincipalKind, ...]] = ("user", "service_principal", "managed_identity")
PASSWORD_SLOT: Final = "password"  # noqa: S105
MAX_SECRETS: Final = 20
_USER_NAME: Final = re.compile(r"[^\s\x00-\x1f\x7f\"'<>/\\?#%&]{1,113}\Z")
_GUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A principal with all that the directory knows of it, no secret among it."""

    stored: StoredPrincipal
    secrets: list[StoredSecret]
    certificates: list[StoredCertificate]
    redirect_uris: list[str]
    roles: list[StoredAssignment]

    @property
    def principal(self) -> Principal:
        return self.stored.principal


@dataclass(frozen=True, slots=True)
class RoleGrant:
    role_definition_id: str
    find_scope: FindScope


class Directory:
    """Of one tenant with one subscription. A `name` is an object id, a client id or a user name."""

    def __init__(
        self,
        db: Database,
        hasher: SecretHasher,
        people: PersonPasswords,
        assignments: Assignments,
        *,
        tenant_id: str,
        scope: str,
        stream: str,
        on_changed: Callable[[], None],
    ) -> None:
        self._db = db
        self._people = people
        self._assignments = assignments
        self._tenant_id = tenant_id
        self._scope = scope
        self._stream = stream
        self._on_changed = on_changed
        self._keys = PrincipalKeys(hasher, self._tell)

    # --- reading ----------------------------------------------------------------------------------------------------

    async def list(
        self,
        kinds: Sequence[PrincipalKind],
        *,
        after: int = 0,
        limit: int = 100,
        object_ids: Sequence[str] | None = None,
    ) -> list[StoredPrincipal]:
        """In the order in which they were made."""
        return await self._db.read(
            directory_store.list_principals, self._tenant_id, kinds, after=after, limit=limit, object_ids=object_ids
        )

    async def get(self, name: str, kinds: Sequence[PrincipalKind]) -> Entry:
        """Raises ResourceUnknown."""
        return await self._db.read(self._read_entry, name, kinds)

    async def find(self, name: str, kinds: Sequence[PrincipalKind]) -> StoredPrincipal | None:
        return await self._db.read(directory_store.find_named, self._tenant_id, name.lower(), kinds)

    async def list_redirect_uris(self, principal: Principal) -> list[str]:
        return await self._db.read(directory_store.list_redirect_uris, principal.id)

    # --- making -----------------------------------------------------------------------------------------------------

    async def create_user(
        self, user_name: str, password: str, *, name: str | None = None, roles: Sequence[RoleGrant] = ()
    ) -> Entry:
        """A person, who signs in with `user_name` in any case. Raises Conflict when the name is taken."""
        key = check_user_name(user_name)
        shown = check_display_name(name or user_name)
        check_password(password)
        hashed = await self._people.hash(password)

        def create(tx: Tx) -> Entry:
            if store.find_by_user_name(tx, self._tenant_id, key) is not None:
                raise Conflict(f"there is a user {user_name!r} already")
            principal = store.insert_principal(
                tx, object_id=new_guid(), kind="user", name=shown, tenant_id=self._tenant_id, user_name=key
            )
            store.put_credential(tx, principal.id, PASSWORD_SLOT, uid=new_uid(), hash_=hashed, expires_at=None)
            self._tell_created(tx, principal)
            return self._assign(tx, principal, roles)

        return await self._db.transact(create)

    async def create_service_principal(
        self,
        name: str,
        *,
        secret_lifetime_s: int | None = None,
        with_secret: bool = True,
        certificates: Sequence[str] = (),
        redirect_uris: Sequence[str] = (),
        roles: Sequence[RoleGrant] = (),
    ) -> tuple[Entry, NewSecret | None]:
        shown = check_display_name(name)

        def create(tx: Tx) -> tuple[Entry, NewSecret | None]:
            principal = self.insert_service_principal(tx, shown)
            secret = self.put_secret(tx, principal, secret_lifetime_s) if with_secret else None
            for certificate in certificates:
                self._keys.add_certificate(tx, principal, certificate)
            if redirect_uris:
                self._keys.put_redirect_uris(tx, principal, redirect_uris)
            return self._assign(tx, principal, roles), secret

        return await self._db.transact(create)

    def insert_service_principal(self, tx: Tx, name: str) -> Principal:
        """One step of a transaction."""
        principal = store.insert_principal(
            tx,
            object_id=new_guid(),
            kind="service_principal",
            name=name,
            tenant_id=self._tenant_id,
            client_id=new_guid(),
        )
        self._tell_created(tx, principal)
        return principal

    def put_secret(self, tx: Tx, principal: Principal, lifetime_s: int | None = None) -> NewSecret:
        """One step of a transaction: the secret that is made first, or instead of it a new one."""
        return self._keys.put_secret(tx, principal, "secret", lifetime_s)

    def _assign(self, tx: Tx, principal: Principal, roles: Sequence[RoleGrant]) -> Entry:
        for grant in roles:
            self._assignments.assign(tx, principal.object_id, grant.role_definition_id, grant.find_scope(tx))
        return self._read_entry(tx, principal.object_id, (principal.kind,))

    # --- changing ---------------------------------------------------------------------------------------------------

    async def rename(self, name: str, kinds: Sequence[PrincipalKind], shown: str) -> None:
        shown = check_display_name(shown)

        def rename(tx: Tx) -> None:
            stored = self._get(tx, name, kinds)
            if stored.principal.name != shown:
                directory_store.rename_principal(tx, stored.principal.id, shown)
                self._tell(tx, PrincipalRenamed(object_id=stored.principal.object_id, name=shown))

        await self._db.transact(rename)

    async def set_password(self, name: str, password: str) -> Entry:
        """A person's; sign-ins, and tokens made from the old one, stop within a second."""
        check_password(password)
        hashed = await self._people.hash(password)

        def change(tx: Tx) -> Entry:
            principal = self._get(tx, name, ("user",)).principal
            store.put_credential(tx, principal.id, PASSWORD_SLOT, uid=new_uid(), hash_=hashed, expires_at=None)
            sign_in_store.delete_sign_ins_of(tx, principal.id)
            self._tell(tx, CredentialReset(object_id=principal.object_id, slot=PASSWORD_SLOT))
            return self._read_entry(tx, principal.object_id, ("user",))

        return await self._db.transact(change)

    async def set_enabled(self, name: str, kinds: Sequence[PrincipalKind], wanted: bool) -> Entry:
        """Disabled, its secrets and tokens stop within a second; tokens stay void when it is enabled again."""

        def change(tx: Tx) -> Entry:
            stored = self._get(tx, name, kinds)
            principal = stored.principal
            if stored.is_enabled != wanted:
                if not wanted:
                    self._check_not_last_owner(tx, principal)
                version = store.set_status(tx, principal.id, store.ENABLED if wanted else store.DISABLED)
                event = PrincipalEnabled if wanted else PrincipalDisabled
                self._tell(tx, event(object_id=principal.object_id, version=version))
            return self._read_entry(tx, principal.object_id, kinds)

        return await self._db.transact(change)

    async def delete(self, name: str, kinds: Sequence[PrincipalKind]) -> None:
        """With its secrets, certificates and roles. Raises ResourceUnknown, and Conflict for the last owner."""

        def delete(tx: Tx) -> None:
            stored = self._get(tx, name, kinds)
            self._check_not_last_owner(tx, stored.principal)
            self._delete(tx, stored)

        await self._db.transact(delete)

    # --- secrets ----------------------------------------------------------------------------------------------------

    async def reset_secret(self, name: str, *, secret_lifetime_s: int | None = None) -> tuple[Entry, NewSecret]:
        """One new secret; all the others, and every token made from them, stop within a second."""

        def reset(tx: Tx) -> tuple[Entry, NewSecret]:
            principal = self._get(tx, name, ("service_principal",)).principal
            for secret in directory_store.list_secrets(tx, principal.id):
                directory_store.delete_secret(tx, principal.id, secret.uid)
            made = self.put_secret(tx, principal, secret_lifetime_s)
            return self._read_entry(tx, principal.object_id, ("service_principal",)), made

        return await self._db.transact(reset)

    async def add_secret(self, name: str, slot: str, *, expires_at: int | None) -> NewSecret:
        """Beside those that are there; `slot` is only a label."""

        def add(tx: Tx) -> NewSecret:
            principal = self._get(tx, name, ("service_principal",)).principal
            there = {secret.slot for secret in directory_store.list_secrets(tx, principal.id)}
            if len(there) >= MAX_SECRETS:
                raise Conflict(f"a service principal has at most {MAX_SECRETS} secrets: remove one first")
            label = slot if slot and slot not in there else f"{slot or 'secret'}-{new_uid()[:8]}"
            lifetime = None if expires_at is None else max(0, (expires_at - tx.now_us) // 1_000_000)
            return self._keys.put_secret(tx, principal, label, lifetime)

        check_display_name(slot or "secret")
        return await self._db.transact(add)

    async def remove_secret(self, name: str, uid: str) -> None:
        """Raises ResourceUnknown."""

        def remove(tx: Tx) -> None:
            principal = self._get(tx, name, ("service_principal",)).principal
            if not directory_store.delete_secret(tx, principal.id, uid):
                raise ResourceUnknown(f"{principal.name} has no secret {uid[:64]!r}")
            self._tell(tx, CredentialRemoved(object_id=principal.object_id, key_id=to_key_id(uid)))

        await self._db.transact(remove)

    # --- certificates and redirect URIs -----------------------------------------------------------------------------

    async def add_certificate(self, name: str, certificate: str) -> StoredCertificate:
        """PEM or base64 of DER. Adding one that is there changes nothing. Raises RequestInvalid."""

        def add(tx: Tx) -> StoredCertificate:
            return self._keys.add_certificate(tx, self._get(tx, name, ("service_principal",)).principal, certificate)

        return await self._db.transact(add)

    async def remove_certificate(self, name: str, key: str) -> None:
        """By key id or thumbprint. Tokens made with it stop within a second."""

        def remove(tx: Tx) -> None:
            principal = self._get(tx, name, ("service_principal",)).principal
            wanted = key.replace(":", "").replace("-", "").upper()
            for stored in directory_store.list_certificates(tx, principal.id):
                if wanted in (stored.uid.upper(), stored.sha1, stored.sha256):
                    self._keys.remove_certificate(tx, principal, stored)
                    return
            raise ResourceUnknown(f"{principal.name} has no certificate {key[:80]!r}")

        await self._db.transact(remove)

    async def put_certificates(self, name: str, *, kept: Sequence[str], added: Sequence[str]) -> None:
        """Of those that are there exactly the key ids `kept`, and these besides. Raises RequestInvalid."""

        def put(tx: Tx) -> None:
            principal = self._get(tx, name, ("service_principal",)).principal
            keep = {key.replace("-", "").lower() for key in kept}
            for certificate in added:
                keep.add(self._keys.add_certificate(tx, principal, certificate).uid)
            for stored in directory_store.list_certificates(tx, principal.id):
                if stored.uid not in keep:
                    self._keys.remove_certificate(tx, principal, stored)

        await self._db.transact(put)

    async def put_redirect_uris(self, name: str, uris: Sequence[str]) -> None:
        """Exactly these. Raises RequestInvalid for one that cannot be used."""

        def put(tx: Tx) -> None:
            self._keys.put_redirect_uris(tx, self._get(tx, name, ("service_principal",)).principal, uris)

        await self._db.transact(put)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _get(self, tx: Tx, name: str, kinds: Sequence[PrincipalKind]) -> StoredPrincipal:
        stored = directory_store.find_named(tx, self._tenant_id, name.lower(), kinds)
        if stored is None:
            raise ResourceUnknown(f"there is no {_KINDS.get(kinds[0], 'principal')} {name[:120]!r} in the directory")
        locked = directory_store.find_by_object_id(tx, stored.principal.object_id, lock=True)
        assert locked is not None
        return locked

    def _read_entry(self, tx: Tx, name: str, kinds: Sequence[PrincipalKind]) -> Entry:
        stored = directory_store.find_named(tx, self._tenant_id, name.lower(), kinds)
        if stored is None:
            raise ResourceUnknown(f"there is no {_KINDS.get(kinds[0], 'principal')} {name[:120]!r} in the directory")
        id_ = stored.principal.id
        return Entry(
            stored=stored,
            secrets=directory_store.list_secrets(tx, id_),
            certificates=directory_store.list_certificates(tx, id_),
            redirect_uris=directory_store.list_redirect_uris(tx, id_),
            roles=store.list_assignments(tx, object_id=stored.principal.object_id),
        )

    def _delete(self, tx: Tx, stored: StoredPrincipal) -> None:
        principal = stored.principal
        sign_in_store.delete_sign_ins_of(tx, principal.id)
        directory_store.delete_principal(tx, principal.id)
        event = PrincipalDeleted(object_id=principal.object_id, principal_kind=principal.kind, name=principal.name)
        self._tell(tx, event)

    def _check_not_last_owner(self, tx: Tx, principal: Principal) -> None:
        owners = directory_store.list_enabled_holders(tx, OWNER.id, self._scope.lower())
        if owners == [principal.object_id]:
            raise Conflict(
                f"{principal.name} is the last owner of the subscription: give the role Owner to another one first",
                code="LastOwner",
            )

    def _tell_created(self, tx: Tx, principal: Principal) -> None:
        event = PrincipalCreated(
            object_id=principal.object_id,
            principal_kind=principal.kind,
            name=principal.name,
            client_id=principal.client_id,
        )
        self._tell(tx, event)

    def _tell(self, tx: Tx, event: EventBody) -> None:
        tx.emit(self._stream, event)
        tx.after_commit(self._on_changed)


_KINDS: Final[dict[PrincipalKind, str]] = {"user": "user", "service_principal": "service principal"}


def check_user_name(user_name: str) -> str:
    """In lower case, as it is compared. Raises NameInvalid."""
    key = user_name.lower()
    if not _USER_NAME.match(key) or _GUID.match(key):
        raise NameInvalid(
            user_name[:120], "a user name has 1 to 113 characters, no blanks, quotes or any of / \\ ? # % &"
        )
    return key


def check_display_name(name: str) -> str:
    """Raises NameInvalid."""
    if not 1 <= len(name) <= 256 or not name.isprintable() or not name.strip():
        raise NameInvalid(name[:120], "a display name has 1 to 256 characters that can be printed")
    return name


def check_password(password: str) -> None:
    """Raises RequestInvalid."""
    if not 12 <= len(password) <= 256:
        raise RequestInvalid("a password has 12 to 256 characters", "password")


def to_key_id(uid: str) -> str:
    """A credential's or certificate's uid in the spelling of a GUID."""
    return str(uuid.UUID(uid))
