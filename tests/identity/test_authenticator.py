"""Headers of data routes, the fast path, and how soon a revocation counts; the same for ARM. On both databases."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darsena.core.errors import AccessDenied, Throttled, Unauthenticated
from darsena.db import Database
from darsena.identity.authenticator import Authenticator
from darsena.identity.basic import BasicCredentials, BearerToken, parse_authorization
from darsena.identity.model import NULL_GUID, RegistryFacts
from darsena.identity.owner import NewServicePrincipal
from darsena.identity.roles import ACR_PULL, ACR_PUSH, OWNER, READER
from darsena.identity.room import IdentityRoom
from darsena.identity.scopes import parse_scopes
from darsena.testing import FakeClock
from principals import Principals

from .conftest import open_identity
from .values import ARM, FACTS, GROUP, OTHER, SCOPE, basic, bearer, make_facts


async def make_owner(identity: IdentityRoom) -> NewServicePrincipal:
    made = await identity.owner.ensure()
    assert made is not None
    return made


async def make_access(identity: IdentityRoom, made: NewServicePrincipal, *scopes: str, facts: Any = FACTS) -> str:
    client = await identity.credentials.check_client(made.client_id, made.client_secret, "")
    grants = identity.authenticator.decide(facts, client, parse_scopes(scopes))
    return (await identity.tokens.issue_access(facts, client, grants))[0]


async def is_accepted(identity: IdentityRoom, facts: RegistryFacts, header: bytes) -> bool:
    """As an edge does it: the fast path, then the other."""
    if identity.authenticator.cached(facts, header) is not None:
        return True
    try:
        await identity.authenticator.authenticate(facts, header)
    except Unauthenticated:
        return False
    return True


async def test_no_header_is_the_anonymous_caller_without_rights(identity: IdentityRoom) -> None:
    for facts in (FACTS, make_facts(anonymous_pull=True)):
        caller = await identity.authenticator.authenticate(facts, None)
        assert caller.principal.kind == "anonymous"
        assert not caller.grants


async def test_every_basic_form_is_let_in_and_remembered(identity: IdentityRoom, db: Database) -> None:
    """ACR authentication, section Basic forms."""
    owner = await make_owner(identity)
    db.transact_sync(identity.passwords.ensure, FACTS.uid)
    password = db.read_sync(identity.passwords.list, FACTS.uid)["password2"]
    client = await identity.credentials.check_client(owner.client_id, owner.client_secret, "")
    grants = identity.authenticator.decide(FACTS, client, None)
    refresh = await identity.tokens.issue_refresh(FACTS, client, grants)
    access = await make_access(identity, owner, "repository:a:pull")
    run, run_password = await Principals(identity).create_run_credential(FACTS, "c" * 32, 600)
    rows: list[tuple[bytes, str, set[str]]] = [
        (basic("myregistry", password), "admin", {"pull", "push", "delete"}),
        (basic(owner.client_id, owner.client_secret), "service_principal", {"pull", "push", "delete"}),
        (basic(NULL_GUID, refresh), "service_principal", {"pull", "push", "delete"}),
        (basic(NULL_GUID, access), "service_principal", {"pull"}),
        (basic(run, run_password), "run", {"pull", "push"}),
        (bearer(access), "service_principal", {"pull"}),
    ]
    for header, kind, actions in rows:
        assert identity.authenticator.cached(FACTS, header) is None
        caller = await identity.authenticator.authenticate(FACTS, header)
        assert caller.principal.kind == kind
        got = {action for action in ("pull", "push", "delete") if caller.grants.allows("repository", "a", action)}
        assert got == actions
        assert identity.authenticator.cached(FACTS, header) is caller
        assert identity.authenticator.cached(OTHER, header) is None


NO_CREDENTIALS = [
    b"",
    b" ",
    b"Basic",
    b"Basic ",
    b"Bearer",
    b"Bearer ",
    b"Bearer a.b.c",
    b"Negotiate abc",
    b"Basic !!!",
    b"Basic " + base64.b64encode(b"no colon"),
    b"Basic " + base64.b64encode(b":"),
    b"Basic " + base64.b64encode(b"myregistry:"),
    b"Basic " + base64.b64encode(b"\xff\xfe:\x00"),
    b"Basic " + base64.b64encode(b"a:" + b"x" * 5000),
    b"Basic " + b"A" * 60_000,
    b"\xff\xff \xff",
]


async def test_what_is_no_credential_is_refused(identity: IdentityRoom) -> None:
    for header in NO_CREDENTIALS:
        with pytest.raises(Unauthenticated):
            await identity.authenticator.authenticate(FACTS, header)
        assert identity.authenticator.cached(FACTS, header) is None


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(scheme=st.sampled_from([b"Basic ", b"basic  ", b"Bearer ", b"X ", b""]), value=st.binary(max_size=80))
async def test_any_header_is_refused_cleanly(identity: IdentityRoom, scheme: bytes, value: bytes) -> None:
    for header in (scheme + value, scheme + base64.b64encode(value)):
        with pytest.raises((Unauthenticated, Throttled)):
            await identity.authenticator.authenticate(FACTS, header)


def test_headers_are_read_leniently_where_the_standards_are() -> None:
    assert parse_authorization(b"BASIC  " + base64.b64encode(b"a:b:c") + b" ") == BasicCredentials("a", "b:c")
    assert parse_authorization(b"basic " + base64.b64encode("ü:é".encode())) == BasicCredentials("ü", "é")
    assert parse_authorization(b"basic " + base64.b64encode("ü:é".encode("latin-1"))) == BasicCredentials("ü", "é")
    assert parse_authorization(b"bearer  x") == BearerToken("x")


async def test_wrong_passwords_are_slowed_and_right_ones_let_in(identity: IdentityRoom, db: Database) -> None:
    db.transact_sync(identity.passwords.ensure, FACTS.uid)
    password = db.read_sync(identity.passwords.list, FACTS.uid)["password"]
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await identity.authenticator.authenticate(FACTS, basic("myregistry", "x"), "10.0.0.1")
    with pytest.raises(Throttled):
        await identity.authenticator.authenticate(FACTS, basic("MYREGISTRY", "x"), "10.0.0.1")
    await identity.authenticator.authenticate(FACTS, basic("myregistry", password), "10.0.0.1")


# --- how soon it counts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", [False, True], ids=["this process", "another process"])
@pytest.mark.parametrize("what", ["disable", "reset", "remove role"])
async def test_revoking_counts_within_a_second(
    identity: IdentityRoom, db: Database, tmp_path: Any, clock: FakeClock, what: str, elsewhere: bool
) -> None:
    owner = await make_owner(identity)
    headers = [
        basic(owner.client_id, owner.client_secret),
        bearer(await make_access(identity, owner, "repository:a:pull")),
    ]
    for header in headers:
        assert await is_accepted(identity, FACTS, header)
    acting = open_identity(db, tmp_path) if elsewhere else identity
    if elsewhere:
        acting.start()
    match what:
        case "disable":
            await Principals(acting).disable(owner.principal.object_id)
        case "reset":
            await Principals(acting).reset_secret(owner.client_id)
        case _:
            [held] = Principals(acting).list_roles()
            await Principals(acting).remove_role(held)
    if elsewhere:
        assert all([await is_accepted(identity, FACTS, header) for header in headers])
        clock.advance(1)
    if what == "remove role":
        for header in headers:
            assert identity.authenticator.cached(FACTS, header) is None
            assert not (await identity.authenticator.authenticate(FACTS, header)).grants
    else:
        assert not any([await is_accepted(identity, FACTS, header) for header in headers])


async def test_an_enabled_again_principals_old_tokens_stay_void(identity: IdentityRoom) -> None:
    owner = await make_owner(identity)
    token = bearer(await make_access(identity, owner, "repository:a:pull"))
    await Principals(identity).disable(owner.principal.object_id)
    await Principals(identity).enable(owner.principal.object_id)
    assert not await is_accepted(identity, FACTS, token)
    assert await is_accepted(identity, FACTS, basic(owner.client_id, owner.client_secret))


async def test_admin_rights_end_with_the_switch_and_the_password(identity: IdentityRoom, db: Database) -> None:
    db.transact_sync(identity.passwords.ensure, FACTS.uid)
    passwords = db.read_sync(identity.passwords.list, FACTS.uid)
    tokens: dict[str, bytes] = {}
    for name, password in passwords.items():
        admin = await identity.credentials.check_login(FACTS, "myregistry", password, "")
        grants = identity.authenticator.decide(FACTS, admin, parse_scopes(["repository:a:pull"]))
        tokens[name] = bearer((await identity.tokens.issue_access(FACTS, admin, grants))[0])
        for header in (tokens[name], basic("myregistry", password)):
            assert await is_accepted(identity, FACTS, header)
            assert not await is_accepted(identity, make_facts(admin_enabled=False, version=2), header)
            assert await is_accepted(identity, make_facts(version=3), header)
    db.transact_sync(identity.passwords.regenerate, FACTS.uid, "password")
    assert not await is_accepted(identity, FACTS, tokens["password"])
    assert not await is_accepted(identity, FACTS, basic("myregistry", passwords["password"]))
    assert await is_accepted(identity, FACTS, tokens["password2"])


async def test_a_runs_tokens_end_with_the_run(identity: IdentityRoom, clock: FakeClock) -> None:
    for end in ("revoked", "its time", "a new credential"):
        name, password = await Principals(identity).create_run_credential(FACTS, "c" * 32, 600)
        run = await identity.credentials.check_login(FACTS, name, password, "")
        grants = identity.authenticator.decide(FACTS, run, parse_scopes(["repository:a:push,pull"]))
        token, expires_in = await identity.tokens.issue_access(FACTS, run, grants)
        assert expires_in == 600
        headers = [basic(name, password), bearer(token)]
        assert all([await is_accepted(identity, FACTS, header) for header in headers])
        match end:
            case "revoked":
                await Principals(identity).revoke_run_credential("c" * 32)
            case "its time":
                clock.advance(600)
            case _:
                await Principals(identity).create_run_credential(FACTS, "c" * 32, 600)
        assert not any([await is_accepted(identity, FACTS, header) for header in headers])


async def test_a_remembered_token_is_forgotten_when_it_ends(identity: IdentityRoom, clock: FakeClock) -> None:
    owner = await make_owner(identity)
    client = await identity.credentials.check_client(owner.client_id, owner.client_secret, "")
    grants = identity.authenticator.decide(FACTS, client, None)
    refresh = basic(NULL_GUID, await identity.tokens.issue_refresh(FACTS, client, grants))
    access = bearer(await make_access(identity, owner, "repository:a:pull"))
    assert await is_accepted(identity, FACTS, refresh)
    assert await is_accepted(identity, FACTS, access)
    clock.advance(75 * 60)
    assert await is_accepted(identity, FACTS, refresh)
    assert not await is_accepted(identity, FACTS, access)
    clock.advance(105 * 60)
    assert not await is_accepted(identity, FACTS, refresh)


async def test_anonymous_tokens_follow_the_registrys_policy(identity: IdentityRoom) -> None:
    on, off = make_facts(anonymous_pull=True), make_facts(version=2)
    nobody = identity.authenticator.anonymous()
    grants = identity.authenticator.decide(on, nobody, parse_scopes(["repository:a:*", "registry:catalog:*"]))
    header = bearer((await identity.tokens.issue_access(on, nobody, grants))[0])
    caller = await identity.authenticator.authenticate(on, header)
    assert caller.principal.kind == "anonymous"
    assert caller.grants.allows("repository", "a", "pull")
    assert not caller.grants.allows("repository", "a", "push")
    assert not caller.grants.allows("registry", "catalog", "*")
    assert not (await identity.authenticator.authenticate(off, header)).grants


async def test_an_access_token_never_holds_more_than_its_principal_now(identity: IdentityRoom) -> None:
    made = await Principals(identity).create_service_principal("app")
    push = await Principals(identity).assign_role(made.principal.object_id, ACR_PUSH.id, SCOPE)
    await Principals(identity).assign_role(made.principal.object_id, ACR_PULL.id, SCOPE)
    header = bearer(await make_access(identity, made, "repository:a:pull,push"))
    assert (await identity.authenticator.authenticate(FACTS, header)).grants.allows("repository", "a", "push")
    await Principals(identity).remove_role(push)
    grants = (await identity.authenticator.authenticate(FACTS, header)).grants
    assert grants.allows("repository", "a", "pull")
    assert not grants.allows("repository", "a", "push")
    assert not grants.allows("repository", "b", "pull")


async def test_other_principals_changes_do_not_cost_a_new_check(identity: IdentityRoom) -> None:
    owner = await make_owner(identity)
    header = basic(owner.client_id, owner.client_secret)
    caller = await identity.authenticator.authenticate(FACTS, header)
    await Principals(identity).create_run_credential(FACTS, "c" * 32, 600)
    assert identity.authenticator.cached(FACTS, header) is caller


async def test_the_fast_path_is_fast(identity: IdentityRoom) -> None:
    owner = await make_owner(identity)
    header = bearer(await make_access(identity, owner, "repository:a:pull"))
    await identity.authenticator.authenticate(FACTS, header)
    started = time.perf_counter()
    for _ in range(2000):
        assert identity.authenticator.cached(FACTS, header) is not None
    assert (time.perf_counter() - started) / 2000 < 100e-6


async def test_what_is_remembered_is_bounded(identity: IdentityRoom, db: Database) -> None:
    owner = await make_owner(identity)
    parts = (identity.tokens, identity.credentials, identity.holders, identity.audiences)
    authenticator = Authenticator(db, *parts, capacity=3)
    headers = [basic(owner.client_id, owner.client_secret) + b" " * blanks for blanks in (0, 1, 2, 3, 20_000)]
    for header in headers:
        await authenticator.authenticate(FACTS, header)
    remembered = [authenticator.cached(FACTS, header) is not None for header in headers]
    assert remembered == [False, True, True, True, False]


# --- ARM ------------------------------------------------------------------------------------------------------------


async def arm_token(identity: IdentityRoom, made: NewServicePrincipal) -> bytes:
    client = await identity.credentials.check_client(made.client_id, made.client_secret, "")
    return bearer((await identity.tokens.issue_directory(client, ARM, identity.tokens.adfs_issuer))[0])


async def test_arm_lets_roles_decide(identity: IdentityRoom, clock: FakeClock) -> None:
    made = await Principals(identity).create_service_principal("reader")
    await Principals(identity).assign_role(made.principal.object_id, READER.id, GROUP)
    token = await arm_token(identity, made)
    principal = await identity.arm.authenticate_arm(token)
    assert principal == made.principal
    read = "Microsoft.ContainerRegistry/registries/read"
    write = "Microsoft.ContainerRegistry/registries/write"
    await identity.arm.authorize_arm(principal, read, FACTS.resource_id)
    for action, scope in [(write, FACTS.resource_id), (read, SCOPE), (read, f"{GROUP}x"), (read, "/"), ("", GROUP)]:
        with pytest.raises(AccessDenied) as denied:
            await identity.arm.authorize_arm(principal, action, scope)
        assert made.client_id in denied.value.message
    await Principals(identity).disable(made.principal.object_id)
    with pytest.raises(AccessDenied):
        await identity.arm.authorize_arm(principal, read, FACTS.resource_id)
    with pytest.raises(Unauthenticated):
        await identity.arm.authenticate_arm(token)


async def test_arm_takes_nothing_but_its_own_bearer(identity: IdentityRoom, db: Database) -> None:
    owner = await make_owner(identity)
    db.transact_sync(identity.passwords.ensure, FACTS.uid)
    password = db.read_sync(identity.passwords.list, FACTS.uid)["password"]
    token = await arm_token(identity, owner)
    assert await identity.arm.authenticate_arm(token) == owner.principal
    for header in (
        None,
        b"",
        b"Bearer",
        basic(owner.client_id, owner.client_secret),
        basic("myregistry", password),
        basic(NULL_GUID, token.decode().removeprefix("Bearer ")),
        bearer(await make_access(identity, owner, "repository:a:pull")),
    ):
        with pytest.raises(Unauthenticated):
            await identity.arm.authenticate_arm(header)
    assert OWNER.allows("anything/at/all")
