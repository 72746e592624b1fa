"""Resource groups, on both databases."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from darsena.core.errors import Conflict, NameInvalid, RequestInvalid, ResourceUnknown
from darsena.resources.groups import OPERATION_KEPT_US
from darsena.resources.service import ResourceService
from darsena.testing import FakeClock


def kinds(entries: list[Any]) -> list[str]:
    return [entry.kind for entry in entries]


async def test_a_group_is_made_once_and_kept_as_named(
    service: ResourceService, subscription: str, journal: Any
) -> None:
    group, created = await service.put_group(subscription, "My.Group-(1)_ñ", location="West US", tags={"a": "b"})
    assert (group.name, group.location, group.tags, created) == ("My.Group-(1)_ñ", "westus", {"a": "b"}, True)
    assert group.resource_id == f"/subscriptions/{subscription}/resourceGroups/My.Group-(1)_ñ"
    again, created = await service.put_group(subscription, "my.group-(1)_Ñ", location="westus")
    assert (again.name, again.tags, created) == ("My.Group-(1)_ñ", {}, False)
    assert (await service.get_group(subscription, "MY.GROUP-(1)_ñ")) == again
    entries = journal()
    assert kinds(entries) == ["group.created", "group.updated"]
    assert entries[1].decode()["changes"] == {"tags": {"previous": {"a": "b"}, "current": {}}}


async def test_a_group_stays_where_it_is(service: ResourceService, subscription: str) -> None:
    await service.put_group(subscription, "rg1", location="westus")
    with pytest.raises(Conflict) as caught:
        await service.put_group(subscription, "rg1", location="eastus")
    assert caught.value.code == "InvalidResourceGroupLocation"


@pytest.mark.parametrize("name", ["", "a" * 91, "ends.", "has space", "a/b", "a#b", "a%b"])
async def test_names_are_checked(service: ResourceService, subscription: str, name: str) -> None:
    with pytest.raises(NameInvalid):
        await service.put_group(subscription, name, location="westus")


async def test_bad_bodies_write_nothing(service: ResourceService, subscription: str, journal: Any) -> None:
    with pytest.raises(RequestInvalid):
        await service.put_group(subscription, "rg1", location=None)
    with pytest.raises(RequestInvalid):
        await service.put_group(subscription, "rg1", location="westus", tags={"<": ""})
    assert journal() == []
    with pytest.raises(ResourceUnknown) as caught:
        await service.get_group(subscription, "rg1")
    assert caught.value.code == "ResourceGroupNotFound"


async def test_patch_keeps_what_it_does_not_name(service: ResourceService, subscription: str) -> None:
    await service.put_group(subscription, "rg1", location="westus", tags={"a": "1"}, managed_by="/x")
    patched = await service.patch_group(subscription, "RG1")
    assert (patched.tags, patched.managed_by) == ({"a": "1"}, "/x")
    assert (await service.patch_group(subscription, "rg1", tags={"b": "2"})).tags == {"b": "2"}
    with pytest.raises(ResourceUnknown):
        await service.patch_group(subscription, "other", tags={})


async def test_lists_page_by_name(service: ResourceService, subscription: str) -> None:
    for name in ("b", "A", "c", "D"):
        await service.put_group(subscription, name, location="westus")
    first = await service.list_groups(subscription, limit=3)
    assert ([group.name for group in first.items], first.next_key) == (["A", "b", "c"], "c")
    rest = await service.list_groups(subscription, after="c", limit=3)
    assert ([group.name for group in rest.items], rest.next_key) == (["D"], None)
    assert (await service.list_groups("other")).items == []


async def test_deleting_takes_everything_in_it(
    service: ResourceService,
    make: Any,
    subscription: str,
    journal: Any,
    owners: Any,
    dropped: list[str],
    scopes: list[str],
) -> None:
    await make.group("rg1")
    await make.group("rg2")
    one, two = await make.registry("first1"), await make.registry("second2")
    other = await make.registry("third3", group="rg2")
    journal()
    operation = await service.delete_group(subscription, "RG1")
    assert kinds(journal()) == ["registry.deleted", "registry.deleted", "group.deleted"]
    assert sorted(dropped) == sorted([one.uid, two.uid])
    assert owners() == {other.uid}
    assert sorted(scopes) == sorted([one.resource_id, two.resource_id, one.resource_id.partition("/providers")[0]])
    assert [row.name for row in (await service.list_registries(subscription)).items] == ["third3"]
    assert (await service.get_operation(subscription, operation.id.upper())).status == "Succeeded"
    with pytest.raises(ResourceUnknown):
        await service.delete_group(subscription, "rg1")
    with pytest.raises(ResourceUnknown):
        await service.get_operation("other", operation.id)


async def test_operations_are_kept_for_a_week(
    service: ResourceService, make: Any, subscription: str, clock: FakeClock
) -> None:
    await make.group("rg1")
    await make.group("rg2")
    old = await service.delete_group(subscription, "rg1")
    clock.advance(OPERATION_KEPT_US / 1_000_000 + 1)
    await service.delete_group(subscription, "rg2")
    with pytest.raises(ResourceUnknown):
        await service.get_operation(subscription, old.id)


async def test_many_at_once_make_one_group(service: ResourceService, subscription: str, journal: Any) -> None:
    results = await asyncio.gather(*(service.put_group(subscription, "rg1", location="westus") for _ in range(8)))
    assert sum(created for _, created in results) == 1
    assert kinds(journal()).count("group.created") == 1
