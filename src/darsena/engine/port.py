"""The engine port: what the agent asks of a container engine. Drivers live beside it, one folder each.

Everything of a run lies in a `RunScope`: `open` makes it, `close` leaves nothing of it, `sweep` closes what a dead
agent left. Output of tools goes to an `OutputSink` as it comes, in arbitrary pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

OutputSink = Callable[[bytes], None]
Mode = Literal["dedicated-user", "rootless", "root", "none"]
HEREDOCS = "heredocs"
"""A feature: Dockerfiles may have them."""


class EngineFault(Exception):
    """The engine itself cannot do its work (a program is missing, the disk is full): the run ends as `Error`."""


class StepFault(Exception):
    """The user's part cannot be done (no such base image, an option that is not allowed): the step fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with this machine, and the command that mends it. `stops` = no build can run."""

    text: str
    fix: str
    stops: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    engine: Literal["podman", "none"]
    version: str
    mode: Mode
    platforms: tuple[str, ...]
    """Platforms whose RUN instructions and steps can be executed here; native first."""
    cpu: int
    features: tuple[str, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    host: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """How this server's registries are reached: hosts under `domain` through `proxy`, verified with `ca_file`."""

    domain: str
    proxy: str
    ca_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    run_uid: str
    """32 hexadecimal digits; also names the run's folder and cgroup."""
    registry_uid: str
    """Whose layer cache this run may read and write."""
    cpu: float
    logins: tuple[Login, ...]
    base_images: Mapping[str, str]
    """Repository prefix → where it is really pulled from."""
    pids_max: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScope:
    """An open run: folders that the agent may fill. Everything in them is gone after `close`."""

    spec: RunSpec
    workspace: Path
    home: Path
    scratch: Path
    """For the agent's own files of this run; not visible to builds and steps."""
    owner: tuple[int, int] | None
    """uid and gid that own `workspace` when the agent has another; files made there must belong to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image in the run's store. `digest` is the index's when it was pulled from one."""

    reference: str
    id: str
    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSpec:
    step_id: str
    context: Path
    dockerfile: Path
    tags: tuple[str, ...]
    platform: str
    arguments: Mapping[str, str] = field(default_factory=dict[str, str])
    secret_arguments: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    labels: tuple[str, ...] = ()
    target: str | None = None
    no_cache: bool = False
    network: str | None = "default"
    """`default`: the outside, no other containers; `none`; or the name of a network of the run."""
    options: tuple[str, ...] = ()
    """Further options of the tool that the step's parser has allowed (`--shm-size=…`, `--ulimit=…`)."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    step_id: str
    image: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    working_directory: str | None = None
    entry_point: str | None = None
    user: str | None = None
    network: str | None = None
    """None or `default`: the outside, no names; `none`; or the name of a network of the run."""
    volumes: tuple[tuple[Path, str], ...] = ()
    detach: bool = False
    keep: bool = False
    cpus: str | None = None


class Engine(Protocol):
    async def probe(self) -> EngineInfo:
        """What this machine can do and what is wrong with it. Changes nothing outside the state folder, save that a
        root agent makes the dedicated user. Safe to call again."""
        ...

    async def open(self, spec: RunSpec) -> RunScope: ...

    async def find_image(self, scope: RunScope, reference: str) -> Image | None:
        """From the run's own store only."""
        ...

    async def pull(self, scope: RunScope, reference: str, platform: str) -> Image:
        """With the run's logins. Raises StepFault that names the image and what to do."""
        ...

    async def build(self, scope: RunScope, spec: BuildSpec, sink: OutputSink) -> int:
        """The tool's exit code. Bases must be in the run's store; nothing is pulled."""
        ...

    async def run(self, scope: RunScope, spec: ContainerSpec, sink: OutputSink) -> int:
        """The container's exit code; with `detach` 0 as soon as it has started."""
        ...

    async def push(self, scope: RunScope, reference: str, sink: OutputSink) -> str:
        """One attempt; the digest that the registry now has. Raises StepFault."""
        ...

    async def tag(self, scope: RunScope, source: str, target: str) -> None: ...

    async def execute(
        self,
        scope: RunScope,
        program: Sequence[str],
        sink: OutputSink,
        *,
        extra: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> int:
        """A program of the host (git) with the rights of builds, in the run's folders and bounds; its exit code."""
        ...

    def inside(self, scope: RunScope, path: Path) -> Path:
        """How programs of the run see one of its files."""
        ...

    async def create_network(self, scope: RunScope, name: str, members: tuple[str, ...]) -> None:
        """Steps of `members` that run on it find each other by their ids."""
        ...

    async def stop(self, scope: RunScope, step_id: str | None, grace_s: float) -> None:
        """End the processes of one step, or of the whole run: TERM, then after `grace_s` KILL. Idempotent."""
        ...

    async def settle(self, scope: RunScope) -> None:
        """Wait, not for long, until what speeds up later runs is kept. Called after a success, before `close`."""
        ...

    async def close(self, scope: RunScope) -> None:
        """Leaves no process, container, network, mount or file of the run. Idempotent."""
        ...

    async def sweep(self) -> list[str]:
        """Close every run in the state folder whose agent is dead; their uids."""
        ...
