"""`darsena offline`: gc, fsck and a new root key of a folder whose server is stopped, and only then."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from darsena.core.digest import Digest
from darsena.core.names import RepositoryName
from darsena.local.folder import Folder, take_lock
from darsena.local.prepare import prepare
from darsena.local.rooms import open_rooms
from darsena.registry.model import Registry
from darsena.registry.service import to_registry
from darsena.resources.model import Author, RegistryPut
from darsena.storage.keyfile import RootKeyFile

WEB = RepositoryName("shop/web")
LAYER = Digest.of(b"layer")


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def fill(root: Path) -> Registry:
    """A registry with one blob that nothing needs."""
    rooms = open_rooms(root, {})
    subscription = rooms.stamp.subscription_id
    await rooms.resources.put_group(subscription, "g", location="westeurope")
    body, author = RegistryPut(location="westeurope", sku="Basic"), Author(name="me", kind="User")
    row, _ = await rooms.resources.put_registry(subscription, "g", "contoso", body, author=author)
    registry = to_registry(rooms.resources.facts(row))
    await rooms.registry.uploading.put(registry, WEB, "user:1", chunks(b"layer"), LAYER)
    await rooms.storage.close()
    rooms.db.close()
    return registry


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Folder, Registry]:
    root = tmp_path_factory.mktemp("offline") / "data"
    prepare(root, listen="127.0.0.1:8443", domain="")
    return Folder(root), asyncio.run(fill(root))


def darsena(folder: Folder, *arguments: str) -> tuple[int, Any, str]:
    command = [sys.executable, "-m", "darsena", "offline", *arguments, "--data", str(folder.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "120"})
    return done.returncode, json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout, done.stderr


def test_a_served_folder_is_refused(folder: tuple[Folder, Registry]) -> None:
    with take_lock(folder[0]):
        for command in ("gc", "fsck", "rotate-key"):
            code, out, error = darsena(folder[0], command)
            assert (code, out) == (2, "")
            assert "is in use" in error


def test_gc_and_fsck(folder: tuple[Folder, Registry]) -> None:
    kept, registry = folder
    code, plan, _ = darsena(kept, "gc", "--dry-run", "--grace", "0")
    assert (code, plan["blobs"]) == (0, {"number": 1, "bytes": 5})
    code, checked, _ = darsena(kept, "fsck")
    assert (code, checked["verdict"], checked["blobs"], checked["list"]) == (0, "clean", 1, [])
    lost = next(kept.root.glob(f"registries/{registry.uid}/blobs/sha256/*/{LAYER.hex}*"))
    lost.write_bytes(lost.read_bytes()[:-1] + b"x")
    code, checked, _ = darsena(kept, "fsck")
    assert (code, checked["verdict"]) == (1, "lost")
    assert [(found["kind"], found["registry"]) for found in checked["list"]] == [("blob.corrupt", "contoso")]
    code, table, error = darsena(kept, "fsck", "--repair", "-o", "table")
    assert "blob.corrupt" in table
    assert "2 findings, 2 repaired; left: clean" in error  # the blob, and its link that nothing uses
    assert code == 0
    code, run, _ = darsena(kept, "gc", "--grace", "0")
    assert (code, run["status"]) == (0, "Succeeded")
    assert darsena(kept, "gc", "--dry-run", "--grace", "0")[1]["bytes"] == 0


def test_a_new_root_key(tmp_path: Path) -> None:
    prepare(tmp_path / "data", listen="127.0.0.1:8443", domain="")
    kept = Folder(tmp_path / "data")
    asyncio.run(fill(kept.root))
    before = kept.root_key.read_bytes()
    code, told, _ = darsena(kept, "rotate-key")
    assert (code, told["dataKeys"]) == (0, 2)  # the system's and the registry's
    content = json.loads(kept.root_key.read_bytes())
    assert list(content["keys"]) == [content["current"]] == [told["rootKey"]]
    assert not set(content["keys"]) & set(json.loads(before)["keys"])
    assert darsena(kept, "fsck")[1]["verdict"] == "clean"  # which reads every byte
    kept.root_key.write_bytes(before)
    code, _, error = darsena(kept, "fsck")
    assert code != 0
    assert "is not in root.key" in error


@pytest.mark.parametrize("step", ["rewrap", "retire"])
def test_a_rotation_that_ended_too_soon_is_run_again(tmp_path: Path, step: str) -> None:
    prepare(tmp_path / "data", listen="127.0.0.1:8443", domain="")
    kept = Folder(tmp_path / "data")
    asyncio.run(fill(kept.root))
    RootKeyFile.load(kept.root_key).rotate()
    if step == "retire":
        rooms = open_rooms(kept.root, {})
        rooms.db.transact_sync(rooms.keyring.rewrap)
        rooms.db.close()
    assert darsena(kept, "fsck")[1]["verdict"] == "clean"
    assert darsena(kept, "rotate-key")[0] == 0
    assert len(json.loads(kept.root_key.read_bytes())["keys"]) == 1
    assert darsena(kept, "fsck")[1]["verdict"] == "clean"
