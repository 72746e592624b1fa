"""Names, locations, tags, rules: single values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darsena.core.errors import NameInvalid, NetworkDenied, RequestInvalid
from darsena.core.names import RegistryName
from darsena.resources.ids import parse_subscription, registry_path
from darsena.resources.locations import REGIONS, parse_location
from darsena.resources.model import DomainNameScope, Properties
from darsena.resources.naming import LoginServers
from darsena.resources.network import check_network
from darsena.resources.validate import parse_days, parse_ip_rules, parse_tags, parse_vnet_rules

SERVERS = LoginServers(domain="azurecr.localhost:8443", tenant_id="t")
SUBNET = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg1/providers/Microsoft.Network/"
    "virtualNetworks/net1/subnets/sub1"
)


@pytest.mark.parametrize(
    ("text", "label"), [("westus", "westus"), ("West US", "westus"), ("EASTUS2", "eastus2"), ("local-1", "local-1")]
)
def test_locations_have_one_form(text: str, label: str) -> None:
    assert parse_location(text) == label


@pytest.mark.parametrize("text", [None, "", "  "])
def test_a_location_is_required(text: str | None) -> None:
    with pytest.raises(RequestInvalid) as caught:
        parse_location(text)
    assert caught.value.code == "LocationRequired"


@pytest.mark.parametrize("text", ["../up", "west/us", "ñandú", "w" * 65, "1st", "a\x00b"])
def test_other_locations_are_refused(text: str) -> None:
    with pytest.raises(RequestInvalid):
        parse_location(text)


def test_offered_locations_are_unique_and_accepted() -> None:
    names = [region.name for region in REGIONS]
    assert len(set(names)) == len(names)
    assert [parse_location(region.display_name) for region in REGIONS] == names


def test_tags_are_kept_as_given() -> None:
    assert parse_tags({"foo": "bar", "cat": "", "Día": "ñ"}) == {"foo": "bar", "cat": "", "Día": "ñ"}
    assert parse_tags(None) == {}


@pytest.mark.parametrize(
    "tags",
    [
        {f"t{n}": "" for n in range(51)},
        {"": "x"},
        {"n" * 513: ""},
        {"n": "v" * 257},
        {"a<b": ""},
        {"a/b": ""},
        {"a\x00": ""},
        {"Env": "1", "env": "2"},
    ],
)
def test_tags_outside_the_limits_are_refused(tags: dict[str, str]) -> None:
    with pytest.raises(RequestInvalid):
        parse_tags(tags)


def test_ip_rules() -> None:
    assert parse_ip_rules(["16.17.18.0/24", "1.2.3.4", "1.2.3.4"]) == ("16.17.18.0/24", "1.2.3.4")
    for wrong in ("", "::1", "fe80::/10", "1.2.3", "1.2.3.4/33", "example.com", "1.2.3.4/24/1"):
        with pytest.raises(RequestInvalid):
            parse_ip_rules([wrong])


def test_vnet_rules() -> None:
    assert parse_vnet_rules([SUBNET, SUBNET.lower()]) == (SUBNET,)
    for wrong in ("", "subnet", SUBNET + "/more", SUBNET.replace("/subnets/sub1", "")):
        with pytest.raises(RequestInvalid):
            parse_vnet_rules([wrong])


def test_days_are_bounded() -> None:
    assert (parse_days(0, 0, 365, "x"), parse_days(365, 0, 365, "x")) == (0, 365)
    for wrong in (-1, 366, 10**30):
        with pytest.raises(RequestInvalid):
            parse_days(wrong, 0, 365, "x")


def test_subscriptions_are_guids() -> None:
    guid = "0B1F6471-1bf0-4dda-aec3-cb9272f09590"
    assert parse_subscription(guid) == guid.lower()
    for wrong in ("", "x", guid[:-1], guid + "0", "g" + guid[1:]):
        with pytest.raises(RequestInvalid) as caught:
            parse_subscription(wrong)
        assert caught.value.code == "InvalidSubscriptionId"


def test_ids_keep_case() -> None:
    assert registry_path("s", "MyGroup", "MyReg").endswith(
        "/resourceGroups/MyGroup/providers/Microsoft.ContainerRegistry/registries/MyReg"
    )


@pytest.mark.parametrize(
    ("host", "label"),
    [
        ("reg10.azurecr.localhost:8443", "reg10"),
        ("REG10.AzureCR.localhost:8443", "reg10"),
        ("reg10.azurecr.localhost", "reg10"),
        ("reg10-abcdefghijklmnop.azurecr.localhost:8443", "reg10-abcdefghijklmnop"),
        ("reg10.azurecr.localhost:443", None),
        ("reg10.other.localhost:8443", None),
        ("azurecr.localhost:8443", None),
        (".azurecr.localhost:8443", None),
        ("a.b.azurecr.localhost:8443", None),
        ("reg_1.azurecr.localhost:8443", None),
        ("x\x00yzzz.azurecr.localhost:8443", None),
        ("localhost:8443", None),
        ("", None),
    ],
)
def test_which_host_is_a_login_server(host: str, label: str | None) -> None:
    assert SERVERS.parse(host) == label


def make(scope: DomainNameScope, *, subscription: str = "s1", group: str = "g1") -> str:
    return SERVERS.make_label(RegistryName.parse("MyReg1"), scope, subscription, group)


def test_labels_are_reused_within_their_scope() -> None:
    assert make("Unsecure") == "myreg1"
    assert make("TenantReuse") == make("TenantReuse", subscription="s2", group="g2")
    assert make("SubscriptionReuse") == make("SubscriptionReuse", group="g2")
    assert make("SubscriptionReuse") != make("SubscriptionReuse", subscription="s2")
    assert make("ResourceGroupReuse") == make("ResourceGroupReuse", group="G1")
    assert make("ResourceGroupReuse") != make("ResourceGroupReuse", group="g2")
    assert make("NoReuse") != make("NoReuse")


@given(st.from_regex(r"[A-Za-z0-9]{5,46}", fullmatch=True), st.sampled_from(["Unsecure", "TenantReuse", "NoReuse"]))
def test_every_label_is_found_again(name: str, scope: DomainNameScope) -> None:
    label = SERVERS.make_label(RegistryName.parse(name), scope, "s", "g")
    assert SERVERS.parse(SERVERS.render(label)) == label
    assert len(label) <= 63


def test_a_name_too_long_for_a_generated_label_is_refused() -> None:
    with pytest.raises(NameInvalid):
        SERVERS.make_label(RegistryName.parse("a" * 47), "TenantReuse", "s", "g")


@pytest.mark.parametrize(
    ("properties", "address", "allowed"),
    [
        (Properties(), "203.0.113.9", True),
        (Properties(), "not an address", True),
        (Properties(public_network_access=False), "127.0.0.1", False),
        (Properties(network_default_allow=False), "127.0.0.1", False),
        (Properties(network_default_allow=False, ip_rules=("127.0.0.1",)), "127.0.0.1", True),
        (Properties(network_default_allow=False, ip_rules=("16.17.18.5/24",)), "16.17.18.200", True),
        (Properties(network_default_allow=False, ip_rules=("16.17.18.0/24",)), "16.17.19.1", False),
        (Properties(network_default_allow=False, ip_rules=("16.17.18.0/24",)), "::ffff:16.17.18.1", True),
        (Properties(network_default_allow=False, ip_rules=("0.0.0.0/0",)), "::1", False),
        (Properties(network_default_allow=False, ip_rules=("0.0.0.0/0",)), "junk", False),
        (Properties(public_network_access=False, ip_rules=("0.0.0.0/0",)), "16.17.18.1", False),
    ],
)
def test_network_rules(properties: Properties, address: str, allowed: bool) -> None:
    if allowed:
        check_network(properties, address)
    else:
        with pytest.raises(NetworkDenied, match="is not allowed access"):
            check_network(properties, address)
