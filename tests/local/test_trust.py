"""`darsena trust`: what it writes, and that undoing leaves every other line as it was."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from darsena.local.addresses import Addresses
from darsena.local.logs import mask
from darsena.local.trust import Machine, Trust, keep_names

ADDRESSES = Addresses.choose("", 8443)
HOSTS = "127.0.0.1 localhost\n# mine\n10.0.0.1 elsewhere\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "hosts").write_text(HOSTS)
    (tmp_path / "ca.pem").write_text("CA\n")
    return Machine(
        hosts=tmp_path / "hosts",
        podman=tmp_path / "podman",
        docker=tmp_path / "docker",
        containerd=tmp_path / "containerd",
        system=tmp_path / "system",
        update_system=(),
    )


def make(machine: Machine, *, root: bool = True) -> Trust:
    return Trust(machine, ADDRESSES, machine.hosts.parent / "ca.pem", "abcdef0123456789", root=root)


def test_apply_then_undo_leaves_nothing(machine: Machine) -> None:
    before = {path for path in machine.hosts.parent.rglob("*") if path.is_file()}
    changes = make(machine).apply(["MyReg", "other"])
    assert len(changes) == 8
    assert "127.0.0.1 myreg.azurecr.localhost\n" in machine.hosts.read_text()
    assert "127.0.0.1 darsena.blob.core.azurecr.localhost\n" in machine.hosts.read_text()
    assert (machine.docker / "myreg.azurecr.localhost:8443" / "darsena-abcdef01.crt").read_text() == "CA\n"
    assert 'ca = "' in (machine.containerd / "other.azurecr.localhost:8443" / "hosts.toml").read_text()
    assert make(machine).undo()
    assert machine.hosts.read_text() == HOSTS
    assert {path for path in machine.hosts.parent.rglob("*") if path.is_file()} == before


def test_applying_again_changes_nothing(machine: Machine) -> None:
    make(machine).apply(["myreg"])
    assert make(machine).apply(["myreg"]) == []


def test_undo_where_nothing_was_done(machine: Machine) -> None:
    assert make(machine).undo() == []
    assert machine.hosts.read_text() == HOSTS


def test_somebody_elses_files_stay(machine: Machine) -> None:
    folder = machine.docker / "myreg.azurecr.localhost:8443"
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_text("theirs")
    make(machine).apply(["myreg"])
    make(machine).undo()
    assert (folder / "ca.crt").read_text() == "theirs"


def test_a_hosts_file_without_a_last_newline(machine: Machine) -> None:
    machine.hosts.write_text("127.0.0.1 localhost")
    make(machine).apply([])
    assert machine.hosts.read_text().startswith("127.0.0.1 localhost\n# BEGIN darsena-abcdef01 ")


def test_without_root_only_the_own_podman_is_changed(machine: Machine) -> None:
    make(machine, root=False).apply(["myreg"])
    assert machine.hosts.read_text() == HOSTS
    assert not machine.docker.exists()
    assert (machine.podman / "myreg.azurecr.localhost:8443").is_dir()


def test_names_are_kept_only_where_they_were_asked_for(machine: Machine) -> None:
    assert keep_names(make(machine), ["newreg"]) == []
    make(machine).apply([])
    keep_names(make(machine), ["newreg"])
    assert "newreg.azurecr.localhost" in machine.hosts.read_text()


def test_two_stamps_keep_apart(machine: Machine) -> None:
    """Undoing one leaves the other's names; a stamp that was never trusted writes nothing."""
    other = Trust(machine, ADDRESSES, machine.hosts.parent / "ca.pem", "0123456789abcdef", root=True)
    make(machine).apply(["mine"])
    assert not other.is_applied()
    assert keep_names(other, ["theirs"]) == []
    other.apply(["theirs"])
    make(machine).undo()
    assert "theirs.azurecr.localhost" in machine.hosts.read_text()
    assert "mine.azurecr.localhost" not in machine.hosts.read_text()


@pytest.mark.parametrize(
    "value",
    [
        "Authorization: Bearer abc.def",
        "https://h/x?se=1&sig=abcdef",
        "grant_type=password&password=hunter2",
        "eyJhbGciOi.eyJzdWIi.c2ln",
        "Basic dTpw",
    ],
)
def test_secrets_never_reach_a_log(value: str) -> None:
    logged = mask(None, "info", {"event": "x", "note": value, "client_secret": "s3cret"})
    text = str(logged)
    assert "***" in logged["note"]
    for secret in ("abc.def", "abcdef", "hunter2", "c2ln", "dTpw", "s3cret"):
        assert secret not in text


def test_two_at_a_time_keep_what_the_other_writes(machine: Machine) -> None:
    """The second waits for the first, which here is this test with the hosts file in hand."""
    with machine.hosts.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = threading.Thread(target=make(machine).apply, args=([f"name{number}" for number in range(9)],))
        second.start()
        second.join(0.3)
        assert second.is_alive()
        machine.hosts.write_text(f"{HOSTS}127.0.0.1 written-meanwhile\n")
    second.join()
    assert "written-meanwhile" in machine.hosts.read_text()
    assert "127.0.0.1 name8.azurecr.localhost" in machine.hosts.read_text()


def test_nobody_reads_a_hosts_file_without_its_first_lines(machine: Machine) -> None:
    """Names of other servers are looked up all the time while one registry after the other is made."""
    torn: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            text = machine.hosts.read_text()
            torn.extend([] if text.startswith(HOSTS) else [text])

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(100):
        make(machine).apply([f"name{other}" for other in range(number % 5)])
    done.set()
    reader.join()
    assert torn == []
