"""What this machine offers: programs, the mode that builds run in, platforms. Found anew by each probe."""

from __future__ import annotations

import os
import platform as python_platform
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from darsena.engine.podman import cgroups
from darsena.engine.podman.users import BuildUser, UserUnavailable, ensure_build_user, has_build_user, has_ranges
from darsena.engine.port import HEREDOCS, EngineInfo, Fault, Mode

_PACKAGES = {"podman": "podman", "buildah": "buildah"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "i386": "386"}
_EMULATORS = {"aarch64": "linux/arm64", "arm": "linux/arm", "i386": "linux/386", "x86_64": "linux/amd64"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    mode: Mode
    user: BuildUser | None
    """The dedicated user, in that mode only."""
    runtime: str
    outside: bool
    """Whether containers can be given a way out (slirp4netns and a tunnel device)."""
    tree: cgroups.CgroupTree
    info: EngineInfo

    @property
    def owner(self) -> tuple[int, int] | None:
        return (self.user.uid, self.user.gid) if self.user else None


def find(program: str) -> str | None:
    return shutil.which(program, path=_PATH)


def describe() -> EngineInfo:
    """What `inspect` finds, without making a user: for people who only ask."""
    if os.geteuid() == 0 and not has_build_user() and find("useradd"):
        info = inspect("root").info
        return replace(info, mode="dedicated-user" if info.mode == "root" else info.mode)
    return inspect().info


def inspect(forced: Mode | None = None) -> Machine:
    """Look at everything once. A root process makes the dedicated user if it is missing, unless `forced` is `root`."""
    faults = [
        Fault(text=f"{program} is not installed", fix=f"apt-get install {package}", stops=True)
        for program, package in _PACKAGES.items()
        if find(program) is None
    ]
    runtime = _choose_runtime(faults)
    mode, user = _choose_mode(faults, forced)
    if any(fault.stops for fault in faults):
        mode, user = "none", None
    outside = _check_outside(faults)
    if find("ip") is None:
        faults.append(Fault(text="ip is not installed: runs have no network", fix="apt-get install iproute2"))
    elif find("nft") is None:
        faults.append(
            Fault(text="nft is not installed: steps on a network cannot reach out", fix="apt-get install nftables")
        )
    tree = cgroups.detect((user.uid, user.gid) if user else None, rootless=mode != "root")
    if not tree.roots:
        text = "no cgroup can be made: runs have no limit of processes, memory or cpu"
        faults.append(Fault(text=text, fix="start the agent as root, or in a systemd unit with Delegate=yes"))
    versions = _read_versions()
    info = EngineInfo(
        engine="none" if mode == "none" else "podman",
        version=", ".join(f"{program} {version}".strip() for program, version in versions.items()),
        mode=mode,
        platforms=_platforms(),
        cpu=os.cpu_count() or 1,
        features=_features(mode, outside, tree, versions.get("buildah", "")),
        faults=tuple(faults),
    )
    return Machine(mode=mode, user=user, runtime=runtime, outside=outside, tree=tree, info=info)


def _choose_mode(faults: list[Fault], forced: Mode | None) -> tuple[Mode, BuildUser | None]:
    if forced == "root" and os.geteuid() == 0:
        return "root", None
    missing = [program for program in ("newuidmap", "newgidmap") if find(program) is None]
    if os.geteuid() != 0:
        name = pwd.getpwuid(os.getuid()).pw_name
        if missing:
            faults.append(Fault(text=f"{missing[0]} is not installed", fix="apt-get install uidmap", stops=True))
        elif not has_ranges(name, os.getuid()):
            fix = f"usermod --add-subuids 165536-231071 --add-subgids 165536-231071 {name}"
            faults.append(Fault(text=f"{name} has no subordinate ids", fix=fix, stops=True))
        return "rootless", None
    try:
        if missing:
            raise UserUnavailable(f"{missing[0]} is not installed (apt-get install uidmap)")
        user = ensure_build_user()
        _try_user_namespace(user)
    except UserUnavailable as e:
        text = f"builds run as root, which suits trusted users only: {e}"
        faults.append(Fault(text=text, fix="apt-get install uidmap, and allow user namespaces"))
        return "root", None
    return "dedicated-user", user


def _try_user_namespace(user: BuildUser) -> None:
    """Some kernels and policies forbid it; only trying tells."""
    done = subprocess.run(
        ["unshare", "--user", "true"],
        user=user.uid,
        group=user.gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
        cwd="/",
    )
    if done.returncode:
        raise UserUnavailable(f"user namespaces are not allowed: {done.stderr.strip()}")


def _choose_runtime(faults: list[Fault]) -> str:
    """crun fails on cgroup version 1; runc works on both."""
    names = ("runc", "crun") if not Path("/sys/fs/cgroup/cgroup.controllers").exists() else ("crun", "runc")
    for name in names:
        if find(name):
            return name
    faults.append(Fault(text="no container runtime is installed", fix="apt-get install runc", stops=True))
    return "runc"


def _check_outside(faults: list[Fault]) -> bool:
    if find("slirp4netns") is None:
        faults.append(
            Fault(text="slirp4netns is not installed: builds have no network", fix="apt-get install slirp4netns")
        )
        return False
    tunnel = Path("/dev/net/tun")
    usable = tunnel.exists() if os.geteuid() == 0 else os.access(tunnel, os.R_OK | os.W_OK)
    if not usable:
        faults.append(Fault(text=f"{tunnel} cannot be used: builds have no network", fix=f"chmod 0666 {tunnel}"))
    return usable


def _platforms() -> tuple[str, ...]:
    machine = python_platform.machine()
    native = f"linux/{_ARCHITECTURES.get(machine, machine)}"
    found = [native]
    if native == "linux/amd64":
        found.append("linux/386")
    for emulator, platform in _EMULATORS.items():
        if Path(f"/proc/sys/fs/binfmt_misc/qemu-{emulator}").exists() and platform not in found:
            found.append(platform)
    return tuple(found)


def _features(mode: Mode, outside: bool, tree: cgroups.CgroupTree, buildah: str) -> tuple[str, ...]:
    known = {
        "isolated-user": mode in ("dedicated-user", "rootless"),
        "trusted-users-only": mode == "root",
        "network-outside": outside,
        "network-names": find("ip") is not None,
        "cgroup-v2": bool(tree.roots) and tree.unified,
        "cgroup-v1": bool(tree.roots) and not tree.unified,
        "windows-assembly": True,
        HEREDOCS: is_at_least(buildah, 1, 33),
    }
    return tuple(name for name, present in known.items() if present)


def _read_versions() -> dict[str, str]:
    """`{"podman": "4.3.1", "buildah": "1.28.2"}`, of those that are there; empty when a program does not say."""
    found: dict[str, str] = {}
    for program in _PACKAGES:
        path = find(program)
        if path is None:
            continue
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False, cwd="/")
        words = done.stdout.split()
        found[program] = words[2] if len(words) > 2 else ""
    return found


def is_at_least(version: str, major: int, minor: int) -> bool:
    """`1.28.2`, `1.33.7-dev`."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= (major, minor)
