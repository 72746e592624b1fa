"""A disk that is really full, under the whole server: writes are refused, reads go on, and room is made from within.

Data folder, database and all, on a file system of 64 MB of its own (promise R7).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pushing import Pusher
from stand import Stand, standing, wait_until

REGISTRY = "fullregistry"
DISK_BYTES = 64 << 20
LAYER_BYTES = 3 << 20


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    (tmp_path / "data").mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "darsena-test", str(tmp_path / "data")], check=True
    )
    try:
        with standing(tmp_path, "--no-build", environment={"DARSENA_GC__GRACE_S": "0"}) as running:
            running.ok("group", "create", "-n", "tests")
            running.ok("create", "-g", "tests", "-n", REGISTRY, "--sku", "Basic")
            yield running
    finally:
        subprocess.run(["umount", str(tmp_path / "data")], check=True)


def push(pusher: Pusher, tag: str) -> int:
    """The first status that is not a success, else 201."""
    layer = os.urandom(LAYER_BYTES)
    begun = pusher.request("POST", f"/v2/{pusher.repository}/blobs/uploads/")
    answers = [begun]
    if begun.status_code == 202:
        from pushing import digest_of

        target = f"{begun.headers['location']}&digest={digest_of(layer)}"
        answers.append(pusher.request("PUT", target, content=layer))
    if answers[-1].status_code == 201:
        pusher.put_manifest(tag, pusher.make_manifest(layer, push=False))
    for answer in answers:
        if answer.status_code >= 400:
            assert answer.status_code in (503, 507), answer.text
            assert int(answer.headers["retry-after"]) > 0
            return answer.status_code
    return 201


def fill(pusher: Pusher) -> list[str]:
    """Push until the disk is full; the tags that were acknowledged."""
    tags: list[str] = []
    while push(pusher, f"v{len(tags)}") == 201:
        tags.append(f"v{len(tags)}")
        assert len(tags) < DISK_BYTES // LAYER_BYTES
    return tags


def check_all(pusher: Pusher, tags: list[str]) -> None:
    assert sorted(pusher.list_tags()) == sorted(tags)
    for tag in tags:
        pusher.check_whole(tag)


def make_room(stand: Stand, pusher: Pusher, tags: list[str]) -> None:
    """Delete what these tags name, and collect it, while the disk is full."""
    for tag in tags:
        digest = pusher.get(f"manifests/{tag}").headers["docker-content-digest"]
        assert pusher.request("DELETE", f"/v2/{pusher.repository}/manifests/{digest}").status_code == 202
    for _ in range(2):
        stand.ok("gc")


def test_pushes_until_it_is_full_then_deletes(stand: Stand) -> None:
    pusher = Pusher(stand, REGISTRY, "many/images")
    pusher.push_blob(b'{"architecture": "amd64", "os": "linux", "config": {"Labels": {}}}')
    tags = fill(pusher)
    assert len(tags) > 10
    for _ in range(5):  # refused again and again, and nothing adds up
        assert push(pusher, "none") == 507
    check_all(pusher, tags)
    make_room(stand, pusher, tags[:4])
    assert push(pusher, "again") == 201
    check_all(pusher, [*tags[4:], "again"])
    assert stand.ok("fsck").json()["verdict"] == "clean"


def test_another_program_fills_it(stand: Stand) -> None:
    """Not a byte is left, for the database either; once the other gives way, all goes on with nobody's help."""
    pusher = Pusher(stand, REGISTRY, "many/images")
    pusher.push_blob(b'{"architecture": "amd64", "os": "linux", "config": {"Labels": {}}}')
    assert push(pusher, "v0") == 201
    other = stand.data / "other"
    with other.open("wb") as file:
        while shutil.disk_usage(stand.data).free:
            try:
                file.write(b"x" * 4096)
                file.flush()
            except OSError:
                break
    for number in range(20):
        assert push(pusher, f"n{number}") in (503, 507)
    changes = [pusher.request("DELETE", f"/v2/{pusher.repository}/manifests/v0") for _ in range(3)]
    assert {answer.status_code for answer in changes} <= {202, 404, 503, 507}
    deleted = 202 in {answer.status_code for answer in changes}
    check_all(pusher, [] if deleted else ["v0"])
    assert stand.health() is not None
    other.unlink()
    assert push(pusher, "v1") == 201
    check_all(pusher, ["v1"] if deleted else ["v0", "v1"])
    assert stand.ok("fsck").json()["verdict"] == "clean"
    assert stand.stop() == 0
    stand.start("--no-build")
    wait_until(stand.health, "it is there again")
    check_all(pusher, ["v1"] if deleted else ["v0", "v1"])
