"""Managed identities: user-assigned ones as resources, and those that a registry has (control plane, section 5)."""

from __future__ import annotations

from typing import Any

import pytest

from darsena.identity.roles import CONTRIBUTOR, OWNER, READER
from principals import Principals

from .conftest import ROLES, SUBSCRIPTION, TENANT, Arm

IDENTITIES = "{g}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
S = f"/subscriptions/{SUBSCRIPTION}"
ID = f"{S}/resourceGroups/rg1/providers/Microsoft.ManagedIdentity/userAssignedIdentities"


async def put(arm: Arm, name: str = "puller1", **body: Any) -> Any:
    answer = await arm("PUT", f"{IDENTITIES}/{name}", {"location": "westus", **body})
    assert answer.status in (200, 201), answer.content
    return answer.json


async def put_registry(arm: Arm, identity: Any = None, method: str = "PUT", **more: Any) -> Any:
    body = {"location": "westus", "sku": {"name": "Basic"}, **more}
    return await arm(method, "{r}/reg10", body if identity is None else {**body, "identity": identity})


def find(arm: Arm, object_id: str) -> Any:
    identity = arm.people.identity
    return identity.db.read_sync(lambda tx: identity.directory._read_entry(tx, object_id, ("managed_identity",)))


async def test_an_identity_is_made_changed_and_deleted(group: Arm) -> None:
    answer = await group("PUT", f"{IDENTITIES}/Puller-1", {"location": "West US", "tags": {"a": "b"}})
    assert answer.status == 201
    made = answer.json
    assert (made["id"], made["name"], made["location"]) == (f"{ID}/Puller-1", "Puller-1", "westus")
    assert made["type"] == "Microsoft.ManagedIdentity/userAssignedIdentities"
    assert made["properties"].keys() == {"tenantId", "principalId", "clientId"}
    assert made["properties"]["tenantId"] == TENANT
    again = await group("PUT", f"{IDENTITIES}/puller-1", {"location": "westus"})
    assert (again.status, again.json["properties"], again.json["tags"]) == (200, made["properties"], {})
    patched = await group("PATCH", f"{IDENTITIES}/PULLER-1", {"tags": {"c": "d"}})
    assert patched.json["tags"] == {"c": "d"}
    assert (await group("GET", f"{IDENTITIES}/puller-1")).json["id"] == f"{ID}/Puller-1"
    assert (await group("DELETE", f"{IDENTITIES}/puller-1")).status == 200
    assert (await group("DELETE", f"{IDENTITIES}/puller-1")).status == 204
    missing = await group("GET", f"{IDENTITIES}/puller-1")
    assert (missing.status, missing.error["code"]) == (404, "ResourceNotFound")


@pytest.mark.parametrize(
    ("name", "body", "status", "code"),
    [
        ("ab", {"location": "westus"}, 400, "InvalidParameter"),
        ("a.b.c", {"location": "westus"}, 400, "InvalidParameter"),
        ("-abc", {"location": "westus"}, 400, "InvalidParameter"),
        ("a" * 129, {"location": "westus"}, 400, "InvalidParameter"),
        ("abc", {}, 400, "LocationRequired"),
        ("abc", {"location": 1}, 400, "InvalidRequestContent"),
        ("abc", {"location": "westus", "tags": {"a": 1}}, 400, "InvalidRequestContent"),
    ],
)
async def test_what_is_no_identity_is_refused(group: Arm, name: str, body: Any, status: int, code: str) -> None:
    answer = await group("PUT", f"{IDENTITIES}/{name}", body)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert (await group("GET", IDENTITIES)).json == {"value": []}


async def test_an_identity_stays_where_it_is(group: Arm) -> None:
    await put(group)
    answer = await group("PUT", f"{IDENTITIES}/puller1", {"location": "eastus"})
    assert (answer.status, answer.error["code"]) == (409, "InvalidResourceLocation")


async def test_identities_are_listed_in_pages(group: Arm) -> None:
    await group("PUT", "{s}/resourceGroups/rg2", {"location": "westus"})
    for name in ("bbb", "aaa", "ccc"):
        await put(group, name)
    other = "{s}/resourceGroups/rg2/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
    await group("PUT", f"{other}/aaa", {"location": "westus"})
    await put_registry(group)
    everywhere = "{s}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
    assert [row["name"] for row in (await group("GET", IDENTITIES)).json["value"]] == ["aaa", "bbb", "ccc"]
    for path, count in ((everywhere, 4), (IDENTITIES, 3), ("{s}/resources", 5), ("{g}/resources", 4)):
        names: list[str] = []
        target: str | None = f"{path}?$top=1"
        while target:
            answer = (await group("GET", target)).json
            names += [row["id"] for row in answer["value"]]
            link = answer.get("nextLink")
            target = link and link.removeprefix("https://localhost:8443").replace("%24", "$").replace("%3D", "=")
        assert len(names) == len(set(names)) == count, path
    filtered = await group(
        "GET", "{s}/resources", _filter="resourceType eq 'Microsoft.ManagedIdentity/userAssignedIdentities'"
    )
    assert len(filtered.json["value"]) == 4
    for token in ("fg", "fmE", "fmEvYg"):
        assert (await group("GET", "{s}/resources", _skipToken=token)).status in (200, 400)


async def test_with_the_group_go_its_identities(group: Arm) -> None:
    made = await put(group)
    assert find(group, made["properties"]["principalId"]).principal.name == "puller1"
    await group("DELETE", "{g}")
    identity = group.people.identity
    assert await identity.directory.list(("managed_identity",)) == []


async def test_a_role_of_an_identity_goes_with_it(group: Arm) -> None:
    made = await put(group)
    principals = Principals(group.people.identity)
    await principals.assign_role(made["properties"]["principalId"], READER.id, S)
    assert len(principals.list_roles(object_id=made["properties"]["principalId"])) == 1
    await group("DELETE", f"{IDENTITIES}/puller1")
    assert principals.list_roles(object_id=made["properties"]["principalId"]) == []


# --- registries -----------------------------------------------------------------------------------------------------


async def test_a_registry_has_an_identity_of_its_own(group: Arm) -> None:
    made = (await put_registry(group, {"type": "SystemAssigned"})).json["identity"]
    assert made.keys() == {"type", "principalId", "tenantId"}
    assert (made["type"], made["tenantId"]) == ("SystemAssigned", TENANT)
    assert find(group, made["principalId"]).principal.kind == "managed_identity"
    for body in (None, {"type": "systemAssigned"}):
        assert (await put_registry(group, body)).json["identity"] == made
    assert (await group("PATCH", "{r}/reg10", {"tags": {}})).json["identity"] == made
    assert (await group("GET", "{s}/resources")).json["value"][0]["identity"] == made
    gone = await group("PATCH", "{r}/reg10", {"identity": {"type": "None"}})
    assert "identity" not in gone.json
    assert await group.people.identity.directory.list(("managed_identity",)) == []
    again = (await group("PATCH", "{r}/reg10", {"identity": {"type": "SystemAssigned"}})).json["identity"]
    assert again["principalId"] != made["principalId"]
    await group("DELETE", "{r}/reg10")
    assert await group.people.identity.directory.list(("managed_identity",)) == []


async def test_a_registry_is_given_user_assigned_identities(group: Arm) -> None:
    one, two = await put(group, "one"), await put(group, "two")
    shown = (await put_registry(group, {"type": "UserAssigned", "userAssignedIdentities": {one["id"]: {}}})).json
    assert shown["identity"] == {
        "type": "UserAssigned",
        "userAssignedIdentities": {
            one["id"]: {name: one["properties"][name] for name in ("principalId", "clientId")},
        },
    }
    both = await group(
        "PATCH",
        "{r}/reg10",
        {"identity": {"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {two["id"].upper(): {}}}},
    )
    assert both.json["identity"]["userAssignedIdentities"].keys() == {one["id"], two["id"]}
    assert both.json["identity"]["type"] == "SystemAssigned, UserAssigned"
    less = await group(
        "PATCH", "{r}/reg10", {"identity": {"type": "UserAssigned", "userAssignedIdentities": {one["id"]: None}}}
    )
    assert less.json["identity"]["userAssignedIdentities"].keys() == {two["id"]}
    assert less.json["identity"]["type"] == "UserAssigned"
    only = await put_registry(group, {"type": "UserAssigned", "userAssignedIdentities": {one["id"]: {}}})
    assert only.json["identity"]["userAssignedIdentities"].keys() == {one["id"]}
    await group("DELETE", f"{IDENTITIES}/one")
    assert (await group("GET", "{r}/reg10")).json["identity"]["userAssignedIdentities"].keys() == {one["id"]}
    none = await group("PATCH", "{r}/reg10", {"identity": {"type": "None", "userAssignedIdentities": None}})
    assert "identity" not in none.json


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"type": "Both"}, "InvalidRequestContent"),
        ({"type": "UserAssigned"}, "InvalidIdentityValues"),
        ({"type": "UserAssigned", "userAssignedIdentities": {}}, "InvalidIdentityValues"),
        ({"type": "UserAssigned", "userAssignedIdentities": {f"{ID}/no": {}}}, "FailedIdentityOperation"),
        ({"type": "UserAssigned", "userAssignedIdentities": {f"{S}/{ID}/no": {}}}, "FailedIdentityOperation"),
        ({"type": "UserAssigned", "userAssignedIdentities": {"": {}}}, "FailedIdentityOperation"),
        ({"type": "UserAssigned", "userAssignedIdentities": [1]}, "InvalidRequestContent"),
        ({"type": 1}, "InvalidRequestContent"),
    ],
)
async def test_a_wrong_identity_changes_nothing(group: Arm, sent: Any, code: str) -> None:
    answer = await put_registry(group, sent)
    assert (answer.status, answer.error["code"]) == (400, code)
    assert (await group("GET", "{r}/reg10")).status == 404
    assert await group.people.identity.directory.list(("managed_identity",)) == []


async def test_who_lends_an_identity_must_be_allowed_to(group: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await put(group, "one")
    await put_registry(group)
    registry = f"{S}/resourceGroups/rg1/providers/Microsoft.ContainerRegistry/registries/reg10"
    monkeypatch.setitem(ROLES, "visitor", [(OWNER, registry)])
    body = {"identity": {"type": "UserAssigned", "userAssignedIdentities": {one["id"]: {}}}}
    answer = await group("PATCH", "{r}/reg10", body, token="visitor")
    assert (answer.status, answer.error["code"]) == (403, "AuthorizationFailed")
    system = {"identity": {"type": "SystemAssigned"}}
    assert (await group("PATCH", "{r}/reg10", system, token="visitor")).status == 200
    monkeypatch.setitem(ROLES, "second", [(CONTRIBUTOR, S)])
    assert (await group("PATCH", "{r}/reg10", body, token="second")).status == 200
