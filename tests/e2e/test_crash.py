"""kill -9 between every two steps of a push, with a real server (promises R1, R2; the commit protocol).

The server is started with one named failpoint at which it dies. After a restart without it: what was acknowledged is
there, what was not is absent or whole, the same push succeeds, and rows and bytes agree (`darsena fsck`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pushing import Pusher
from stand import Stand, standing

REGISTRY = "crashregistry"
POINTS = [
    "upload.after_segment",
    "upload.after_sync",
    "commit.before_sync",
    "commit.before_rename",
    "commit.after_rename",
    "commit.after_sync",
    "push.after_blob_commit",
    "push.after_blob_link",
    "manifest.before_transaction",
    "manifest.after_transaction",
]


@pytest.fixture(scope="module")
def survivor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """One folder for all points: damage would add up and show."""
    with standing(tmp_path_factory.mktemp("crash"), "--no-build") as stand:
        stand.ok("group", "create", "-n", "tests")
        stand.ok("create", "-g", "tests", "-n", REGISTRY, "--sku", "Basic")
        Pusher(stand, REGISTRY, "kept/image").put_manifest(
            "v1", Pusher(stand, REGISTRY, "kept/image").make_manifest(os.urandom(1_500_000))
        )
        stand.stop()
        yield stand


@pytest.mark.parametrize("point", POINTS)
def test_a_push_that_the_server_dies_in(survivor: Stand, point: str) -> None:
    repository = f"crash/{point.replace('.', '-').replace('_', '-')}"
    pusher = Pusher(survivor, REGISTRY, repository)
    layer = os.urandom(1_200_000)
    survivor.environment["DARSENA_FAILPOINT"] = point
    survivor.start("--no-build")
    acknowledged = False
    try:
        pusher.put_manifest("v1", pusher.make_manifest(layer))
        acknowledged = True
    except httpx.TransportError:
        pass  # it died, as it was told to
    finally:
        survivor.kill()
        del survivor.environment["DARSENA_FAILPOINT"]
    assert not acknowledged, f"the failpoint {point} is never reached by a push"

    survivor.start("--no-build")
    try:
        Pusher(survivor, REGISTRY, "kept/image").check_whole("v1")
        for tag in pusher.list_tags():
            pusher.check_whole(tag)
        pusher.put_manifest("v1", pusher.make_manifest(layer))
        pusher.check_whole("v1")
        survivor.ok("fsck")
    finally:
        assert survivor.stop() == 0


def test_what_was_acknowledged_survives_kill_9_of_everything(tmp_path: Path) -> None:
    """R1: every 201 that was seen before the kill is there afterwards."""
    with standing(tmp_path, "--no-build") as stand:
        stand.ok("group", "create", "-n", "tests")
        stand.ok("create", "-g", "tests", "-n", REGISTRY, "--sku", "Basic")
        pusher = Pusher(stand, REGISTRY, "many/images")
        for number in range(12):
            pusher.put_manifest(f"v{number}", pusher.make_manifest(os.urandom(300_000)))
        stand.kill()
        stand.start("--no-build")
        assert pusher.list_tags() == sorted(f"v{number}" for number in range(12))
        for number in range(12):
            pusher.check_whole(f"v{number}")
        assert stand.ok("fsck").json()["verdict"] == "clean"
