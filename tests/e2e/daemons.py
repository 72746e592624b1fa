"""dockerd and containerd as Debian ships them: started by the tests, with folders and sockets of their own.

The names and the CA are those that `darsena trust` made known: docker reads /etc/docker/certs.d, ctr is given
/etc/containerd/certs.d. No network of containers is made, and no rule of the firewall is touched.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stand import Done, Stand, run, wait_until

DOCKER = "/usr/bin/docker"
"""Debian's: another one may come first on the PATH."""
HOSTS_DIR = "/etc/containerd/certs.d"
START_S = 60


@dataclass(frozen=True)
class Docker:
    """The command, with a sign-in file of its own, at a daemon of its own."""

    stand: Stand
    folder: Path
    """Short: sockets lie in it."""

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    @property
    def config(self) -> Path:
        """Its folder of sign-ins; a daemon knows nobody by itself."""
        return self.folder / "config"

    @property
    def environment(self) -> dict[str, str]:
        """For programs that call docker themselves."""
        return {"DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.config)}

    def __call__(self, *arguments: str, check: bool = True, timeout: float = 120, hosts: Path | None = None) -> Done:
        """`hosts`: what this one command sees as /etc/hosts."""
        command = [*(_with_hosts(hosts) if hosts else []), DOCKER, *arguments]
        done = run(command, env={**self.stand.env(), **self.environment}, timeout=timeout)
        assert not check or done.code == 0, f"{' '.join(command)} ended with {done.code}:\n{done.err}\n{done.out}"
        return done

    def login(self, server: str, user: str, password: str, *, check: bool = True) -> Done:
        return self("login", server, "--username", user, "--password", password, check=check)

    def sign_in(self, registry: str) -> str:
        """As the owner; the login server."""
        server = self.stand.login_server(registry)
        self.login(server, self.stand.owner["client_id"], self.stand.owner["client_secret"])
        return server

    def forget(self) -> None:
        """Every sign-in and every image, manifest lists too."""
        shutil.rmtree(self.config, ignore_errors=True)
        images = set(self("images", "--all", "--quiet").out.split())
        if images:
            self("rmi", "--force", *images, check=False)


@dataclass(frozen=True)
class Containerd:
    """`ctr` at a containerd of its own."""

    stand: Stand
    folder: Path

    def __call__(self, *arguments: str, check: bool = True, timeout: float = 120) -> Done:
        command = ["ctr", "--address", f"{self.folder}/containerd.sock", *arguments]
        done = run(command, env=self.stand.env(), timeout=timeout)
        assert not check or done.code == 0, f"{' '.join(command)} ended with {done.code}:\n{done.err}\n{done.out}"
        return done

    def pull(self, image: str, *options: str, user: str | None = None, check: bool = True) -> Done:
        """As the owner, when nobody else is named."""
        sign_in = ("--user", self.stand.credentials if user is None else user)
        return self("images", "pull", "--hosts-dir", HOSTS_DIR, *sign_in, *options, image, check=check)

    def push(self, image: str, *, local: str | None = None) -> Done:
        """As the owner; `local` is what the image is called here, when not the same."""
        sign_in = ("--user", self.stand.credentials)
        return self("images", "push", "--hosts-dir", HOSTS_DIR, *sign_in, image, *([local] if local else []))

    def content(self) -> dict[str, int]:
        """Every blob that it holds: digest and size."""
        rows = [line.split() for line in self("content", "ls").out.splitlines()[1:]]
        return {row[0]: _bytes(row[1]) for row in rows}

    def forget(self) -> None:
        """Every image and its bytes, so that a pull brings them again."""
        images = self("images", "ls", "--quiet").out.split()
        if images:
            self("images", "rm", "--sync", *images)
        wait_until(lambda: not self.content(), "containerd has freed what it held")


def _bytes(size: str) -> int:
    """What `ctr content ls` prints as a size, roughly."""
    units = {"kB": 1_000, "MB": 1_000_000, "KiB": 1 << 10, "MiB": 1 << 20, "B": 1}
    unit = next(unit for unit in units if size.endswith(unit))
    return int(float(size.removesuffix(unit)) * units[unit])


def _with_hosts(hosts: Path) -> list[str]:
    """What follows runs in a mount namespace of its own, so nobody else sees it."""
    return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)]


@contextlib.contextmanager
def beyond_loopback(stand: Stand, server: str, folder: Path) -> Iterator[Path]:
    """A hosts file in which the login server has an address that docker does not count as local.

    For a name in 127.0.0.0/8 `docker manifest push` insists on plain HTTP (docker manifest and LookupPushEndpoints), so
    ::1 passes the bytes on, TLS and all.
    """

    class Relay(socketserver.ThreadingTCPServer):
        address_family = socket.AF_INET6
        daemon_threads = True

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", stand.port)) as onward:
                back = threading.Thread(target=_pass_on, args=(onward, self.request))
                back.start()
                _pass_on(self.request, onward)
                back.join()

    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n::1 {server.partition(':')[0]}\n")
    with Relay(("::1", stand.port), Connection) as relay:
        threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.05}).start()
        try:
            yield hosts
        finally:
            relay.shutdown()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def own_docker(stand: Stand) -> Iterator[Docker]:
    folder = Path(tempfile.mkdtemp(prefix="darsena-d-"))
    docker = Docker(stand, folder)
    (folder / "daemon.json").write_text("{}")  # else this machine's own /etc/docker/daemon.json is read
    options = ["--config-file", f"{folder}/daemon.json", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/x"]
    options += ["--pidfile", f"{folder}/pid", "--host", docker.host, "--storage-driver", "vfs"]
    options += ["--bridge", "none", "--iptables=false", "--ip6tables=false"]
    with _daemon(stand, folder, ["dockerd", *options], lambda: docker("version", check=False).code == 0):
        yield docker


@contextlib.contextmanager
def own_containerd(stand: Stand) -> Iterator[Containerd]:
    folder = Path(tempfile.mkdtemp(prefix="darsena-k-"))
    containerd = Containerd(stand, folder)
    (folder / "config.toml").write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    options = ["--config", f"{folder}/config.toml", "--address", f"{folder}/containerd.sock"]
    options += ["--root", f"{folder}/root", "--state", f"{folder}/state"]
    with _daemon(stand, folder, ["containerd", *options], lambda: containerd("version", check=False).code == 0):
        yield containerd


@contextlib.contextmanager
def _daemon(stand: Stand, folder: Path, command: list[str], is_ready: Callable[[], bool]) -> Iterator[None]:
    log = folder / "log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, env=stand.env(), stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:

        def ready() -> bool:
            assert process.poll() is None, f"{command[0]} did not come up:\n{log.read_text()[-4000:]}"
            return is_ready()

        wait_until(ready, f"{command[0]} answers", within_s=START_S)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{folder}/")]):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
