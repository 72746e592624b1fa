"""gc, fsck and sizes on the command line: what is sent, what is printed, how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.conftest import Darsena
from cli.fake_server import FakeServer
from darsena.cli import maintenance

PROGRESS = {"phase": "", "blobsMarked": 2, "blobsRemoved": 1, "bytesFreed": 5, "orphanBytes": 3, "blobsWaiting": 1}
NOTHING = {"number": 0, "bytes": 0}
PLAN = {
    "blobs": {"number": 2, "bytes": 2048},
    "links": 3,
    "orphans": NOTHING,
    "leftovers": NOTHING,
    "uploads": NOTHING,
    "waiting": {"number": 1, "bytes": 5},
    "bytes": 2048,
    "digests": [],
}
FINDING = {
    "line": "finding",
    "kind": "blob.corrupt",
    "severity": "lost",
    "registry": "contoso",
    "repository": None,
    "subject": "sha256:ab",
    "detail": "wrong bytes",
    "repaired": False,
}
END = {"line": "end", "verdict": "clean", "findings": 0, "repaired": 0, "blobs": 2, "bytes": 5, "manifests": 1}
SIZE = {"name": "shop/web", "ownBytes": 13, "sharedBytes": 4, "freedBytes": 9, "blobs": 2}


def run_of(status: str, **changes: Any) -> dict[str, Any]:
    return {"id": 7, "status": status, "registry": None, "startedAt": None, "progress": PROGRESS, **changes}


def lines(*found: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in found)


def test_the_plan(darsena: Darsena, server: FakeServer) -> None:
    server.state.maintenance = [PLAN, PLAN]
    assert darsena("gc", "--dry-run", "-r", "contoso").json == PLAN
    shown = darsena("gc", "--dry-run", "--grace", "0", "-o", "table")
    assert "blobs that nothing needs" in shown.out
    assert "2.0 kB would be freed" in shown.err
    assert [sent for *_, sent in server.state.maintained] == [
        {"registry": "contoso", "dryRun": True},
        {"graceSeconds": 0.0, "dryRun": True},
    ]


def test_start_and_wait(darsena: Darsena, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "_POLL_S", 0.0)
    server.state.maintenance = [run_of("Queued"), run_of("Running"), run_of("Running"), run_of("Succeeded")]
    done = darsena("gc", "--wait", "-o", "table")
    assert done.code == 0
    assert "Succeeded" in done.out
    assert done.err.count("2 marked, 1 removed, 5 B freed") == 1
    assert [path for _, path, _, _ in server.state.maintained] == ["gc", "gc/7", "gc/7", "gc/7"]


def test_without_waiting(darsena: Darsena, server: FakeServer) -> None:
    server.state.maintenance = [run_of("Queued")]
    assert darsena("gc", "--query", "status").json == "Queued"


def test_a_run_that_failed(darsena: Darsena, server: FakeServer) -> None:
    server.state.maintenance = [run_of("Queued"), run_of("Failed", error="the disk is gone")]
    done = darsena("gc", "--wait")
    assert done.code == 1
    assert "the disk is gone" in done.err


@pytest.mark.parametrize(
    ("option", "asked"),
    [("--pause", ("POST", "gc/pause")), ("--resume", ("POST", "gc/resume")), ("--status", ("GET", "gc"))],
)
def test_turning(darsena: Darsena, server: FakeServer, option: str, asked: tuple[str, str]) -> None:
    server.state.maintenance = [run_of("Paused")]
    assert darsena("gc", option).code == 0
    assert server.state.maintained[0][:2] == asked


def test_one_thing_at_a_time(darsena: Darsena, server: FakeServer) -> None:
    assert darsena("gc", "--pause", "--resume").code == 2
    assert darsena("gc", "--grace", "-1").code == 2


def test_clean(darsena: Darsena, server: FakeServer) -> None:
    server.state.maintenance = [lines({"line": "progress", "blobs": 1, "bytes": 3, "manifests": 0}, END)] * 2
    done = darsena("fsck", "--quick", "--repair")
    assert (done.code, done.json) == (0, {key: END[key] for key in END if key != "line"} | {"list": []})
    assert "clean: 2 blobs with 5 B and 1 manifests examined" in darsena("fsck", "-o", "table").err
    assert server.state.maintained[0][3] == {"repair": True, "digests": False}
    assert server.state.maintained[1][3] == {"repair": False, "digests": True}


def test_something_is_lost(darsena: Darsena, server: FakeServer) -> None:
    answer = lines(FINDING, {**END, "verdict": "lost", "findings": 1})
    server.state.maintenance = [answer, answer]
    done = darsena("fsck", "-r", "contoso", "-o", "table")
    assert done.code == 1
    assert "blob.corrupt" in done.out
    assert "1 findings, 0 repaired; left: lost" in done.err
    assert darsena("fsck", "--query", "list[].kind").json == ["blob.corrupt"]


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        (lines(FINDING), 5, "ended in the middle"),
        (b"", 5, "ended in the middle"),
        (lines(FINDING, {"line": "failure", "message": "the database is away"}), 1, "the database is away"),
    ],
)
def test_a_check_that_breaks_off(darsena: Darsena, server: FakeServer, answer: bytes, code: int, says: str) -> None:
    server.state.maintenance = [answer]
    done = darsena("fsck")
    assert done.code == code
    assert says in done.err


def test_sizes(darsena: Darsena, server: FakeServer) -> None:
    pages = [
        {"registry": "contoso", "storedBytes": 13, "singleBytes": 9, "sharedBytes": 4, "unlinkedBytes": 0,
         "repositories": [SIZE], "next": "shop/web"},
        {"repositories": [SIZE | {"name": "z"}], "next": None},
    ]  # fmt: skip
    server.state.maintenance = [SIZE, *pages, *pages]
    show = ("repository", "show", "-n", "contoso", "--size")
    assert darsena(*show, "--repository", "shop/web", "--query", "freedBytes").json == 9
    assert darsena(*show, "--query", "repositories[].name").json == ["shop/web", "z"]
    assert "stored 13 B = in one repository 9 B + in several 4 B + in none 0 B" in darsena(*show, "-o", "table").err
    assert darsena(*show, "--image", "shop/web:v1").code == 2
    assert server.state.maintained[0][2] == {"repository": "shop/web"}
    assert server.state.maintained[2][2] == {"last": "shop/web"}
