"""Where sources may be fetched from: the address is checked after name look-up, and it is the address connected to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class SourceRefused(Exception):
    """The source's host may not be fetched from; the message says why and how to allow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPolicy:
    server: tuple[str, int]
    allowed: tuple[str, ...] = ()
    """`host` or `host:port` that may be on this machine."""

    async def resolve(self, host: str, port: int, *, loopback: bool = False) -> str:
        """The one address to use. `loopback` = this machine's own services may be asked (a git server beside us)."""
        try:
            async with asyncio.timeout(15):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError) as e:
            raise SourceRefused(f"the name {host} cannot be resolved") from e
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        named = host in self.allowed or f"{host}:{port}" in self.allowed
        for address in addresses:
            reason = self._refusal(address, port, loopback=loopback or named)
            if reason:
                raise SourceRefused(f"{host} is not fetched from: {address} is {reason}")
        return str(addresses[0])

    def _refusal(self, address: Address, port: int, *, loopback: bool) -> str | None:
        plain = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        real = plain or address
        if real.is_link_local or real.is_multicast or real.is_unspecified or real.is_reserved:
            return "link-local or no host's address"
        here = real.is_loopback or _is_own(real)
        if here and port == self.server[1]:
            return "this server itself"
        if here and not loopback:
            return "this machine itself (the setting build.allow_sources permits it)"
        return None


def _is_own(address: Address) -> bool:
    """Whether it is an address of this machine: only such a one can be bound."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
