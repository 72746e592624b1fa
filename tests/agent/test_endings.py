"""However a run ends, nothing of it is left: no process, no file, no cgroup; the server hears of it, or must not."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agentprocess import agent_command, running_agent
from fakeserver import FakeRun, FakeServer
from test_task_runs import encoded

Execute = Callable[..., FakeRun]
SLEEPER = """version: v1.1.0
steps:
  - cmd: $Registry/hello-world sh -c 'trap "" TERM; echo up; setsid sleep 77 & sleep 77'
"""


def leftovers(run: FakeRun, state: Path) -> list[str]:
    uid = run.order["run_uid"]
    found = [str(path) for path in (state / "runs").glob(f"*{uid}*")]
    found += [str(tree) for tree in Path("/sys/fs/cgroup").glob("**/darsena/*") if tree.name == uid]
    return found + running(run)


def running(run: FakeRun) -> list[str]:
    """Processes of the run: in its cgroup, or named by its folder, or its sleep."""
    uid, found = run.order["run_uid"].encode(), list[str]()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or is_zombie(int(folder.name)):
            continue
        try:
            said = (folder / "cmdline").read_bytes(), (folder / "cgroup").read_bytes()
        except OSError:
            continue
        if any(uid in text for text in said):
            found.append(f"{folder.name} {said[0]!r}")
    return found


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def start(server: FakeServer, **changes: Any) -> FakeRun:
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
    script = "echo up; sleep 3; for i in $(seq 9); do echo n$i; done"
    text = f"version: v1.1.0\nsteps:\n  - cmd: $Registry/hello-world sh -c '{script}'\n"
    run = server.submit(encoded(text))
    server.wait_for(lambda: "\nup\r\n" in run.text)
    server.refusing.set()
    server.wait_for(lambda: server.refused > 8)
    server.refusing.clear()
    assert run.ended.wait(20)
    assert "".join(f"n{i}\r\n" for i in range(1, 10)) in run.text
    assert run.finish is not None
    assert run.finish["status"] == "Succeeded"


def test_sigterm_gives_grace_then_error(server: FakeServer, tmp_path: Path) -> None:
    with running_agent(server, tmp_path / "state", "--grace", "1", "--pool", "second") as other:
        run = start(server, pool="second")
        other.send_signal(signal.SIGTERM)
        assert other.wait(20) == 0
    assert run.finish is not None
    assert (run.finish["status"], run.finish["error"]) == ("Error", "server stopped")
    assert leftovers(run, tmp_path / "state") == []


def test_kill_9_then_sweep(server: FakeServer, tmp_path: Path) -> None:
    """A dead agent's processes end at once, its files with the next agent's start; a live agent's run is left alone."""
    state = tmp_path / "state"
    with running_agent(server, state, "--pool", "living"), running_agent(server, state, "--pool", "dying") as dying:
        living, run = start(server, pool="living"), start(server, pool="dying")
        dying.kill()
        dying.wait(5)
        server.wait_for(lambda: not running(run), 10)
        assert (state / "runs" / run.order["run_uid"]).exists()
        with running_agent(server, state, "--pool", "third"):
            server.wait_for(lambda: not (state / "runs" / run.order["run_uid"]).exists(), 15)
            server.wait_for(lambda: server.hellos[-1]["dead"] == [run.order["run_uid"]], 5)
            assert running(living)
        living.cancel = True
        assert living.ended.wait(10)
    assert living.finish is not None
    assert living.finish["status"] == "Canceled"
    assert leftovers(run, state) == leftovers(living, state) == []


def test_it_ends_with_its_parent(server: FakeServer, tmp_path: Path) -> None:
    """The starter dies: nothing is claimed any more, the run goes on to its end, then the agent is gone."""
    script = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"
    argv, environment = agent_command(server, tmp_path / "state", "--pool", "orphan")
    with (tmp_path / "log").open("wb") as log:
        starter = subprocess.Popen(
            [sys.executable, "-c", script, *argv],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    text = "version: v1.1.0\nsteps:\n  - cmd: $Registry/hello-world sh -c 'echo up; sleep 4; echo down'\n"
    run = server.submit(encoded(text), pool="orphan")
    server.wait_for(lambda: "\nup\r\n" in run.text)
    starter.kill()
    starter.communicate(timeout=5)
    assert run.ended.wait(20)
    assert run.finish is not None
    assert run.finish["status"] == "Succeeded"
    server.wait_for(lambda: not Path(f"/proc/{pid}/exe").exists() or is_zombie(pid), 10)
