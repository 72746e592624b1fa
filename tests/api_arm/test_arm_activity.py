"""What was changed, by whom, when and from where; and what was not changed leaves no trace."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from darsena.testing import FakeClock

from .conftest import SUBSCRIPTION, Arm

S = f"/subscriptions/{SUBSCRIPTION}"
VALUES = "{s}/providers/microsoft.insights/eventtypes/management/values"
REGISTRY = {"location": "westus", "sku": {"name": "Basic"}, "properties": {"adminUserEnabled": True}}


async def listed(arm: Arm, filter_: str = "", **more: Any) -> list[dict[str, Any]]:
    if filter_:
        more["_filter"] = filter_
    answer = await arm("GET", VALUES, **more)
    assert answer.status == 200, answer.content
    return answer.json["value"]


@pytest.fixture
async def used(arm: Arm, clock: FakeClock) -> Arm:
    """A second between any two changes."""
    for method, path, body in (
        ("PUT", "{g}", {"location": "westus"}),
        ("PUT", "{r}/reg10", REGISTRY),
        ("PATCH", "{r}/reg10", {"tags": {"a": "b"}}),
        ("POST", "{r}/reg10/regenerateCredential", {"name": "password"}),
        ("PUT", "{s}/resourceGroups/rg2", {"location": "westus"}),
        ("DELETE", "{s}/resourceGroups/rg2", None),
    ):
        assert (await arm(method, path, body)).status < 300
        clock.advance(1)
    return arm


async def test_every_change_is_told_newest_first(used: Arm) -> None:
    rows = await listed(used, "resourceProvider eq 'Microsoft.ContainerRegistry'")
    registry = f"{S}/resourceGroups/rg1/providers/Microsoft.ContainerRegistry/registries/reg10"
    assert [(row["operationName"]["value"], row["resourceId"]) for row in rows] == [
        ("Microsoft.ContainerRegistry/registries/credential_regenerated/action", registry),
        ("Microsoft.ContainerRegistry/registries/write", registry),
        ("Microsoft.ContainerRegistry/registries/write", registry),
    ]
    newest = rows[0]
    owner = used.people.principals["owner"]
    assert newest["caller"] == owner.client_id
    assert newest["claims"] == {"name": "owner", "kind": "service_principal"}
    assert newest["httpRequest"]["clientIpAddress"] == "192.0.2.7"
    assert newest["resourceGroupName"] == "rg1"
    assert newest["properties"]["event"] == "registry.credential_regenerated"
    assert newest["properties"]["password"] == "password"
    assert (newest["status"]["value"], newest["subscriptionId"]) == ("Succeeded", SUBSCRIPTION)
    times = [row["eventTimestamp"] for row in rows]
    assert times == sorted(times, reverse=True)


async def test_the_request_is_named(used: Arm) -> None:
    answer = await used("PATCH", "{r}/reg10", {"tags": {}})
    request_id = answer.headers["x-ms-request-id"]
    (row,) = await listed(used, f"correlationId eq '{request_id}'")
    assert row["correlationId"] == request_id
    assert all(isinstance(value, str) for value in row["properties"].values())  # the stock az reads nothing else
    assert json.loads(row["properties"]["changes"]) == {"tags": {"previous": {"a": "b"}, "current": {}}}


async def test_no_secret_is_told(used: Arm) -> None:
    secrets = (await used("POST", "{r}/reg10/listCredentials")).json["passwords"]
    text = (await used("GET", VALUES)).content.decode()
    assert all(secret["value"] not in text for secret in secrets)


async def test_filters(used: Arm) -> None:
    everything = await listed(used)
    at = everything[2]["eventTimestamp"]
    assert len(await listed(used, f"eventTimestamp ge '{at}'")) == 3
    assert len(await listed(used, f"eventTimestamp gt '{at}'")) == 2
    assert len(await listed(used, f"eventTimestamp le {at}")) == len(everything) - 2
    assert len(await listed(used, f"eventTimestamp lt '{at}'")) == len(everything) - 3
    groups = await listed(used, f"eventTimestamp ge '{at[:19]}Z' and resourceGroupName eq 'RG2'")
    assert [row["operationName"]["value"].rpartition("/")[2] for row in groups] == ["delete", "write"]
    assert await listed(used, "caller eq 'somebody@example.com'") == []
    assert await listed(used, "eventChannels eq 'Admin, Operation' and status eq 'Failed'") == []
    for wrong in ("level gt 3", "eventTimestamp ge 'soon'", "eventTimestamp ne '2026-01-01'", "caller eq", "x"):
        answer = await used("GET", VALUES, _filter=wrong)
        assert (answer.status, answer.error["code"]) == (400, "InvalidFilterInQueryString"), wrong


async def test_pages(used: Arm) -> None:
    everything = await listed(used)
    found: list[Any] = []
    answer = await used("GET", VALUES, _top="2")
    while True:
        found += answer.json["value"]
        link = answer.json.get("nextLink")
        if link is None:
            break
        parts = urlsplit(link)
        answer = await used("GET", f"{parts.path}?{parts.query}")
    assert found == everything
    wrong = await used("GET", f"{VALUES}?$skipToken=YWJj")
    assert wrong.status == 400


async def test_what_was_refused_is_not_told(used: Arm) -> None:
    before = await listed(used)
    assert (await used("PUT", "{r}/reg10", {"location": "westus", "sku": {"name": "Huge"}})).status == 400
    assert (await used("DELETE", "{r}/nothing10")).status == 204
    assert await listed(used) == before


async def test_roles_are_told(used: Arm) -> None:
    """Those that the server itself gave too."""
    (*_, row) = await listed(used, "resourceProvider eq 'Microsoft.Authorization'")
    assert row["operationName"]["value"] == "Microsoft.Authorization/roleAssignments/write"
    assert row["resourceId"].startswith(f"{S}/providers/Microsoft.Authorization/roleAssignments/")
    assert row["caller"] == "system"
    assert "httpRequest" not in row
