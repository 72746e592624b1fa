"""Dársena's main job from nothing, on real input: every command is shown as you would type it, with what it prints.

Starts a server on its embedded default (SQLite, one local folder, podman and buildah), builds an image from
demo/hello, lists it, runs it, pulls it with an unmodified podman, and takes everything back at the end.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
DARSENA = HERE.parent / ".venv" / "bin" / "darsena"
REGISTRY = "demoregistry"


def main() -> int:
    port = 8443 if is_free(8443) else free_port()
    server = f"{REGISTRY}.azurecr.localhost:{port}"
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="darsena-demo-")))
        data = work / "data"
        environment = {**os.environ, "DARSENA_DATA": str(data), "XDG_CONFIG_HOME": str(work / "config")}
        step("1. Start Dársena: one command, one folder, no other service")
        stack.enter_context(serving(data, port, environment))
        stack.enter_context(trusting(environment))

        step("2. A resource group and a registry, as in Azure")
        run("darsena group create -n demo -l westeurope -o table", environment)
        run(f"darsena create -g demo -n {REGISTRY} --sku Basic -o table", environment)

        step("3. A base image of our own: this machine needs no other registry")
        base = make_base(work / "busybox")
        run(f"darsena build -r {REGISTRY} -t demo/busybox:1 -o none {base}", environment)

        step("4. Build demo/hello: packed, uploaded, queued, built; the log is live")
        context = prepare_hello(work / "hello", server)
        run(
            f"darsena build -r {REGISTRY} -t sample/hello:v1 --build-arg GREETING=Saludos -o none {context}",
            environment,
        )

        step("5. What is stored")
        run(f"darsena repository list -n {REGISTRY} -o table", environment)
        run(f"darsena repository show-tags -n {REGISTRY} --repository sample/hello -o table", environment)
        run(f"darsena list-runs -r {REGISTRY} -o table", environment)

        step("6. Run it at the server")
        run(f"darsena run -r {REGISTRY} --cmd '$Registry/sample/hello:v1' -o none /dev/null", environment)

        step("7. Sign in and pull it with an unmodified podman")
        podman(stack, work, server, environment)
        step("Done: built, stored, listed, run and pulled. The server is stopped and its data removed.")
    return 0


def step(title: str) -> None:
    print(f"\n\033[1m=== {title}\033[0m" if sys.stdout.isatty() else f"\n=== {title}", flush=True)


def run(line: str, environment: dict[str, str], shown: str | None = None) -> None:
    """Show a command, run it, stop the demo when it fails."""
    print(f"\n$ {shown or line}", flush=True)
    words = shlex.split(line)
    if words[0] == "darsena":
        words[0] = str(DARSENA)
    done = subprocess.run(words, env=environment, check=False, timeout=600, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SystemExit(f"the demo stops here: `{shown or line}` ended with {done.returncode}")


@contextlib.contextmanager
def serving(data: Path, port: int, environment: dict[str, str]) -> Iterator[None]:
    listen = f"127.0.0.1:{port}"
    print(f"\n$ darsena serve --data {data} --listen {listen} &", flush=True)
    shown = {**environment, "DARSENA_SCREEN": "1", "DARSENA_LOG__LEVEL": "warning"}
    with subprocess.Popen([DARSENA, "serve", "--data", data, "--listen", listen], env=shown) as server:
        try:
            wait_for_screen(server, data, port)
            yield
        finally:
            server.send_signal(signal.SIGTERM)
            code = server.wait(90)
            print(f"(the server drained and ended with {code})", flush=True)


def wait_for_screen(server: subprocess.Popen[bytes], data: Path, port: int) -> None:
    deadline = time.monotonic() + 60
    while not ((data / "owner.json").exists() and not is_free(port)):
        if server.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the server did not come up")
        time.sleep(0.1)
    time.sleep(1.0)  # lets the screen be printed before the next command is shown


@contextlib.contextmanager
def trusting(environment: dict[str, str]) -> Iterator[None]:
    """Names and certificates for podman, taken back at the end."""
    run("darsena trust", environment)
    try:
        yield
    finally:
        run("darsena trust --undo", environment)


def make_base(folder: Path) -> Path:
    """FROM scratch and one static program: the smallest image that can run a shell."""
    program = shutil.which("busybox") or "/bin/busybox"
    folder.mkdir()
    shutil.copy(program, folder / "busybox")
    (folder / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\nCMD ["/bin/sh"]\n'
    )
    return folder


def prepare_hello(folder: Path, server: str) -> Path:
    """demo/hello, with the base named by its registry."""
    shutil.copytree(HERE / "hello", folder)
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("FROM demo/busybox:1", f"FROM {server}/demo/busybox:1"))
    return folder


def podman(stack: contextlib.ExitStack, work: Path, server: str, environment: dict[str, str]) -> None:
    """With a storage of its own, so that the demo leaves nothing in yours."""
    store = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="darsena-podman-")))
    options = f"--root {store}/root --runroot {store}/run"
    own = {**environment, "REGISTRY_AUTH_FILE": str(work / "auth.json")}
    run(f"darsena login -n {REGISTRY}", own)
    run(f"podman {options} pull {server}/sample/hello:v1", own, shown=f"podman pull {server}/sample/hello:v1")
    run(f"podman {options} images", own, shown="podman images")
    subprocess.run(
        ["podman", *options.split(), "system", "reset", "--force"], env=own, check=False, capture_output=True
    )


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
