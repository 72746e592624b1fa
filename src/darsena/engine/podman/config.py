"""The programs' configuration, written per run: nothing of the user's or the system's is read or changed."""

from __future__ import annotations

import base64
import json
import os
import resource
import shutil
from collections.abc import Mapping
from pathlib import Path

from darsena.engine.podman.folder import Paths
from darsena.engine.port import RunSpec, Transport

_OPEN_FILES_MAX = 16384


def write(paths: Paths, spec: RunSpec, transport: Transport, runtime: str, owner: tuple[int, int] | None) -> None:
    files = {
        "config/containers.conf": _containers(paths, runtime),
        "config/cache-containers.conf": _cache_containers(paths),
        "config/storage.conf": _storage(paths),
        "config/cache-storage.conf": _cache_storage(paths),
        "config/registries.conf": _registries({}),
        "config/registries-mapped.conf": _registries(spec.base_images),
        "config/auth.json": _auth(spec),
        "home/.docker/config.json": _auth(spec),
        "config/no-ignore": "",
        "tools/.config/containers/policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}\n',
    }
    for name, text in files.items():
        _put(paths.host, name, text, owner)
    ca = paths.host / "config/certs/ca.crt"
    shutil.copyfile(transport.ca_file, ca)
    ca.chmod(0o644)


def environment(paths: Paths) -> dict[str, str]:
    """The whole environment of a program; what the agent itself was started with does not leak in."""
    inside = paths.inside
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(inside / "tools"),
        "XDG_RUNTIME_DIR": str(inside / "xdg"),
        "XDG_DATA_HOME": str(paths.cache_inside / "share"),
        "TMPDIR": str(inside / "tmp"),
        "CONTAINERS_CONF": str(inside / "config/containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(inside / "config/storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(inside / "config/registries.conf"),
        "REGISTRY_AUTH_FILE": str(inside / "config/auth.json"),
        "DARSENA_RUN_FOLDER": str(paths.host),
    }


def _put(folder: Path, name: str, text: str, owner: tuple[int, int] | None) -> None:
    path = folder / name
    for parent in reversed([parent for parent in path.parents if parent.is_relative_to(folder)]):
        if not parent.exists():
            parent.mkdir(mode=0o755)
            _give(parent, owner)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    _give(path, owner)


def _give(path: Path, owner: tuple[int, int] | None) -> None:
    if owner is not None:
        os.chown(path, *owner)


def _containers(paths: Paths, runtime: str) -> str:
    limits: list[str] = []
    for name, kind in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        hard = resource.getrlimit(kind)[1]
        bound = _OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES_MAX)
        limits.append(f"{name}={bound}:{bound}")
    return f"""[containers]
default_ulimits = {json.dumps(limits)}
http_proxy = false
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = {json.dumps(runtime)}
tmp_dir = {json.dumps(str(paths.inside / "xdg/libpod"))}
volume_path = {json.dumps(str(paths.inside / "store/volumes"))}
[network]
network_config_dir = {json.dumps(str(paths.inside / "net/config"))}
"""


def _cache_containers(paths: Paths) -> str:
    """For loading into the cache: podman's own records do not lie in it, they name the run's folders."""
    return f"""[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
static_dir = {json.dumps(str(paths.inside / "tools/cache-libpod"))}
tmp_dir = {json.dumps(str(paths.inside / "xdg/cache-libpod"))}
"""


def _storage(paths: Paths) -> str:
    driver = _driver(paths.host)
    stores = [str(paths.cache_inside / "store")] if (paths.cache_host / f"store/{driver}-images").is_dir() else []
    return f"""[storage]
driver = "{driver}"
graphroot = {json.dumps(str(paths.inside / "store"))}
rootless_storage_path = {json.dumps(str(paths.inside / "store"))}
runroot = {json.dumps(str(paths.inside / "runroot"))}
[storage.options]
additionalimagestores = {json.dumps(stores)}
"""


def _cache_storage(paths: Paths) -> str:
    """The registry's cache as the store that is written to: for promotion only."""
    return f"""[storage]
driver = "{_driver(paths.host)}"
graphroot = {json.dumps(str(paths.cache_inside / "store"))}
rootless_storage_path = {json.dumps(str(paths.cache_inside / "store"))}
runroot = {json.dumps(str(paths.inside / "tmp" / "cache-runroot"))}
"""


def _driver(folder: Path) -> str:
    """An overlay cannot stand upon an overlay, as in an agent that is itself in a container: there files are copied."""
    best, kind = 0, ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4]
        if folder.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), after.split(" ")[0]
    return "vfs" if kind in ("overlay", "aufs", "fuse.fuse-overlayfs") else "overlay"


def _registries(mapped: Mapping[str, str]) -> str:
    text = 'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "disabled"\n'
    for prefix, location in mapped.items():
        text += f"[[registry]]\nprefix = {json.dumps(prefix)}\nlocation = {json.dumps(location)}\n"
    return text


def _auth(spec: RunSpec) -> str:
    logins = {
        login.host: {"auth": base64.b64encode(f"{login.username}:{login.password}".encode()).decode()}
        for login in spec.logins
    }
    return json.dumps({"auths": logins})
