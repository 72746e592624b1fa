"""From a host name to the registry, for every request of the data plane. Answers are at most a second old."""

from __future__ import annotations

from dataclasses import dataclass

from darsena.core.errors import ResourceUnknown
from darsena.db import Database
from darsena.identity.model import RegistryFacts
from darsena.resources import store
from darsena.resources.facts import to_facts
from darsena.resources.model import Properties, RegistryRow
from darsena.resources.naming import LoginServers
from darsena.resources.network import check_network

TTL_US = 1_000_000
_CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class _Cached:
    facts: RegistryFacts | None
    properties: Properties | None
    until_us: int


class RegistryLookup:
    """Synchronous and cached, absent names too. `forget` empties the cache: call it after a registry changed."""

    def __init__(self, db: Database, login_servers: LoginServers) -> None:
        self._db = db
        self._login_servers = login_servers
        self._cache: dict[str, _Cached] = {}
        self._generation = 0

    def find_by_host(self, login_server_host: str) -> RegistryFacts | None:
        """The registry of `name.domain[:port]`, in any case; None for every other host."""
        return self._find(login_server_host).facts

    def check_network(self, login_server_host: str, address: str) -> None:
        """Raise NetworkDenied when the registry's rules keep this client address out. Unknown hosts pass."""
        properties = self._find(login_server_host).properties
        if properties is not None:
            check_network(properties, address)

    async def get_by_name(self, name: str) -> RegistryFacts:
        """By the registry's ARM name, never from the cache. Raises ResourceUnknown."""
        row = await self._db.read(store.find_registry_by_name, name)
        if row is None:
            raise ResourceUnknown(f"The registry '{name[:80]}' could not be found.")
        return to_facts(row, self._login_servers)

    async def find_by_uid(self, uid: str) -> RegistryFacts | None:
        row = await self._db.read(store.find_registry_by_uid, uid)
        return None if row is None else to_facts(row, self._login_servers)

    def forget(self) -> None:
        """From any thread. A read that is under way now will not be kept."""
        self._generation += 1
        self._cache = {}

    def _find(self, host: str) -> _Cached:
        now_us = self._db.clock.now_us()
        cached = self._cache.get(host)
        if cached is not None and 0 < cached.until_us - now_us <= TTL_US:  # a clock set back ends it too
            return cached
        generation = self._generation
        label = self._login_servers.parse(host)
        row = None if label is None else self._db.read_sync(store.find_registry_by_label, label)
        found = _cached(row, self._login_servers, now_us + TTL_US)
        if generation == self._generation:
            if len(self._cache) >= _CAPACITY:
                self._cache = {}
            self._cache[host] = found
        return found


def _cached(row: RegistryRow | None, login_servers: LoginServers, until_us: int) -> _Cached:
    if row is None:
        return _Cached(None, None, until_us)
    return _Cached(to_facts(row, login_servers), row.properties, until_us)
