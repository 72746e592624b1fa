"""Use cases on both databases: owner, service principals, people, roles, what the journal is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from darsena.core.errors import Conflict, RequestInvalid, ResourceUnknown, Throttled, Unauthenticated
from darsena.db import Database, Tx
from darsena.identity.roles import ACR_PULL, OWNER, READER
from darsena.identity.room import IdentityRoom
from darsena.identity.tables import credential, principal
from darsena.journal import list_entries, subscription_stream
from darsena.testing import FakeClock
from principals import Principals

from .conftest import open_identity
from .values import FACTS, GROUP, SCOPE, SUBSCRIPTION, TENANT


def list_events(db: Database) -> list[tuple[str, dict[str, Any]]]:
    entries = db.read_sync(list_entries, subscription_stream(SUBSCRIPTION), after=0)
    return [(entry.kind, entry.decode()) for entry in entries]


async def test_the_owner_is_made_once_and_its_secret_shown_once(
    identity: IdentityRoom, db: Database, tmp_path: Path
) -> None:
    made = await identity.owner.ensure()
    assert made is not None
    assert made.principal.tenant_id == TENANT
    assert await identity.owner.ensure() is None
    again = open_identity(db, tmp_path)
    again.start()
    assert await again.owner.ensure() is None
    accepted = await again.credentials.check_client(made.client_id, made.client_secret, "")
    assert accepted.principal.object_id == made.principal.object_id
    [held] = Principals(identity).list_roles()
    assert (held.scope, held.role_definition_id, held.object_id) == (SCOPE, OWNER.id, made.principal.object_id)
    assert [kind for kind, _ in list_events(db)] == ["principal.created", "credential.reset", "role.assigned"]


async def test_no_secret_stands_in_the_database(identity: IdentityRoom, db: Database) -> None:
    made = await identity.owner.ensure()
    assert made is not None
    name, password = await Principals(identity).create_run_credential(FACTS, "c" * 32, 60)
    db.transact_sync(identity.passwords.ensure, FACTS.uid)
    secrets = [made.client_secret, password, *db.read_sync(identity.passwords.list, FACTS.uid).values()]

    def dump(tx: Tx) -> str:
        tables = principal.metadata.sorted_tables
        return "\n".join(str([tuple(row) for row in tx.execute(select(table))]) for table in tables)

    text = db.read_sync(dump)
    assert made.client_id in text
    assert name.removeprefix("run.") in text
    assert not any(secret in text for secret in secrets)


async def test_a_reset_owner_secret_is_the_first_enabled_owners(identity: IdentityRoom, clock: FakeClock) -> None:
    owner, principals = identity.owner, Principals(identity)
    assert await owner.reset_secret() is None
    first = await owner.ensure()
    assert first is not None
    clock.advance(1)
    second = await principals.create_service_principal("second")
    await principals.assign_role(second.principal.object_id, OWNER.id, SCOPE)
    made = await owner.reset_secret()
    assert made is not None
    assert (made.client_id, made.client_secret != first.client_secret) == (first.client_id, True)
    await principals.disable(first.principal.object_id)
    made = await owner.reset_secret()
    assert made is not None
    assert made.client_id == second.client_id


async def test_a_reset_replaces_all_secrets(identity: IdentityRoom, db: Database) -> None:
    principals, check = Principals(identity), identity.credentials.check_client
    made = await principals.create_service_principal("app")
    second = await identity.directory.add_secret(made.client_id, "second", expires_at=None)
    await check(made.client_id, second.value, "")
    third = await principals.reset_secret(made.client_id.upper())
    for secret in (made.client_secret, second.value):
        with pytest.raises(Unauthenticated):
            await check(made.client_id, secret, "")
    await check(made.client_id.upper(), third.client_secret, "")
    with pytest.raises(ResourceUnknown):
        await principals.reset_secret("no-such-client")
    assert [kind for kind, _ in list_events(db)] == ["principal.created", *["credential.reset"] * 3]


async def test_a_secret_ends_when_it_was_to_end(identity: IdentityRoom, clock: FakeClock) -> None:
    made = await Principals(identity).create_service_principal("app", secret_lifetime_s=100)
    await identity.credentials.check_client(made.client_id, made.client_secret, "")
    clock.advance(100)
    with pytest.raises(Unauthenticated):
        await identity.credentials.check_client(made.client_id, made.client_secret, "")


async def test_disabled_is_shut_out_until_enabled(identity: IdentityRoom, db: Database) -> None:
    made = await Principals(identity).create_service_principal("app")
    object_id = made.principal.object_id
    await Principals(identity).disable(object_id)
    await Principals(identity).disable(object_id.upper())
    with pytest.raises(Unauthenticated):
        await identity.credentials.check_client(made.client_id, made.client_secret, "")
    await Principals(identity).enable(object_id)
    accepted = await identity.credentials.check_client(made.client_id, made.client_secret, "")
    assert accepted.principal.version == 3
    assert [kind for kind, _ in list_events(db)][2:] == ["principal.disabled", "principal.enabled"]
    with pytest.raises(ResourceUnknown):
        await Principals(identity).disable("nobody")


@pytest.mark.parametrize("client_id", ["", "x", "00000000-0000-0000-0000-000000000000", "\0", "é" * 300, "a:b"])
async def test_unknown_clients_are_refused(identity: IdentityRoom, client_id: str) -> None:
    with pytest.raises(Unauthenticated):
        await identity.credentials.check_client(client_id, "secret", "")


# --- people ---------------------------------------------------------------------------------------------------------


async def test_people_sign_in_with_what_they_chose(identity: IdentityRoom, db: Database) -> None:
    made = await Principals(identity).create_user("Ana@example.org", "correct horse battery", name="Ana")
    accepted = await identity.credentials.check_person("ana@EXAMPLE.org", "correct horse battery", "1.2.3.4")
    assert accepted.principal == made
    for name, password in [
        ("ana@example.org", "wrong horse battery"),
        ("bea@example.org", "x"),
        ("\0", "x"),
        ("ana@example.org", "x" * 2000),
    ]:
        with pytest.raises(Unauthenticated):
            await identity.credentials.check_person(name, password, "1.2.3.4")
    stored = db.read_sync(lambda tx: tx.execute(select(credential.c.hash)).scalar_one())
    assert stored.startswith("$argon2id$v=19$m=65536,")
    with pytest.raises(Conflict):
        await Principals(identity).create_user("ANA@example.org", "correct horse battery")
    with pytest.raises(RequestInvalid):
        await Principals(identity).create_user("bea@example.org", "short")


async def test_a_persons_password_is_none_of_a_login_servers(identity: IdentityRoom) -> None:
    await Principals(identity).create_user("ana@example.org", "correct horse battery")
    with pytest.raises(Unauthenticated):
        await identity.credentials.check_login(FACTS, "ana@example.org", "correct horse battery", "")


# --- roles ----------------------------------------------------------------------------------------------------------


CONDITION = "@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringEquals 'a'"


async def test_roles_are_assigned_listed_and_removed(identity: IdentityRoom, db: Database) -> None:
    principals = Principals(identity)
    made = await principals.create_service_principal("app")
    object_id = made.principal.object_id
    first = await principals.assign_role(object_id, f"/x/{READER.id.upper()}", GROUP + "/", description="for reading")
    second = await principals.assign_role(object_id, ACR_PULL.id, FACTS.resource_id, condition=CONDITION)
    assert (first.scope, first.role_definition_id, first.description) == (GROUP, READER.id, "for reading")
    assert second.condition == CONDITION
    with pytest.raises(Conflict) as conflict:
        await principals.assign_role(object_id, READER.id, GROUP.upper())
    assert conflict.value.code == "RoleAssignmentExists"
    assert principals.list_roles(below=SCOPE.upper()) == [first, second]
    assert principals.list_roles(below=FACTS.resource_id) == [second]
    assert principals.list_roles(below=GROUP[:-1]) == []
    assert principals.list_roles(below=f"{SCOPE}/resource_roups") == []
    assert principals.list_roles(object_id=object_id) == [first, second]
    assert principals.list_roles(object_id="other") == []
    assert await identity.roles.remove(first.id.upper(), GROUP.upper()) == first
    assert await identity.roles.remove(first.id, GROUP) is None
    assert [kind for kind, _ in list_events(db)][2:] == ["role.assigned", "role.assigned", "role.unassigned"]


async def test_roles_go_with_the_resource_they_are_held_at(identity: IdentityRoom, db: Database) -> None:
    principals = Principals(identity)
    made = await principals.create_service_principal("app")
    for scope in (SCOPE, GROUP, FACTS.resource_id, GROUP + "2"):
        await principals.assign_role(made.principal.object_id, READER.id, scope)
    db.transact_sync(identity.roles.forget_scope, GROUP.upper())
    assert [held.scope for held in principals.list_roles()] == [SCOPE, GROUP + "2"]


async def test_only_known_roles_to_known_principals(identity: IdentityRoom, db: Database) -> None:
    made = await Principals(identity).create_service_principal("app")
    with pytest.raises(RequestInvalid) as invalid:
        await Principals(identity).assign_role(made.principal.object_id, "no-such-role", SCOPE)
    assert invalid.value.code == "RoleDefinitionDoesNotExist"
    with pytest.raises(RequestInvalid) as invalid:
        await Principals(identity).assign_role("nobody", READER.id, SCOPE)
    assert invalid.value.code == "PrincipalNotFound"
    db.transact_sync(identity.passwords.ensure, FACTS.uid)
    admin = db.read_sync(lambda tx: tx.execute(select(principal.c.object_id, principal.c.kind))).all()
    object_id = next(row.object_id for row in admin if row.kind == "admin")
    with pytest.raises(RequestInvalid):
        await Principals(identity).assign_role(object_id, OWNER.id, SCOPE)


# --- throttling -----------------------------------------------------------------------------------------------------


async def test_guessing_is_slowed_and_the_owner_is_not_locked_out(identity: IdentityRoom, clock: FakeClock) -> None:
    made = await Principals(identity).create_service_principal("app")
    check = identity.credentials.check_client
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await check(made.client_id, "guess", "10.0.0.1")
    with pytest.raises(Throttled) as throttled:
        await check(made.client_id, "guess", "10.0.0.1")
    assert throttled.value.retry_after_s == 60
    await check(made.client_id, made.client_secret, "10.0.0.1")
    with pytest.raises(Unauthenticated):
        await check(made.client_id, "guess", "10.0.0.2")
    clock.advance(60)
    with pytest.raises(Unauthenticated):
        await check(made.client_id, "guess", "10.0.0.1")
