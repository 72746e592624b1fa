"""Who may do what: every route × owner, reader, one group's, one registry's, nobody, nobody signed in."""

from __future__ import annotations

import re
from typing import Any

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
FILL = {
    "subscription": SUBSCRIPTION,
    "group": "rg1",
    "registry": "reg10",
    "identity": "identity10",
    "location": "westus",
    "operation": "0b1f6471-1bf0-4dda-aec3-cb9272f09590",
    "namespace": "Microsoft.ContainerRegistry",
    "assignment": "0b1f6471-1bf0-4dda-aec3-cb9272f09591",
    "definition": "00000000-1bf0-4dda-aec3-cb9272f09591",
    "child": "child10",
    "kind": "apt",
    "archive": "archive10",
    "name": "env",
    "value": "dev",
}
BODIES = {
    "PUT": {"location": "westus", "sku": {"name": "Basic"}},
    "PATCH": {},
    "POST": {"name": "password", "type": "Microsoft.ContainerRegistry/registries"},
}
OPEN = {
    "/tenants",
    "/subscriptions",
    "/subscriptions/{subscription}",
    "/providers/Microsoft.ContainerRegistry/operations",
    "/providers/Microsoft.Authorization/roleDefinitions",
    "/providers/Microsoft.Authorization/roleDefinitions/{definition}",
}
FILTERED = ("/resourceGroups", "/resources", "/registries", "/userAssignedIdentities")
"""Lists of a subscription leave out what the caller may not read."""


def fill(pattern: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: FILL[match.group(1)], pattern)


def is_open(route: Any) -> bool:
    path = route.pattern
    own = "{group}" in path or "{registry}" in path
    return (
        path in OPEN
        or "{operation}" in path
        or path.endswith(("/locations", "/providers", "/providers/{namespace}", "/{namespace}/resourceTypes"))
        or (route.method == "GET" and not own and path.endswith(FILTERED))
    )


async def seed(arm: Any) -> None:
    await arm("PUT", "{g}", {"location": "westus"})
    await arm(
        "PUT", "{g}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/identity10", {"location": "westus"}
    )
    await arm(
        "PUT", "{r}/reg10", {"location": "westus", "sku": {"name": "Basic"}, "properties": {"adminUserEnabled": True}}
    )


async def test_without_a_credential_nothing_but_metadata_answers(arm: Any) -> None:
    await seed(arm)
    for route in arm.edge.routes:
        for token in (None, "stranger"):
            answer = await arm(route.method, fill(route.pattern), BODIES.get(route.method), token=token)
            if route.pattern == "/metadata/endpoints":
                assert answer.status == 200
                continue
            assert answer.status == 401, route.pattern
            assert answer.headers["www-authenticate"].startswith(
                'Bearer authorization_uri="https://localhost:8443/adfs"'
            )
            if route.method != "HEAD":
                assert answer.error["code"] == "AuthenticationFailed"


async def test_who_has_no_rights_sees_nothing(arm: Any) -> None:
    await seed(arm)
    for route in arm.edge.routes:
        answer = await arm(route.method, fill(route.pattern), BODIES.get(route.method), token="nobody")
        if route.secured and not is_open(route):
            assert answer.status == 403, (route.method, route.pattern)
            if route.method != "HEAD":
                assert answer.error["code"] == "AuthorizationFailed"
        elif route.pattern.endswith(FILTERED) and "{subscription}" in route.pattern:
            assert answer.json == {"value": []}, route.pattern


async def test_what_is_not_there_looks_the_same_to_who_may_not_see(arm: Any) -> None:
    await seed(arm)
    there = await arm("GET", "{r}/reg10", token="nobody")
    absent = await arm("GET", "{r}/reg11", token="nobody")
    other = await arm(
        "GET", "{s}/resourceGroups/no/providers/Microsoft.ContainerRegistry/registries/reg1", token="nobody"
    )
    assert there.status == absent.status == other.status == 403
    assert there.content.replace(b"reg10", b"reg11") == absent.content


async def test_a_reader_reads(arm: Any) -> None:
    await seed(arm)
    for route in arm.edge.routes:
        answer = await arm(route.method, fill(route.pattern), BODIES.get(route.method), token="reader")
        reads = route.method in ("GET", "HEAD") or route.pattern.endswith("checkNameAvailability")
        expected = {200, 204, 404} if reads else {403}
        assert answer.status in expected, (route.method, route.pattern, answer.status)


async def test_rights_on_one_group_end_at_it(arm: Any) -> None:
    await seed(arm)
    await arm("PUT", "{s}/resourceGroups/rg10", {"location": "westus"})
    assert (await arm("GET", "{g}", token="group1")).status == 200
    assert (await arm("GET", "{s}/resourceGroups/rg10", token="group1")).status == 403
    assert (await arm("PUT", "{s}/resourceGroups/rg2", {"location": "westus"}, token="group1")).status == 403
    listed = await arm("GET", "{s}/resourceGroups", token="group1")
    assert [group["name"] for group in listed.json["value"]] == ["rg1"]


async def test_rights_on_one_registry_find_it_by_name(arm: Any) -> None:
    await seed(arm)
    await arm("PUT", "{r}/other10", {"location": "westus", "sku": {"name": "Basic"}})
    for path in ("{s}/resources", "{s}/providers/Microsoft.ContainerRegistry/registries"):
        listed = await arm("GET", path, token="reg1")
        assert [row["name"] for row in listed.json["value"]] == ["reg10"]
    assert (await arm("GET", "{r}/reg10", token="reg1")).status == 200
    assert (await arm("GET", "{r}/other10", token="reg1")).status == 403
    assert (await arm("PATCH", "{r}/reg10", {}, token="reg1")).status == 403
    assert (await arm("POST", "{r}/reg10/listCredentials", token="reg1")).status == 403


async def test_an_encoded_slash_opens_no_other_scope(arm: Any) -> None:
    await seed(arm)
    await arm("PUT", "{s}/resourceGroups/rg2", {"location": "westus"})
    provider = "providers/Microsoft.ContainerRegistry/registries"
    for path in ("{s}/resourceGroups/rg1%2Frg2", "{s}/resourceGroups/rg1%2F..%2Frg2", "{r}/reg10%2F..%2Fother10",
                 "{s}/resourceGroups/rg1%2Fx/" + provider + "/reg10"):  # fmt: skip
        for method in ("GET", "PUT", "DELETE"):
            body = {"location": "westus", "sku": {"name": "Basic"}}
            assert (await arm(method, path, body, token="group1")).status == 400


async def test_subscriptions_are_checked(arm: Any) -> None:
    wrong = await arm("GET", "/subscriptions/not-a-guid/resourceGroups")
    assert (wrong.status, wrong.error["code"]) == (400, "InvalidSubscriptionId")
    other = await arm("GET", "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups")
    assert (other.status, other.error["code"]) == (404, "SubscriptionNotFound")


async def test_an_api_version_is_required_and_any_will_do(arm: Any) -> None:
    await seed(arm)
    arm.version = None
    for path in ("/subscriptions", "{s}", "{g}", "{r}/reg10", "/tenants"):
        missing = await arm("GET", path)
        assert (missing.status, missing.error["code"]) == (400, "MissingApiVersionParameter")
        assert (await arm("GET", path + "?api-version=")).status == 400
        for version in ("2019-06-01-preview", "2099-01-01", "x", "latest"):
            assert (await arm("GET", f"{path}?Api-Version={version}")).status == 200


async def test_requests_can_be_found_again(arm: Any) -> None:
    correlation, client = "0b1f6471-1bf0-4dda-aec3-cb9272f09590", "1b1f6471-1bf0-4dda-aec3-cb9272f09590"
    first, second = await arm("GET", "/subscriptions"), await arm("GET", "{g}")
    for answer in (first, second):
        assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-ms-request-id"])
        assert answer.headers["x-ms-correlation-request-id"] == answer.headers["x-ms-request-id"]
        assert "x-ms-client-request-id" not in answer.headers
    assert first.headers["x-ms-request-id"] != second.headers["x-ms-request-id"]
    sent = {
        "x-ms-correlation-request-id": correlation,
        "x-ms-client-request-id": client,
        "x-ms-return-client-request-id": "true",
    }
    answer = await arm("GET", "/subscriptions", headers=sent)
    assert answer.headers["x-ms-correlation-request-id"] == correlation
    assert answer.headers["x-ms-client-request-id"] == client
    answer = await arm("GET", "/subscriptions", headers={**sent, "x-ms-correlation-request-id": "a\tb"})
    assert answer.headers["x-ms-correlation-request-id"] == answer.headers["x-ms-request-id"]


async def test_rights_on_an_image_do_not_show_the_registry(arm: Any) -> None:
    await seed(arm)
    assert (await arm("GET", "{r}/reg10", token="puller")).status == 403
    assert (await arm("GET", "{s}/resources", token="puller")).json == {"value": []}


async def test_rights_do_not_come_back_with_a_name(arm: Any) -> None:
    await seed(arm)
    assert (await arm("GET", "{r}/reg10", token="reg1")).status == 200
    assert (await arm("DELETE", "{r}/reg10")).status == 200
    await seed(arm)
    assert (await arm("GET", "{r}/reg10", token="reg1")).status == 403
    assert (await arm("GET", "{g}", token="group1")).status == 200
    assert (await arm("DELETE", "{g}")).status == 202
    await seed(arm)
    assert (await arm("GET", "{g}", token="group1")).status == 403
