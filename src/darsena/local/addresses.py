"""The names that one stamp answers to, all on one port. Fixed when the data folder is made."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal, Self

from darsena.core.errors import StartFailure

Scheme = Literal["https", "http"]

BLOB_ACCOUNT = "darsena"
_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """`port_suffix` is empty on the scheme's own port, as clients leave it out of names then."""

    control_host: str
    registry_domain: str
    port: int
    scheme: Scheme = "https"

    @classmethod
    def choose(cls, domain: str, port: int, scheme: Scheme = "https") -> Self:
        """No domain: the control host `localhost`, registries below `azurecr.localhost`. Raises StartFailure."""
        if not domain:
            return cls(control_host="localhost", registry_domain="azurecr.localhost", port=port, scheme=scheme)
        domain = domain.lower().rstrip(".")
        if not _HOST.match(domain) or "." not in domain or len(domain) > 190:
            raise StartFailure(f"--domain {domain!r} is no host name with a dot in it, such as registry.example.com")
        return cls(control_host=domain, registry_domain=domain, port=port, scheme=scheme)

    @property
    def port_suffix(self) -> str:
        return "" if self.port == (443 if self.scheme == "https" else 80) else f":{self.port}"

    @property
    def control_url(self) -> str:
        return f"{self.scheme}://{self.control_host}{self.port_suffix}"

    @property
    def blob_host(self) -> str:
        return f"{BLOB_ACCOUNT}.blob.core.{self.registry_domain}"

    @property
    def blob_url(self) -> str:
        return f"{self.scheme}://{self.blob_host}{self.port_suffix}"

    @property
    def login_server_suffix(self) -> str:
        """What follows a registry's name in its login server: `.azurecr.localhost:8443`."""
        return f".{self.registry_domain}{self.port_suffix}"

    @property
    def certificate_names(self) -> list[str]:
        """A star name per zone (one label each), so that a new registry needs no new certificate."""
        names = [self.control_host, f"*.{self.registry_domain}", f"*.blob.core.{self.registry_domain}", "localhost"]
        return list(dict.fromkeys(names))


def parse_listen(text: str) -> tuple[str, int]:
    """`HOST:PORT` with an IP address (IPv6 in brackets) or `localhost`. Raises StartFailure."""
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise StartFailure(f"--listen {text!r}: write HOST:PORT with a port from 1 to 65535, such as 127.0.0.1:8443")
    if host == "localhost":
        host = "127.0.0.1"
    try:
        ipaddress.ip_address(host)
    except ValueError as error:
        raise StartFailure(
            f"--listen {text!r}: {host!r} is no IP address; use 127.0.0.1 for this machine or 0.0.0.0 for all"
        ) from error
    return host, int(port)


def reach_host(listen_host: str) -> str:
    """The address at which this machine itself reaches a server that listens there."""
    address = ipaddress.ip_address(listen_host)
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "::1"
    return listen_host


def is_loopback(listen_host: str) -> bool:
    return ipaddress.ip_address(listen_host).is_loopback
