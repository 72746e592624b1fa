"""The dedicated build user and its ranges of subordinate ids, made by a root agent when they are missing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import subprocess
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

BUILD_USER = "darsena-build"
_RANGE = 65536
_FIRST = 165536

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildUser:
    name: str
    uid: int
    gid: int


class UserUnavailable(Exception):
    """The dedicated user cannot be had; the message says why."""


def has_build_user() -> bool:
    try:
        pwd.getpwnam(BUILD_USER)
    except KeyError:
        return False
    return True


def ensure_build_user(etc: Path = Path("/etc")) -> BuildUser:
    """The user with its ranges, made once however many agents begin. Raises UserUnavailable when it cannot be made."""
    with _alone(etc):
        return _ensure(etc)


def _ensure(etc: Path) -> BuildUser:
    try:
        entry = pwd.getpwnam(BUILD_USER)
    except KeyError:
        _run("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent")
        _log.info("build_user_created", user=BUILD_USER)
        entry = pwd.getpwnam(BUILD_USER)
    for name, option in (("subuid", "--add-subuids"), ("subgid", "--add-subgids")):
        ranges = _read_ranges(etc / name)
        if not any(owner in (BUILD_USER, str(entry.pw_uid)) and size >= _RANGE for owner, _, size in ranges):
            first = free_range((start, size) for _, start, size in ranges)
            _run("usermod", option, f"{first}-{first + _RANGE - 1}")
            _log.info("build_user_ids_added", user=BUILD_USER, file=name, first=first, count=_RANGE)
    return BuildUser(name=BUILD_USER, uid=entry.pw_uid, gid=entry.pw_gid)


@contextlib.contextmanager
def _alone(folder: Path) -> Generator[None]:
    """One process at a time, for as long as it holds the folder open."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def free_range(taken: Iterable[tuple[int, int]]) -> int:
    """The first id of a free range of the usual size."""
    first = _FIRST
    for start, size in sorted(taken):
        if start < first + _RANGE and start + size > first:
            first = -(-(start + size) // _RANGE) * _RANGE
    return first


def has_ranges(name: str, uid: int, etc: Path = Path("/etc")) -> bool:
    """Whether a user may map subordinate uids and gids."""
    return all(
        any(owner in (name, str(uid)) for owner, _, _ in _read_ranges(etc / file)) for file in ("subuid", "subgid")
    )


def _read_ranges(path: Path) -> list[tuple[str, int, int]]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    fields = (line.split(":") for line in lines if line.count(":") == 2)
    return [(owner, int(start), int(size)) for owner, start, size in fields if start.isdigit() and size.isdigit()]


def _run(program: str, *options: str) -> None:
    shell = ("--shell", "/usr/sbin/nologin") if program == "useradd" else ()
    try:
        done = subprocess.run(
            [program, *options, *shell, BUILD_USER], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise UserUnavailable(f"{program} cannot be run: {e}") from e
    if done.returncode:
        raise UserUnavailable(f"{program} failed: {done.stderr.strip() or done.returncode}")
