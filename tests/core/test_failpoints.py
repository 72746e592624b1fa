"""A failpoint does nothing but what the environment asks for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from darsena.core.failpoints import VARIABLE, failpoint


def test_nothing_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    failpoint("commit.before_rename")


def test_only_the_named_point_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "commit.before_rename:raise")
    failpoint("commit.before_renam")
    failpoint("commit.before_rename_")
    with pytest.raises(OSError, match=r"commit\.before_rename"):
        failpoint("commit.before_rename")


@pytest.mark.parametrize("value", ["here", "here:kill"])
def test_kill(value: str) -> None:
    code = (
        "from darsena.core.failpoints import failpoint; failpoint('there'); print('on', flush=True); failpoint('here')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, VARIABLE: value}, capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"on\n")


def test_a_point_in_a_file_is_reached_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "point"
    monkeypatch.setenv(VARIABLE, f"@{file}")
    failpoint("here")
    file.write_text("here:raise\n")
    failpoint("there")
    with pytest.raises(OSError, match="here"):
        failpoint("here")
    failpoint("here")
    assert not file.exists()
