"""Resource groups, their deletion and its polling, on the wire."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"


async def test_life_of_a_group(arm: Any) -> None:
    assert (await arm("HEAD", "{g}")).status == 404
    assert (await arm("GET", "{g}")).error == {
        "code": "ResourceGroupNotFound",
        "message": "Resource group 'rg1' could not be found.",
    }
    created = await arm("PUT", "{s}/resourcegroups/rg1", {"location": "West US"})
    assert (created.status, created.json) == (
        201,
        {
            "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg1",
            "name": "rg1",
            "type": "Microsoft.Resources/resourceGroups",
            "location": "westus",
            "properties": {"provisioningState": "Succeeded"},
        },
    )
    again = await arm("PUT", "{s}/RESOURCEGROUPS/RG1", {"location": "westus", "tags": {"a": "b"}})
    assert (again.status, again.json["name"], again.json["tags"]) == (200, "rg1", {"a": "b"})
    head = await arm("HEAD", "{s}/resourceGroups/RG1")
    assert (head.status, head.content) == (204, b"")
    assert (await arm("PATCH", "{g}", {"tags": {"c": "d"}})).json["tags"] == {"c": "d"}
    assert "tags" not in (await arm("PATCH", "{g}", {"tags": {}})).json
    assert [group["name"] for group in (await arm("GET", "{s}/resourcegroups")).json["value"]] == ["rg1"]


async def test_deletion_is_polled_until_it_is_done(group: Any) -> None:
    await group("PUT", "{r}/reg10", {"location": "westus", "sku": {"name": "Basic"}})
    deleted = await group("DELETE", "{s}/resourcegroups/rg1")
    assert (deleted.status, deleted.content, deleted.headers["retry-after"]) == (202, b"", "1")
    location = urlsplit(deleted.headers["location"])
    assert (location.scheme, location.netloc) == ("https", "localhost:8443")
    assert "api-version=2025-11-01" in location.query
    for _ in range(2):
        assert (await group("GET", f"{location.path}?{location.query}")).status == 200
    assert (await group("GET", "{r}/reg10")).error["code"] == "ResourceGroupNotFound"
    assert (await group("GET", "{s}/resources")).json["value"] == []
    assert (await group("DELETE", "{g}")).status == 404
    assert (await group("GET", "{s}/operationresults/0b1f6471-1bf0-4dda-aec3-cb9272f09590")).status == 404


async def test_links_carry_the_host_that_the_client_used(group: Any) -> None:
    group.host = "registry.example.com"
    deleted = await group("DELETE", "{g}")
    assert deleted.headers["location"].startswith("https://registry.example.com/subscriptions/")


async def test_operations_are_found_under_the_provider_too(group: Any) -> None:
    deleted = await group("DELETE", "{g}")
    operation = urlsplit(deleted.headers["location"]).path.rpartition("/")[2]
    provider = "{s}/providers/Microsoft.ContainerRegistry/locations/WESTUS/operationResults/"
    assert (await group("GET", provider + operation)).status == 200
    status = await group("GET", "{r}/reg10/operationStatuses/" + operation)
    assert (status.status, status.json["status"]) == (200, "Succeeded")


BAD: list[tuple[str, object, int, str | None]] = [
    ("rg1", {}, 400, "LocationRequired"),
    ("rg1", {"location": None}, 400, "LocationRequired"),
    ("rg1", {"location": "??"}, 400, "LocationNotAvailableForResourceType"),
    ("rg1", {"location": 5}, 400, None),
    ("rg1", {"location": "westus", "tags": {"a": 5}}, 400, None),
    ("rg1", {"location": "westus", "tags": ["a"]}, 400, None),
    ("rg1", {"location": "westus", "tags": {"a?": "b"}}, 400, "InvalidTagNameCharacters"),
    ("rg1", ["location"], 400, None),
    ("ends.", {"location": "westus"}, 400, None),
    ("with space", {"location": "westus"}, 400, None),
    ("n" * 91, {"location": "westus"}, 400, None),
]


async def test_bad_groups(arm: Any) -> None:
    for name, body, status, code in BAD:
        answer = await arm("PUT", "{s}/resourceGroups/" + name, body)
        assert answer.status == status, (name, body)
        assert answer.error["message"]
        assert code is None or answer.error["code"] == code, (name, body)
    assert (await arm("GET", "{s}/resourceGroups")).json["value"] == []


async def test_a_group_does_not_move(group: Any) -> None:
    answer = await group("PUT", "{g}", {"location": "eastus"})
    assert (answer.status, answer.error["code"]) == (409, "InvalidResourceGroupLocation")


async def test_groups_are_filtered_by_tag(arm: Any) -> None:
    for name, tags in (("a1", {"env": "dev"}), ("b2", {"env": "prod", "x": "dev"}), ("c3", {})):
        await arm("PUT", "{s}/resourceGroups/" + name, {"location": "westus", "tags": tags})

    async def names(text: str) -> list[str]:
        answer = await arm("GET", "{s}/resourceGroups", _filter=text)
        return [group["name"] for group in answer.json["value"]]

    assert await names("tagName eq 'env' and tagValue eq 'dev'") == ["a1"]
    assert await names("tagName eq 'ENV'") == ["a1", "b2"]
    assert await names("tagValue eq 'dev'") == ["a1", "b2"]


async def test_pages_are_linked(arm: Any) -> None:
    for number in range(5):
        await arm("PUT", "{s}/resourceGroups/g" + str(number), {"location": "westus"})
    names: list[str] = []
    answer = await arm("GET", "{s}/resourceGroups", _top="2")
    while True:
        names += [group["name"] for group in answer.json["value"]]
        link = answer.json.get("nextLink")
        if link is None:
            break
        parts = urlsplit(link)
        assert (parts.scheme, parts.netloc) == ("https", "localhost:8443")
        answer = await arm("GET", f"{parts.path}?{parts.query}")
    assert names == ["g0", "g1", "g2", "g3", "g4"]
    for wrong in ("0", "-1", "x", "1.5", "9" * 20):
        assert (await arm("GET", "{s}/resourceGroups", _top=wrong)).status == 400
    for wrong in ("!", "AA", "/w"):
        assert (await arm("GET", "{s}/resourceGroups", _skipToken=wrong)).status == 400
