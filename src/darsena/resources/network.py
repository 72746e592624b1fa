"""Network rules: may this address reach the registry's data plane? Asked before authentication, on every data route."""

from __future__ import annotations

import ipaddress

from darsena.core.errors import NetworkDenied
from darsena.resources.model import Properties


def check_network(properties: Properties, address: str) -> None:
    """Raise NetworkDenied unless the rules let the caller's `address` in. Local addresses have no way round."""
    if allows(properties, address):
        return
    raise NetworkDenied(
        f"client with IP '{address}' is not allowed access. Refer https://aka.ms/acr/firewall to grant access."
    )


def allows(properties: Properties, address: str) -> bool:
    if not properties.public_network_access:
        return False
    if properties.network_default_allow:
        return True
    try:
        client = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(client, ipaddress.IPv6Address):
        if client.ipv4_mapped is None:
            return False
        client = client.ipv4_mapped
    return any(client in ipaddress.IPv4Network(rule, strict=False) for rule in properties.ip_rules)
