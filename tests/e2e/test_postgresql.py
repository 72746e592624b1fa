"""The same server with its metadata in PostgreSQL: from day one, not some day (issue: Metadata)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from pushing import Pusher
from stand import standing, wait_until

from darsena.testing.postgres import running_postgres


def test_push_pull_run_and_restart_on_postgresql(tmp_path: Path, busybox: Path) -> None:
    with running_postgres() as server:
        environment = {"DARSENA_DATABASE__URL": server.create("darsena")}
        with standing(tmp_path, environment=environment) as stand:
            stand.ok("group", "create", "-n", "tests")
            stand.ok("create", "-g", "tests", "-n", "onpostgres", "--sku", "Basic")
            pusher = Pusher(stand, "onpostgres", "some/image")
            pusher.put_manifest("v1", pusher.make_manifest(os.urandom(2_000_000)))
            pusher.check_whole("v1")

            stand.ok("build", "-r", "onpostgres", "-t", "base/busybox:1", str(busybox))
            ran = stand.ok(
                "run", "-r", "onpostgres", "--cmd", "$Registry/base/busybox:1 echo said-in-a-run", "/dev/null"
            )
            assert "said-in-a-run" in ran.out + ran.err

            os.kill(stand.worker_pid(), signal.SIGKILL)
            wait_until(lambda: stand.health() is not None, "the worker is back", within_s=60)
            pusher.check_whole("v1")
            assert stand.stop() == 0

            stand.start("--no-build")
            pusher.check_whole("v1")
            assert stand.ok("repository", "list", "-n", "onpostgres").json() == ["base/busybox", "some/image"]
            runs = stand.ok("list-runs", "-r", "onpostgres").json()
            assert [run["status"] for run in runs] == ["Succeeded", "Succeeded"]
