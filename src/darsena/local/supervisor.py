"""The parent of `darsena serve`: holds the folder's lock, keeps the API worker and the build agent alive, drains.

It imports no application code but the settings: a small, dull process that outlives what it watches. The worker dies
with it (parent-death signal in worker.py); the agent has a session of its own and is asked to finish.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from granian import Granian
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
from granian.http import HTTP1Settings

from darsena import settings
from darsena.core.errors import StartFailure
from darsena.local.addresses import is_loopback, parse_listen, reach_host
from darsena.local.folder import Folder, Marker, sign_lock, take_lock
from darsena.local.listening import BACKLOG, open_listener, raise_descriptor_limit
from darsena.local.prepared import is_prepared
from darsena.local.screen import show_ready
from darsena.local.worker_words import ENDS_SOON, VARIABLE, WorkerPipe
from darsena.settings import Settings

_READY_WITHIN_S = 120.0
_STARTS_TRIED = 5
"""Of a server that never was ready; one that was goes on for as long as it takes."""
_LONGEST_PAUSE_S = 5.0
_AGENT_MARGIN_S = 25.0
"""What clearing away its runs may take an agent, after the time that they had to end by themselves."""


_NOT_FOR_AGENTS = frozenset({"DARSENA_WORKER", VARIABLE, "DARSENA_SUPERVISOR", f"{settings.PREFIX}DATABASE__URL"})
"""Variables that a build agent has no business with: the database's password least of all."""


class Ending:
    """An orderly end: builds first, then requests. It outlives the supervisors that follow each other, so that a
    signal that came between two of them ends the next one too."""

    def __init__(self, end_builds: Callable[[], None]) -> None:
        self._end_builds = end_builds
        self.begun = threading.Event()
        self.has_no_builds = False
        self.server: Supervisor | None = None

    def begin(self) -> None:
        self.begun.set()
        threading.Thread(target=self._run, daemon=True, name="ending").start()

    def _run(self) -> None:
        try:
            self._end_builds()
        finally:
            self.has_no_builds = True
            if self.server is not None:
                self.server.interrupt()


class Supervisor(Granian):  # pyright: ignore[reportGeneralTypeIssues,reportUntypedBaseClass]
    """Granian's own supervisor, with an orderly end and exit 0."""

    ending: Ending
    on_spawned: Callable[[], None]
    listener: socket.socket
    """Ours, so that clients wait while a worker that died is started again."""

    def _init_shared_socket(self) -> None:
        self._ssp, self._sfd, self._sso = None, self.listener.fileno(), self.listener
        self._shd = SocketHolder(self._sfd, False, BACKLOG)  # pyright: ignore[reportCallIssue] (the stub forgets it)

    def _drop_shared_socket(self) -> None:
        if self.ending.begun.is_set():
            self.listener.close()  # who comes now is refused, not left waiting

    def _spawn_workers(self, spawn_target: Any, target_loader: Any) -> None:
        super()._spawn_workers(spawn_target, target_loader)  # pyright: ignore[reportUnknownMemberType]
        self.on_spawned()
        if self.ending.has_no_builds:
            self.interrupt()

    def _stop_workers(self) -> None:
        for worker in self.wrks:  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            if worker.is_alive():  # pyright: ignore[reportUnknownMemberType]
                os.kill(worker.inner.pid, ENDS_SOON)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        super()._stop_workers()  # pyright: ignore[reportUnknownMemberType]

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """The first signal drains; a second one ends at once."""
        if self.ending.begun.is_set():
            self.interrupt()
        else:
            self.ending.begin()

    def interrupt(self) -> None:
        """From any thread."""
        super().signal_handler_interrupt()  # pyright: ignore[reportUnknownMemberType]

    def _reload(self, spawn_target: Any, target_loader: Any) -> None:
        """Stop before start: on SQLite there is never a second worker."""
        self.reload_signal = False
        self.main_loop_interrupt.clear()  # pyright: ignore[reportUnknownMemberType]
        self._stop_workers()  # pyright: ignore[reportUnknownMemberType]
        self._spawn_workers(spawn_target, target_loader)  # pyright: ignore[reportUnknownMemberType]


def serve(data: Path, flags: dict[str, Any]) -> int:
    """Run until a signal. `flags` are `section.key` to value. Raises StartFailure when the server cannot come up."""
    folder = Folder(data)
    chosen = settings.from_environment(data, flags)
    host, port = parse_listen(chosen.server.listen)
    _check_plain(chosen, host)
    lock = take_lock(folder)
    os.register_at_fork(after_in_child=lambda: _begin_child(lock))
    connections = raise_descriptor_limit()
    listener = _listen(host, port)
    marker = _prepare(folder, chosen)
    sign_lock(lock, f"pid {os.getpid()}, listening on {chosen.server.listen}")
    os.environ["DARSENA_SUPERVISOR"] = str(os.getpid())
    os.environ["DARSENA_WORKER"] = json.dumps({"data": str(data), "flags": flags})
    stamp = Stamp(folder=folder, marker=marker, settings=chosen, host=host, port=port)
    code = _keep_serving(stamp, listener, connections)
    listener.close()
    lock.close()
    return code


def _begin_child(lock: IO[str]) -> None:
    """A worker that outlives us for a moment must not hold the folder, nor end builds and close the listener, as our
    own handlers do: until it has handlers of its own, what ends it ends it at once."""
    lock.close()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGHUP, ENDS_SOON):
        signal.signal(number, signal.SIG_IGN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What one running server is made of, as its supervisor knows it."""

    folder: Folder
    marker: Marker
    settings: Settings
    host: str
    port: int

    @property
    def has_tls(self) -> bool:
        """Whether this server speaks TLS itself."""
        return self.settings.server.tls == "own"

    @property
    def runs_builds(self) -> bool:
        """An engine reaches registries over TLS only."""
        return self.settings.build.enabled and self.has_tls

    @property
    def local_url(self) -> str:
        host = reach_host(self.host)
        return f"https://[{host}]:{self.port}" if ":" in host else f"https://{host}:{self.port}"


def _keep_serving(stamp: Stamp, listener: socket.socket, connections: int) -> int:
    """A worker that died is started again: at once if it was ready, later and later while none comes up."""
    pipe, agent, failed, was_ready = WorkerPipe(), Agent(stamp), 0, False
    ending = Ending(agent.stop)
    announcing = threading.Thread(target=_announce, args=(stamp, agent), daemon=True, name="announce")

    def announce() -> None:
        """Once, and after the fork: a worker must not begin with an import's lock that another thread held."""
        if announcing.ident is None:
            announcing.start()

    while True:
        ending.server = server = _make_server(stamp, connections)
        server.listener, server.ending, server.on_spawned = listener, ending, announce
        code = 0
        try:
            server.serve()  # pyright: ignore[reportUnknownMemberType]
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        report = pipe.read()
        was_ready, failed = was_ready or report.is_ready, 0 if report.is_ready else failed + 1
        if code == 0 or ending.begun.is_set():
            break
        if not was_ready and (report.failure or failed == _STARTS_TRIED):
            agent.stop()
            raise StartFailure(report.failure or "the API worker ends again and again; its own messages above say why")
        pause_s = min(2.0**failed, _LONGEST_PAUSE_S) if failed else 0.0
        _log("api_worker_ended", error=report.failure, again_in_s=pause_s)
        if ending.begun.wait(pause_s):
            break
    agent.stop()
    return 0


def _make_server(stamp: Stamp, connections: int) -> Supervisor:
    return Supervisor(
        "darsena.worker:create",
        address=stamp.host,
        port=stamp.port,
        interface=Interfaces.ASGI,
        factory=True,
        workers=1,
        http=HTTPModes.http1,
        websockets=False,
        loop=Loops.uvloop,
        backlog=BACKLOG,
        backpressure=connections,
        http1_settings=HTTP1Settings(header_read_timeout=30_000),
        log_enabled=False,
        workers_kill_timeout=max(1, stamp.settings.server.drain_s),
        ssl_cert=stamp.folder.certificate if stamp.has_tls else None,
        ssl_key=stamp.folder.private_key if stamp.has_tls else None,
        ssl_protocol_min=SSLProtocols.tls12,
    )


class Agent:
    """The build agent's process: started with the server, started again when it dies, asked to finish at the end."""

    def __init__(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to watch over the agent, where builds are enabled."""
        if self._stamp.runs_builds:
            threading.Thread(target=self._watch, daemon=True, name="agent").start()

    def stop(self) -> None:
        """TERM, then wait: the agent ends its runs within its own grace. Idempotent."""
        self._stopping.set()
        with self._lock:
            process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(self._stamp.settings.server.drain_s + _AGENT_MARGIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _watch(self) -> None:
        pause_s = 1.0
        while not self._stopping.is_set():
            started = time.monotonic()
            with self._lock:
                if self._stopping.is_set():
                    return
                self._process = self._spawn()
            code = self._process.wait()
            if self._stopping.is_set():
                return
            pause_s = 1.0 if time.monotonic() - started > 60 else min(pause_s * 2, 60.0)
            _log("agent_ended", code=code, again_in_s=pause_s)
            self._stopping.wait(pause_s)

    def _spawn(self) -> subprocess.Popen[bytes]:
        stamp, addresses = self._stamp, self._stamp.marker.addresses
        environment = {key: value for key, value in os.environ.items() if key not in _NOT_FOR_AGENTS}
        environment["DARSENA_AGENT_TOKEN"] = stamp.folder.agent_token.read_text("utf-8").strip()
        arguments = [
            *(sys.executable, "-m", "darsena", "agent"),
            *("--server", stamp.local_url),
            *("--server-name", f"{addresses.control_host}{addresses.port_suffix}"),
            *("--ca-file", str(stamp.folder.ca_file)),
            *("--registry-domain", addresses.registry_domain),
            *("--parent", str(os.getpid())),
            *("--grace", str(self._stamp.settings.server.drain_s)),
            *("--state", str(agent_state(stamp.settings, stamp.marker))),
            *(f"--allow-source={host}" for host in stamp.settings.build.allow_sources),
        ]
        return subprocess.Popen(arguments, env=environment, start_new_session=True, stdin=subprocess.DEVNULL)


def agent_state(chosen: Settings, marker: Marker) -> Path:
    """The agent's folder for work and caches: outside the data folder, one per stamp."""
    if chosen.build.state:
        return Path(chosen.build.state)
    if os.geteuid() == 0:
        return Path("/var/lib/darsena-agent") / marker.stamp_uid[:12]
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "darsena-agent" / marker.stamp_uid[:12]


def _announce(stamp: Stamp, agent: Agent) -> None:
    """Wait for the first answer of /healthz, then start the agent and show the screen."""
    started = time.monotonic()
    while time.monotonic() - started < _READY_WITHIN_S:
        if probe_health(stamp.folder, stamp.marker, stamp.settings) is not None:
            agent.start()
            show_ready(stamp.folder, stamp.marker, stamp.settings, took_s=time.monotonic() - started)
            return
        time.sleep(0.02)


def probe_health(folder: Folder, marker: Marker, chosen: Settings) -> dict[str, Any] | None:
    """What /healthz says, or None while nothing answers."""
    host, port = parse_listen(chosen.server.listen)
    if chosen.server.tls == "own":
        context = ssl.create_default_context(cafile=str(folder.ca_file))
        connection = http.client.HTTPSConnection(reach_host(host), port, timeout=5, context=context)
    else:
        connection = http.client.HTTPConnection(reach_host(host), port, timeout=5)
    name = f"{marker.control_host}{marker.addresses.port_suffix}"
    try:
        connection.request("GET", "/healthz", headers={"Host": name})
        answer = connection.getresponse()
        body = answer.read()
        return cast("dict[str, Any]", json.loads(body)) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def _prepare(folder: Folder, chosen: Settings) -> Marker:
    """What is not there yet is made in a child: this process never loads what making certificates needs."""
    order = json.dumps(
        {
            "data": str(folder.root),
            "listen": chosen.server.listen,
            "domain": chosen.server.domain,
            "database": chosen.database.kind,
            "scheme": "http" if chosen.server.tls == "off" else "https",
            "public_port": chosen.server.public_port if chosen.server.tls == "proxy" else None,
        }
    )
    if not is_prepared(folder, order):
        done = subprocess.run(
            [sys.executable, "-m", "darsena.local.prepare", order], stderr=subprocess.PIPE, text=True, check=False
        )
        if done.returncode != 0:
            raise StartFailure(done.stderr.strip() or "the data folder cannot be prepared")
    marker = folder.read_marker()
    assert marker is not None
    return marker


def _check_plain(chosen: Settings, host: str) -> None:
    """Plain HTTP does not leave this machine by accident."""
    if chosen.server.tls != "own" and not is_loopback(host) and not chosen.server.plain_from_elsewhere:
        raise StartFailure(
            f"plain HTTP on {host} would let others on the network read passwords: listen on 127.0.0.1, or set "
            "server.plain_from_elsewhere when the network between is yours"
        )


def _listen(host: str, port: int) -> socket.socket:
    try:
        return open_listener(host, port)
    except OSError as error:
        raise StartFailure(
            f"cannot listen on {host}:{port}: {error.strerror}; stop what uses the port, or choose another "
            "with --listen (only for a new data folder)"
        ) from error


def _log(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}), file=sys.stderr, flush=True)  # noqa: T201
