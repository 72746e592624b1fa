"""The tier table and the gates that hang on it: pure functions."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from darsena.core.errors import NotImplementedHere, QuotaExceeded, RequestInvalid
from darsena.resources import gates
from darsena.resources.model import Properties, PropertiesChange, RegistryIdentity
from darsena.resources.tiers import GIB, TIERS, Feature, SkuName

NOW = 1_700_000_000_000_000

GATED: list[tuple[str, object, SkuName]] = [
    ("anonymous_pull_enabled", True, "Standard"),
    ("public_network_access", False, "Premium"),
    ("network_default_allow", False, "Premium"),
    ("ip_rules", ("16.17.18.0/24",), "Premium"),
    ("vnet_rules", ("/subnet",), "Premium"),
    ("data_endpoint_enabled", True, "Premium"),
    ("regional_endpoints", True, "Premium"),
    ("content_trust", True, "Premium"),
    ("retention", True, "Premium"),
]
_ORDER: list[SkuName] = ["Basic", "Standard", "Premium"]


def change(**fields: object) -> PropertiesChange:
    return cast("PropertiesChange", fields)


@pytest.mark.parametrize(("name", "value", "first"), GATED)
@pytest.mark.parametrize("sku", _ORDER)
def test_each_feature_begins_at_its_tier(name: str, value: object, first: SkuName, sku: SkuName) -> None:
    if _ORDER.index(sku) >= _ORDER.index(first):
        merged = gates.merge(Properties(), change(**{name: value}), TIERS[sku], NOW)
        assert getattr(merged, name) == value
    else:
        with pytest.raises(RequestInvalid, match=f"not supported for the SKU {sku}") as caught:
            gates.merge(Properties(), change(**{name: value}), TIERS[sku], NOW)
        assert (caught.value.target or "").startswith("properties.")


def test_defaults_may_be_said_aloud_on_every_tier() -> None:
    for tier in TIERS.values():
        said = change(public_network_access=True, ip_rules=(), retention=False, content_trust=False, export=True)
        assert gates.merge(Properties(), said, tier, NOW).retention is False


def test_public_access_has_the_code_of_the_service() -> None:
    with pytest.raises(RequestInvalid) as caught:
        gates.merge(Properties(), change(public_network_access=False), TIERS["Basic"], NOW)
    assert caught.value.code == "DisablingPublicNetworkAccessNotSupported"


def test_a_lower_tier_switches_off_what_it_lacks_and_keeps_the_rest() -> None:
    before = Properties(
        admin_user_enabled=True, anonymous_pull_enabled=True, retention=True, ip_rules=("1.2.3.4",), soft_delete_days=9
    )
    standard = gates.merge(before, change(), TIERS["Standard"], NOW)
    assert (standard.anonymous_pull_enabled, standard.retention, standard.ip_rules) == (True, False, ())
    assert (standard.admin_user_enabled, standard.soft_delete_days) == (True, 9)
    assert gates.merge(before, change(), TIERS["Basic"], NOW).anonymous_pull_enabled is False


def test_a_lower_tier_with_an_explicit_wish_it_cannot_grant_is_refused() -> None:
    with pytest.raises(RequestInvalid):
        gates.merge(Properties(retention=True), change(retention=True), TIERS["Basic"], NOW)


@pytest.mark.parametrize(
    "together",
    [
        change(export=False),
        change(soft_delete=True, retention=True),
        change(dual_stack=True),
    ],
)
def test_what_does_not_go_together_is_refused(together: PropertiesChange) -> None:
    with pytest.raises(RequestInvalid):
        gates.merge(Properties(), together, TIERS["Premium"], NOW)


def test_export_can_be_disabled_without_public_access() -> None:
    merged = gates.merge(Properties(), change(export=False, public_network_access=False), TIERS["Premium"], NOW)
    assert not merged.export
    with pytest.raises(RequestInvalid):
        gates.merge(merged, change(public_network_access=True), TIERS["Premium"], NOW)


def test_customer_keys_are_refused_by_tier_first_and_then_as_missing() -> None:
    with pytest.raises(RequestInvalid):
        gates.merge(Properties(), change(customer_key=True), TIERS["Standard"], NOW)
    with pytest.raises(NotImplementedHere):
        gates.merge(Properties(), change(customer_key=True), TIERS["Premium"], NOW)


def test_soft_delete_is_refused_since_deleted_things_could_not_be_had_back() -> None:
    with pytest.raises(NotImplementedHere, match="what is deleted is gone"):
        gates.merge(Properties(), change(soft_delete=True), TIERS["Basic"], NOW)
    was_on = Properties(soft_delete=True)  # of a version that took the setting
    assert not gates.merge(was_on, change(admin_user_enabled=True), TIERS["Basic"], NOW).soft_delete


def test_rules_are_counted_against_the_tier() -> None:
    rules = tuple(f"10.0.{n // 256}.{n % 256}" for n in range(201))
    assert gates.merge(Properties(), change(ip_rules=rules[:200]), TIERS["Premium"], NOW).ip_rules == rules[:200]
    with pytest.raises(QuotaExceeded, match="IPRules for the registry SKU Premium"):
        gates.merge(Properties(), change(ip_rules=rules), TIERS["Premium"], NOW)


def test_a_policy_is_updated_when_it_is_named() -> None:
    named = gates.merge(Properties(), change(retention=False), TIERS["Basic"], NOW)
    assert (named.retention_updated_us, named.soft_delete_updated_us) == (NOW, 0)
    days = gates.merge(named, change(soft_delete_days=3), TIERS["Basic"], NOW + 5)
    assert (days.retention_updated_us, days.soft_delete_updated_us) == (NOW, NOW + 5)


def test_the_time_of_an_update_is_no_change() -> None:
    named = gates.merge(Properties(), change(retention=False), TIERS["Basic"], NOW)
    assert gates.list_changed(Properties(), named) == []
    assert gates.list_changed(named, replace(named, abac=True, retention_days=8)) == ["abac", "retention_days"]
    identity = RegistryIdentity(system_object_id="1")
    assert gates.list_changed(named, replace(named, identity=identity)) == ["identity"]


def test_the_tier_table() -> None:
    assert {name: tier.get_limit("Size") // GIB for name, tier in TIERS.items()} == {
        "Basic": 10,
        "Standard": 100,
        "Premium": 500,
    }
    assert {name: tier.get_limit("Webhooks") for name, tier in TIERS.items()} == {
        "Basic": 2,
        "Standard": 10,
        "Premium": 500,
    }
    assert TIERS["Premium"].features == frozenset(Feature)
    assert TIERS["Standard"].features == {Feature.ANONYMOUS_PULL}
    assert [usage.name for usage in TIERS["Premium"].usages] == [
        "Size", "Webhooks", "Geo-replications", "IPRules", "VNetRules", "PrivateEndpointConnections", "ScopeMaps",
        "Tokens",
    ]  # fmt: skip
    assert TIERS["Basic"].get_limit("Geo-replications") == 0


def test_every_gate_names_a_property() -> None:
    for gate in gates.GATES:
        assert hasattr(Properties(), gate.field)
