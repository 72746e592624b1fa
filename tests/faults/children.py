"""Programs of the tests, side by side: none outlives the test, nor does what it has forked, whatever fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
_WITHIN_S = 270
"""Less than pytest gives a test, so that what was said is told."""


def run_together(commands: Sequence[Sequence[str]], *, within_s: float | None = _WITHIN_S) -> list[dict[str, Any]]:
    """Of each, what it says in its last line. Each is a module of the tests with its arguments."""
    with ExitStack() as running:
        processes = [running.enter_context(_run(command)) for command in commands]
        return [_end(process, within_s) for process in processes]


@contextmanager
def _run(command: Sequence[str]) -> Generator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[str], within_s: float | None) -> dict[str, Any]:
    out, _ = process.communicate(timeout=within_s)
    print(out)
    assert process.returncode == 0, out[-6000:]
    return json.loads(out.splitlines()[-1])
