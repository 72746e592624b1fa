"""Data keys: made once, wrapped, rotated, destroyed for good."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select, update

from darsena.core.errors import ContentCorrupt, ResourceUnknown, StartFailure, Unavailable
from darsena.db import Database, Tx
from darsena.storage import SYSTEM, Keyring, RootKeyFile
from darsena.storage.cipher import DataKey
from darsena.storage.tables import data_key

from .conftest import OTHER, REGISTRY


@pytest.fixture
def root_key(tmp_path: Path) -> RootKeyFile:
    return RootKeyFile.create(tmp_path / "keys" / "root.key")


@pytest.fixture
def ring(db: Database, root_key: RootKeyFile) -> Keyring:
    made = Keyring(root_key, db.read_sync)
    for owner in (SYSTEM, REGISTRY):
        db.transact_sync(made.create, owner)
    return made


def fresh(db: Database, tmp_path: Path) -> Keyring:
    """As another process sees it."""
    return Keyring(RootKeyFile.load(tmp_path / "keys" / "root.key"), db.read_sync)


def bytes_of(folder: Path, pattern: str) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob(pattern)))


def rows(tx: Tx) -> dict[str, tuple[bytes, str]]:
    return {row.owner: (row.wrapped, row.wrapped_by) for row in tx.execute(select(data_key))}


async def test_sealed_values_open_for_their_place_only(ring: Keyring, db: Database, tmp_path: Path) -> None:
    sealed = ring.seal(REGISTRY, "manifest", "1", b"bytes")
    assert ring.seal(REGISTRY, "manifest", "1", b"bytes") != sealed
    assert fresh(db, tmp_path).unseal(REGISTRY, "manifest", "1", sealed) == b"bytes"
    places = [(SYSTEM, "manifest", "1"), (REGISTRY, "password", "1"), (REGISTRY, "manifest", "2"),
              (REGISTRY, "manifest1", ""), (REGISTRY, "", "manifest1")]  # fmt: skip
    for place in places:
        with pytest.raises(ContentCorrupt):
            ring.unseal(*place, sealed)


async def test_any_change_of_a_sealed_value_is_found(ring: Keyring) -> None:
    for plaintext in (b"", b"x"):
        sealed = ring.seal(REGISTRY, "k", "1", plaintext)
        for at in range(len(sealed)):
            with pytest.raises(ContentCorrupt):
                ring.unseal(REGISTRY, "k", "1", sealed[:at] + bytes([sealed[at] ^ 0x80]) + sealed[at + 1 :])
            with pytest.raises(ContentCorrupt):
                ring.unseal(REGISTRY, "k", "1", sealed[:at])
        assert ring.unseal(REGISTRY, "k", "1", sealed) == plaintext


async def test_create_is_idempotent_and_usable_at_once(ring: Keyring, db: Database, tmp_path: Path) -> None:
    def create_and_seal(tx: Tx) -> bytes:
        ring.create(tx, OTHER)
        return ring.seal(OTHER, "admin password", "1", b"secret")

    sealed = await db.transact(create_and_seal)
    before = await db.read(rows)
    await db.transact(ring.create, OTHER)
    await db.transact(fresh(db, tmp_path).create, OTHER)
    assert await db.read(rows) == before
    assert fresh(db, tmp_path).unseal(OTHER, "admin password", "1", sealed) == b"secret"


async def test_create_that_is_rolled_back_leaves_no_key(ring: Keyring, db: Database, tmp_path: Path) -> None:
    def create_and_fail(tx: Tx) -> None:
        ring.create(tx, OTHER)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await db.transact(create_and_fail)
    with pytest.raises(ResourceUnknown):
        fresh(db, tmp_path).key(OTHER)
    await db.transact(ring.create, OTHER)
    sealed = ring.seal(OTHER, "k", "1", b"x")
    assert fresh(db, tmp_path).unseal(OTHER, "k", "1", sealed) == b"x"


async def test_created_by_two_at_once(ring: Keyring, db: Database, tmp_path: Path) -> None:
    rings = [ring, fresh(db, tmp_path), fresh(db, tmp_path)]
    await asyncio.gather(*(db.transact(each.create, OTHER) for each in rings))
    sealed = rings[0].seal(OTHER, "k", "1", b"x")
    assert [each.unseal(OTHER, "k", "1", sealed) for each in rings] == [b"x"] * 3


async def test_destroyed(ring: Keyring, db: Database, tmp_path: Path) -> None:
    sealed = ring.seal(REGISTRY, "k", "1", b"x")
    await db.transact(ring.destroy, REGISTRY)
    await db.transact(ring.destroy, REGISTRY)
    for each in (ring, fresh(db, tmp_path)):
        assert each.find_loaded(REGISTRY) is None
        with pytest.raises(ResourceUnknown):
            each.unseal(REGISTRY, "k", "1", sealed)
        with pytest.raises(ResourceUnknown):
            await each.load(REGISTRY)
    assert REGISTRY not in await db.read(rows)
    assert ring.unseal(SYSTEM, "k", "1", ring.seal(SYSTEM, "k", "1", b"y")) == b"y"


async def test_destroy_that_is_rolled_back(ring: Keyring, db: Database) -> None:
    def destroy_and_fail(tx: Tx) -> None:
        ring.destroy(tx, REGISTRY)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await db.transact(destroy_and_fail)
    assert ring.unseal(REGISTRY, "k", "1", ring.seal(REGISTRY, "k", "1", b"x")) == b"x"


async def test_load(ring: Keyring, db: Database, tmp_path: Path) -> None:
    other = fresh(db, tmp_path)
    assert other.find_loaded(REGISTRY) is None
    loaded = await other.load(REGISTRY)
    assert other.find_loaded(REGISTRY) is loaded
    assert other.key(REGISTRY) is loaded
    with pytest.raises(ResourceUnknown):
        await other.load(OTHER)


async def test_rotation(ring: Keyring, db: Database, root_key: RootKeyFile, tmp_path: Path) -> None:
    sealed = ring.seal(REGISTRY, "k", "1", b"x")
    bystander = fresh(db, tmp_path)  # another process, which has read the file before
    old = root_key.key_id
    new = root_key.rotate()
    assert new != old
    assert fresh(db, tmp_path).unseal(REGISTRY, "k", "1", sealed) == b"x"  # also between the steps
    assert await db.transact(ring.rewrap) == 2
    assert await db.transact(ring.rewrap) == 0
    root_key.retire()
    assert {wrapped_by for _, wrapped_by in (await db.read(rows)).values()} == {new}
    for each in (fresh(db, tmp_path), bystander):
        assert each.unseal(REGISTRY, "k", "1", sealed) == b"x"
    assert old not in (tmp_path / "keys" / "root.key").read_text()


async def test_wrapped_keys_are_bound_to_their_owner(ring: Keyring, db: Database, tmp_path: Path) -> None:
    def swap(tx: Tx) -> None:
        wrapped = tx.execute(select(data_key.c.wrapped).where(data_key.c.owner == SYSTEM)).scalar_one()
        tx.execute(update(data_key).where(data_key.c.owner == REGISTRY).values(wrapped=wrapped))

    await db.transact(swap)
    with pytest.raises(ContentCorrupt):
        fresh(db, tmp_path).key(REGISTRY)


async def test_other_root_key(ring: Keyring, db: Database, tmp_path: Path) -> None:
    stranger = Keyring(RootKeyFile.create(tmp_path / "other.key"), db.read_sync)
    with pytest.raises(Unavailable, match="restore"):
        stranger.key(REGISTRY)


async def test_the_database_has_no_key_in_clear(
    sqlite_db: Database, keyring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = b"\x5a\xa5" * 16
    monkeypatch.setattr(DataKey, "generate", staticmethod(lambda: secret))
    await sqlite_db.transact(keyring.create, SYSTEM)
    assert secret not in bytes_of(tmp_path, "keys.db*")
    assert secret.hex() not in repr(keyring.key(SYSTEM))


# --- the key file -------------------------------------------------------------------------------------------------


def test_key_file_is_private_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "root.key"
    RootKeyFile.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    content = path.read_bytes()
    with pytest.raises(FileExistsError):
        RootKeyFile.create(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"nonsense",
        b'{"format":2,"current":"a","keys":{"a":"' + b"A" * 43 + b'="}}',
        b'{"format":1,"current":"b","keys":{"a":"' + b"A" * 43 + b'="}}',
        b'{"format":1,"current":"a","keys":{"a":"AA=="}}',
        b'{"format":1,"current":"a","keys":{"a":"!"}}',
    ],
)
def test_damaged_key_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "root.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StartFailure, match=r"root\.key"):
        RootKeyFile.load(path)


def test_missing_and_open_key_file(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    with pytest.raises(StartFailure, match="missing"):
        RootKeyFile.load(path)
    RootKeyFile.create(path)
    path.chmod(0o640)
    with pytest.raises(StartFailure, match="chmod 600"):
        RootKeyFile.load(path)


def test_lost_while_running(tmp_path: Path) -> None:
    provider = RootKeyFile.create(tmp_path / "root.key")
    wrapped, wrapped_by = provider.wrap(b"s" * 32, REGISTRY)
    (tmp_path / "root.key").unlink()
    assert provider.unwrap(wrapped, wrapped_by, REGISTRY) == b"s" * 32  # reads go on
    with pytest.raises(Unavailable):
        provider.wrap(b"s" * 32, REGISTRY)
