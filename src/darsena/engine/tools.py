"""Running the engine's programs: argument lists only, output as it comes, always within a time limit."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from darsena.engine.port import OutputSink
from darsena.engine.processes import reap

_JOIN = """n=$1; shift
while [ "$n" -gt 0 ]; do echo $$ > "$1" || exit 125; shift; n=$((n - 1)); done
exec "$@"
"""
"""Puts itself into cgroups before anything else happens; fails when they are gone, that is when the run was ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The tool's last word, without its prefix."""
        lines = [line for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1].removeprefix("Error: ").strip() if lines else f"exit status {self.code}"


class Tool:
    """One running program and everything in its process group."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    async def end(self, grace_s: float) -> None:
        """TERM to the group, KILL after `grace_s`. Returns when the program itself is gone."""
        if self.process.returncode is None:
            self.signal(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self.process.wait()
        if self.process.returncode is None:
            self.signal(signal.SIGKILL)
            await self.process.wait()


def joined(entries: Sequence[object], argv: Sequence[str]) -> list[str]:
    """`argv`, run inside the cgroups whose `cgroup.procs` files are `entries`."""
    return ["/bin/sh", "-c", _JOIN, "darsena", str(len(entries)), *map(str, entries), *argv]


async def start(
    argv: Sequence[str], environment: Mapping[str, str], *, stdin: int = asyncio.subprocess.DEVNULL, split: bool = False
) -> Tool:
    """Standard output and error come through one pipe, or with `split` through two."""
    with _children.starting():
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if split else asyncio.subprocess.STDOUT,
            env=dict(environment),
            cwd="/",
            start_new_session=True,
        )
        _children.add(process)
    return Tool(process)


class _Children:
    """The children that asyncio waits for. While one is being started none may be reaped, for it is not known yet."""

    def __init__(self) -> None:
        self._starting = 0
        self._known: list[asyncio.subprocess.Process] = []

    @contextmanager
    def starting(self) -> Generator[None]:
        self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1

    def add(self, process: asyncio.subprocess.Process) -> None:
        self._known = [known for known in self._known if known.returncode is None]
        self._known.append(process)

    def reap_orphans(self) -> None:
        waited = {known.pid for known in self._known if known.returncode is None}
        if not self._starting:
            reap(waited.__contains__)


_children = _Children()


def reap_orphans() -> None:
    """Clear the dead daemons (conmon, pause) that became this process's children: see `become_subreaper`."""
    _children.reap_orphans()


async def stream(tool: Tool, sink: OutputSink) -> int:
    """Hand the output on as it comes until the program ends; its exit code, or 128 + signal as a shell counts."""
    assert tool.process.stdout is not None
    pump = asyncio.create_task(_pump(tool.process.stdout, sink))
    try:
        code = await tool.process.wait()
        # Something left behind (a pause process) may hold the pipe: what the program wrote is in it by now.
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await asyncio.shield(pump)
    finally:
        pump.cancel()
        with suppress(asyncio.CancelledError):
            await pump
    return 128 - code if code < 0 else code


async def _pump(reader: asyncio.StreamReader, sink: OutputSink) -> None:
    while chunk := await reader.read(65536):
        sink(chunk)


async def ask(tool: Tool, timeout_s: float) -> Answer:
    """Run to the end and return what it said. Past the time limit it is killed and the answer is code 124."""
    out, err = bytearray(), bytearray()
    stderr = tool.process.stderr
    assert stderr is not None
    pump = asyncio.create_task(_pump(stderr, err.extend))
    try:
        async with asyncio.timeout(timeout_s):
            code = await stream(tool, out.extend)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await asyncio.shield(pump)
    except TimeoutError:
        await tool.end(1.0)
        code = 124
        err.extend(f"\ngave no answer within {timeout_s:g} s".encode())
    finally:
        pump.cancel()
        with suppress(asyncio.CancelledError):
            await pump
        if tool.process.returncode is None:
            await tool.end(0.0)
    return Answer(code=code, out=out.decode(errors="replace"), err=err.decode(errors="replace"))
