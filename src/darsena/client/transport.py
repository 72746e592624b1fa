"""How a request reaches its server: verified with the profile's CA, and on loopback whatever name resolution says."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from darsena.client.errors import SignInFailed
from darsena.client.profile import Profile, is_loopback

_LOOPBACK_ADDRESSES = ("127.0.0.1", "::1")


def make_transport(profile: Profile) -> httpx.BaseTransport | None:
    """None where the network's own names and proxies are right: the server is not on this machine's loopback."""
    if not profile.is_loopback:
        return None
    domain = urlsplit(f"//{profile.registry_domain}").hostname or ""
    return LoopbackTransport(profile.control_host, domain, make_tls(profile))


def make_tls(profile: Profile) -> ssl.SSLContext:
    """Raise SignInFailed when the CA file cannot be used."""
    if profile.ca_file is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=Path(profile.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise SignInFailed(
            f"the CA file {profile.ca_file} cannot be used: {error}",
            hint="name the server's CA with `darsena login --ca-file FILE`; `darsena serve` prints where it is",
        ) from error


class LoopbackTransport(httpx.BaseTransport):
    """Connects the control host and every name below the registry domain to loopback, at the URL's own port. The TLS
    server name and the Host header stay those of the URL, so the certificate is checked for the name that was asked.
    """

    def __init__(self, control_host: str, registry_domain: str, tls: ssl.SSLContext) -> None:
        self._control_host = control_host.lower()
        self._suffix = f".{registry_domain.lower()}" if registry_domain else ""
        self._addresses = [control_host] if control_host in _LOOPBACK_ADDRESSES else list(_LOOPBACK_ADDRESSES)
        self._tls = tls
        self._transports: dict[str, httpx.HTTPTransport] = {}

    def _is_ours(self, host: str) -> bool:
        # Anything else that is a loopback name can only be the same machine.
        return host == self._control_host or bool(self._suffix and host.endswith(self._suffix)) or is_loopback(host)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host.lower()
        # A connection carries one TLS name: each name has its own.
        transport = self._transports.get(host)
        if transport is None:
            transport = self._transports[host] = httpx.HTTPTransport(verify=self._tls, retries=0)
        if not self._is_ours(host):
            return transport.handle_request(request)
        failure: httpx.ConnectError | None = None
        for address in list(self._addresses):
            try:
                response = transport.handle_request(_sent_to(address, request))
            except httpx.ConnectError as error:
                failure = failure or error
                continue
            self._addresses = [address]
            return response
        assert failure is not None
        raise failure

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()


def _sent_to(address: str, request: httpx.Request) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )
