"""Identity on an empty database, with one registry's facts."""

from __future__ import annotations

from pathlib import Path

import pytest

from darsena.db import Database
from darsena.identity.room import IdentityRoom, make_identity
from darsena.storage import Keyring, RootKeyFile

from .values import CONTROL_URL, SUBSCRIPTION, TENANT


def open_identity(db: Database, folder: Path) -> IdentityRoom:
    path = folder / "keys" / "root.key"
    provider = RootKeyFile.load(path) if path.exists() else RootKeyFile.create(path)
    keyring = Keyring(provider, db.read_sync)
    return make_identity(db, keyring, tenant_id=TENANT, subscription_id=SUBSCRIPTION, control_url=CONTROL_URL)


@pytest.fixture
def identity(db: Database, tmp_path: Path) -> IdentityRoom:
    made = open_identity(db, tmp_path)
    made.start()
    return made
