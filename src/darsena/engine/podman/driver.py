"""The podman driver behind the engine port."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from darsena.engine import processes
from darsena.engine.podman import builds, config, containers, folder, machine
from darsena.engine.podman.cache import CacheLease, promote, trim
from darsena.engine.podman.cgroups import Limits
from darsena.engine.podman.folder import Paths, RunLock
from darsena.engine.podman.images import Images
from darsena.engine.podman.machine import Machine, find
from darsena.engine.podman.network import Networks
from darsena.engine.podman.sandbox import Sandbox, remove_run_folder
from darsena.engine.port import (
    BuildSpec,
    ContainerSpec,
    EngineFault,
    EngineInfo,
    Image,
    Mode,
    OutputSink,
    RunScope,
    RunSpec,
    Transport,
)

_log = structlog.get_logger(__name__)
_SETTLE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """An open run, as the driver keeps it."""

    scope: RunScope
    lock: RunLock
    paths: Paths
    sandbox: Sandbox
    networks: Networks
    images: Images
    lease: CacheLease
    promotions: list[asyncio.Task[None]]
    platforms: set[str]
    """What has been built for so far."""

    @property
    def is_native(self) -> bool:
        """Whether the layer cache may be used: it knows no platforms, so that of this machine is the only one in it."""
        return self.platforms <= {self.sandbox.machine.info.platforms[0]}


class PodmanEngine:
    def __init__(self, state: Path, transport: Transport, mode: Mode | None = None) -> None:
        """`mode` = use this one (`root`) instead of the safest that the machine allows."""
        self._mode: Mode | None = mode
        self._state = state
        self._transport = transport
        self._machine: Machine | None = None
        self._sessions: dict[str, _Session] = {}

    async def probe(self) -> EngineInfo:
        self._machine = await asyncio.to_thread(machine.inspect, self._mode)
        return self._machine.info

    async def open(self, spec: RunSpec) -> RunScope:
        host = self._require_machine()
        if host.mode == "none":
            raise EngineFault(" · ".join(f"{fault.text} ({fault.fix})" for fault in host.info.faults if fault.stops))
        if spec.run_uid in self._sessions:
            return self._sessions[spec.run_uid].scope
        processes.become_subreaper()
        paths, lock = await asyncio.to_thread(self._make_folder, host, spec)
        limits = Limits(cpu=spec.cpu if spec.cpu < host.info.cpu else None, pids_max=spec.pids_max)
        sandbox = Sandbox(host, paths, host.tree.create(spec.run_uid, limits))
        session = _Session(
            scope=RunScope(
                spec=spec,
                workspace=paths.host / "workspace",
                home=paths.host / "home",
                scratch=paths.host / "scratch",
                owner=host.owner,
            ),
            lock=lock,
            paths=paths,
            sandbox=sandbox,
            networks=Networks(sandbox),
            images=Images(sandbox, spec, self._transport),
            lease=CacheLease(paths.cache_host),
            promotions=[],
            platforms=set(),
        )
        self._sessions[spec.run_uid] = session
        try:
            await sandbox.start()
        except BaseException:
            await self.close(session.scope)
            raise
        return session.scope

    async def find_image(self, scope: RunScope, reference: str) -> Image | None:
        return await self._session(scope).images.find(reference)

    async def pull(self, scope: RunScope, reference: str, platform: str) -> Image:
        return await self._session(scope).images.pull(reference, platform)

    async def build(self, scope: RunScope, spec: BuildSpec, sink: OutputSink) -> int:
        session = self._session(scope)
        session.platforms.add(spec.platform)
        if not session.is_native:
            spec = replace(spec, no_cache=True)
        code = await builds.build(session.sandbox, session.networks, spec, sink)
        if code == 0 and session.is_native and find("skopeo"):
            session.promotions.append(asyncio.create_task(self._promote(session)))
        return code

    async def run(self, scope: RunScope, spec: ContainerSpec, sink: OutputSink) -> int:
        session = self._session(scope)
        return await containers.run(session.sandbox, session.networks, spec, sink)

    async def push(self, scope: RunScope, reference: str, sink: OutputSink) -> str:
        return await self._session(scope).images.push(reference, sink)

    async def tag(self, scope: RunScope, source: str, target: str) -> None:
        await self._session(scope).images.tag(source, target)

    async def create_network(self, scope: RunScope, name: str, members: tuple[str, ...]) -> None:
        await self._session(scope).networks.create(name, members)

    async def execute(
        self,
        scope: RunScope,
        program: Sequence[str],
        sink: OutputSink,
        *,
        extra: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> int:
        """A program of the host (git) with the build user's rights, inside the run's cgroup and folders."""
        session = self._session(scope)
        where = session.paths.to_inside(cwd) if cwd else None
        return await session.sandbox.stream(program, sink, extra=extra, cwd=where)

    def inside(self, scope: RunScope, path: Path) -> Path:
        """How programs of the run see one of its files."""
        return self._session(scope).paths.to_inside(path)

    async def settle(self, scope: RunScope) -> None:
        session = self._session(scope)
        if session.promotions:
            await asyncio.wait(session.promotions, timeout=_SETTLE_S)

    async def stop(self, scope: RunScope, step_id: str | None, grace_s: float) -> None:
        session = self._sessions.get(scope.spec.run_uid)
        if session is None:
            return
        if step_id is not None:
            await containers.remove(session.sandbox, step_id)
        else:
            await session.sandbox.end(grace_s)

    async def close(self, scope: RunScope) -> None:
        session = self._sessions.pop(scope.spec.run_uid, None)
        if session is None:
            return
        sandbox, host = session.sandbox, session.paths.host
        for promotion in session.promotions:
            promotion.cancel()
        await asyncio.gather(*session.promotions, return_exceptions=True)
        await sandbox.end(0.0)
        gone = await remove_run_folder(sandbox.machine.mode, host)
        removed = await asyncio.to_thread(sandbox.cgroup.remove)
        session.lease.release()
        session.lock.release()
        if not (gone and removed):
            _log.error("run_left_something", run=scope.spec.run_uid, folder=str(host), files=not gone)

    async def sweep(self) -> list[str]:
        """A run's lock tells whether its agent lives; runs of another live agent are left alone."""
        if not (self._state / "runs").is_dir():
            return []
        host = self._require_machine()
        with self._state_locked():
            dead = [(path, lock) for path in folder.list_runs(self._state) if (lock := self._try_lock(path))]
        for path, lock in dead:
            await self._end_dead_run(host, path)
            lock.release()
            _log.info("dead_run_swept", run=path.name)
        await asyncio.to_thread(trim, self._state)
        return [path.name for path, _ in dead]

    @staticmethod
    async def _promote(session: _Session) -> None:
        try:
            await promote(session.sandbox)
        except Exception:
            _log.exception("layers_not_cached", run=session.scope.spec.run_uid)

    @staticmethod
    async def _end_dead_run(host: Machine, path: Path) -> None:
        cgroup = host.tree.find(path.name)
        await asyncio.to_thread(cgroup.kill)
        await asyncio.to_thread(processes.kill_marked, path.name)
        await remove_run_folder(host.mode, path)
        await asyncio.to_thread(cgroup.remove)

    def _try_lock(self, path: Path) -> RunLock | None:
        return None if path.name in self._sessions else folder.acquire(path)

    def _make_folder(self, host: Machine, spec: RunSpec) -> tuple[Paths, RunLock]:
        folder.prepare_state(self._state)
        path = self._state / "runs" / spec.run_uid
        with self._state_locked():
            path.mkdir(mode=0o711, exist_ok=True)
            lock = folder.acquire(path)
        if lock is None:
            raise EngineFault(f"another agent has the run {spec.run_uid} on this machine")
        cache = self._state / "cache" / spec.registry_uid
        folder.make_run_folder(path, host.owner)
        cache.mkdir(mode=0o755, exist_ok=True)
        for name in ("share", "store"):
            (cache / name).mkdir(mode=0o700, exist_ok=True)
            if host.owner is not None:
                os.chown(cache / name, *host.owner)
        privileged = host.mode != "rootless"
        paths = Paths(
            host=path,
            inside=folder.MOUNT / "run" if privileged else path,
            cache_host=cache,
            cache_inside=folder.MOUNT / "cache" if privileged else cache,
        )
        config.write(paths, spec, self._transport, host.runtime, host.owner)
        return paths, lock

    @contextmanager
    def _state_locked(self) -> Generator[None]:
        """Between agents on one state folder: a run's folder and its lock appear together."""
        descriptor = os.open(self._state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _require_machine(self) -> Machine:
        if self._machine is None:
            self._machine = machine.inspect(self._mode)
        return self._machine

    def _session(self, scope: RunScope) -> _Session:
        session = self._sessions.get(scope.spec.run_uid)
        if session is None:
            raise EngineFault("the run is closed")
        return session
