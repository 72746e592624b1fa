"""Role assignments and definitions as `az role` and templates use them (control plane, section 3; auth, section 11)."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from darsena.identity.roles import ACR_PULL, BUILT_IN, CONTRIBUTOR, OWNER, READER, REPOSITORY_READER

from .conftest import ROLES, SUBSCRIPTION, TENANT, Arm

S = f"/subscriptions/{SUBSCRIPTION}"
DEFINITIONS = f"{S}/providers/Microsoft.Authorization/roleDefinitions"
REGISTRY = {"location": "westus", "sku": {"name": "Basic"}}
CONDITION = (
    "((!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/content/read'})) OR "
    "(@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringStartsWithIgnoreCase 'backend/'))"
)


def path(scope: str, id_: str | None = None) -> str:
    base = f"{scope}/providers/Microsoft.Authorization/roleAssignments"
    return base if id_ is None else f"{base}/{id_}"


@pytest.fixture
async def world(group: Arm) -> Arm:
    await group("PUT", "{r}/reg10", REGISTRY)
    await group.people.token("nobody")
    return group


def oid(arm: Arm, name: str = "nobody") -> str:
    return arm.people.principals[name].object_id


def body(arm: Arm, role: str = ACR_PULL.id, **more: Any) -> dict[str, Any]:
    values = {"roleDefinitionId": f"{DEFINITIONS}/{role}", "principalId": oid(arm), **more}
    return {"properties": values}


async def assign(arm: Arm, scope: str, role: str = ACR_PULL.id, **more: Any) -> str:
    id_ = str(uuid.uuid4())
    answer = await arm("PUT", path(scope, id_), body(arm, role, **more))
    assert answer.status == 201, answer.content
    return id_


async def test_a_role_is_assigned_shown_and_removed(world: Arm) -> None:
    id_ = str(uuid.uuid4())
    made = await world(
        "PUT",
        path("{r}/REG10", id_.upper()),
        body(world, principalType="ServicePrincipal", description="pulls", unknown={"kept": "or ignored"}),
    )
    assert made.status == 201
    scope = f"{S}/resourceGroups/rg1/providers/Microsoft.ContainerRegistry/registries/reg10"
    view = made.json
    assert view["id"] == f"{scope}/providers/Microsoft.Authorization/roleAssignments/{id_}"
    assert (view["name"], view["type"]) == (id_, "Microsoft.Authorization/roleAssignments")
    properties = dict(view["properties"])
    assert properties.pop("createdOn") == properties.pop("updatedOn")
    assert properties == {
        "roleDefinitionId": f"{DEFINITIONS}/{ACR_PULL.id}",
        "principalId": oid(world),
        "principalType": "ServicePrincipal",
        "scope": scope,
        "description": "pulls",
        "createdBy": oid(world, "owner"),
        "updatedBy": oid(world, "owner"),
    }
    assert (await world("GET", path("{r}/reg10", id_))).json == view
    assert (await world("DELETE", path("{r}/reg10", id_))).json == view
    assert (await world("DELETE", path("{r}/reg10", id_))).status == 204
    gone = await world("GET", path("{r}/reg10", id_))
    assert (gone.status, gone.error["code"]) == (404, "RoleAssignmentNotFound")


@pytest.mark.parametrize("scope", ["{s}", "{g}", "{r}/reg10"])
async def test_a_role_counts_at_once_and_until_it_is_removed(world: Arm, scope: str) -> None:
    assert (await world("GET", "{r}/reg10", token="nobody")).status == 403
    id_ = await assign(world, scope, READER.id)
    assert (await world("GET", "{r}/reg10", token="nobody")).status == 200
    assert (await world("GET", "{g}", token="nobody")).status == (403 if scope.startswith("{r}") else 200)
    assert (await world("DELETE", path(scope, id_))).status == 200
    assert (await world("GET", "{r}/reg10", token="nobody")).status == 403


async def test_the_same_triple_is_a_conflict(world: Arm) -> None:
    id_ = await assign(world, "{g}")
    again = await world("PUT", path("{g}", str(uuid.uuid4())), body(world))
    assert (again.status, again.error["code"]) == (409, "RoleAssignmentExists")
    assert id_.replace("-", "") in again.error["message"]
    await assign(world, "{g}", READER.id)
    await assign(world, "{s}")


async def test_the_same_assignment_may_be_put_again(world: Arm) -> None:
    id_ = await assign(world, "{g}")
    same = await world("PUT", path("{g}", id_), body(world))
    assert (same.status, same.json["name"]) == (200, id_)
    changed = await world("PUT", path("{g}", id_), body(world, condition=CONDITION, conditionVersion="2.0"))
    assert changed.json["properties"]["condition"] == CONDITION
    assert "description" not in changed.json["properties"]
    assert (await world("GET", path("{g}", id_))).json == changed.json
    for refused in (
        await world("PUT", path("{g}", id_), body(world, READER.id)),
        await world("PUT", path("{s}", id_), body(world)),
    ):
        assert (refused.status, refused.error["code"]) == (400, "RoleAssignmentUpdateNotPermitted")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"principalId": str(uuid.uuid4())}, "PrincipalNotFound"),
        ({"principalId": "me"}, "InvalidPrincipalId"),
        ({"principalId": None}, "BadRequestFormat"),
        ({"principalType": "User"}, "UnmatchedPrincipalType"),
        ({"roleDefinitionId": str(uuid.uuid4())}, "RoleDefinitionDoesNotExist"),
        ({"roleDefinitionId": None}, "BadRequestFormat"),
        ({"roleDefinitionId": 7}, "InvalidRequestContent"),
        ({"condition": "true", "conditionVersion": "2.0"}, "InvalidCondition"),
        ({"condition": CONDITION}, "InvalidCondition"),
        ({"condition": CONDITION, "conditionVersion": "1.0"}, "InvalidCondition"),
    ],
)
async def test_what_is_no_assignment_is_refused_and_not_kept(world: Arm, change: Any, code: str) -> None:
    wrong = {"properties": {**body(world)["properties"], **change}}
    refused = await world("PUT", path("{g}", str(uuid.uuid4())), wrong)
    assert (refused.status, refused.error["code"]) == (400, code)
    assert (await world("GET", path("{g}"), _filter=f"assignedTo('{oid(world)}')")).json["value"] == []


async def test_a_role_that_is_not_there_is_named(world: Arm) -> None:
    id_ = str(uuid.uuid4())
    wrong = body(world)
    wrong["properties"]["roleDefinitionId"] = (
        f"/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/{id_}"
    )
    refused = await world("PUT", path("{g}", str(uuid.uuid4())), wrong)
    assert f"with ID '{id_}' does not exist" in refused.error["message"]


async def test_names_of_paths_are_checked(world: Arm) -> None:
    wrong = await world("PUT", path("{g}", "admin"), body(world))
    assert (wrong.status, wrong.error["code"]) == (400, "InvalidRoleAssignmentId")
    id_ = str(uuid.uuid4())
    for scope, code in (("{s}/resourceGroups/no", "ResourceGroupNotFound"), ("{r}/reg99", "ResourceNotFound")):
        for method in ("PUT", "GET"):
            answer = await world(method, path(scope, id_ if method == "PUT" else None), body(world))
            assert (answer.status, answer.error["code"]) == (404, code)


async def test_lists_and_filters(world: Arm) -> None:
    await world.people.token("reader")
    at = {scope: await assign(world, scope) for scope in ("{s}", "{g}", "{r}/reg10")}

    async def listed(scope: str, filter_: str = "") -> set[str]:
        more: dict[str, Any] = {"_filter": filter_} if filter_ else {}
        answer = await world("GET", path(scope), **more)
        assert answer.status == 200, answer.content
        return {row["name"] for row in answer.json["value"]}

    mine = f"assignedTo('{oid(world).upper()}')"
    assert await listed("{s}", mine) == set(at.values())
    assert await listed("{g}", mine) == set(at.values())
    assert await listed("{g}", f"atScope() and {mine}") == {at["{s}"], at["{g}"]}
    assert await listed("{r}/reg10", f"{mine} and atScope()") == set(at.values())
    assert await listed("{s}", f"atScope() and {mine}") == {at["{s}"]}
    assert await listed("{s}", f"principalId eq '{oid(world)}'") == set(at.values())
    assert await listed("{s}", f"principalId eq '{oid(world)}' and assignedTo('{oid(world, 'reader')}')") == set()
    everything = await listed("{g}")
    assert set(at.values()) < everything
    assert len(everything) == len(await listed("{g}", "atScope()")) + 1
    for wrong in ("createdOn eq '1'", "atScope() or atScope()", "principalId eq 7", "atScope() and", "assignedTo("):
        answer = await world("GET", path("{s}"), _filter=wrong)
        assert (answer.status, answer.error["code"]) == (400, "InvalidFilterInQueryString"), wrong


@pytest.mark.parametrize(("role", "may"), [(OWNER, True), (CONTRIBUTOR, False), (READER, False)])
async def test_who_may_give_roles(world: Arm, monkeypatch: pytest.MonkeyPatch, role: Any, may: bool) -> None:
    """Nobody gives more than they may give: it takes roleAssignments/write at the scope."""
    monkeypatch.setitem(ROLES, "giver", [(role, f"{S}/resourceGroups/rg1")])
    id_ = str(uuid.uuid4())
    given = await world("PUT", path("{g}", id_), body(world, OWNER.id), token="giver")
    assert given.status == (201 if may else 403)
    assert (await world("PUT", path("{s}", str(uuid.uuid4())), body(world), token="giver")).status == 403
    taken = await world("DELETE", path("{g}", id_), token="giver")
    assert taken.status == (200 if may else 403)


async def test_the_last_owner_stays(world: Arm) -> None:
    rows = (await world("GET", path("{s}"), _filter=f"assignedTo('{oid(world, 'owner')}')")).json["value"]
    refused = await world("DELETE", path("{s}", rows[0]["name"]))
    assert (refused.status, refused.error["message"].partition(":")[0]) == (
        400,
        "Cannot delete the last RBAC admin assignment",
    )
    await assign(world, "{s}", OWNER.id)
    assert (await world("DELETE", path("{s}", rows[0]["name"]))).status == 200


async def test_roles_go_with_their_scope(world: Arm) -> None:
    registry, group = await assign(world, "{r}/reg10"), await assign(world, "{g}")
    assert (await world("DELETE", "{r}/reg10")).status == 200
    await world("PUT", "{r}/reg10", REGISTRY)
    assert (await world("GET", path("{r}/reg10", registry))).status == 404
    assert (await world("DELETE", "{g}")).status == 202
    await world("PUT", "{g}", {"location": "westus"})
    assert (await world("GET", path("{g}", group))).status == 404


async def test_role_definitions(world: Arm) -> None:
    listed = await world("GET", "{s}/providers/Microsoft.Authorization/roleDefinitions")
    assert [row["name"] for row in listed.json["value"]] == [role.id for role in BUILT_IN]
    found = await world(
        "GET", "{r}/reg10/providers/microsoft.authorization/roledefinitions", _filter="roleName eq 'acrpull'"
    )
    (view,) = found.json["value"]
    assert view["id"] == f"{DEFINITIONS}/{ACR_PULL.id}"
    properties = view["properties"]
    assert (properties["roleName"], properties["type"], properties["assignableScopes"]) == (
        "AcrPull",
        "BuiltInRole",
        ["/"],
    )
    pull = "Microsoft.ContainerRegistry/registries/pull/read"
    assert properties["permissions"] == [{"actions": [pull], "notActions": [], "dataActions": [], "notDataActions": []}]
    for base in ("", "{s}", "{g}"):
        one = await world("GET", f"{base}/providers/Microsoft.Authorization/roleDefinitions/{REPOSITORY_READER.id}")
        assert one.json["properties"]["permissions"][0]["dataActions"] == list(REPOSITORY_READER.data_actions)
    custom = await world("GET", "{s}/providers/Microsoft.Authorization/roleDefinitions", _filter="type eq 'CustomRole'")
    assert custom.json == {"value": []}
    both = await world(
        "GET",
        "{s}/providers/Microsoft.Authorization/roleDefinitions",
        _filter="atScopeAndBelow() and type eq 'BuiltInRole' and roleName eq 'Owner'",
    )
    assert [row["name"] for row in both.json["value"]] == [OWNER.id]


async def test_own_roles_are_refused_honestly(world: Arm) -> None:
    own = f"{DEFINITIONS}/{uuid.uuid4()}"
    refused = await world("PUT", own, {"properties": {"roleName": "mine"}})
    assert (refused.status, refused.error["code"]) == (400, "FeatureNotSupported")
    absent = await world("GET", own)
    assert (absent.status, absent.error["code"]) == (404, "RoleDefinitionDoesNotExist")
    assert (await world("DELETE", own)).status == 204
    assert (await world("DELETE", f"{DEFINITIONS}/{OWNER.id}")).status == 400
    assert TENANT not in str((await world("GET", "/providers/Microsoft.Authorization/roleDefinitions")).json)
