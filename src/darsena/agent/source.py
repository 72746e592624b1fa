"""A run's source, brought into its workspace (tasks-engine, section 16)."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from darsena.agent import unpack
from darsena.agent.client import Refused, RunLost, ServerClient, ServerUnavailable
from darsena.agent.egress import EgressPolicy
from darsena.agent.fetch import FetchFailure, fetch
from darsena.agent.git import GitFailure, GitFetcher, parse_location
from darsena.agent.protocol import RunOrder
from darsena.engine import tools
from darsena.engine.port import Engine, OutputSink, RunScope

ARCHIVE_MAX = 1024**3
UNPACKED_MAX = 10 * 1024**3
ENTRIES_MAX = 200_000
RATIO_MAX = 200
_TRIES = 3


class SourceFault(Exception):
    """The source cannot be had or is not acceptable: the run fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    folder: str = ""
    """The context inside the workspace; empty = all of it."""
    commit: str = ""
    branch: str = ""


class SourceFetcher:
    def __init__(self, client: ServerClient, engine: Engine, policy: EgressPolicy) -> None:
        self._client = client
        self._engine = engine
        self._policy = policy

    async def fetch(self, order: RunOrder, scope: RunScope, sink: OutputSink) -> Source:
        source = order.source
        try:
            if source.kind == "git":
                location = parse_location(source.location or "", source.token)
                checkout = await GitFetcher(self._engine, scope, self._policy, sink).fetch(location)
                return Source(folder=checkout.folder, commit=checkout.commit, branch=checkout.branch)
            if source.kind == "none":
                return Source()
            archive = scope.scratch / "source"
            if source.kind == "tarball":
                size = await fetch((source.location or "").partition("#")[0], archive, self._policy, ARCHIVE_MAX)
            else:
                size = await self._download(order, archive)
            await _unpack(archive, size, scope)
            archive.unlink()
        except (FetchFailure, GitFailure) as e:
            raise SourceFault(f"failed to download source code: {e}") from e
        return Source()

    async def _download(self, order: RunOrder, target: Path) -> int:
        for attempt in range(_TRIES):
            try:
                return await self._download_once(order, target)
            except ServerUnavailable as e:
                if attempt == _TRIES - 1:
                    raise FetchFailure(f"the server does not answer: {e}") from e
                await asyncio.sleep(0.5 * 2**attempt)
            except (RunLost, Refused) as e:
                raise FetchFailure(f"the uploaded source is not there: {e}") from e
        raise FetchFailure("the server does not answer")

    async def _download_once(self, order: RunOrder, target: Path) -> int:
        size = 0
        async with self._client.source(order) as chunks:
            with target.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > ARCHIVE_MAX:
                        raise FetchFailure(f"the uploaded source is larger than {ARCHIVE_MAX} bytes")
                    file.write(chunk)
        return size


async def _unpack(archive: Path, size: int, scope: RunScope) -> None:
    """In a child that has the build user's rights only; what it makes is root's inside builds and steps."""
    uid, gid = scope.owner or (0, 0)
    limits = (size, ENTRIES_MAX, UNPACKED_MAX, RATIO_MAX)
    argv = [sys.executable, "-I", str(Path(unpack.__file__)), str(scope.workspace), str(uid), str(gid)]
    with archive.open("rb") as file:
        tool = await tools.start([*argv, *map(str, limits)], {"LANG": "C.UTF-8"}, stdin=file.fileno(), split=True)
    answer = await tools.ask(tool, 900)
    if answer.code:
        raise SourceFault(answer.message)
