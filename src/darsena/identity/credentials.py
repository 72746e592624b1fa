"""User name and secret in, Identity out. Each kind of name has exactly one table in which its secret is looked up."""

from __future__ import annotations

import hmac
import re
from typing import Final

from darsena.core.errors import Unauthenticated
from darsena.db import Database, Tx
from darsena.identity import store
from darsena.identity.admin import AdminPasswords
from darsena.identity.hashing import PersonPasswords, SecretHasher
from darsena.identity.holders import is_admissible
from darsena.identity.model import Holder, Identity, RegistryFacts
from darsena.identity.runs import USER_PREFIX
from darsena.identity.throttle import Throttle
from darsena.identity.token_store import find_token_principal

WRONG: Final = "the user name or password is wrong, has expired, or is disabled"
_GUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z")
_RUN: Final = re.compile(re.escape(USER_PREFIX) + r"[0-9a-f]{32}\Z")
_TOKEN: Final = re.compile(r"[a-z0-9-]{5,50}\Z")
_PERSON: Final = re.compile(r"[^\0\s]{1,320}\Z")
_MAX_SECRET: Final = 1024
SPRAY_LIMIT: Final = 200
"""Wrong passwords of people a minute from one address, whatever the names."""


class Credentials:
    """All raise Unauthenticated for what is wrong, and Throttled for what is wrong too often."""

    def __init__(
        self,
        db: Database,
        hasher: SecretHasher,
        passwords: AdminPasswords,
        people: PersonPasswords,
        throttle: Throttle,
        tenant_id: str,
    ) -> None:
        self._db = db
        self._hasher = hasher
        self._passwords = passwords
        self._people = people
        self._throttle = throttle
        self._spray = Throttle(db.clock, SPRAY_LIMIT)
        self._tenant_id = tenant_id

    async def check_login(self, facts: RegistryFacts, username: str, password: str, address: str) -> Identity:
        """On a login server: the registry's admin user, a run, a service principal, or a token."""
        name = username.lower()
        identity: Identity | None = None
        if len(password) <= _MAX_SECRET:
            identity = await self._db.read(self._find_login, facts, name, password)
        if identity is None or not is_admissible(identity.holder, facts):
            raise self._refuse(address, f"{facts.uid}/{name}")
        return identity

    async def check_client(self, client_id: str, secret: str, address: str) -> Identity:
        """In the directory: a service principal by its client id."""
        name = client_id.lower()
        identity = None
        if _GUID.match(name) and len(secret) <= _MAX_SECRET:
            identity = await self._db.read(self._find_client, name, secret)
        if identity is None or not identity.holder.enabled:
            raise self._refuse(address, name)
        return identity

    async def check_person(self, user_name: str, password: str, address: str) -> Identity:
        """In the directory: a person. A try is refused while there were too many wrong ones of this name from this
        address, or of any name: who tries from elsewhere locks nobody out here."""
        name = user_name.lower()
        self._throttle.check(address, name)
        self._spray.check(address, "")
        found = await self._db.read(self._find_person, name) if _PERSON.match(name) else None
        stored = found[1] if found is not None else None
        good = len(password) <= _MAX_SECRET and await self._people.matches(stored.hash if stored else None, password)
        if not good or found is None or stored is None or not self._is_usable(found[0], stored):
            self._spray.fail(address, "")
            raise self._refuse(address, name)
        return Identity(holder=found[0], credential=stored.uid)

    # --- in a thread, in one read -----------------------------------------------------------------------------------

    def _find_login(self, tx: Tx, facts: RegistryFacts, name: str, password: str) -> Identity | None:
        """A token may have the name of its registry, or look like a client id: its own passwords tell it apart."""
        if _RUN.match(name):
            return self._find_run(tx, name.removeprefix(USER_PREFIX), password)
        identity = self._find_admin(tx, facts, password) if name == facts.name.lower() else None
        if identity is None and _GUID.match(name):
            identity = self._find_client(tx, name, password)
        if identity is None and _TOKEN.match(name):
            identity = self._find_token(tx, facts, name, password)
        return identity

    def _find_admin(self, tx: Tx, facts: RegistryFacts, password: str) -> Identity | None:
        principal = store.find_admin(tx, facts.uid)
        holder = None if principal is None else store.find_holder(tx, principal.id, self._tenant_id)
        if holder is None:
            return None
        matching = [
            uid
            for uid, value in self._passwords.reveal(tx, facts.uid)
            if hmac.compare_digest(value.encode(), password.encode())
        ]
        return Identity(holder=holder, credential=matching[0]) if matching else None

    def _find_run(self, tx: Tx, run_uid: str, password: str) -> Identity | None:
        found = store.find_run(tx, run_uid, self._tenant_id)
        if found is None or not self._hasher.matches(found[1], password):
            return None
        holder = found[0]
        uid = holder.credentials[0][0]
        return Identity(holder=holder, credential=uid) if holder.holds(uid, self._db.clock.now_us()) else None

    def _find_client(self, tx: Tx, client_id: str, secret: str) -> Identity | None:
        principal = store.find_by_client_id(tx, client_id)
        return None if principal is None else self._find_holder_of(tx, principal.id, secret)

    def _find_token(self, tx: Tx, facts: RegistryFacts, name: str, password: str) -> Identity | None:
        principal_id = find_token_principal(tx, facts.uid, name)
        return None if principal_id is None else self._find_holder_of(tx, principal_id, password)

    def _find_holder_of(self, tx: Tx, principal_id: int, secret: str) -> Identity | None:
        """A holder of generated secrets, by one of them that holds now."""
        holder = store.find_holder(tx, principal_id, self._tenant_id)
        if holder is None:
            return None
        for stored in store.list_credentials(tx, holder.principal.id):
            if self._hasher.matches(stored.hash, secret) and self._is_usable(holder, stored):
                return Identity(holder=holder, credential=stored.uid)
        return None

    def _find_person(self, tx: Tx, user_name: str) -> tuple[Holder, store.StoredCredential | None] | None:
        principal = store.find_by_user_name(tx, self._tenant_id, user_name)
        holder = None if principal is None else store.find_holder(tx, principal.id, self._tenant_id)
        if holder is None:
            return None
        return holder, next(iter(store.list_credentials(tx, holder.principal.id)), None)

    def _is_usable(self, holder: Holder, stored: store.StoredCredential) -> bool:
        return holder.enabled and holder.holds(stored.uid, self._db.clock.now_us())

    def _refuse(self, address: str, name: str) -> Unauthenticated:
        self._throttle.fail(address, name)
        return Unauthenticated(WRONG)
