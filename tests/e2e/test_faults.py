"""Runs while the server, its agent or the whole of it is killed: nothing stays Running, nothing is told twice.

After each fault the same oracles: every run has ended, nothing of it is left on the machine, `darsena fsck` is content.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stand import DARSENA, Stand, process_list, standing, wait_until

REGISTRY = "faultregistry"
DRAIN_S = 2
ENDED = {"Succeeded", "Failed", "Canceled", "Error", "Timeout"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, busybox: Path) -> Iterator[Stand]:
    """One data folder for all of them, with an image to run; its server is down between tests."""
    path = tmp_path_factory.mktemp("faults")
    environment = {"DARSENA_FAILPOINT": f"@{path / 'point'}", "DARSENA_SERVER__DRAIN_S": str(DRAIN_S)}
    with standing(path, environment=environment) as stand:
        stand.ok("group", "create", "-n", "tests")
        stand.ok("create", "-g", "tests", "-n", REGISTRY, "--sku", "Basic")
        stand.ok("build", "-r", REGISTRY, "-t", "base/busybox:1", str(busybox))
        assert stand.stop() == 0
        yield stand


@pytest.fixture
def stand(folder: Stand) -> Iterator[Stand]:
    folder.start()
    yield folder
    wait_until(folder.health, "the server is there again")
    wait_until(lambda: {run["status"] for run in runs(folder)} <= ENDED, "every run has ended", within_s=90)
    wait_until(lambda: not list((folder.state / "runs").iterdir()), "the runs' folders are gone", within_s=20)
    assert not [line for line in process_list() if folder.endless in line]
    assert folder.rows("SELECT count(*) FROM run_queue") == [(0,)]
    assert folder.rows("SELECT count(*) FROM run_credential") == [(0,)]
    folder.ok("fsck")
    assert folder.stop() == 0


def runs(stand: Stand) -> list[dict[str, Any]]:
    return stand.runs(REGISTRY)


def command(script: str) -> tuple[str, ...]:
    return ("run", "-r", REGISTRY, "--cmd", f"$Registry/base/busybox:1 sh -c '{script}'", "/dev/null")


def begin(stand: Stand, script: str) -> str:
    """A run that has written its first line; its id."""
    done = stand.ok(*command(f"echo begun; {script}"), "--no-wait", "-o", "json")
    run_id = done.json()["runId"]
    wait_until(lambda: "begun" in stand.read_log(REGISTRY, run_id), "the run's first line is there")
    assert show(stand, run_id)["status"] == "Running"
    assert list((stand.state / "runs").iterdir())
    return run_id


def show(stand: Stand, run_id: str) -> dict[str, Any]:
    return stand.run(REGISTRY, run_id)


def end_of(stand: Stand, run_id: str, *, within_s: float = 30) -> dict[str, Any]:
    return wait_until(
        lambda: (run := show(stand, run_id))["status"] in ENDED and run, "the run has ended", within_s=within_s
    )


# --- the worker -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["run.claimed", "run.logged", "run.before_end", "run.after_end"])
def test_worker_that_dies_in_a_run_costs_the_run_nothing(stand: Stand, point: str) -> None:
    """Whoever follows the run sees its whole output once, and exit code 0."""
    file = Path(stand.environment["DARSENA_FAILPOINT"][1:])
    file.write_text(point)
    done = stand.darsena(*command("for i in 1 2 3; do echo line-$i; sleep 0.2; done"))
    assert not file.exists(), f"the failpoint {point} is never reached by a run"
    assert done.code == 0, done.err
    assert [line for line in done.out.splitlines() if line.startswith("line-")] == ["line-1", "line-2", "line-3"]
    assert runs(stand)[0]["status"] == "Succeeded"


def test_worker_that_dies_as_a_run_was_scheduled_keeps_it(stand: Stand) -> None:
    """It was written, only the answer is missing: the client is told to look, and the run is carried out."""
    before = len(runs(stand))
    file = Path(stand.environment["DARSENA_FAILPOINT"][1:])
    file.write_text("run.scheduled")
    done = stand.darsena(*command("true"))
    assert not file.exists()
    assert done.code in (1, 5), done
    wait_until(stand.health, "the worker is back")
    made = wait_until(lambda: (found := runs(stand))[: len(found) - before], "the run is listed")
    assert [end_of(stand, run["runId"])["status"] for run in made] == ["Succeeded"]


def test_killed_worker_during_a_build(stand: Stand, tmp_path: Path) -> None:
    """The agent holds on to the run; it is pushed, and the client that watched sees it to the end."""
    server = stand.login_server(REGISTRY)
    pause = f"sleep 3.{stand.port}"
    (tmp_path / "Dockerfile").write_text(f"FROM {server}/base/busybox:1\nRUN echo one; {pause}; echo two\n")
    arguments = [*DARSENA, "build", "-r", REGISTRY, "-t", "killed/worker:v1", str(tmp_path)]
    with subprocess.Popen(arguments, env=stand.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(lambda: any(line.startswith(pause) for line in process_list()), "the step works")
        os.kill(stand.worker_pid(), signal.SIGKILL)
        out, err = (stream.decode() for stream in process.communicate(timeout=60))
    assert process.returncode == 0, err
    assert [line for line in err.splitlines() if line in ("one", "two")] == ["one", "two"]
    assert '"Succeeded"' in out
    assert stand.ok("repository", "show-tags", "-n", REGISTRY, "--repository", "killed/worker").json() == ["v1"]


# --- the agent --------------------------------------------------------------------------------------------------------


def test_killed_agent_loses_its_run_at_once_and_the_next_one_works(stand: Stand) -> None:
    run_id = begin(stand, stand.endless)
    agent = wait_until(stand.agent_pid, "the agent is there")
    os.kill(agent, signal.SIGKILL)
    run = end_of(stand, run_id)
    assert (run["status"], run["runErrorMessage"]) == ("Error", "agent lost")
    log = stand.darsena("logs", "-r", REGISTRY, run_id)
    assert log.code == 1
    assert "begun" in log.out
    assert "agent lost" in log.out
    assert stand.darsena(*command("echo again")).code == 0


# --- the server -------------------------------------------------------------------------------------------------------


def test_sigterm_with_a_running_run_ends_it_after_its_time(stand: Stand) -> None:
    run_id = begin(stand, stand.endless)
    begun = time.monotonic()
    assert stand.stop() == 0
    assert time.monotonic() - begun >= DRAIN_S
    assert not [line for line in process_list() if stand.endless in line]
    stand.start()
    run = show(stand, run_id)
    assert (run["status"], run["runErrorMessage"]) == ("Error", "server stopped")
    assert "server stopped" in stand.darsena("logs", "-r", REGISTRY, run_id).out


def test_killed_server_that_is_started_again_gets_its_run_back(stand: Stand) -> None:
    """The agent of the first server brings the run to its end at the second, which has an agent of its own."""
    run_id = begin(stand, "sleep 4; echo finished")
    first = stand.agent_pid()
    stand.kill()
    stand.start()
    assert end_of(stand, run_id)["status"] == "Succeeded"
    assert "finished" in stand.ok("logs", "-r", REGISTRY, run_id).out.splitlines()
    wait_until(lambda: not Path(f"/proc/{first}").exists(), "the first agent has left", within_s=30)
    assert stand.darsena(*command("echo again")).code == 0
