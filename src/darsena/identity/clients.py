"""Programs that sign people in: the public clients that every directory knows, and where an answer may be sent."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from darsena.core.errors import RequestInvalid

MAX_REDIRECT_BYTES: Final = 2048


@dataclass(frozen=True, slots=True)
class PublicClient:
    """A program that keeps no secret. It runs on the person's own machine and is answered there."""

    client_id: str
    name: str


AZURE_CLI: Final = PublicClient("04b07795-8ddb-461a-bbee-02f9e1bf7b46", "Azure CLI")
_PUBLIC: Final = {
    client.client_id: client
    for client in (
        AZURE_CLI,
        PublicClient("1950a258-227b-4e31-a9cf-717495945fc2", "Azure PowerShell"),
        PublicClient("aebc6443-996d-45c2-90f0-388ff96faa56", "Visual Studio Code"),
    )
}


def find_public_client(client_id: str) -> PublicClient | None:
    return _PUBLIC.get(client_id.lower())


def is_loopback_redirect(uri: str) -> bool:
    """`http://localhost`, `127.0.0.1` or `[::1]`, with any port and path (RFC 8252, section 7.3)."""
    parts = _split(uri)
    return parts is not None and parts.scheme == "http" and not parts.query and _is_loopback(parts.hostname or "")


def is_registered_redirect(uri: str, registered: str) -> bool:
    """The very same; of a loopback address the port may be another, since programs take one that is free."""
    if uri == registered:
        return True
    if not (is_loopback_redirect(uri) and is_loopback_redirect(registered)):
        return False
    left, right = urlsplit(uri), urlsplit(registered)
    return (left.hostname, left.path or "/") == (right.hostname, right.path or "/")


def parse_redirect(uri: str) -> str:
    """A URI that may be registered: https anywhere, http on loopback only. Raises RequestInvalid."""
    parts = _split(uri)
    if parts is None or (parts.scheme != "https" and not is_loopback_redirect(uri)):
        raise RequestInvalid(
            f"the redirect URI {uri[:200]!r} cannot be used: it must be an https address, or http on localhost, "
            "without user name and fragment",
            "redirectUris",
        )
    return uri


def get_origin(uri: str) -> str:
    """`scheme://host[:port]` of a redirect URI that was accepted."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def _split(uri: str) -> SplitResult | None:
    """None for what no browser should be sent to."""
    if (
        len(uri) > MAX_REDIRECT_BYTES
        or not uri.isascii()
        or not uri.isprintable()
        or any(char in " \"'<>\\^`{|};," for char in uri)
    ):
        return None
    try:
        parts = urlsplit(uri)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        return None
    good = parts.scheme in ("http", "https") and parts.hostname and port_is_good
    return parts if good and "@" not in parts.netloc and "#" not in uri else None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
