"""`darsena az-env` and `darsena az-setup`, with a program in az's place that writes down what it is asked."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Darsena
from cli.fake_server import CLIENT_ID, CLIENT_SECRET, PASSWORD, PERSON, TENANT, FakeServer

AZ = """#!{python}
import json, os, pathlib, sys
folder = pathlib.Path(os.environ["AZURE_CONFIG_DIR"])
words = sys.argv[1:]
secret = words[words.index("--password") + 1] if "--password" in words else ""
with open({log!r}, "a") as log:
    row = dict(words=words, folder=str(folder), ca=os.environ.get("REQUESTS_CA_BUNDLE", ""))
    row["secret"] = pathlib.Path(secret[1:]).read_text() if secret else ""
    row["mode"] = pathlib.Path(secret[1:]).stat().st_mode & 0o777 if secret else 0
    row["cloud"] = os.environ.get("AZURE_CLOUD_NAME")
    log.write(json.dumps(row) + "\\n")
if pathlib.Path({log!r} + ".fail").exists():
    sys.exit("ERROR: certificate verify failed")
clouds, config = folder / "clouds.config", folder / "config"
if words[:2] == ["cloud", "register"]:
    clouds.write_text("[Darsena]\\nendpoint_resource_manager = x\\n")
if words[:2] == ["cloud", "unregister"]:
    clouds.unlink()
if words[:2] == ["cloud", "set"]:
    config.write_text("[cloud]\\nname = " + words[3] + "\\n")
if words[0] == "login":
    (folder / "azureProfile.json").write_text("{{}}")
"""


class Log:
    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """What was asked since the last time."""
        rows = [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []
        self.path.write_text("")
        return rows


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    path, folder = tmp_path / "az.log", tmp_path / "bin"
    folder.mkdir()
    program = folder / "az"
    program.write_text(AZ.format(python=sys.executable, log=str(path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    for name in ("AZURE_CONFIG_DIR", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_CLOUD_NAME", "AzureCloud")
    return Log(path)


def exports(text: str) -> dict[str, str]:
    lines = [shlex.split(line) for line in text.splitlines()]
    assert all(words[0] == "export" and len(words) == 2 for words in lines)
    return dict(words[1].split("=", 1) for words in lines)


def test_a_shell_gets_an_az_of_its_own(darsena: Darsena, server: FakeServer, home: Path, log: Log) -> None:
    done = darsena("az-env")
    assert done.code == 0, done.err
    values = exports(done.out)
    folder = Path(values["AZURE_CONFIG_DIR"])
    assert folder.is_relative_to(home / ".config" / "darsena" / "az")
    assert folder.stat().st_mode & 0o777 == 0o700
    register, login = log.read()
    assert register["words"][:4] == ["cloud", "register", "--name", "Darsena"]
    assert server.control in register["words"]
    assert login["words"][:2] == ["login", "--service-principal"]
    assert (login["secret"], login["mode"]) == (CLIENT_SECRET, 0o600)
    assert CLIENT_SECRET not in " ".join(login["words"])
    assert {CLIENT_ID, TENANT} <= set(login["words"])
    for row in (register, login):
        assert (row["folder"], row["ca"], row["cloud"]) == (str(folder), values["REQUESTS_CA_BUNDLE"], None)
    assert "name = Darsena" in (folder / "config").read_text()
    assert not list(folder.glob(".secret*"))
    assert CLIENT_SECRET not in (folder / "darsena.json").read_text()


def test_a_person_is_signed_in_as_one(darsena: Darsena, server: FakeServer, log: Log) -> None:
    owner = darsena("az-env").out
    assert darsena("login", "-u", PERSON, "-p", PASSWORD).code == 0
    log.read()
    assert darsena("az-env").out != owner
    login = log.read()[-1]
    assert login["words"][:3] == ["login", "--username", PERSON]
    assert (login["secret"], PASSWORD in " ".join(login["words"])) == (PASSWORD, False)


def test_the_second_time_costs_nothing(darsena: Darsena, server: FakeServer, home: Path, log: Log) -> None:
    first = darsena("az-env").out
    log.read()
    assert darsena("az-env").out == first
    assert log.read() == []
    (Path(exports(first)["AZURE_CONFIG_DIR"]) / "azureProfile.json").unlink()  # signed out by hand
    assert darsena("az-env").out == first
    assert [row["words"][:2] for row in log.read()] == [["cloud", "update"], ["login", "--service-principal"]]


def test_the_bundle_holds_the_systems_authorities_and_ours(
    darsena: Darsena,
    server: FakeServer,
    owner: dict[str, str],
    tmp_path: Path,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = tmp_path / "company.pem"
    chosen.write_text("-----COMPANY-----\n")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(chosen))
    bundle = Path(exports(darsena("az-env").out)["REQUESTS_CA_BUNDLE"])
    assert bundle.read_text() == f"-----COMPANY-----\n{Path(owner['ca_file']).read_text()}"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))  # in the shell that has it already
    darsena("az-env")
    assert bundle.read_text().count(Path(owner["ca_file"]).read_text()) == 1


def test_a_shell_goes_back(darsena: Darsena, home: Path) -> None:
    assert darsena("az-env", "--unset").out == "unset AZURE_CONFIG_DIR REQUESTS_CA_BUNDLE\n"


def test_what_az_says_is_told(darsena: Darsena, server: FakeServer, log: Log) -> None:
    Path(f"{log.path}.fail").touch()
    done = darsena("az-env")
    assert (done.code, done.out) == (1, "")
    assert "certificate verify failed" in done.err
    assert "darsena doctor" in done.err


def test_without_az_there_is_a_way_to_get_it(darsena: Darsena, server: FakeServer, log: Log) -> None:
    for command in ("az-env", "az-setup"):
        done = darsena(command, "--az", "no-such-program")
        assert (done.code, done.out) == (1, "")
        assert "is not installed" in done.err
        assert "pipx install azure-cli" in done.err


def test_ones_own_configuration_is_set_up_and_given_back(
    darsena: Darsena, server: FakeServer, home: Path, log: Log
) -> None:
    azure = home / ".azure"
    azure.mkdir()
    (azure / "config").write_text("[cloud]\nname = AzureChinaCloud\n")
    done = darsena("az-setup")
    assert done.code == 0, done.err
    bundle = Path(exports(done.out)["REQUESTS_CA_BUNDLE"])
    assert bundle.exists()
    rows = log.read()
    assert {row["folder"] for row in rows} == {str(azure)}
    assert [row["words"][:2] for row in rows] == [
        ["cloud", "register"], ["cloud", "set"], ["login", "--service-principal"],
    ]  # fmt: skip
    assert darsena("az-setup").code == 0
    log.read()
    assert darsena("az-setup", "--undo").code == 0
    assert [row["words"][:4] for row in log.read()] == [
        ["logout", "--username", CLIENT_ID, "--only-show-errors"],
        ["cloud", "set", "--name", "AzureChinaCloud"],
        ["cloud", "unregister", "--name", "Darsena"],
    ]
    assert not bundle.exists()
    again = darsena("az-setup", "--undo")
    assert "nothing to take back" in again.err
    assert log.read() == []


def test_a_shell_of_az_env_is_not_set_up(
    darsena: Darsena, server: FakeServer, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CONFIG_DIR", exports(darsena("az-env").out)["AZURE_CONFIG_DIR"])
    log.read()
    done = darsena("az-setup")
    assert done.code == 1
    assert "--unset" in done.err
    assert log.read() == []
