"""With a terminal in front: questions, Ctrl-C, and a build that is shown alive."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.fake_server import FakeServer, successful_run

COMMAND = "import sys; from darsena.cli.app import run; sys.exit(run())"


class OnTerminal:
    """One command whose three streams are a pseudo-terminal; `wait_for` reads until a text has come."""

    def __init__(self, *arguments: str, colour: bool = True) -> None:
        self._master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
        environment.pop("NO_COLOR", None)
        if not colour:
            environment["NO_COLOR"] = "1"
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        while text not in self.seen:
            self._read()

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        while True:
            try:
                self._read()
            except EOFError:
                break
        os.close(self._master)
        return self.process.wait(20)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except OSError:
            data = b""
        if not data:
            raise EOFError(self.seen)
        self.seen += data.decode("utf-8", "replace")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    root.mkdir()
    (root / "Dockerfile").write_text("FROM scratch\n")
    return root


@pytest.mark.parametrize(("answer", "canceled"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_ctrl_c_offers_to_cancel(server: FakeServer, folder: Path, answer: str, canceled: bool) -> None:
    server.state.next_run = lambda: successful_run(word="", chunks=[b"STEP 1/1: FROM scratch\r\n"])
    command = OnTerminal("build", "-r", "contoso", "-t", "a:b", str(folder))
    command.wait_for("[1/1] FROM scratch")
    command.interrupt()
    command.wait_for("Cancel the run ca1? [y/N]")
    command.type(answer)
    assert command.end() == 130
    assert (server.state.runs["ca1"].word == "canceled") is canceled
    assert ("darsena logs -r contoso ca1" in command.seen) is not canceled


def test_a_second_ctrl_c_leaves_the_run_alone(server: FakeServer, folder: Path) -> None:
    server.state.next_run = lambda: successful_run(word="", chunks=[b"STEP 1/1: FROM scratch\r\n"])
    command = OnTerminal("build", "-r", "contoso", "-t", "a:b", str(folder))
    command.wait_for("[1/1] FROM scratch")
    command.interrupt()
    command.wait_for("[y/N]")
    command.interrupt()
    assert command.end() == 130
    assert server.state.runs["ca1"].word == ""
    assert "darsena cancel-run -r contoso ca1" in command.seen


def test_a_build_ends_with_what_was_made_and_no_json(server: FakeServer, folder: Path) -> None:
    command = OnTerminal("build", "-r", "contoso", "-t", "shop/web:v1", str(folder))
    assert command.end() == 0
    assert "CACHED [2/2] COPY . ." in command.seen
    assert f"{server.login_server('contoso')}/shop/web:v1" in command.seen
    assert '"outputImages"' not in command.seen


def test_no_color_is_plain(server: FakeServer, folder: Path) -> None:
    command = OnTerminal("build", "-r", "contoso", "-t", "shop/web:v1", str(folder), colour=False)
    assert command.end() == 0
    assert "\x1b" not in command.seen
    assert "STEP 2/2: COPY . ." in command.seen


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("no\n", 1)])
def test_deleting_asks(server: FakeServer, answer: str, code: int) -> None:
    command = OnTerminal("repository", "delete", "-n", "contoso", "-t", "shop/web:v1")
    command.wait_for("and its tags v1? [y/N]")
    command.type(answer)
    assert command.end() == code
    assert (server.state.manifests == {}) is (code == 0)


def test_a_missing_group_is_asked_for(server: FakeServer) -> None:
    command = OnTerminal("create", "-n", "fabrikam")
    command.wait_for("shop):")
    command.type("shop\n")
    assert command.end() == 0
    assert "fabrikam" in server.state.registries
    assert "LOGIN SERVER" in command.seen
