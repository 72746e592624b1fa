"""Repository tokens: what a scope map is worth, who signs in, and how soon each change counts. On both databases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from sqlalchemy import select

from darsena.core.errors import Conflict, QuotaExceeded, RequestInvalid, ResourceUnknown, Throttled, Unauthenticated
from darsena.db import Database, Tx, metadata
from darsena.identity.access import decide
from darsena.identity.model import RegistryFacts
from darsena.identity.room import IdentityRoom
from darsena.identity.scope_maps import MAX_ACTIONS, SYSTEM_SCOPE_MAPS, list_rights, parse_actions
from darsena.identity.scopes import parse_scopes
from darsena.identity.throttle import LIMIT
from darsena.journal import list_entries, subscription_stream
from darsena.resources.events import RegistryDeleted
from darsena.resources.tokens import RepositoryTokens
from darsena.testing import FakeClock

from .test_authenticator import is_accepted
from .test_decision import allowed
from .tokens_world import TokensWorld
from .values import FACTS, OTHER, SUBSCRIPTION, TENANT, UID, basic, bearer, make_facts, make_holder

PULL = {"pull"}
READ = {"pull", "metadata_read"}

RIGHTS: list[tuple[list[str], str, set[str]]] = [
    # actions, repository, what is held there
    (["repositories/team/app/content/read"], "team/app", PULL),
    (["repositories/team/app/content/read"], "team/app2", set()),
    (["repositories/team/app/content/read"], "team", set()),
    (["repositories/team/app/content/read"], "team/app/sub", set()),
    (["repositories/team/app/content/write"], "team/app", {"push"}),
    (["repositories/team/app/content/delete"], "team/app", {"delete", "untag"}),
    (["repositories/team/app/metadata/read"], "team/app", {"metadata_read"}),
    (["repositories/team/app/metadata/write"], "team/app", {"metadata_write", "untag"}),
    (["repositories/team/*/content/read"], "team/app", PULL),
    (["repositories/team/*/content/read"], "team/a/b", PULL),
    (["repositories/team/*/content/read"], "team", set()),
    (["repositories/team/*/content/read"], "teams/app", set()),
    (["repositories/*/content/read"], "team/app", PULL),
    (["repositories/*/content/read", "repositories/team/*/metadata/read"], "team/app", READ),
    (["repositories/*/content/read", "repositories/team/app/content/write"], "team/app", {"pull", "push"}),
    (["repositories/*/content/read", "repositories/team/app/content/write"], "other", PULL),
    (["repositories/content/content/read"], "content", PULL),
    (["repositories/metadata/read/content/read"], "metadata/read", PULL),
    (["gateway/edge1/config/read", "gateway/edge1/message/write"], "team/app", set()),
    (["repositories/team/app/pull", "repositories/team/app/delete"], "team/app", {"pull", "delete", "untag"}),
    (["repositories/team/app/contentWrite", "repositories/team/app/contentRead"], "team/app", {"pull", "push"}),
]


@pytest.mark.parametrize(("actions", "repository", "expected"), RIGHTS)
@pytest.mark.parametrize("facts", [FACTS, make_facts(abac=True), make_facts(anonymous_pull=True, admin_enabled=False)])
def test_a_token_holds_what_its_scope_map_says(
    actions: list[str], repository: str, expected: set[str], facts: RegistryFacts
) -> None:
    """ACR authentication, section Repository-scoped tokens; no mode of the registry changes it, and no list is held."""
    holder = replace(make_holder("token", registry_uid=UID), scope_actions=parse_actions(actions))
    assert allowed(decide(holder, facts, None), repository) == expected
    asked = parse_scopes([f"repository:{repository}:*", "registry:catalog:*", "registry:deleted_catalog:*"])
    assert allowed(decide(holder, facts, asked), repository) == expected
    assert allowed(decide(replace(holder, enabled=False), facts, None), repository) == set()
    assert allowed(decide(replace(holder, registry_uid=OTHER.uid), facts, None), repository) == set()


def test_a_wildcard_is_asked_for_and_given_only_where_it_is_held() -> None:
    asked = parse_scopes(["repository:*:pull"])
    for action, expected in (("repositories/*/content/read", True), ("repositories/team/*/content/read", False)):
        holder = replace(make_holder("token", registry_uid=UID), scope_actions=(action,))
        assert bool(decide(holder, FACTS, asked)) is expected


@pytest.mark.parametrize("name", SYSTEM_SCOPE_MAPS)
def test_system_scope_maps_are_what_their_names_say(name: str) -> None:
    worth = {
        "_repositories_admin": {"pull", "push", "delete", "metadata_read", "metadata_write", "untag"},
        "_repositories_pull": PULL,
        "_repositories_pull_metadata_read": READ,
        "_repositories_push": {"pull", "push"},
        "_repositories_push_metadata_write": {"pull", "push", "metadata_read", "metadata_write", "untag"},
    }
    holder = replace(make_holder("token", registry_uid=UID), scope_actions=SYSTEM_SCOPE_MAPS[name].actions)
    assert allowed(decide(holder, FACTS, None)) == worth[name]
    assert list(SYSTEM_SCOPE_MAPS) == sorted(worth)


@pytest.mark.parametrize(
    "action",
    [
        "",
        "*",
        "repositories",
        "repositories/",
        "repositories/content/read",
        "repositories//content/read",
        "repositories/team/app",
        "repositories/team/app/content",
        "repositories/team/app/content/push",
        "repositories/team/app/content/Read",
        "repositories/team/app/metadata/delete",
        "repositories/team/app/push",
        "repositories/a*/content/read",
        "repositories/*/app/content/read",
        "repositories/*/*/content/read",
        "repositories/**/content/read",
        "repositories/team/*/",
        "repositories/Team/content/read",
        "repositories/team/../content/read",
        "repositories/team /content/read",
        "repositories/team/app/content/read\n",
        " repositories/team/app/content/read",
        "repository/team/app/content/read",
        "registries/catalog/read",
        "gateway/edge1/config/delete",
        f"repositories/{'a' * 400}/content/read",
    ],
)
def test_what_is_no_action_is_refused(action: str) -> None:
    with pytest.raises(RequestInvalid):
        parse_actions(["repositories/ok/content/read", action])
    assert list_rights([action]) == []


def test_a_scope_map_has_at_most_500_actions_and_at_least_one() -> None:
    actions = [f"repositories/r{number}/content/read" for number in range(MAX_ACTIONS)]
    assert parse_actions([*actions, *actions]) == tuple(actions)
    for wrong in ([*actions, "repositories/x/content/read"], []):
        with pytest.raises(RequestInvalid):
            parse_actions(wrong)


# --- signing in -------------------------------------------------------------------------------------------------------


@pytest.fixture
def world(identity: IdentityRoom) -> TokensWorld:
    return TokensWorld(identity)


async def may_pull(identity: IdentityRoom, header: bytes, facts: RegistryFacts = FACTS) -> bool:
    caller = await identity.authenticator.authenticate(facts, header)
    return caller.grants.allows("repository", "team/app", "pull")


async def issue(identity: IdentityRoom, name: str, password: str, scope: str) -> bytes:
    signed_in = await identity.authenticator.check_login(FACTS, name, password, "")
    grants = identity.authenticator.decide(FACTS, signed_in, parse_scopes([scope]))
    return bearer((await identity.tokens.issue_access(FACTS, signed_in, grants))[0])


async def test_both_passwords_sign_in_under_the_name_in_any_case(identity: IdentityRoom, world: TokensWorld) -> None:
    await world.make("Puller-1", "repositories/team/*/content/read")
    values = await world.make_passwords("puller-1")
    assert set(values) == {"password1", "password2"}
    assert all(value.isascii() and value.isalnum() and len(value) >= 32 for value in values.values())
    for name in ("Puller-1", "puller-1", "PULLER-1"):
        for value in values.values():
            assert await may_pull(identity, basic(name, value))
    caller = await identity.authenticator.authenticate(FACTS, basic("puller-1", values["password1"]))
    assert (caller.principal.kind, caller.principal.name) == ("token", "Puller-1")
    for wrong in ("", "x", values["password1"][:-1], values["password1"] + "x", values["password1"].lower()):
        with pytest.raises(Unauthenticated):
            await identity.authenticator.authenticate(FACTS, basic("puller-1", wrong))


async def test_only_its_own_registry_knows_it(identity: IdentityRoom, world: TokensWorld) -> None:
    mine = await world.make("puller", "repositories/*/content/read")
    theirs = await world.make("puller", "repositories/*/content/read", facts=OTHER)
    assert await is_accepted(identity, FACTS, basic("puller", mine))
    assert await is_accepted(identity, OTHER, basic("puller", theirs))
    assert not await is_accepted(identity, OTHER, basic("puller", mine))
    assert not await is_accepted(identity, FACTS, basic("puller", theirs))


async def test_a_token_may_be_named_as_its_registry(identity: IdentityRoom, world: TokensWorld, db: Database) -> None:
    """The password says who is meant: the admin user's its own, the token's the token."""
    name = FACTS.name
    password = await world.make(name, "repositories/*/content/read")
    db.transact_sync(identity.passwords.ensure, FACTS.uid)
    admin = db.read_sync(identity.passwords.list, FACTS.uid)["password"]
    off = make_facts(admin_enabled=False, version=2)
    for facts, secret, kind in ((FACTS, admin, "admin"), (FACTS, password, "token"), (off, password, "token")):
        caller = await identity.authenticator.authenticate(facts, basic(name, secret))
        assert caller.principal.kind == kind
    assert not await is_accepted(identity, off, basic(name, admin))


async def test_a_token_that_looks_like_a_client_id(identity: IdentityRoom, world: TokensWorld) -> None:
    owner = await identity.owner.ensure()
    assert owner is not None
    password = await world.make(owner.client_id, "repositories/*/content/read")
    for secret, kind in ((owner.client_secret, "service_principal"), (password, "token")):
        caller = await identity.authenticator.authenticate(FACTS, basic(owner.client_id, secret))
        assert caller.principal.kind == kind


async def test_guessing_is_slowed_down_and_locks_nobody_out(identity: IdentityRoom, world: TokensWorld) -> None:
    password = await world.make("puller", "repositories/*/content/read")
    for _ in range(LIMIT):
        with pytest.raises(Unauthenticated):
            await identity.authenticator.authenticate(FACTS, basic("puller", "wrong"), "10.0.0.1")
    with pytest.raises(Throttled):
        await identity.authenticator.authenticate(FACTS, basic("puller", "wrong"), "10.0.0.1")
    with pytest.raises(Unauthenticated):
        await identity.authenticator.authenticate(FACTS, basic("puller", "wrong"), "10.0.0.2")
    assert await is_accepted(identity, FACTS, basic("puller", password))


# --- changes ----------------------------------------------------------------------------------------------------------

Change = Callable[[TokensWorld], Awaitable[object]]
ENDS: dict[str, Change] = {
    "disabled": lambda world: world.change("puller", enabled=False),
    "its password made anew": lambda world: world.make_passwords("puller", "password1"),
    "both made anew": lambda world: world.make_passwords("puller"),
    "its password deleted": lambda world: world.change("puller", keep=["password2"]),
    "all deleted": lambda world: world.change("puller", keep=[]),
    "deleted": lambda world: world.tokens.delete(world.find(), "puller"),
}


async def prepare(identity: IdentityRoom, world: TokensWorld) -> list[bytes]:
    """Headers that are accepted and remembered: Basic, and a token made from it."""
    password = await world.make("puller", "repositories/team/*/content/read")
    headers = [basic("puller", password), await issue(identity, "puller", password, "repository:team/app:pull")]
    for header in headers:
        assert await may_pull(identity, header)
    return headers


@pytest.mark.parametrize("change", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "by another process"])
async def test_what_ends_a_password_ends_its_tokens_within_a_second(
    identity: IdentityRoom, world: TokensWorld, clock: FakeClock, change: Change, elsewhere: bool
) -> None:
    headers = await prepare(identity, world)
    if elsewhere:
        world.tokens = RepositoryTokens(identity.db, identity.hasher, tenant_id=TENANT, on_changed=lambda: None)
    await change(world)
    if elsewhere:
        clock.advance(1)
    for header in headers:
        assert not await is_accepted(identity, FACTS, header)


async def test_the_other_password_goes_on(identity: IdentityRoom, world: TokensWorld) -> None:
    await world.make("puller", "repositories/*/content/read")
    values = await world.make_passwords("puller")
    await world.make_passwords("puller", "password1")
    assert await is_accepted(identity, FACTS, basic("puller", values["password2"]))
    assert not await is_accepted(identity, FACTS, basic("puller", values["password1"]))


async def test_a_disabled_token_enabled_again(identity: IdentityRoom, world: TokensWorld) -> None:
    by_password, by_token = await prepare(identity, world)
    await world.change("puller", enabled=False)
    await world.change("puller", enabled=True)
    assert await is_accepted(identity, FACTS, by_password)
    assert not await is_accepted(identity, FACTS, by_token)


async def test_a_password_ends_at_its_expiry_and_with_it_its_tokens(
    identity: IdentityRoom, world: TokensWorld, clock: FakeClock
) -> None:
    await world.make("puller", "repositories/team/*/content/read")
    value = (await world.make_passwords("puller", "password1", expires_at=clock.now_us() + 60_000_000))["password1"]
    headers = [basic("puller", value), await issue(identity, "puller", value, "repository:team/app:pull")]
    clock.advance(59)
    for header in headers:
        assert await is_accepted(identity, FACTS, header)
    clock.advance(1)
    for header in headers:
        assert not await is_accepted(identity, FACTS, header)
    past = (await world.make_passwords("puller", "password1", expires_at=clock.now_us() - 1))["password1"]
    assert not await is_accepted(identity, FACTS, basic("puller", past))


async def test_another_scope_map_or_other_actions_hold_at_once(identity: IdentityRoom, world: TokensWorld) -> None:
    headers = await prepare(identity, world)
    await world.allow("puller-map", "repositories/other/content/read")
    for header in headers:
        assert not await may_pull(identity, header)
    await world.change("puller", scope_map="_Repositories_Pull")
    for header in headers:
        assert await may_pull(identity, header)
    await world.allow("narrow", "repositories/team/app/metadata/read")
    await world.change("puller", scope_map="narrow")
    for header in headers:
        assert not await may_pull(identity, header)


# --- rules ------------------------------------------------------------------------------------------------------------


async def test_a_scope_map_in_use_stays(world: TokensWorld) -> None:
    await world.make("puller", "repositories/a/content/read")
    with pytest.raises(Conflict, match="puller"):
        await world.scope_maps.delete(world.find(), "PULLER-map")
    await world.tokens.delete(world.find(), "puller")
    assert await world.scope_maps.delete(world.find(), "puller-map")
    assert not await world.scope_maps.delete(world.find(), "puller-map")


async def test_a_token_needs_a_scope_map_that_is_there(world: TokensWorld) -> None:
    await world.allow("other-map", "repositories/a/content/read", facts=OTHER)
    for missing in ("nothing", "other-map"):
        with pytest.raises(RequestInvalid):
            await world.bind("puller", missing)
    with pytest.raises(ResourceUnknown):
        await world.tokens.get(world.find(), "puller")


@pytest.mark.parametrize("name", ["abcd", "a" * 51, "with_underscore", "with.dot", "with space", "ñandú", "a/b/c", ""])
async def test_names_of_tokens(world: TokensWorld, name: str) -> None:
    with pytest.raises(RequestInvalid):
        await world.bind(name, "_repositories_pull")


@pytest.mark.parametrize("name", ["abcd", "a" * 51, "with.dot", "with space", "ñandú", "a/b/c", "_repositories_pull"])
async def test_names_of_scope_maps(world: TokensWorld, name: str) -> None:
    with pytest.raises(RequestInvalid):
        await world.allow(name, "repositories/a/content/read")


async def test_the_tier_limits_both(world: TokensWorld) -> None:
    for number in range(100):
        await world.allow(f"map-{number:03}", "repositories/a/content/read")
        await world.bind(f"token-{number:03}", "_repositories_pull")
    with pytest.raises(QuotaExceeded, match="ScopeMaps"):
        await world.allow("one-more", "repositories/a/content/read")
    with pytest.raises(QuotaExceeded, match="Tokens"):
        await world.bind("one-more", "_repositories_pull")
    await world.allow("map-000", "repositories/b/content/read")
    world.sku = "Standard"
    await world.bind("one-more", "_repositories_pull")


async def test_nothing_can_be_read_back(world: TokensWorld, db: Database) -> None:
    """Decisions, section Credentials: keyed hashes; and the journal holds no value."""
    password = await world.make("puller", "repositories/a/content/read")

    def everything(tx: Tx) -> str:
        rows = [str(list(tx.execute(select(table)))) for table in metadata.tables.values()]
        return "".join(rows) + str(list_entries(tx, subscription_stream(SUBSCRIPTION), after=0))

    assert password not in db.read_sync(everything)


async def test_each_change_is_told(world: TokensWorld, db: Database) -> None:
    await world.make("puller", "repositories/a/content/read")
    await world.change("puller", enabled=False)
    await world.allow("puller-map", "repositories/b/content/read")
    await world.tokens.delete(world.find(), "puller")
    await world.scope_maps.delete(world.find(), "puller-map")

    def kinds(tx: Tx) -> list[str]:
        return [entry.kind for entry in list_entries(tx, subscription_stream(SUBSCRIPTION), after=0)]

    assert db.read_sync(kinds) == [
        "scope_map.created",
        "token.created",
        "token.passwords_generated",
        "token.updated",
        "scope_map.updated",
        "token.deleted",
        "scope_map.deleted",
    ]


async def test_with_its_registry_everything_goes(identity: IdentityRoom, world: TokensWorld, db: Database) -> None:
    header = basic("puller", await world.make("puller", "repositories/*/content/read"))
    other = basic("puller", await world.make("puller", "repositories/*/content/read", facts=OTHER))
    assert await is_accepted(identity, FACTS, header)

    def delete(tx: Tx) -> None:
        identity.passwords.delete(tx, FACTS.uid)
        event = RegistryDeleted(uid=FACTS.uid, name=FACTS.name, resource_group="g", location="l")
        tx.emit(subscription_stream(SUBSCRIPTION), event)

    db.transact_sync(delete)
    assert not await is_accepted(identity, FACTS, header)
    assert await is_accepted(identity, OTHER, other)
    with pytest.raises(ResourceUnknown):
        await world.tokens.get(world.find(), "puller")
    await world.make("puller", "repositories/*/content/read")
