"""kill -9 between the steps of a run's life: acknowledged is durable, nothing stays Running, each run ends once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import runs_crash_child
from darsena.identity.store import find_run
from darsena.jobs.lease import LEASE_S
from darsena.journal import list_entries, registry_stream
from darsena.testing import FakeClock
from runs_crash_child import open_world
from runs_world import AGENT, SUBSCRIPTION, TENANT

CHILD = Path(runs_crash_child.__file__)


@pytest.fixture
def folder(tmp_path: Path, sqlite_template: Path) -> Path:
    """With an empty database in it."""
    (tmp_path / "darsena.db").write_bytes(sqlite_template.read_bytes())
    return tmp_path


def run_child(folder: Path, what: str, point: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CHILD), str(folder), what],
        env={**os.environ, "DARSENA_FAILPOINT": point},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("point", "what", "said", "left", "ended"),
    [
        ("run.scheduled", "run", [], "Queued", "Queued"),
        ("run.claimed", "run", ["run"], "Started", "Error"),
        ("run.logged", "run", ["run"], "Running", "Error"),
        ("run.before_end", "run", ["run", "logged"], "Running", "Error"),
        ("run.after_end", "run", ["run", "logged"], "Succeeded", "Succeeded"),
        ("run.before_end", "cancel", ["run"], "Queued", "Canceled"),
        ("run.after_end", "cancel", ["run"], "Canceled", "Canceled"),
    ],
)
async def test_kill_at(folder: Path, point: str, what: str, said: list[str], left: str, ended: str) -> None:
    child = run_child(folder, what, point)
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert len(child.stdout.split()) == len(said)
    world = open_world(folder, FakeClock())
    row = await world.resources.read_registry(SUBSCRIPTION, "rg1", "reg10")
    world.registries["reg10"] = row
    [run] = (await world.tasks.runs.list(row.uid, test=None, before=None, limit=10)).runs
    assert run.status == left
    await world.tasks.reaper.reap()
    world.pass_time(LEASE_S)
    for _ in range(2):
        await world.tasks.reaper.reap()
    run = await world.get(run)
    assert run.status == ended
    entries = world.db.read_sync(list_entries, registry_stream(row.uid, row.location), after=0)
    assert [entry.kind for entry in entries].count("run.finished") == (ended != "Queued")
    assert world.db.read_sync(find_run, run.uid, TENANT) is None
    log = b"" if run.log_size == 0 else await world.log_of(run)
    assert (b"the line\r\n" in log) is (what == "run" and point not in ("run.scheduled", "run.claimed"))
    assert (b"Run ID: " in log) is (ended in ("Error", "Canceled"))
    assert len(log) == run.log_size
    if ended == "Queued":
        await world.hello()
        order = await world.claim()
        await world.tasks.agents.beat(order.run_uid, AGENT, order.fence)
        await world.finish(order)
        assert (await world.get(run)).status == "Succeeded"
    world.db.close()
