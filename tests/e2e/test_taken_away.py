"""Files and folders that are taken from under a running server: never a success that nobody finds again (R1, R7)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pushing import Pusher
from stand import Stand, standing, wait_until

REGISTRY = "takenregistry"


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with standing(tmp_path, "--no-build") as running:
        running.ok("group", "create", "-n", "tests")
        running.ok("create", "-g", "tests", "-n", REGISTRY, "--sku", "Basic")
        yield running


def push(stand: Stand, tag: str) -> bool:
    """Whether it was acknowledged; else it was refused in a way that says "later"."""
    pusher = Pusher(stand, REGISTRY, "some/image")
    try:
        begun = pusher.request("POST", f"/v2/{pusher.repository}/blobs/uploads/")
        if begun.status_code == 202:
            pusher.put_manifest(tag, pusher.make_manifest(os.urandom(10_000)))
            return True
    except httpx.TransportError:
        return False
    except AssertionError as error:
        begun = str(error)
        assert "cannot be used now" in begun or "is not where it was" in begun or "nothing was changed" in begun
        return False
    assert begun.status_code == 503
    assert int(begun.headers["retry-after"]) > 0
    return False


def check_after_a_restart(stand: Stand, tags: set[str]) -> None:
    assert stand.stop() == 0
    stand.start("--no-build")
    pusher = Pusher(stand, REGISTRY, "some/image")
    assert set(pusher.list_tags()) == tags
    for tag in tags:
        pusher.check_whole(tag)
    assert stand.ok("fsck").json()["verdict"] == "clean"


def test_the_databases_log_is_removed(stand: Stand) -> None:
    """What it held is saved, and a new worker has a log of its own: nobody has to help."""
    acknowledged = {tag for tag in ("v0", "v1") if push(stand, tag)}
    (stand.data / "db" / "darsena.db-wal").unlink()
    worker = stand.worker_pid()
    for number in range(20):
        if push(stand, f"after{number}"):
            acknowledged.add(f"after{number}")
    wait_until(lambda: not Path(f"/proc/{worker}").exists(), "another worker takes over")
    wait_until(stand.health, "and answers")
    assert push(stand, "end")
    acknowledged |= {"end"}
    known = set(Pusher(stand, REGISTRY, "some/image").list_tags())
    assert acknowledged <= known
    check_after_a_restart(stand, known)


@pytest.mark.parametrize(
    "find",
    [lambda data: data, lambda data: data / "registries", lambda data: data / "db" / "darsena.db"],
    ids=["the data folder", "what is stored", "the database"],
)
def test_moved_and_brought_back(stand: Stand, find: Callable[[Path], Path]) -> None:
    assert push(stand, "v0")
    place, owner = find(stand.data), stand.data / "owner.json"
    text = owner.read_text()
    aside = place.rename(place.with_name("aside"))
    if not owner.exists():  # the pusher reads it: what makes up for that must not stay
        owner.parent.mkdir()
        owner.write_text(text)
        (stand.data / "tls").mkdir()
        (stand.data / "tls" / "ca.pem").write_bytes((aside / "tls" / "ca.pem").read_bytes())
    pushed = [push(stand, f"lost{number}") for number in range(5)]
    assert pushed == [False] * 5
    if place == stand.data:
        assert sorted(path.name for path in stand.data.iterdir()) == ["owner.json", "tls"]
        subprocess.run(["rm", "-r", str(stand.data)], check=True)
    aside.rename(place)
    wait_until(lambda: push(stand, "v1"), "all is well again")
    check_after_a_restart(stand, {"v0", "v1"})
