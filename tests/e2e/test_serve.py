"""`darsena serve`: starting, being refused, draining, being killed (issue: Serving)."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from pathlib import Path

import httpx
import pytest
from stand import Stand, children, standing, wait_until


def test_owner_file_has_what_a_client_needs(stand: Stand) -> None:
    path = stand.data / "owner.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    owner = json.loads(path.read_text())
    assert set(owner) == {
        "tenant_id",
        "subscription_id",
        "client_id",
        "client_secret",
        "control_url",
        "registry_domain",
        "ca_file",
    }
    assert owner["control_url"] == f"https://localhost:{stand.port}"
    assert owner["registry_domain"] == "azurecr.localhost"
    assert Path(owner["ca_file"]).is_file()


def test_health_needs_no_credential(stand: Stand) -> None:
    assert stand.health() == {"status": "ok", "version": "0.1.0"}


def test_secrets_of_the_folder_are_closed_to_others(stand: Stand) -> None:
    open_to_others = {path.name for path in stand.data.rglob("*") if path.is_file() and path.stat().st_mode & 0o077}
    assert open_to_others <= {"ca.pem"}
    assert stat.S_IMODE(stand.data.stat().st_mode) == 0o700


def test_second_server_on_the_folder_is_refused_and_names_the_first(stand: Stand) -> None:
    done = stand.darsena("serve", "--data", str(stand.data), "--listen", "127.0.0.1:1")
    assert done.code == 2
    assert f"pid {stand.process.pid}" in done.err  # type: ignore[union-attr]


def test_another_port_is_refused_because_it_is_part_of_image_names(tmp_path: Path) -> None:
    with standing(tmp_path, "--no-build") as stand:
        assert stand.stop() == 0
        done = stand.darsena("serve", "--data", str(stand.data), "--listen", "127.0.0.1:9")
        assert done.code == 2
        assert str(stand.port) in done.err


def test_port_in_use_is_said(stand: Stand, tmp_path: Path) -> None:
    done = stand.darsena("serve", "--data", str(tmp_path / "other"), "--listen", stand.listen)
    assert done.code == 2
    assert "cannot listen" in done.err


@pytest.mark.parametrize(
    ("name", "near"),
    [("DARSENA_SERVER__LISTN", "server.listen"), ("DARSENA_LOG__LEVL", "log.level")],
)
def test_unknown_setting_names_the_nearest(stand: Stand, tmp_path: Path, name: str, near: str) -> None:
    other = Stand(tmp_path / "data", 1, tmp_path / "home", {name: "x"})
    done = other.darsena("serve", "--data", str(other.data))
    assert done.code == 2
    assert near in done.err


def test_a_foreign_folder_is_left_alone(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    done = stand.darsena("serve", "--data", str(tmp_path), "--listen", "127.0.0.1:9")
    assert done.code == 2
    assert "not empty" in done.err


def test_a_newer_format_is_refused(stand: Stand, tmp_path: Path) -> None:
    with standing(tmp_path, "--no-build") as own:
        own.stop()
        marker = own.data / "darsena.json"
        marker.write_text(json.dumps({**json.loads(marker.read_text()), "format_version": 99}))
        done = own.darsena("serve", "--data", str(own.data), "--listen", own.listen)
        assert done.code == 2
        assert "newer" in done.err


def test_sigterm_drains_and_exits_0(tmp_path: Path) -> None:
    with standing(tmp_path, "--no-build") as stand:
        assert stand.stop(within_s=15) == 0
        assert stand.health() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_drains_too(tmp_path: Path, number: signal.Signals) -> None:
    """As Ctrl-C in a terminal and service managers send it."""
    with standing(tmp_path, "--no-build") as stand:
        os.killpg(stand.process.pid, number)  # type: ignore[union-attr]
        assert stand.process.wait(20) == 0  # type: ignore[union-attr]
        assert stand.health() is None


def test_killed_worker_is_replaced(tmp_path: Path) -> None:
    """However often it happens: it was ready each time."""
    with standing(tmp_path, "--no-build") as stand:
        first = stand.worker_pid()
        for _ in range(7):
            os.kill(stand.worker_pid(), signal.SIGKILL)
            wait_until(lambda: stand.health() is not None, "the worker is back", within_s=60)
        assert stand.worker_pid() != first
        assert stand.stop() == 0


def test_a_worker_that_cannot_start_again_is_tried_until_it_can(tmp_path: Path) -> None:
    """As when a disk is away for a while: recovery needs nobody."""
    with standing(tmp_path, "--no-build") as stand:
        key = stand.data / "keys" / "root.key"
        aside = key.rename(key.with_name("aside"))
        os.kill(stand.worker_pid(), signal.SIGKILL)
        wait_until(lambda: stand.log.read_text().count("the root key") > 2, "it is tried again and again")
        aside.rename(key)
        wait_until(lambda: stand.health() is not None, "the worker is back", within_s=60)
        assert stand.stop() == 0


def test_a_signal_ends_a_server_whose_worker_cannot_start_again(tmp_path: Path) -> None:
    with standing(tmp_path, "--no-build") as stand:
        (stand.data / "keys" / "root.key").rename(tmp_path / "aside")
        os.kill(stand.worker_pid(), signal.SIGKILL)
        wait_until(lambda: "the root key" in stand.log.read_text(), "it is tried again")
        assert stand.stop() == 0


def test_reload_does_not_wait_for_an_idle_agent(tmp_path: Path) -> None:
    """SIGHUP brings a new worker at once; what an agent waits for at the old one would hold it up for 25 s."""
    with standing(tmp_path) as stand:
        wait_until(lambda: b"agent_started" in stand.log.read_bytes(), "the agent is there")
        wait_until(lambda: stand.rows("SELECT id FROM agent"), "and waits for work")
        first, agent = stand.worker_pid(), stand.agent_pid()
        stand.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
        wait_until(lambda: not Path(f"/proc/{first}").exists(), "the worker has ended", within_s=12)
        wait_until(lambda: stand.health() is not None, "and another is there", within_s=60)
        assert stand.agent_pid() == agent


def test_a_signal_while_a_worker_starts_ends_it_quietly(tmp_path: Path) -> None:
    """A worker begins with its supervisor's handlers, which are not meant for it."""
    with standing(tmp_path, "--no-build") as stand:
        for _ in range(4):
            os.kill(stand.worker_pid(), signal.SIGKILL)
            wait_until(lambda: children(stand.process.pid), "the next worker begins")  # type: ignore[union-attr]
            stand.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
            wait_until(lambda: stand.health() is not None, "the worker is back", within_s=60)
        os.kill(stand.worker_pid(), signal.SIGKILL)
        wait_until(lambda: children(stand.process.pid), "the next worker begins")  # type: ignore[union-attr]
        assert stand.stop() == 0
        assert "panicked" not in stand.log.read_text()


def test_killed_supervisor_leaves_nothing_that_answers(tmp_path: Path) -> None:
    with standing(tmp_path) as stand:
        pids = children(stand.process.pid)  # type: ignore[union-attr]
        worker = stand.worker_pid()
        stand.kill()
        wait_until(lambda: not Path(f"/proc/{worker}").exists(), "the worker died with it", within_s=5)
        assert stand.health() is None
        stand.start()  # and the folder is free again
        assert stand.health() is not None
        wait_until(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "an idle agent leaves too", within_s=40
        )


def test_ready_soon(tmp_path: Path) -> None:
    """Not a measurement (that is in bench): a server that needs many seconds is broken."""
    with standing(tmp_path, "--no-build") as stand:
        stand.stop()
        begin = time.monotonic()
        stand.start("--no-build")
        assert time.monotonic() - begin < 20


def test_unknown_host_is_421_and_unknown_registry_404(stand: Stand) -> None:
    with stand.client("example.com") as client:
        assert client.get("/v2/").status_code == 421
    with stand.client(stand.login_server("nosuchregistry")) as client:
        assert client.get("/v2/").status_code == 404


def test_tls_is_1_2_or_newer(stand: Stand) -> None:
    import ssl

    context = ssl.create_default_context(cafile=str(stand.data / "tls" / "ca.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with httpx.Client(verify=context) as client:
        assert client.get(f"https://localhost:{stand.port}/healthz").status_code == 200
