"""Bodies and names that no honest client sends: refused in shape, nothing half written, never a 500."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from .conftest import Arm

NUL = "a\0b"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "{s}/resourceGroups/rg9", {"location": "westus", "managedBy": NUL}),
        ("PUT", "{s}/resourceGroups/rg9", {"location": NUL}),
        ("PUT", "{s}/resourceGroups/rg9", {"location": "westus", "tags": {NUL: "b"}}),
        ("PUT", "{r}/reg90", {"location": "westus", "sku": {"name": NUL}}),
        ("POST", "{s}/providers/Microsoft.ContainerRegistry/checkNameAvailability",
         {"name": NUL, "type": "Microsoft.ContainerRegistry/registries"}),
        ("PUT", "{g}/providers/Microsoft.Authorization/roleAssignments/6a0e1c8e-7c1f-4b5e-9d0c-0d6c1a2b3c4d",
         {"properties": {"roleDefinitionId": NUL, "principalId": "6a0e1c8e-7c1f-4b5e-9d0c-0d6c1a2b3c4e"}}),
    ],
)  # fmt: skip
async def test_nul_in_a_body(group: Arm, method: str, path: str, body: Any) -> None:
    answer = await group(method, path, body)
    assert (answer.status, answer.error["code"]) == (400, "InvalidRequestContent")
    assert (await group("GET", "{s}/resourceGroups/rg9")).status == 404


async def test_nul_in_a_description(group: Arm) -> None:
    await group.people.token("nobody")
    path = f"{{g}}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    properties = {
        "roleDefinitionId": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "principalId": group.people.principals["nobody"].object_id,
        "description": NUL,
    }
    answer = await group("PUT", path, {"properties": properties})
    assert (answer.status, answer.error["code"]) == (400, "InvalidRequestContent")
    assert (await group("GET", path)).status == 404


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b"null", b"1", b'"x"', b"{}{}", b"\xff\xfe{}", b'{"location": "\\ud800"}', b"{" * 100_000,
        b'{"location": 1e999}', b'{"location": ' + b"9" * 5000 + b"}", b'{"location": {"a": ["b"]}}', b'\xef\xbb\xbf{}',
        b'{"properties": []}', b'{"properties": {"policies": "x"}}',
        b'{"sku": {"name": ["Basic"]}, "location": "westus"}',
        b'{"tags": {"a": 1}, "location": "westus"}', b'{"tags": [1], "location": "westus"}',
        b'{"location": "westus", "sku": {"name": "Basic"}, "properties": {"networkRuleSet": {"ipRules": [null]}}}',
        b'{"location": "westus", "sku": {"name": "Basic"}, "properties": {"adminUserEnabled": "yes"}}',
    ],
)  # fmt: skip
async def test_bodies_that_are_none(group: Arm, raw: bytes) -> None:
    for path in ("{r}/reg90", "{r}/reg90/webhooks/hook1"):
        answer = await group("PUT", path, raw=raw)
        assert 400 <= answer.status < 500, (path, answer.status, answer.content)
        assert answer.error["message"]
    assert (await group("GET", "{r}")).json["value"] == []


@pytest.mark.parametrize(
    "name",
    ["..", "%2e%2e", "a%2fb", "%00", "%ff", "a" * 300, "ñandú", "a b", "'; drop table x; --", "%252e", "a\u202eb", "-"],
)
async def test_names_in_paths(group: Arm, name: str) -> None:
    for path in (f"{{r}}/{name}", f"{{s}}/resourceGroups/{name}/resources", f"{{r}}/reg90/webhooks/{name}"):
        for method in ("GET", "PUT", "DELETE"):
            answer = await group(method, path, {"location": "westus", "sku": {"name": "Basic"}})
            assert answer.status < 500, (method, path, answer.content)
    assert (await group("GET", "{r}")).json["value"] == []


@pytest.mark.parametrize("value", ["-1", "0", "x", "9" * 30, "1e3", "", " ", "١"])
async def test_options_of_lists(group: Arm, value: str) -> None:
    for path in (
        "{s}/resources",
        "{s}/resourceGroups",
        "{r}",
        "{s}/providers/Microsoft.Insights/eventtypes/management/values",
    ):
        assert (await group("GET", path, _top=value)).status in (200, 400)
        assert (await group("GET", path, _skipToken=value)).status in (200, 400)
        assert (await group("GET", path, _filter=value)).status in (200, 400)
