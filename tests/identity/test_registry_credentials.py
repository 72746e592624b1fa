"""Admin passwords and run credentials on both databases."""

from __future__ import annotations

import pytest

from darsena.core.errors import RequestInvalid, ResourceUnknown, Unauthenticated
from darsena.db import Database, Tx
from darsena.identity.model import RegistryFacts
from darsena.identity.roles import REPOSITORY_WRITER
from darsena.identity.room import IdentityRoom
from darsena.identity.scopes import parse_scopes
from darsena.identity.tables import admin_password, principal, run_credential
from darsena.journal import list_entries, subscription_stream
from darsena.testing import FakeClock
from principals import Principals

from .values import FACTS, OTHER, SCOPE, SUBSCRIPTION, make_facts

RUN, OTHER_RUN = "c" * 32, "d" * 32


def regenerate(identity: IdentityRoom, db: Database, name: str) -> None:
    db.transact_sync(identity.passwords.regenerate, FACTS.uid, name)


async def test_both_passwords_open_their_own_registry_only(identity: IdentityRoom, db: Database) -> None:
    for facts in (FACTS, OTHER):
        db.transact_sync(identity.passwords.ensure, facts.uid)
    db.transact_sync(identity.passwords.ensure, FACTS.uid)
    shown = db.read_sync(identity.passwords.list, FACTS.uid)
    assert list(shown) == ["password", "password2"]
    assert len(set(shown.values())) == 2
    check = identity.credentials.check_login
    for value in shown.values():
        assert (await check(FACTS, "MYREGISTRY", value, "")).principal.kind == "admin"
        for facts, name in [
            (OTHER, "otherRegistry"),
            (OTHER, "myRegistry"),
            (FACTS, "otherRegistry"),
            (FACTS, "admin"),
        ]:
            with pytest.raises(Unauthenticated):
                await check(facts, name, value, "")
        with pytest.raises(Unauthenticated):
            await check(make_facts(admin_enabled=False), "myregistry", value, "")
        with pytest.raises(Unauthenticated):
            await check(FACTS, "myregistry", value.swapcase(), "")
    kinds = [entry.kind for entry in db.read_sync(list_entries, subscription_stream(SUBSCRIPTION), after=0)]
    assert kinds == ["principal.created", "principal.created"]


async def test_regenerating_replaces_one(identity: IdentityRoom, db: Database) -> None:
    db.transact_sync(identity.passwords.ensure, FACTS.uid)
    before = db.read_sync(identity.passwords.list, FACTS.uid)
    regenerate(identity, db, "password2")
    after = db.read_sync(identity.passwords.list, FACTS.uid)
    assert before["password"] == after["password"]
    with pytest.raises(Unauthenticated):
        await identity.credentials.check_login(FACTS, "myregistry", before["password2"], "")
    await identity.credentials.check_login(FACTS, "myregistry", after["password2"], "")
    with pytest.raises(RequestInvalid):
        regenerate(identity, db, "password3")


async def test_without_an_admin_user_there_is_nothing_to_show_or_match(identity: IdentityRoom, db: Database) -> None:
    with pytest.raises(ResourceUnknown):
        db.read_sync(identity.passwords.list, FACTS.uid)
    for password in ("", "x"):
        with pytest.raises(Unauthenticated):
            await identity.credentials.check_login(FACTS, "myregistry", password, "")


async def test_a_run_has_a_credential_of_its_own(identity: IdentityRoom) -> None:
    name, password = await Principals(identity).create_run_credential(FACTS, RUN, 60)
    _, other = await Principals(identity).create_run_credential(FACTS, OTHER_RUN, 60)
    check = identity.credentials.check_login
    accepted = await check(FACTS, name.upper(), password, "")
    assert (accepted.principal.kind, accepted.principal.object_id, accepted.principal.id < 0) == ("run", RUN, True)
    for facts, user, secret in [
        (OTHER, name, password),
        (FACTS, name, other),
        (FACTS, name, ""),
        (FACTS, RUN, password),
        (FACTS, f"run.{'e' * 32}", password),
        (FACTS, "run.\0", password),
        (FACTS, "run.", password),
    ]:
        with pytest.raises(Unauthenticated):
            await check(facts, user, secret, "")


async def test_a_run_credential_ends_with_the_run_or_its_time(
    identity: IdentityRoom, db: Database, clock: FakeClock
) -> None:
    name, first = await Principals(identity).create_run_credential(FACTS, RUN, 60)
    name, second = await Principals(identity).create_run_credential(FACTS, RUN, 60)
    check = identity.credentials.check_login
    with pytest.raises(Unauthenticated):
        await check(FACTS, name, first, "")
    await check(FACTS, name, second, "")
    await Principals(identity).revoke_run_credential(RUN)
    await Principals(identity).revoke_run_credential(RUN)
    with pytest.raises(Unauthenticated):
        await check(FACTS, name, second, "")
    name, third = await Principals(identity).create_run_credential(FACTS, RUN, 60)
    clock.advance(60)
    with pytest.raises(Unauthenticated):
        await check(FACTS, name, third, "")
    assert db.transact_sync(identity.runs.sweep) == 1
    assert list_entries_count(db) == 0


async def test_in_abac_mode_a_run_may_what_its_caller_may(identity: IdentityRoom) -> None:
    """Now, and while the caller is enabled; elsewhere the caller counts for nothing."""
    abac, asked = make_facts(abac=True), parse_scopes(["repository:team/app:pull,push", "repository:other:pull"])
    made = await Principals(identity).create_service_principal("ci")
    caller = made.principal.object_id

    async def granted(facts: RegistryFacts) -> set[tuple[str, str]]:
        identity.holders.forget()
        accepted = await identity.credentials.check_login(facts, name, password, "")
        grants = identity.authenticator.decide(facts, accepted, asked)
        return {(entry.name, action) for entry in grants.entries for action in entry.actions}

    name, password = await Principals(identity).create_run_credential(FACTS, RUN, 60, caller=caller)
    assert await granted(abac) == set()
    assert ("team/app", "push") in await granted(FACTS)
    condition = (
        "((!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/content/read'})) OR "
        "(@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringStartsWithIgnoreCase 'team/'))"
    )
    await Principals(identity).assign_role(caller, REPOSITORY_WRITER.id, SCOPE, condition=condition)
    assert {row for row in await granted(abac) if row[1] == "pull"} == {("team/app", "pull")}
    await Principals(identity).disable(caller)
    assert await granted(abac) == set()
    assert ("team/app", "push") in await granted(FACTS)
    name, password = await Principals(identity).create_run_credential(FACTS, RUN, 60)
    assert await granted(abac) == set()


async def test_a_run_id_is_never_used_again(identity: IdentityRoom) -> None:
    first = await make_run(identity)
    await Principals(identity).revoke_run_credential(RUN)
    assert await make_run(identity) != first


async def make_run(identity: IdentityRoom) -> int:
    name, password = await Principals(identity).create_run_credential(FACTS, RUN, 60)
    return (await identity.credentials.check_login(FACTS, name, password, "")).principal.id


async def test_everything_of_a_registry_goes_with_it(identity: IdentityRoom, db: Database) -> None:
    for facts in (FACTS, OTHER):
        db.transact_sync(identity.passwords.ensure, facts.uid)
        await Principals(identity).create_run_credential(facts, facts.uid, 60)

    def remove(tx: Tx) -> None:
        identity.passwords.delete(tx, FACTS.uid)
        tx.journaled_writes.clear()  # the registry's own event is the caller's

    db.transact_sync(remove)

    def uids(tx: Tx) -> set[str]:
        tables = (principal, admin_password, run_credential)
        return {row.registry_uid for table in tables for row in tx.execute(table.select())}

    assert db.read_sync(uids) == {OTHER.uid}


def list_entries_count(db: Database) -> int:
    return len(db.read_sync(list_entries, subscription_stream(SUBSCRIPTION), after=0))
