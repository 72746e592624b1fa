"""Signing keys in a process that has just started, and in several threads of it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from darsena.db import Database
from darsena.identity import store
from darsena.identity.room import IdentityRoom
from darsena.identity.signing import SigningKeys
from darsena.storage import Keyring, RootKeyFile
from darsena.testing import FakeClock


@pytest.fixture
def keyring(identity: IdentityRoom, tmp_path: Path) -> Keyring:
    return Keyring(RootKeyFile.load(tmp_path / "keys" / "root.key"), identity.db.read_sync)


def kid_of(db: Database) -> str:
    return next(key.kid for key in db.read_sync(store.list_signing_keys) if key.use == "directory")


def test_what_another_thread_loads_is_waited_for(
    identity: IdentityRoom, db: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first token of a new process is not refused because the keys are being read at that moment."""
    keys, kid = SigningKeys(db, keyring), kid_of(db)
    reading, go_on = threading.Event(), threading.Event()
    list_keys = store.list_signing_keys

    def list_slowly(tx: Any) -> Any:
        reading.set()
        assert go_on.wait(10)
        return list_keys(tx)

    monkeypatch.setattr(store, "list_signing_keys", list_slowly)
    with ThreadPoolExecutor(2) as pool:
        loading = pool.submit(keys.load)
        assert reading.wait(10)
        asked = pool.submit(keys.find_public, "directory", kid)
        assert not asked.done()
        go_on.set()
        loading.result(10)
        assert asked.result(10) is not None


def test_unknown_ids_are_looked_up_once_a_second(
    identity: IdentityRoom, db: Database, keyring: Keyring, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, kid, reads = SigningKeys(db, keyring), kid_of(db), []
    list_keys = store.list_signing_keys

    def list_and_note(tx: Any) -> Any:
        reads.append(1)
        return list_keys(tx)

    monkeypatch.setattr(store, "list_signing_keys", list_and_note)
    for _ in range(5):
        assert keys.find_public("directory", "made-up") is None
    assert keys.find_public("directory", kid) is not None
    assert keys.find_public("registry", kid) is None
    assert len(reads) == 1
    clock.advance(1)
    assert keys.find_public("directory", "made-up") is None
    clock.advance(-3600)  # a clock that is set back does not keep new keys out
    assert keys.find_public("directory", "made-up") is None
    assert len(reads) == 3
