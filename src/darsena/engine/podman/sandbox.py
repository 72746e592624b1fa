"""A run's sandbox: its cgroup, its mount namespace and its user namespace, and how a program is put into them.

Started by root, a *holder* process makes a mount namespace in which the run's folders have short fixed paths and the
tunnel device is usable by the build user; nothing of this shows on the host. The holder also watches the agent: when
the agent dies it ends every process of the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from darsena.engine import tools
from darsena.engine.podman import config
from darsena.engine.podman.cgroups import RunCgroup
from darsena.engine.podman.folder import MOUNT, Paths, remove_tree
from darsena.engine.podman.machine import Machine
from darsena.engine.port import EngineFault, Mode, OutputSink
from darsena.engine.processes import kill_marked

_MOUNTS = f"""set -e
mount -t tmpfs -o mode=0755,size=64k darsena {MOUNT}
mkdir {MOUNT}/run {MOUNT}/cache
mount --bind "$1" {MOUNT}/run
mount --bind "$2" {MOUNT}/cache
if [ -e /dev/net/tun ]; then
  mount -t tmpfs -o mode=0755,size=64k darsena /dev/net
  mknod -m 0666 /dev/net/tun c 10 200
fi
if [ "$3" = root ]; then
  for folder in /run/runc /run/crun /run/libpod /var/lib/containers; do
    mkdir -p "$folder"; mount -t tmpfs -o mode=0700 darsena "$folder"
  done
fi
"""
_WATCH = """shift 3
set +e
echo ready
while read -r _; do :; done
for round in 1 2 3 4 5; do
  for group in "$@"; do
    [ -e "$group/cgroup.kill" ] && echo 1 > "$group/cgroup.kill"
    for pid in $(find "$group" -name cgroup.procs -exec cat {} +); do
      [ "$pid" = $$ ] || kill -KILL "$pid" 2> /dev/null
    done
  done
done
"""


class Sandbox:
    def __init__(self, machine: Machine, paths: Paths, cgroup: RunCgroup) -> None:
        self.machine = machine
        self.paths = paths
        self.cgroup = cgroup
        self._environment = config.environment(paths)
        self._tools: set[tools.Tool] = set()
        self._holder: tools.Tool | None = None

    async def start(self) -> None:
        """Make the namespaces. Raises EngineFault with the program's words."""
        privileged = self.machine.mode != "rootless"
        script = (_MOUNTS if privileged else "") + _WATCH
        argv = ["sh", "-c", script, "darsena", str(self.paths.host), str(self.paths.cache_host), self.machine.mode]
        argv += map(str, self.cgroup.paths)
        if privileged:
            MOUNT.mkdir(mode=0o755, exist_ok=True)
            argv = ["unshare", "--mount", "--propagation", "slave", *argv]
        self._holder = await tools.start(
            tools.joined(self.cgroup.entries, argv), self._environment, stdin=asyncio.subprocess.PIPE
        )
        assert self._holder.process.stdout is not None
        said = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                said = await self._holder.process.stdout.readline()
        if said != b"ready\n":
            raise EngineFault(f"the run's sandbox cannot be made: {said.decode(errors='replace').strip()}")
        if self.machine.mode != "root":
            # The first podman command makes the user namespace that all later ones join: two firsts would race.
            answer = await self.ask(["podman", "--log-level=error", "unshare", "true"])
            if answer.code:
                raise EngineFault(f"the run's user namespace cannot be made: {answer.message}")

    def argv(
        self, program: Sequence[str], *, namespace: bool = False, network: Path | None = None, cwd: Path | None = None
    ) -> list[str]:
        """`program` inside the sandbox; with `namespace` as its user namespace's root; `network` = a namespace file."""
        inner = list(program)
        if network is not None:
            inner = ["nsenter", f"--net={network}", *inner]
        if namespace and self.machine.mode != "root":
            inner = ["podman", "--log-level=error", "unshare", *inner]
        inner = ["env", f"--chdir={cwd or self.paths.inside}", *inner]
        if self.machine.user is not None:
            user = self.machine.user
            inner = ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", *inner]
        if self.machine.mode != "rootless" and self._holder is not None:
            inner = ["nsenter", f"--target={self._holder.process.pid}", "--mount", *inner]
        return tools.joined(self.cgroup.entries, inner)

    async def launch(self, argv: Sequence[str], extra: Mapping[str, str] | None = None, *, split: bool) -> tools.Tool:
        tool = await tools.start(argv, self._environment | dict(extra or {}), split=split)
        self._tools = {known for known in self._tools if known.process.returncode is None} | {tool}
        return tool

    async def ask(
        self,
        program: Sequence[str],
        *,
        namespace: bool = False,
        network: Path | None = None,
        extra: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> tools.Answer:
        argv = self.argv(program, namespace=namespace, network=network)
        return await tools.ask(await self.launch(argv, extra, split=True), timeout_s)

    async def stream(
        self,
        program: Sequence[str],
        sink: OutputSink,
        *,
        namespace: bool = False,
        network: Path | None = None,
        extra: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> int:
        """The exit code. When the caller is cancelled the program's group is ended: TERM, then KILL after a second."""
        argv = self.argv(program, namespace=namespace, network=network, cwd=cwd)
        tool = await self.launch(argv, extra, split=False)
        try:
            return await tools.stream(tool, sink)
        finally:
            if tool.process.returncode is None:
                await asyncio.shield(tool.end(1.0))

    async def end(self, grace_s: float) -> None:
        """No process of the run is left. TERM to every group first, unless `grace_s` is 0."""
        live = [tool for tool in self._tools if tool.process.returncode is None]
        if grace_s > 0 and live:
            await asyncio.gather(*(tool.end(grace_s) for tool in live))
        if self.cgroup.paths:
            await asyncio.to_thread(self.cgroup.kill)
        else:
            await asyncio.to_thread(kill_marked, self.paths.host.name)
        for tool in (*self._tools, *((self._holder,) if self._holder else ())):
            await tool.end(0.0)
        self._tools.clear()
        self._holder = None
        tools.reap_orphans()


async def remove_run_folder(mode: Mode, folder: Path) -> bool:
    """True when nothing of it is left. Without root rights, layers hold files that only a user namespace may remove."""
    if mode == "rootless" and (folder / "config").is_dir():
        # The runtime folder names a namespace that is gone.
        await asyncio.to_thread(remove_tree, folder / "xdg")
        (folder / "xdg").mkdir(mode=0o700, exist_ok=True)
        paths = Paths(host=folder, inside=folder, cache_host=folder, cache_inside=folder)
        argv = ["podman", "--log-level=error", "unshare", "rm", "-rf"]
        argv += [str(folder / name) for name in ("store", "workspace", "home")]
        await tools.ask(await tools.start(argv, config.environment(paths), split=True), 120)
        await asyncio.to_thread(kill_marked, folder.name)
    return await asyncio.to_thread(remove_tree, folder)
