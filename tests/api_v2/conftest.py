"""The login server of two registries, on both databases; on SQLite with the hot path, as it is served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from darsena.api.edge import Edge, Hosts
from darsena.api.oauth2 import OAuth2Edge
from darsena.api.router import Router
from darsena.api.v2.hot import HotPath
from darsena.api.v2.login_server import LoginServerEdge
from darsena.db import Database
from darsena.identity.room import make_identity
from darsena.registry.hot_lookup import HotLookup
from darsena.registry.service import RegistryService
from darsena.storage import SYSTEM, Keyring, LocalStorage, RootKeyFile

from .world import REGISTRIES, SUBSCRIPTION, SUFFIX, TENANT, World


def allow_all(_host: str, _address: str) -> None: ...


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    keyring = Keyring(RootKeyFile.create(tmp_path / "keys" / "root.key"), db.read_sync)
    storage = LocalStorage(tmp_path / "data", keyring)
    identity = make_identity(
        db, keyring, tenant_id=TENANT, subscription_id=SUBSCRIPTION, control_url="https://localhost:8443"
    )
    for owner in (SYSTEM, *(facts.uid for facts in REGISTRIES.values())):
        db.transact_sync(keyring.create, owner)
    identity.hasher.ensure_key()  # signing keys take their time, and few tests sign: those call identity.start
    service = RegistryService(db, storage, keyring)
    lookup = HotLookup(Path(str(db.engine.url.database)), keyring) if db.is_sqlite else None
    oauth2 = OAuth2Edge(identity.authenticator, identity.tokens, db.clock)
    edge = LoginServerEdge(
        service,
        identity.authenticator,
        Router(oauth2.routes).dispatch,
        allow_all,
        None
        if lookup is None
        else HotPath(lookup, storage.blobs, identity.authenticator, allow_all, service.pulls.count),
    )
    hosts = Hosts(control=frozenset(), blob=frozenset(), login_server_suffix=SUFFIX, control_name="localhost:8443")
    by_host = {facts.login_server: facts for facts in REGISTRIES.values()}
    outer = Edge(
        hosts=hosts,
        find_registry=by_host.get,
        login_server=edge,
        control=Router([]).dispatch,
        blob=Router([]).dispatch,
        log_requests="none",
    )
    yield World(db, storage, identity, service, outer, facts=by_host)
    if lookup is not None:
        lookup.close()
    await storage.close()
