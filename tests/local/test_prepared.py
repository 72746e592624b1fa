"""The note that lets a start pass over preparing: true for exactly what was prepared."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from darsena.local.folder import Folder
from darsena.local.prepare import main
from darsena.local.prepared import is_prepared


@pytest.fixture
def order(tmp_path: Path) -> str:
    return json.dumps({"data": str(tmp_path / "d"), "listen": "127.0.0.1:8443", "domain": ""})


@pytest.fixture
def folder(tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setattr(sys, "argv", ["prepare", order])
    assert not is_prepared(Folder(tmp_path / "d"), order)
    assert main() == 0
    return Folder(tmp_path / "d")


def test_what_was_prepared_is(folder: Folder, order: str) -> None:
    assert is_prepared(folder, order)
    assert folder.prepared.stat().st_mode & 0o777 == 0o600


def test_another_order_is_not(folder: Folder, order: str) -> None:
    assert not is_prepared(folder, order.replace("8443", "8444"))


@pytest.mark.parametrize("path", ["darsena.json", "tls/ca.pem", "tls/ca.key", "tls/server.pem", "tls/server.key"])
def test_a_file_that_was_changed_or_lost_is_looked_at_again(folder: Folder, order: str, path: str) -> None:
    file = folder.root / path
    kept = file.read_bytes()
    file.write_bytes(kept + b"\n")
    assert not is_prepared(folder, order)
    file.unlink()
    assert not is_prepared(folder, order)
    file.write_bytes(kept)
    assert is_prepared(folder, order)


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b"{}", b'{"of": 1, "until_s": "x"}'])
def test_a_note_that_cannot_be_read_is_none(folder: Folder, order: str, note: bytes) -> None:
    folder.prepared.write_bytes(note)
    assert not is_prepared(folder, order)


def test_a_certificate_that_is_due_is_renewed(folder: Folder, order: str) -> None:
    now = datetime.now(UTC)
    assert is_prepared(folder, order, now_s=(now + timedelta(days=366)).timestamp())
    assert not is_prepared(folder, order, now_s=(now + timedelta(days=368)).timestamp())


def test_a_start_goes_on_where_the_note_cannot_be_written(folder: Folder, order: str) -> None:
    folder.prepared.unlink()
    folder.prepared.mkdir()  # stands in its way
    assert main() == 0
    assert not is_prepared(folder, order)
