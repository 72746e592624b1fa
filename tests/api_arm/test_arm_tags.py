"""Tags as a resource of their own, on groups, registries and identities; and what is only listed empty."""

from __future__ import annotations

import pytest

from .conftest import SUBSCRIPTION, Arm

S = f"/subscriptions/{SUBSCRIPTION}"
IDENTITY = "{g}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/worker10"
DEFAULT = "providers/Microsoft.Resources/tags/default"
OWNERS = ("{g}", "{r}/reg10", IDENTITY)


@pytest.fixture
async def made(arm: Arm) -> Arm:
    registry = {"location": "westus", "sku": {"name": "Basic"}}
    for path, body in zip(OWNERS, ({"location": "westus"}, registry, {"location": "westus"}), strict=True):
        assert (await arm("PUT", path, {**body, "tags": {"Env": "dev", "a": "1"}})).status < 300
    return arm


@pytest.mark.parametrize("owner", OWNERS)
async def test_tags_are_merged_replaced_and_removed(made: Arm, owner: str) -> None:
    path = f"{owner}/{DEFAULT}"
    got = await made("GET", path)
    assert got.json["type"] == "Microsoft.Resources/tags"
    assert got.json["id"].startswith(f"{S}/resourceGroups/rg1")
    assert got.json["properties"] == {"tags": {"Env": "dev", "a": "1"}}

    async def patched(operation: str, tags: dict[str, str]) -> dict[str, str]:
        answer = await made("PATCH", path, {"operation": operation, "properties": {"tags": tags}})
        assert answer.status == 200, answer.content
        assert (await made("GET", owner)).json["tags"] == answer.json["properties"]["tags"]
        return answer.json["properties"]["tags"]

    assert await patched("Merge", {"env": "test", "b": "2"}) == {"a": "1", "env": "test", "b": "2"}
    assert await patched("delete", {"B": "2", "a": "another value"}) == {"a": "1", "env": "test"}
    assert await patched("Replace", {"c": "3"}) == {"c": "3"}
    put = await made("PUT", path, {"properties": {"tags": {"d": "4"}}})
    assert (put.status, put.json["properties"]["tags"]) == (200, {"d": "4"})
    assert (await made("DELETE", path)).status == 200
    assert (await made("GET", path)).json["properties"] == {"tags": {}}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"operation": "Merge"},
        {"operation": "Merge", "properties": {}},
        {"properties": {"tags": {}}},
        {"operation": "Toss", "properties": {"tags": {}}},
        {"operation": "Merge", "properties": {"tags": {"n" * 600: "v"}}},
        {"operation": "Merge", "properties": {"tags": {"n": 3}}},
    ],
)
async def test_what_is_wrong_changes_nothing(made: Arm, body: dict[str, object]) -> None:
    answer = await made("PATCH", f"{{g}}/{DEFAULT}", body)
    assert answer.status == 400, answer.content
    assert (await made("GET", "{g}")).json["tags"] == {"Env": "dev", "a": "1"}


async def test_of_what_is_not_there(made: Arm) -> None:
    for path in ("{s}/resourceGroups/none", "{r}/reg99", f"{IDENTITY}x"):
        for method, body in (("GET", None), ("PUT", {"properties": {"tags": {}}}), ("DELETE", None)):
            assert (await made(method, f"{path}/{DEFAULT}", body)).status == 404, (method, path)


async def test_the_names_in_use_are_counted(made: Arm) -> None:
    await made("PATCH", "{r}/reg10", {"tags": {"Env": "prod"}})
    (env, a) = (await made("GET", "{s}/tagNames")).json["value"]
    assert (env["tagName"], env["count"]) == ("Env", {"type": "Total", "value": 3})
    assert [(row["tagValue"], row["count"]["value"]) for row in env["values"]] == [("dev", 2), ("prod", 1)]
    assert (a["tagName"], a["count"]["value"]) == ("a", 2)


@pytest.mark.parametrize("owner", ["{s}", "{g}", "{r}/reg10"])
async def test_locks_are_listed_empty_and_refused(made: Arm, owner: str) -> None:
    path = f"{owner}/providers/Microsoft.Authorization/locks"
    assert (await made("GET", path)).json == {"value": []}
    refused = await made("PUT", f"{path}/keep", {"properties": {"level": "CanNotDelete"}})
    assert (refused.status, refused.error["code"]) == (400, "FeatureNotSupported")
    assert (await made("GET", f"{path}/keep")).status == 404
    assert (await made("DELETE", f"{path}/keep")).status == 204


async def test_deployments_are_refused(made: Arm) -> None:
    path = "{g}/providers/Microsoft.Resources/deployments"
    assert (await made("GET", f"{path}/")).json == {"value": []}
    assert (await made("PUT", f"{path}/one", {"properties": {}})).error["code"] == "FeatureNotSupported"
    assert (await made("GET", "{s}/resourceGroups/none/providers/Microsoft.Resources/deployments")).status == 404


async def test_the_subscription_has_no_tags(made: Arm) -> None:
    path = f"{{s}}/{DEFAULT}"
    got = await made("GET", path)
    assert (got.json["id"], got.json["properties"]) == (f"{S}/{DEFAULT}", {"tags": {}})
    body = {"operation": "Merge", "properties": {"tags": {"a": "1"}}}
    for method in ("PUT", "PATCH"):
        refused = await made(method, path, body)
        assert (refused.status, refused.error["code"]) == (400, "FeatureNotSupported")
    assert (await made("DELETE", path)).status == 200


@pytest.mark.parametrize("path", ["Env", "Env/tagValues/dev", "new"])
async def test_names_of_tags_come_and_go_with_resources(made: Arm, path: str) -> None:
    before = (await made("GET", "{s}/tagNames")).json
    for method in ("PUT", "DELETE"):
        refused = await made(method, f"{{s}}/tagNames/{path}")
        assert (refused.status, refused.error["code"]) == (400, "FeatureNotSupported")
        assert (await made(method, f"{{s}}/tagNames/{path}", token="reader")).status == 403
    assert (await made("GET", "{s}/tagNames")).json == before
