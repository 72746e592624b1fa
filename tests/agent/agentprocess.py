"""Starting a real agent process, and what it is given to build."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fakeserver import DOMAIN, TOKEN, FakeServer

_START = "import sys; from darsena.agent.main import main; sys.exit(main(sys.argv[1:]))"
BUSYBOX = (
    "FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\n"
    'RUN ["/bin/busybox", "--install", "-s", "/bin"]\nCMD ["echo", "hello from the base"]\n'
)


def agent_command(server: FakeServer, state: Path, *options: str) -> tuple[list[str], dict[str, str]]:
    argv = [sys.executable, "-c", _START, "--server", f"https://127.0.0.1:{server.port}"]
    argv += ["--server-name", "localhost:8443", "--ca-file", str(server.certificates.ca)]
    argv += ["--registry-domain", DOMAIN, "--state", str(state), *options]
    return argv, {**os.environ, "DARSENA_AGENT_TOKEN": TOKEN}


@contextmanager
def running_agent(server: FakeServer, state: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    argv, environment = agent_command(server, state, *options)
    with (state.parent / f"{state.name}.log").open("ab") as log:
        agent = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
        try:
            yield agent
        finally:
            with suppress(ProcessLookupError):
                agent.send_signal(signal.SIGTERM)
            try:
                agent.wait(40)
            except subprocess.TimeoutExpired:
                agent.kill()
                agent.wait(10)


def pack(files: dict[str, str | bytes]) -> bytes:
    """An upload as clients make it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid = len(data), 0o755, 12345
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def busybox() -> bytes:
    path = shutil.which("busybox")
    assert path is not None, "install Debian's package busybox-static"
    return Path(path).read_bytes()
