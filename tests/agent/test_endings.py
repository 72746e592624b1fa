"""However a run ends, nothing of it is left: no process, no file, no cgroup, and the server hears of it (or must not)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fakeserver import FakeRun, FakeServer
from test_task_runs import encoded

from conftest import running_agent

Execute = Callable[..., FakeRun]
SLEEPER = "version: v1.1.0\nsteps:\n  - cmd: $Registry/hello-world sh -c 'trap \"\" TERM; echo up; setsid sleep 77 & sleep 77'\n"


def leftovers(run: FakeRun, state: Path) -> list[str]:
    uid = run.order["run_uid"]
    found = [str(path) for path in (state / "runs").glob(f"*{uid}*")]
    for tree in Path("/sys/fs/cgroup").glob("*/darsena/*"):
        found += [str(tree)] if tree.name == uid else []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                said = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            found += [f"{folder.name}: {said!r}"] if uid.encode() in said or said.startswith(b"sleep\x0077") else []
    return found


def start(server: FakeServer, **changes: object) -> FakeRun:
    run = server.submit(encoded(SLEEPER), **changes)
    server.wait_for(lambda: "\nup\r\n" in run.text)
    return run


@pytest.fixture(autouse=True)
def _seeded(base: str) -> None:
    """Every test here runs the base."""


def test_cancel_is_quick(server: FakeServer, state: Path) -> None:
    run = start(server)
    run.cancel = True
    assert run.ended.wait(8)
    assert run.finish is not None
    assert run.finish["status"] == "Canceled"
    assert run.text.endswith("\r\n")
    assert f"Run ID: {run.order['run_id']} was canceled after " in run.text
    assert leftovers(run, state) == []


def test_the_runs_time_is_up(server: FakeServer, state: Path) -> None:
    run = start(server, timeout_s=4)
    assert run.ended.wait(15)
    assert run.finish is not None
    assert run.finish["status"] == "Timeout"
    assert f"Run ID: {run.order['run_id']} timed out after " in run.text
    assert leftovers(run, state) == []


def test_a_lost_run_is_killed_and_nothing_is_written(server: FakeServer, state: Path) -> None:
    run = start(server)
    size = len(run.log)
    run.lost = True
    server.wait_for(lambda: not leftovers(run, state), 20)
    assert run.finish is None
    assert len(run.log) == size


def test_a_lease_that_lapses_ends_the_run(server: FakeServer, state: Path) -> None:
    run = start(server, lease_s=3)
    server.refusing.set()
    try:
        server.wait_for(lambda: not leftovers(run, state), 20)
    finally:
        server.refusing.clear()
    assert run.finish is None


def test_a_server_that_was_away_gets_all_lines(server: FakeServer) -> None:
    text = "version: v1.1.0\nsteps:\n  - cmd: $Registry/hello-world sh -c 'echo up; sleep 3; for i in $(seq 9); do echo n$i; done'\n"
    run = server.submit(encoded(text))
    server.wait_for(lambda: "\nup\r\n" in run.text)
    server.refusing.set()
    server.wait_for(lambda: server.refused > 8)
    server.refusing.clear()
    assert run.ended.wait(20)
    assert "".join(f"n{i}\r\n" for i in range(1, 10)) in run.text
    assert run.finish is not None
    assert run.finish["status"] == "Succeeded"


def test_sigterm_gives_grace_then_error(server: FakeServer, tmp_path: Path, agent: subprocess.Popen[bytes]) -> None:
    agent.send_signal(signal.SIGSTOP)
    try:
        with running_agent(server, tmp_path / "state", "--grace", "1") as other:
            run = start(server)
            other.send_signal(signal.SIGTERM)
            assert other.wait(20) == 0
    finally:
        agent.send_signal(signal.SIGCONT)
    assert run.finish is not None
    assert (run.finish["status"], run.finish["error"]) == ("Error", "server stopped")
    assert leftovers(run, tmp_path / "state") == []


def test_kill_9_then_sweep(server: FakeServer, tmp_path: Path, agent: subprocess.Popen[bytes], state: Path) -> None:
    """The dead agent's run ends at once, its files with the next agent's start; a live agent's run is left alone."""
    agent.send_signal(signal.SIGSTOP)
    try:
        with running_agent(server, tmp_path / "state") as other:
            run = start(server)
            os.kill(other.pid, signal.SIGKILL)
            other.wait(5)
        server.wait_for(lambda: not [text for text in leftovers(run, tmp_path / "state") if ": " in text], 10)
        assert leftovers(run, tmp_path / "state")
    finally:
        agent.send_signal(signal.SIGCONT)
    living = start(server)
    with running_agent(server, tmp_path / "state", "--cpu", "0"):
        server.wait_for(lambda: not leftovers(run, tmp_path / "state"), 15)
    living.cancel = True
    assert living.ended.wait(10)
    assert living.finish is not None
    assert living.finish["status"] == "Canceled"
