"""What a run does: steps in a valid order, each with one action. `quick.py` and `taskfile.py` make it.

Everything is checked before anything starts: a plan that exists can be executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STEP_TIMEOUT_S = 600.0
RETRY_DELAY_S = 5.0
WORKSPACE = "/workspace"
HOME = "/acb/home"


class PlanFault(Exception):
    """The file or the request is at fault: the run fails and nothing is executed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CmdAction:
    image: str
    arguments: tuple[str, ...]
    entry_point: str | None = None
    detach: bool = False
    pull: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildAction:
    context: str
    dockerfile: str
    tags: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict[str, str])
    secret_arguments: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    labels: tuple[str, ...] = ()
    target: str | None = None
    no_cache: bool = False
    platform: str | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAction:
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    id: str
    action: CmdAction | BuildAction | PushAction
    timeout_s: float = STEP_TIMEOUT_S
    start_delay_s: float = 0
    retries: int = 0
    retry_delay_s: float = RETRY_DELAY_S
    retry_on_errors: tuple[str, ...] = ()
    repeat: int = 0
    ignore_errors: bool = False
    keep: bool = False
    user: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    working_directory: str = ""
    """As in the file: absolute, or relative to the workspace; empty = the run's default."""
    override_working_directory: bool = True
    network: str | None = None
    cpus: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    name: str
    driver: str = "bridge"
    create: bool = True
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    steps: tuple[Step, ...]
    networks: tuple[Network, ...] = ()
    aliases_on: bool = False
    warnings: tuple[str, ...] = ()
