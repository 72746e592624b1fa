"""The decision, row by row: every kind of principal × every action (ACR authentication, sections 8, 11, 12)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darsena.identity.access import arm_allows, covers, decide, restrict
from darsena.identity.model import Grants, Holder, RegistryFacts, RoleAssignment, ScopeRequest
from darsena.identity.roles import (
    ACR_DELETE,
    ACR_IMAGE_SIGNER,
    ACR_PULL,
    ACR_PUSH,
    ACR_QUARANTINE_READER,
    ACR_QUARANTINE_WRITER,
    BUILT_IN,
    CONTRIBUTOR,
    OWNER,
    RBAC_ADMINISTRATOR,
    READER,
    REPOSITORY_CATALOG_LISTER,
    REPOSITORY_CONTRIBUTOR,
    REPOSITORY_READER,
    REPOSITORY_WRITER,
    USER_ACCESS_ADMINISTRATOR,
    find_role,
)
from darsena.identity.scopes import parse_scopes

from .values import FACTS, GROUP, OTHER_UID, SCOPE, UID, make_facts, make_holder

REPOSITORY = {"pull", "push", "delete", "metadata_read", "metadata_write", "deleted_read", "deleted_restore", "untag"}
LISTS = {"catalog", "deleted_catalog"}
EVERYTHING = REPOSITORY | LISTS
BESIDE = {
    "delete": {"untag"},
    "pull": {"quarantine_read"},
    "metadata_read": {"quarantine_read"},
    "metadata_write": {"quarantine_write"},
}
READ = {"pull", "metadata_read", "catalog"}
READER_READ = READ | {"deleted_read", "deleted_catalog"}

ABAC = make_facts(abac=True)
QUARANTINE = make_facts(quarantine=True)
ABAC_QUARANTINE = make_facts(abac=True, quarantine=True)
ANONYMOUS = make_facts(anonymous_pull=True)
ADMIN_OFF = make_facts(admin_enabled=False)
REGISTRY_ID = FACTS.resource_id
SP = "service_principal"


def sp(*roles: tuple[object, str], enabled: bool = True) -> Holder:
    return make_holder(SP, *roles, enabled=enabled)  # type: ignore[arg-type]


def conditional(role_id: str) -> Holder:
    holder = make_holder(SP)
    return replace(holder, assignments=(RoleAssignment(role_id, SCOPE, condition="((…))"),))


ROWS: list[tuple[str, Holder, RegistryFacts, set[str]]] = [
    ("owner of the subscription", sp((OWNER, SCOPE)), FACTS, EVERYTHING),
    ("owner of the group", sp((OWNER, GROUP)), FACTS, EVERYTHING),
    ("owner of the registry", sp((OWNER, REGISTRY_ID)), FACTS, EVERYTHING),
    ("owner, id in another case", sp((OWNER, REGISTRY_ID.upper())), FACTS, EVERYTHING),
    ("owner of everything", sp((OWNER, "/")), FACTS, EVERYTHING),
    ("owner of another subscription", sp((OWNER, SCOPE[:-1] + "0")), FACTS, set()),
    ("owner of a group with a longer name", sp((OWNER, GROUP + "1")), FACTS, set()),
    ("owner of a group with a shorter name", sp((OWNER, GROUP[:-1])), FACTS, set()),
    ("owner of a registry with a longer name", sp((OWNER, REGISTRY_ID + "x")), FACTS, set()),
    ("owner, disabled", sp((OWNER, SCOPE), enabled=False), FACTS, set()),
    ("user as owner", make_holder("user", (OWNER, SCOPE)), FACTS, EVERYTHING),
    ("managed identity as owner", make_holder("managed_identity", (OWNER, SCOPE)), FACTS, EVERYTHING),
    ("contributor", sp((CONTRIBUTOR, SCOPE)), FACTS, EVERYTHING),
    ("reader", sp((READER, SCOPE)), FACTS, READER_READ),
    ("AcrPull", sp((ACR_PULL, REGISTRY_ID)), FACTS, READ),
    ("AcrPush", sp((ACR_PUSH, REGISTRY_ID)), FACTS, READ | {"push", "untag"}),
    ("AcrDelete", sp((ACR_DELETE, REGISTRY_ID)), FACTS, {"delete", "untag"}),
    ("AcrPull + AcrDelete", sp((ACR_PULL, GROUP), (ACR_DELETE, REGISTRY_ID)), FACTS, READ | {"delete", "untag"}),
    ("AcrImageSigner", sp((ACR_IMAGE_SIGNER, REGISTRY_ID)), FACTS, set()),
    ("AcrQuarantineWriter", sp((ACR_QUARANTINE_WRITER, REGISTRY_ID)), FACTS, set()),
    ("AcrQuarantineReader with quarantine", sp((ACR_QUARANTINE_READER, GROUP)), QUARANTINE, {"quarantine_read"}),
    (
        "AcrQuarantineWriter with quarantine",
        sp((ACR_QUARANTINE_WRITER, REGISTRY_ID)),
        QUARANTINE,
        {"quarantine_read", "quarantine_write"},
    ),
    ("AcrPush with quarantine", sp((ACR_PUSH, REGISTRY_ID)), QUARANTINE, READ | {"push", "untag"}),
    ("admin with quarantine", make_holder("admin", registry_uid=UID), QUARANTINE, EVERYTHING),
    ("AcrQuarantineReader in ABAC mode", sp((ACR_QUARANTINE_READER, GROUP)), ABAC_QUARANTINE, {"quarantine_read"}),
    ("owner in ABAC mode with quarantine", sp((OWNER, SCOPE)), ABAC_QUARANTINE, set()),
    ("user access administrator", sp((USER_ACCESS_ADMINISTRATOR, SCOPE)), FACTS, READER_READ),
    ("repository reader in legacy mode", sp((REPOSITORY_READER, REGISTRY_ID)), FACTS, set()),
    ("conditional owner", conditional(OWNER.id), FACTS, set()),
    ("role that nobody knows", conditional("00000000-0000-0000-0000-000000000001"), FACTS, set()),
    ("service principal without roles", sp(), FACTS, set()),
    ("admin user", make_holder("admin", registry_uid=UID), FACTS, EVERYTHING),
    ("admin user, turned off", make_holder("admin", registry_uid=UID), ADMIN_OFF, set()),
    ("admin user, disabled", make_holder("admin", registry_uid=UID, enabled=False), FACTS, set()),
    ("admin of another registry", make_holder("admin", registry_uid=OTHER_UID), FACTS, set()),
    ("admin of no registry", make_holder("admin"), FACTS, set()),
    ("admin user in ABAC mode", make_holder("admin", registry_uid=UID), ABAC, EVERYTHING),
    ("admin with a role", make_holder("admin", (OWNER, SCOPE), registry_uid=OTHER_UID), FACTS, set()),
    ("run credential", make_holder("run", registry_uid=UID), FACTS, {"pull", "push", "metadata_read"}),
    ("run of another registry", make_holder("run", registry_uid=OTHER_UID), FACTS, set()),
    ("run in ABAC mode", make_holder("run", registry_uid=UID), ABAC, set()),
    ("anonymous", make_holder("anonymous"), FACTS, set()),
    ("anonymous pull", make_holder("anonymous"), ANONYMOUS, {"pull", "metadata_read"}),
    ("anonymous with a role", make_holder("anonymous", (OWNER, SCOPE)), ANONYMOUS, {"pull", "metadata_read"}),
    ("signed in without roles, anonymous pull on", sp(), ANONYMOUS, set()),
    ("token without a scope map", make_holder("token", registry_uid=UID), FACTS, set()),
    ("owner in ABAC mode", sp((OWNER, SCOPE)), ABAC, set()),
    ("contributor in ABAC mode", sp((CONTRIBUTOR, SCOPE)), ABAC, set()),
    ("AcrPush in ABAC mode", sp((ACR_PUSH, REGISTRY_ID)), ABAC, set()),
    ("repository reader", sp((REPOSITORY_READER, GROUP)), ABAC, {"pull", "metadata_read"}),
    (
        "repository writer",
        sp((REPOSITORY_WRITER, GROUP)),
        ABAC,
        {"pull", "push", "metadata_read", "metadata_write", "untag"},
    ),
    (
        "repository contributor",
        sp((REPOSITORY_CONTRIBUTOR, GROUP)),
        ABAC,
        {"pull", "push", "delete", "metadata_read", "metadata_write", "untag"},
    ),
    ("catalog lister", sp((REPOSITORY_CATALOG_LISTER, GROUP)), ABAC, {"catalog"}),
    ("conditional repository reader", conditional(REPOSITORY_READER.id), ABAC, set()),
]


def allowed(grants: Grants, name: str = "team/app") -> set[str]:
    known = REPOSITORY | {"quarantine_read", "quarantine_write"}
    found = {action for action in known if grants.allows("repository", name, action)}
    return found | {kind for kind in LISTS if grants.allows("registry", kind, "*")}


@pytest.mark.parametrize(("holder", "facts", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
class TestEveryPrincipal:
    def test_holds_exactly_its_rights(self, holder: Holder, facts: RegistryFacts, expected: set[str]) -> None:
        assert allowed(decide(holder, facts, None)) == expected

    def test_asking_for_everything_gives_exactly_its_rights(
        self, holder: Holder, facts: RegistryFacts, expected: set[str]
    ) -> None:
        asked = ["repository:team/app:*", "registry:catalog:*", "registry:deleted_catalog:*"]
        granted = decide(holder, facts, parse_scopes(asked))
        assert allowed(granted) == expected
        assert allowed(granted, "team/other") <= LISTS

    def test_each_action_alone_gives_it_or_nothing(
        self, holder: Holder, facts: RegistryFacts, expected: set[str]
    ) -> None:
        for action in sorted(REPOSITORY - {"untag"}):
            granted = decide(holder, facts, parse_scopes([f"repository:team/app:{action}"]))
            one = {action, *BESIDE.get(action, ())}
            assert allowed(granted) == one & expected

    def test_nothing_asked_is_nothing_given(self, holder: Holder, facts: RegistryFacts, expected: set[str]) -> None:
        assert not decide(holder, facts, [])

    def test_legacy_artifacts_follow_the_repository(
        self, holder: Holder, facts: RegistryFacts, expected: set[str]
    ) -> None:
        granted = decide(holder, facts, parse_scopes(["artifact-repository:chart:*"]))
        found = {action for action in REPOSITORY if granted.allows("artifact-repository", "chart", action)}
        assert found - {"untag"} == expected & {"pull", "push", "delete"}


def test_all_repositories_may_be_asked_for_at_once() -> None:
    granted = decide(sp((ACR_PULL, SCOPE)), FACTS, parse_scopes(["registry:catalog:* repository:*:*"]))
    assert granted.allows("repository", "any/thing", "pull")
    assert granted.allows("repository", "*", "pull")
    assert granted.allows("registry", "catalog", "*")
    assert not granted.allows("repository", "any/thing", "push")


def test_abac_mode_drops_the_wildcard_for_entra_only() -> None:
    asked = parse_scopes(["repository:*:pull"])
    assert not decide(sp((REPOSITORY_READER, SCOPE)), ABAC, asked)
    assert decide(make_holder("admin", registry_uid=UID), ABAC, asked).allows("repository", "a", "pull")


def test_untag_is_given_for_delete_and_never_beside_it() -> None:
    asked = parse_scopes(["repository:a:delete"])
    assert decide(sp((ACR_PUSH, SCOPE)), FACTS, asked).entries == (
        ScopeRequest("repository", "a", frozenset({"untag"})),
    )
    assert decide(sp((ACR_DELETE, SCOPE)), FACTS, asked).entries == (
        ScopeRequest("repository", "a", frozenset({"delete"})),
    )


def test_a_prefix_grants_what_lies_below_it_only() -> None:
    grants = Grants([ScopeRequest("repository", "team/*", frozenset({"pull"}))])
    assert grants.allows("repository", "team/a", "pull")
    for name in ("team", "teams/a", "other/team/a", "*"):
        assert not grants.allows("repository", name, "pull")
    assert not restrict(grants, parse_scopes(["repository:*:pull"]))


def test_names_are_told_apart_from_what_else_may_be_there() -> None:
    one = ScopeRequest("repository", "team/app", frozenset({"pull", "push"}))
    wide = ScopeRequest("repository", "team/*", frozenset({"pull"}))
    assert Grants([one]).list_names("repository", "pull") == (["team/app"], False)
    assert Grants([one]).list_names("repository", "delete") == ([], False)
    assert Grants([one, wide]).list_names("repository", "pull") == (["team/app"], True)
    assert Grants([one, wide]).list_names("repository", "push") == (["team/app"], False)


def test_a_type_is_not_another() -> None:
    grants = Grants([ScopeRequest("artifact-repository", "*", frozenset({"pull"}))])
    assert not grants.allows("repository", "a", "pull")
    assert not Grants([ScopeRequest("repository", "catalog", frozenset({"*"}))]).allows("registry", "catalog", "*")


names = st.sampled_from(["a", "a/b", "team/x", "*", "catalog"])
types = st.sampled_from(["repository", "registry", "artifact-repository", "other"])
actions = st.frozensets(st.sampled_from(["pull", "push", "delete", "untag", "*", "metadata_read"]), min_size=1)
scopes = st.lists(st.builds(ScopeRequest, types, names, actions), max_size=4)


@given(scopes, scopes)
def test_restricting_never_adds(held: list[ScopeRequest], asked: list[ScopeRequest]) -> None:
    grants = Grants(held)
    result = restrict(grants, asked)
    for entry in result.entries:
        assert all(grants.allows(entry.type, entry.name, action) for action in entry.actions)
    assert restrict(result, asked) == result


# --- ARM ------------------------------------------------------------------------------------------------------------

ACR = "Microsoft.ContainerRegistry/registries"
READ_ACTION, WRITE, REMOVE = f"{ACR}/read", f"{ACR}/write", f"{ACR}/delete"
CREDENTIALS, ASSIGN = f"{ACR}/listCredentials/action", "Microsoft.Authorization/roleAssignments/write"


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (OWNER, {READ_ACTION, WRITE, REMOVE, CREDENTIALS, ASSIGN}),
        (CONTRIBUTOR, {READ_ACTION, WRITE, REMOVE, CREDENTIALS}),
        (READER, {READ_ACTION}),
        (ACR_PULL, set()),
        (ACR_PUSH, set()),
        (USER_ACCESS_ADMINISTRATOR, {READ_ACTION, ASSIGN}),
        (RBAC_ADMINISTRATOR, {READ_ACTION, ASSIGN}),
        (REPOSITORY_CONTRIBUTOR, set()),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_arm_follows_the_roles_actions(role: object, expected: set[str]) -> None:
    held = [RoleAssignment(role.id, GROUP)]  # type: ignore[attr-defined]
    asked = {READ_ACTION, WRITE, REMOVE, CREDENTIALS, ASSIGN}
    assert {action for action in asked if arm_allows(held, action, REGISTRY_ID)} == expected
    assert {action for action in asked if arm_allows(held, action.upper(), REGISTRY_ID.upper())} == expected
    assert not any(arm_allows(held, action, SCOPE) for action in asked)
    assert not any(arm_allows(held, action, GROUP + "x") for action in asked)


def test_a_condition_that_is_not_evaluated_grants_nothing_in_arm() -> None:
    assert not arm_allows([RoleAssignment(OWNER.id, SCOPE, "(x)")], READ_ACTION, SCOPE)


@pytest.mark.parametrize(
    ("assigned", "scope", "expected"),
    [
        ("/", "/subscriptions/s", True),
        ("/", "/", True),
        ("/subscriptions/s", "/", False),
        ("/subscriptions/s/", "/subscriptions/S", True),
        ("/subscriptions/s", "/subscriptions/s/resourceGroups/g", True),
        ("/subscriptions/s", "/subscriptions/s2", False),
        ("/subscriptions/s/resourceGroups/g", "/subscriptions/s", False),
    ],
)
def test_scopes_nest_by_whole_segments(assigned: str, scope: str, expected: bool) -> None:
    assert covers(assigned, scope) is expected


def test_built_in_roles_have_azures_ids_once() -> None:
    assert len({role.id for role in BUILT_IN}) == len(BUILT_IN)
    for role in BUILT_IN:
        path = f"{SCOPE}/providers/Microsoft.Authorization/roleDefinitions/{role.id.upper()}"
        assert find_role(path) is role
    assert find_role("") is None


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("Microsoft.Authorization/roleAssignments/write", False),
        ("microsoft.authorization/ROLEASSIGNMENTS/Delete", False),
        ("Microsoft.Authorization/roleAssignments/read", True),
        ("Microsoft.Authorization/elevateAccess/action", False),
        ("Microsoft.ContainerRegistry/registries/write", True),
    ],
)
def test_not_actions_take_away(action: str, expected: bool) -> None:
    assert CONTRIBUTOR.allows(action) is expected
