"""Conditions of role assignments: the documented form, the grammar around it, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from darsena.core.errors import RequestInvalid
from darsena.identity.access import arm_allows, decide
from darsena.identity.conditions import condition_allows, parse_condition
from darsena.identity.model import Grants, Holder, RoleAssignment, ScopeRequest
from darsena.identity.roles import (
    ACR_PULL,
    OWNER,
    READER,
    REPOSITORY_CATALOG_LISTER,
    REPOSITORY_CONTRIBUTOR,
    REPOSITORY_READER,
    REPOSITORY_WRITER,
    Role,
)
from identity.values import FACTS, SCOPE, make_holder

ACR = "Microsoft.ContainerRegistry/registries"
NAME = f"@Request[{ACR}/repositories:name]"
READ = f"{ACR}/repositories/content/read"
WRITE = f"{ACR}/repositories/content/write"
DOCUMENTED = (
    f"((!(ActionMatches{{'{READ}'}}) AND !(ActionMatches{{'{ACR}/repositories/metadata/read'}}))"
    f" OR ({NAME} StringStartsWithIgnoreCase 'backend/'))"
)
"""As the portal writes it, with a line break where it likes."""
ABAC = replace(FACTS, abac=True)


@pytest.mark.parametrize(
    ("condition", "action", "name", "holds"),
    [
        (DOCUMENTED, READ, "backend/api", True),
        (DOCUMENTED, READ, "BACKEND/api", True),
        (DOCUMENTED, READ, "backend", False),
        (DOCUMENTED, READ, "frontend/backend/api", False),
        (DOCUMENTED, READ.upper(), "frontend/api", False),
        (DOCUMENTED, WRITE, "frontend/api", True),
        (DOCUMENTED, f"{ACR}/catalog/read", None, True),
        (DOCUMENTED, READ, None, False),
        (f"{NAME} StringEquals 'a'", READ, "a", True),
        (f"{NAME} StringEquals 'a'", READ, "A", False),
        (f"{NAME} StringEqualsIgnoreCase 'a' OR {NAME} StringEqualsIgnoreCase 'b'", READ, "b", True),
        (f"{NAME} StringNotEquals 'a'", READ, "b", True),
        (f"{NAME} StringNotEquals 'a'", READ, None, False),
        (f"NOT {NAME} StringEquals 'a'", READ, "b", True),
        (f"NOT {NAME} StringEquals 'a'", READ, None, False),
        (f"!({NAME} StringEquals 'a') || Exists {NAME}", READ, "a", True),
        (f"{NAME} StringLike 'team-?/*'", READ, "team-1/app", True),
        (f"{NAME} StringLike 'team-?/*'", READ, "team-12/app", False),
        (f"{NAME} StringLikeIgnoreCase '*/APP'", READ, "team/app", True),
        (f"{NAME} StringNotLike '*[a]'", READ, "a", True),
        (f"{NAME} StringNotStartsWith 'a' && {NAME} StringNotStartsWith 'b'", READ, "c", True),
        (f"{NAME} StringNotStartsWith 'a' && {NAME} StringNotStartsWith 'b'", READ, "bc", False),
        (f"{NAME} ForAnyOfAnyValues:StringEquals {{'a', 'b'}}", READ, "b", True),
        (f"{NAME} ForAnyOfAllValues:StringNotEquals {{'a', 'b'}}", READ, "b", False),
        (f"@Resource[{ACR}/repositories:name] StringStartsWith 'a'", READ, "ab", True),
        (f"ActionMatches{{'{ACR}/*/read'}}", READ, None, True),
        (f"{NAME} StringEquals 'it\\'s'", READ, "it's", True),
    ],
)
def test_what_holds(condition: str, action: str, name: str | None, holds: bool) -> None:
    assert parse_condition(condition).allows(action, name) is holds


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("", "expected"),
        ("true", "no attribute"),
        (f"{NAME}", "expected"),
        (f"{NAME} StringEquals", "expected"),
        (f"{NAME} StringEquals a", "quotes"),
        (f"{NAME} StringEquals 'a' AND", "expected"),
        (f"({NAME} StringEquals 'a'", "expected"),
        (f"{NAME} StringEquals 'a')", "not expected"),
        (f"{NAME} StringEquals 'a", "cannot be read"),
        (f"{NAME} NumericEquals '1'", "operator"),
        (f"{NAME} Sometimes:StringEquals {{'a'}}", "operator"),
        (f"{NAME} ForAnyOfAnyValues:StringEquals 'a'", "expected"),
        ("@Principal[Microsoft.Directory/CustomSecurityAttributes/Id:x] StringEquals 'a'", "attribute"),
        ("@Request[Microsoft.Storage/storageAccounts:name] StringEquals 'a'", "attribute"),
        ("SubOperationMatches{'Blob.List'}", "SubOperationMatches"),
        ("ActionMatches{a}", "quotes"),
        ("(" * 60 + f"{NAME} StringEquals 'a'" + ")" * 60, "deeply"),
        ("!" * 5000 + f"{NAME} StringEquals 'a'", "deeply"),
        (f"{NAME} StringEquals '{'a' * 9000}'", "longer"),
    ],
)
def test_what_is_refused(condition: str, why: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        parse_condition(condition)
    assert refused.value.code == "InvalidCondition"
    assert why in refused.value.message
    assert not condition_allows(condition, READ, "a")


def held(*assignments: tuple[Role, str | None], scope: str = SCOPE) -> Holder:
    roles = tuple(RoleAssignment(role.id, scope, condition) for role, condition in assignments)
    return replace(make_holder("user"), assignments=roles)


def rights(grants: Grants, name: str) -> set[str]:
    actions = ("pull", "push", "delete", "metadata_read", "metadata_write", "untag")
    return {action for action in actions if grants.allows("repository", name, action)}


READS = {"pull", "metadata_read"}
WRITES = READS | {"push", "metadata_write", "untag"}


@pytest.mark.parametrize(
    ("role", "condition", "inside", "outside", "catalog"),
    [
        (REPOSITORY_READER, None, READS, READS, False),
        (REPOSITORY_READER, DOCUMENTED, READS, set(), False),
        (REPOSITORY_WRITER, None, WRITES, WRITES, False),
        (REPOSITORY_WRITER, DOCUMENTED, WRITES, {"push", "metadata_write", "untag"}, False),
        (REPOSITORY_CONTRIBUTOR, None, WRITES | {"delete"}, WRITES | {"delete"}, False),
        (REPOSITORY_CATALOG_LISTER, None, set(), set(), True),
        (OWNER, None, set(), set(), False),
        (READER, None, set(), set(), False),
        (ACR_PULL, None, set(), set(), False),
    ],
)
def test_abac_mode(role: Role, condition: str | None, inside: set[str], outside: set[str], catalog: bool) -> None:
    """ACR authentication, section 11: only the repository roles count, the catalogue only with Catalog Lister."""
    grants = decide(held((role, condition)), ABAC, None)
    assert rights(grants, "backend/api") == inside
    assert rights(grants, "frontend/api") == outside
    assert grants.allows("registry", "catalog", "*") is catalog


def test_several_conditional_roles_add_up() -> None:
    other = DOCUMENTED.replace("backend/", "frontend/")
    grants = decide(held((REPOSITORY_READER, DOCUMENTED), (REPOSITORY_READER, other)), ABAC, None)
    assert rights(grants, "backend/api") == rights(grants, "frontend/api") == READS
    assert rights(grants, "tools") == set()


def test_a_token_lists_what_the_condition_gives() -> None:
    asked = [ScopeRequest("repository", name, frozenset({"pull", "push"})) for name in ("backend/a", "tools", "*")]
    grants = decide(held((REPOSITORY_READER, DOCUMENTED)), ABAC, asked)
    assert grants == Grants([ScopeRequest("repository", "backend/a", frozenset({"pull"}))])


def test_legacy_mode_holds_conditions_too() -> None:
    condition = f"(!(ActionMatches{{'{ACR}/pull/read'}}) OR {NAME} StringStartsWith 'backend/')"
    grants = decide(held((ACR_PULL, condition)), FACTS, None)
    assert rights(grants, "backend/api") == READS
    assert rights(grants, "tools") == set()
    assert not grants.allows("registry", "catalog", "*")


def test_control_plane_roles_under_a_condition() -> None:
    untouched = held((READER, DOCUMENTED)).assignments
    assert arm_allows(untouched, f"{ACR}/read", SCOPE)
    unreadable = held((READER, "nonsense")).assignments
    assert not arm_allows(unreadable, f"{ACR}/read", SCOPE)
