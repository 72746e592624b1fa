"""Identity put together: what the composition root makes and hands to the edges."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from darsena.db import Database, Tx
from darsena.identity.admin import AdminPasswords
from darsena.identity.arm import ArmGate
from darsena.identity.assertions import Assertions
from darsena.identity.assignments import Assignments
from darsena.identity.audiences import Audiences
from darsena.identity.authenticator import Authenticator
from darsena.identity.credentials import Credentials
from darsena.identity.directory import Directory
from darsena.identity.hashing import PersonPasswords, SecretHasher
from darsena.identity.holders import Holders
from darsena.identity.managed import ManagedIdentities
from darsena.identity.owner import Owner
from darsena.identity.role_service import RoleService
from darsena.identity.runs import RunCredentials
from darsena.identity.sign_ins import SignIns
from darsena.identity.signing import SigningKeys
from darsena.identity.throttle import Throttle
from darsena.identity.tokens import Tokens
from darsena.journal import subscription_stream
from darsena.storage.keyring import SYSTEM, Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityRoom:
    owner: Owner
    roles: RoleService
    authenticator: Authenticator
    arm: ArmGate
    tokens: Tokens
    keys: SigningKeys
    credentials: Credentials
    assertions: Assertions
    sign_ins: SignIns
    directory: Directory
    managed: ManagedIdentities
    holders: Holders
    passwords: AdminPasswords
    runs: RunCredentials
    audiences: Audiences
    hasher: SecretHasher
    keyring: Keyring
    db: Database

    def start(self) -> None:
        """Make the keys that are missing. Blocking; call once, before anything else here. Idempotent."""

        def ensure(tx: Tx) -> None:
            self.keyring.create(tx, SYSTEM)

        self.db.transact_sync(ensure)
        self.hasher.ensure_key()
        self.keys.ensure_current()

    async def maintain(self) -> None:
        """Rotate signing keys that are due; sweep run credentials and sign-ins. Call it after start-up, then every
        hour."""
        await asyncio.to_thread(self.keys.ensure_current)
        await asyncio.to_thread(self.keys.load)
        await self.db.transact(self.runs.sweep)
        await self.db.transact(self.sign_ins.sweep)


def make_identity(
    db: Database, keyring: Keyring, *, tenant_id: str, subscription_id: str, control_url: str
) -> IdentityRoom:
    """`control_url` is `https://host[:port]`, without a slash at its end."""
    control_url = control_url.rstrip("/")
    holders = Holders(db, tenant_id)
    hasher = SecretHasher(db, keyring)
    keys = SigningKeys(db, keyring)
    tokens = Tokens(db, keys, tenant_id=tenant_id, control_url=control_url)
    passwords = AdminPasswords(keyring, tenant_id=tenant_id, subscription_id=subscription_id, on_changed=holders.forget)
    runs = RunCredentials(hasher, on_changed=holders.forget)
    people = PersonPasswords()
    credentials = Credentials(db, hasher, passwords, people, Throttle(db.clock), tenant_id)
    audiences = Audiences(control_url)
    stream, scope = subscription_stream(subscription_id), f"/subscriptions/{subscription_id}"
    assignments = Assignments(stream, on_changed=holders.forget)
    directory = Directory(
        db,
        hasher,
        people,
        assignments,
        tenant_id=tenant_id,
        scope=scope,
        stream=stream,
        on_changed=holders.forget,
    )
    return IdentityRoom(
        owner=Owner(db, directory, assignments, scope=scope),
        roles=RoleService(db, assignments, subscription_scope=scope),
        authenticator=Authenticator(db, tokens, credentials, holders, audiences),
        arm=ArmGate(tokens, holders, audiences),
        tokens=tokens,
        keys=keys,
        credentials=credentials,
        assertions=Assertions(db, tenant_id),
        sign_ins=SignIns(db, hasher, tenant_id),
        directory=directory,
        managed=ManagedIdentities(tenant_id=tenant_id, stream=stream, on_changed=holders.forget),
        holders=holders,
        passwords=passwords,
        runs=runs,
        audiences=audiences,
        hasher=hasher,
        keyring=keyring,
        db=db,
    )
