"""Registries as resources, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from darsena.core.errors import Conflict, NameInvalid, QuotaExceeded, RequestInvalid, ResourceUnknown
from darsena.db import Database, Tx
from darsena.resources import store
from darsena.resources.model import Author, RegistryPatch, RegistryPut
from darsena.resources.service import ResourceService
from darsena.resources.tiers import TIB, TIERS
from darsena.testing import FakeClock


def kinds(entries: list[Any]) -> list[str]:
    return [entry.kind for entry in entries]


@pytest.fixture(autouse=True)
async def group(make: Any) -> None:
    await make.group("rg1")


async def test_a_new_registry(
    service: ResourceService, make: Any, subscription: str, journal: Any, owners: Any, clock: FakeClock, author: Author
) -> None:
    journal()
    row = await make.registry("MyReg1", sku="Premium")
    assert (row.name, row.label, row.group, row.sku, row.version) == ("MyReg1", "myreg1", "rg1", "Premium", 1)
    assert len(row.uid) == 32
    assert owners() == {row.uid}
    assert row.system_data.created_by == row.system_data.modified_by == author
    assert row.system_data.created_at_us == clock.now_us()
    assert row.properties.retention_updated_us == row.properties.soft_delete_updated_us == clock.now_us()
    assert await service.read_registry(subscription, "RG1", "MYREG1") == row
    (entry,) = journal()
    assert entry.kind == "registry.created"
    assert entry.decode() == {
        "uid": row.uid,
        "name": "MyReg1",
        "resource_group": "rg1",
        "location": "westus",
        "sku": "Premium",
    }


async def test_names_are_unique_across_groups_without_case(make: Any) -> None:
    await make.group("rg2")
    await make.registry("Taken1")
    with pytest.raises(Conflict, match=r"DNS name taken1\.azurecr\.localhost:8443 is already in use") as caught:
        await make.registry("tAKEN1", group="rg2")
    assert caught.value.code == "AlreadyInUse"


@pytest.mark.parametrize("name", ["", "abcd", "a" * 51, "with-dash", "with.dot", "ñandú", "a b c d"])
async def test_names_are_checked(make: Any, name: str) -> None:
    with pytest.raises(NameInvalid):
        await make.registry(name)


async def test_the_group_must_be_there(service: ResourceService, make: Any, subscription: str) -> None:
    for call in (make.registry("reg10", group="none"), service.delete_registry(subscription, "none", "reg10")):
        with pytest.raises(ResourceUnknown) as caught:
            await call
        assert caught.value.code == "ResourceGroupNotFound"
    with pytest.raises(ResourceUnknown) as caught:
        await service.read_registry(subscription, "rg1", "reg10")
    assert caught.value.code == "ResourceNotFound"


async def test_put_replaces_and_patch_keeps(
    service: ResourceService, make: Any, subscription: str, journal: Any, clock: FakeClock
) -> None:
    first = await make.registry(admin_user_enabled=True, sku="Standard", anonymous_pull_enabled=True)
    clock.advance(5)
    patched = await make.patch(tasks_bypass=True)
    assert patched.properties.admin_user_enabled
    assert patched.properties.retention_updated_us == first.properties.retention_updated_us
    journal()
    put = await make.registry("REG10", sku="Standard")
    assert (put.uid, put.name, put.version) == (first.uid, "reg10", 3)
    assert not put.properties.admin_user_enabled
    assert not put.properties.tasks_bypass
    assert put.properties.retention_updated_us == clock.now_us()
    assert put.system_data.created_at_us == first.system_data.created_at_us
    assert put.system_data.modified_at_us == clock.now_us()
    changes = journal()[0].decode()["changes"]
    assert changes["admin_user_enabled"] == {"previous": True, "current": False}
    assert "metadata_search" not in changes


async def test_where_it_is_and_how_it_is_named_is_fixed(service: ResourceService, make: Any, subscription: str) -> None:
    row = await make.registry(zone_redundancy=True, domain_name_scope="TenantReuse")
    assert row.label.startswith("reg10-")
    with pytest.raises(Conflict) as caught:
        await make.registry(location="eastus")
    assert caught.value.code == "InvalidResourceLocation"
    for properties in ({"zone_redundancy": False}, {"domain_name_scope": "Unsecure"}):
        with pytest.raises(RequestInvalid):
            await make.patch(**properties)
        with pytest.raises(RequestInvalid):
            await make.registry(**properties)
    kept = await make.registry()
    assert (kept.properties.zone_redundancy, kept.properties.domain_name_scope) == (True, "TenantReuse")
    assert kept.label == row.label
    assert (await make.patch(zone_redundancy=True)).version == kept.version + 1


async def test_tags_replace(service: ResourceService, make: Any, subscription: str, author: Author) -> None:
    await make.registry()

    async def patch(tags: dict[str, str] | None) -> dict[str, str]:
        body = RegistryPatch(tags=tags)
        return (await service.patch_registry(subscription, "rg1", "reg10", body, author=author)).tags

    assert await patch({"a": "1", "b": "2"}) == {"a": "1", "b": "2"}
    assert await patch(None) == {"a": "1", "b": "2"}
    assert await patch({"c": "3"}) == {"c": "3"}
    assert await patch({}) == {}


async def test_who_changed_it_last(service: ResourceService, make: Any, subscription: str, author: Author) -> None:
    await make.registry()
    other = Author(name="client-1", kind="Application")
    row = await service.patch_registry(subscription, "rg1", "reg10", RegistryPatch(), author=other)
    assert (row.system_data.created_by, row.system_data.modified_by) == (author, other)


async def test_tiers_change_both_ways(make: Any, sizes: dict[str, int]) -> None:
    row = await make.registry(sku="Basic")
    premium = await make.patch(sku="Premium", retention=True, ip_rules=("1.2.3.4",), anonymous_pull_enabled=True)
    assert premium.properties.retention
    sizes[row.uid] = 41 * TIB
    with pytest.raises(QuotaExceeded):
        await make.patch(sku="Standard")
    sizes[row.uid] = 40 * TIB
    standard = await make.patch(sku="Standard")
    assert (standard.sku, standard.properties.retention, standard.properties.ip_rules) == ("Standard", False, ())
    assert standard.properties.anonymous_pull_enabled
    assert not (await make.patch(sku="Basic")).properties.anonymous_pull_enabled


async def test_usages_come_from_the_tier_and_the_counters(
    service: ResourceService, make: Any, subscription: str, sizes: dict[str, int]
) -> None:
    row = await make.registry(sku="Premium", ip_rules=("1.2.3.4", "5.6.7.0/24"))
    sizes[row.uid] = 12345678
    usages = {usage.name: usage for usage in await service.list_usages(subscription, "rg1", "reg10")}
    assert [*usages] == [usage.name for usage in TIERS["Premium"].usages]
    assert (usages["Size"].current, usages["Size"].limit, usages["Size"].unit) == (12345678, 536870912000, "Bytes")
    assert (usages["IPRules"].current, usages["Geo-replications"].limit) == (2, -1)


async def test_deletion_ends_key_and_name(
    service: ResourceService,
    make: Any,
    subscription: str,
    owners: Any,
    dropped: list[str],
    scopes: list[str],
    journal: Any,
) -> None:
    row = await make.registry(admin_user_enabled=True)
    journal()
    assert await service.delete_registry(subscription, "rg1", "REG10")
    assert (owners(), dropped) == (set(), [row.uid])
    assert scopes == [row.resource_id]
    (entry,) = journal()
    assert (entry.kind, entry.decode()["uid"]) == ("registry.deleted", row.uid)
    assert not await service.delete_registry(subscription, "rg1", "reg10")
    assert journal() == []
    again = await make.registry()
    assert again.uid != row.uid


async def test_credentials(service: ResourceService, make: Any, subscription: str, journal: Any) -> None:
    row = await make.registry()
    for call in (
        service.list_credentials(subscription, "rg1", "reg10"),
        service.regenerate_credential(subscription, "rg1", "reg10", "password"),
    ):
        with pytest.raises(RequestInvalid, match=row.resource_id) as caught:
            await call
        assert caught.value.code == "UnAuthorizedForCredentialOperations"
    await make.patch(admin_user_enabled=True)
    _, first = await service.list_credentials(subscription, "rg1", "reg10")
    assert {*first} == {"password", "password2"}
    journal()
    _, second = await service.regenerate_credential(subscription, "rg1", "reg10", "password2")
    assert second["password"] == first["password"]
    assert second["password2"] != first["password2"]
    (entry,) = journal()
    assert (entry.kind, entry.decode()["password"]) == ("registry.credential_regenerated", "password2")
    assert second["password2"].encode() not in entry.body
    await make.patch(admin_user_enabled=False)
    await make.patch(admin_user_enabled=True)
    assert (await service.list_credentials(subscription, "rg1", "reg10"))[1] == second


async def test_whether_a_name_is_free(service: ResourceService, make: Any, subscription: str) -> None:
    assert (await service.check_name(subscription, "reg10")).available
    await make.registry("Reg10")
    taken = await service.check_name(subscription, "rEG10")
    assert (taken.available, taken.reason) == (False, "AlreadyExists")
    assert taken.message == "The registry rEG10 is already in use."
    assert (await service.check_name(subscription, "no")).reason == "Invalid"
    assert (await service.check_name(subscription, "a" * 50, scope="TenantReuse")).reason == "Invalid"
    free = await service.check_name(subscription, "other1", scope="Unsecure")
    assert free.login_server == "other1.azurecr.localhost:8443"


async def test_other_rooms_look_registries_up_in_their_transaction(
    service: ResourceService, make: Any, subscription: str, db: Database
) -> None:
    row = await make.registry("Reg10")
    assert db.read_sync(service.get_registry, subscription, "RG1", "reg10") == row
    assert db.read_sync(service.find_registry_by_name, "REG10") == row
    assert db.read_sync(service.find_registry_by_uid, row.uid) == row
    assert db.read_sync(service.find_registry_by_name, "other") is None
    facts = service.facts(row)
    assert (facts.uid, facts.name, facts.login_server) == (row.uid, "Reg10", "reg10.azurecr.localhost:8443")
    assert facts.resource_id == (
        f"/subscriptions/{subscription}/resourceGroups/rg1/providers/Microsoft.ContainerRegistry/registries/Reg10"
    )


async def test_a_failing_hook_undoes_everything(service: ResourceService, make: Any, subscription: str) -> None:
    def fail(tx: Tx, uid: str) -> None:
        raise RequestInvalid("no")

    await make.registry()
    service.registries = replace(service.registries, on_deleted=(*service.registries.on_deleted, fail))
    with pytest.raises(RequestInvalid):
        await service.delete_group(subscription, "rg1")
    assert (await service.read_registry(subscription, "rg1", "reg10")).name == "reg10"


async def test_many_at_once_make_one_registry(
    service: ResourceService, make: Any, subscription: str, author: Author, journal: Any
) -> None:
    groups = [f"rg{number}" for number in range(1, 9)]
    for name in groups:
        await make.group(name)
    body = RegistryPut(location="westus", sku="Basic")
    results = await asyncio.gather(
        *(service.put_registry(subscription, name, "reg10", body, author=author) for name in groups),
        return_exceptions=True,
    )
    lost = [result for result in results if isinstance(result, BaseException)]
    assert len(lost) == 7
    assert all(isinstance(error, Conflict) and error.code == "AlreadyInUse" for error in lost)
    assert kinds(journal()).count("registry.created") == 1


async def test_a_group_that_is_deleted_meanwhile_leaves_no_registry(
    service: ResourceService, make: Any, subscription: str, db: Database
) -> None:
    outcomes = await asyncio.gather(
        *(make.registry(f"reg{number}0") for number in range(10, 16)),
        service.delete_group(subscription, "rg1"),
        return_exceptions=True,
    )
    unexpected = [
        error for error in outcomes if isinstance(error, BaseException) and not isinstance(error, ResourceUnknown)
    ]
    assert unexpected == []
    assert db.read_sync(store.list_registries, subscription) == []


async def test_changes_at_once_are_all_kept(service: ResourceService, make: Any, subscription: str) -> None:
    await make.registry(sku="Premium")
    await asyncio.gather(
        make.patch(admin_user_enabled=True),
        make.patch(tasks_bypass=True),
        make.patch(quarantine=True),
        make.patch(metadata_search=True),
    )
    row = await service.read_registry(subscription, "rg1", "reg10")
    assert row.version == 5
    kept = row.properties
    flags = (kept.admin_user_enabled, kept.tasks_bypass, kept.quarantine, kept.metadata_search)
    assert flags == (True, True, True, True)
