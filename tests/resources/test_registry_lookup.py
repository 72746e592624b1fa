"""From a host name to a registry: fresh at once for this process, at most a second old otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from darsena.core.errors import NetworkDenied, ResourceUnknown
from darsena.db import Database
from darsena.resources.lookup import TTL_US, RegistryLookup
from darsena.resources.service import ResourceService
from darsena.testing import FakeClock

HOST = "reg10.azurecr.localhost:8443"


@pytest.fixture(autouse=True)
async def group(make: Any) -> None:
    await make.group("rg1")


@pytest.fixture
def elsewhere(db: Database, service: ResourceService) -> RegistryLookup:
    """Another process's view: nobody tells it of changes."""
    return RegistryLookup(db, service.login_servers)


async def test_changes_here_are_seen_at_once(service: ResourceService, make: Any, subscription: str) -> None:
    assert service.lookup.find_by_host(HOST) is None
    row = await make.registry("Reg10", sku="Standard")
    facts = service.lookup.find_by_host("REG10.azurecr.LOCALHOST:8443")
    assert facts is not None
    assert (facts.uid, facts.admin_enabled, facts.anonymous_pull, facts.version) == (row.uid, False, False, 1)
    await make.patch(admin_user_enabled=True, anonymous_pull_enabled=True, arm_audience=False, abac=True)
    facts = service.lookup.find_by_host(HOST)
    assert facts is not None
    assert (facts.admin_enabled, facts.anonymous_pull, facts.arm_audience_allowed, facts.abac) == (
        True,
        True,
        False,
        True,
    )
    await service.delete_registry(subscription, "rg1", "reg10")
    assert service.lookup.find_by_host(HOST) is None


async def test_changes_elsewhere_are_seen_within_a_second(
    elsewhere: RegistryLookup, make: Any, clock: FakeClock
) -> None:
    assert elsewhere.find_by_host(HOST) is None
    await make.registry()
    assert elsewhere.find_by_host(HOST) is None
    clock.advance(TTL_US / 1_000_000)
    assert elsewhere.find_by_host(HOST) is not None


async def test_other_hosts_cost_no_query(service: ResourceService, db: Database, monkeypatch: Any) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(db, "read_sync", refuse)
    for host in ("localhost:8443", "a.b.azurecr.localhost:8443", "x\x00.azurecr.localhost:8443", ""):
        assert service.lookup.find_by_host(host) is None


async def test_the_cache_is_bounded(elsewhere: RegistryLookup, make: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("darsena.resources.lookup._CAPACITY", 3)
    await make.registry()
    for number in range(10):
        assert elsewhere.find_by_host(f"other{number}.azurecr.localhost:8443") is None
        assert elsewhere.find_by_host(HOST) is not None
    assert len(elsewhere._cache) <= 3


async def test_generated_labels_are_found(service: ResourceService, make: Any) -> None:
    row = await make.registry(domain_name_scope="ResourceGroupReuse")
    facts = service.lookup.find_by_host(f"{row.label}.azurecr.localhost:8443")
    assert facts is not None
    assert facts.uid == row.uid
    assert service.lookup.find_by_host(HOST) is None


async def test_by_name_and_uid(service: ResourceService, make: Any) -> None:
    row = await make.registry("Reg10")
    assert (await service.lookup.get_by_name("rEG10")).uid == row.uid
    assert (await service.lookup.find_by_uid(row.uid)) == service.facts(row)
    assert await service.lookup.find_by_uid("0" * 32) is None
    with pytest.raises(ResourceUnknown):
        await service.lookup.get_by_name("other")


async def test_network_rules_are_asked_by_host(service: ResourceService, make: Any) -> None:
    await make.registry(sku="Premium", network_default_allow=False, ip_rules=("10.0.0.0/8",))
    service.lookup.check_network(HOST, "10.1.2.3")
    with pytest.raises(NetworkDenied):
        service.lookup.check_network(HOST, "11.1.2.3")
    service.lookup.check_network("unknown.azurecr.localhost:8443", "11.1.2.3")
    await make.patch(network_default_allow=True)
    service.lookup.check_network(HOST, "11.1.2.3")
