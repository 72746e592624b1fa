"""Nothing that a customer sent lies in plaintext below the data folder (issue: Bytes; promises, section 3).

Marked content goes in by every way there is, with a kill -9 in the middle; then every file is searched, the database
and its WAL among them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
from pushing import Pusher, digest_of
from stand import Stand, standing, wait_until

MARK = b"PLAINTEXT-MARK-7f3a9c"


def marked(what: str, size: int = 0) -> bytes:
    """Content full of the mark, so that any cut of it shows."""
    line = MARK + b" " + what.encode() + b"\n"
    return line * max(1, size // len(line))


def files_with_the_mark(stand: Stand) -> list[str]:
    found: list[str] = []
    for path in stand.data.rglob("*"):
        if path.is_file():
            with contextlib.suppress(FileNotFoundError):
                content = path.read_bytes()
                if MARK in content or MARK.hex().encode() in content:
                    found.append(str(path.relative_to(stand.data)))
    return found


def context_with_the_mark(folder: Path, busybox: Path) -> Path:
    folder.mkdir()
    shutil.copy(busybox / "busybox", folder / "busybox")
    (folder / "secret.txt").write_bytes(marked("build source", 100_000))
    (folder / "Dockerfile").write_text(
        "FROM scratch\nCOPY busybox /bin/busybox\nCOPY secret.txt /secret.txt\n"
        f'LABEL note="{MARK.decode()}"\n'
        f'RUN ["/bin/busybox", "echo", "{MARK.decode()} said by the build"]\n'
    )
    return folder


def test_no_plaintext_at_rest(tmp_path: Path, busybox: Path) -> None:
    with standing(tmp_path) as stand:
        stand.ok("group", "create", "-n", "tests")
        stand.ok("create", "-g", "tests", "-n", "atrest", "--sku", "Basic")
        pusher = Pusher(stand, "atrest", "marked/image")

        layer = marked("layer", 3_000_000)
        pusher.put_manifest("v1", pusher.make_manifest(layer, {"note": MARK.decode()}))
        assert files_with_the_mark(stand) == []

        begun = pusher.request("POST", "/v2/marked/image/blobs/uploads/")
        pusher.request("PATCH", begun.headers["location"], content=marked("upload in progress", 1_500_000))
        assert files_with_the_mark(stand) == []

        done = stand.darsena(
            "build", "-r", "atrest", "-t", "marked/built:1", str(context_with_the_mark(tmp_path / "c", busybox))
        )
        assert done.code == 0, done.err
        assert MARK.decode() in done.err + done.out  # the log was there to be read
        assert files_with_the_mark(stand) == []

        _kill_while_a_run_talks(stand)
        assert files_with_the_mark(stand) == []

        with contextlib.suppress(httpx.TransportError):
            _push_while_killed(stand, pusher)
        wait_until(lambda: stand.health() is not None, "the worker is back", within_s=60)
        assert files_with_the_mark(stand) == []
        pusher.check_whole("v1")

        stand.stop()
        assert files_with_the_mark(stand) == []


def _kill_while_a_run_talks(stand: Stand) -> None:
    """A run whose log grows while the server dies; it goes on afterwards."""
    busybox = "/bin/busybox"
    script = f"for i in $({busybox} seq 40); do echo {MARK.decode()} line $i; {busybox} sleep 0.1; done"
    command = f"$Registry/marked/built:1 {busybox} sh -c '{script}'"
    run = stand.ok("run", "-r", "atrest", "--cmd", command, "--no-wait", "-o", "json", "/dev/null").json()["runId"]
    wait_until(lambda: MARK.decode() in stand.read_log("atrest", run), "the run talks")
    assert files_with_the_mark(stand) == []
    os.kill(stand.worker_pid(), signal.SIGKILL)
    assert files_with_the_mark(stand) == []
    wait_until(stand.health, "the worker is back", within_s=60)
    wait_until(lambda: "line 40" in stand.read_log("atrest", run), "the run has gone on")


def _push_while_killed(stand: Stand, pusher: Pusher) -> None:
    """A push of which the server dies after a part has arrived."""
    content = marked("killed", 4_000_000)
    begun = pusher.request("POST", "/v2/marked/image/blobs/uploads/")

    def body() -> Iterator[bytes]:
        yield content[:2_500_000]
        os.kill(stand.worker_pid(), signal.SIGKILL)
        yield content[2_500_000:]

    path = f"{begun.headers['location']}&digest={digest_of(content)}"
    pusher.request("PUT", path, content=body())
