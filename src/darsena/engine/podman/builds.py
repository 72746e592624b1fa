"""Builds: one `buildah bud` in the run's sandbox, with nothing pulled and nothing of the host's in its environment."""

from __future__ import annotations

import re
from pathlib import Path

from darsena.engine.podman.network import RESOLVER, Networks
from darsena.engine.podman.sandbox import Sandbox
from darsena.engine.port import BuildSpec, OutputSink, StepFault
from darsena.engine.references import parse_image

_NOISE = b"[Warning] one or more build args were not consumed: [TARGETARCH TARGETOS TARGETPLATFORM]\n"
"""buildah says this of arguments that it gave itself."""
_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_RESERVED = re.compile(
    r"(?:LD_|GLIBC_|MALLOC_|BUILDAH_|CONTAINERS_|_CONTAINERS_|STORAGE_|REGISTRY_|XDG_|SSL_|GO|DARSENA_|LIBSUBID|LC_|PERL|PYTHON|TZ).*\Z"
    r"|(?:PATH|HOME|TMPDIR|LANG|LOCPATH|NLSPATH|GCONV_PATH|RES_OPTIONS|HOSTALIASES|IFS|ENV|SHELL|PWD|USER|LISTEN_.*|NOTIFY_SOCKET|DBUS_.*)\Z"
    r"|(?i:https?_proxy|no_proxy|all_proxy|ftp_proxy)\Z"
)


async def build(sandbox: Sandbox, networks: Networks, spec: BuildSpec, sink: OutputSink) -> int:
    network = await _choose_network(networks, spec)
    program = [
        "buildah",
        "--log-level=error",
        "bud",
        "--isolation=oci",
        f"--runtime={sandbox.machine.runtime}",
        "--format=docker",
        "--pull=never",
        "--http-proxy=false",
        f"--platform={spec.platform}",
        f"--file={sandbox.paths.to_inside(spec.dockerfile)}",
        f"--ignorefile={_ignore_file(sandbox, spec)}",
        *_network_options(sandbox, network),
        *(["--no-cache"] if spec.no_cache else []),
        *([f"--target={spec.target}"] if spec.target else []),
        *(f"--label={label}" for label in spec.labels),
        *(f"--tag={parse_image(tag)}" for tag in spec.tags),
        *_cache_options(sandbox),
        *_arguments(spec),
        *spec.options,
        str(sandbox.paths.to_inside(spec.context)),
    ]
    extra = {name: value for name, value in spec.environment.items() if is_free_name(name)}
    extra |= dict(spec.secret_arguments)
    context = sandbox.paths.to_inside(spec.context)

    def tell(chunk: bytes) -> None:
        sink(chunk.replace(_NOISE, b""))

    return await sandbox.stream(program, tell, namespace=True, network=network, extra=extra, cwd=context)


def is_free_name(name: str) -> bool:
    """Whether a variable of this name may stand in a tool's environment without changing what the tool does."""
    return bool(_ARGUMENT.match(name)) and not _RESERVED.match(name)


async def _choose_network(networks: Networks, spec: BuildSpec) -> Path | None:
    if spec.network == "none":
        return None
    if spec.network in (None, "default"):
        return await networks.ensure_outside()
    return (await networks.attach(spec.network, spec.step_id))[0]


def _network_options(sandbox: Sandbox, network: Path | None) -> list[str]:
    """`host` is the namespace that buildah itself was put into: the run's."""
    if network is None:
        return ["--network=none"]
    resolver = [f"--dns={RESOLVER}"] if sandbox.machine.outside else []
    return ["--network=host", *resolver]


def _cache_options(sandbox: Sandbox) -> list[str]:
    # buildah takes the parent itself for its containers and removes it: so one below the run's.
    parent = [f"--cgroup-parent={sandbox.cgroup.parent}/build"] if sandbox.cgroup.parent else []
    return ["--layers", "--rm", "--force-rm", *parent]


def _arguments(spec: BuildSpec) -> list[str]:
    """A secret one goes by name only: its value is in the tool's environment, which other users cannot read."""
    options: list[str] = []
    for name, value in spec.arguments.items():
        if not _ARGUMENT.match(name):
            raise StepFault(f"the build argument name {name!r} is not valid")
        options.append(f"--build-arg={name}={value}")
    for name in spec.secret_arguments:
        if not is_free_name(name):
            raise StepFault(f"{name!r} cannot be the name of a secret build argument; use another one")
        options.append(f"--build-arg={name}")
    return options


def _ignore_file(sandbox: Sandbox, spec: BuildSpec) -> Path:
    """Docker's choice: the Dockerfile's own, else the context's. Never `.containerignore`: docker knows none."""
    own = spec.dockerfile.with_name(spec.dockerfile.name + ".dockerignore")
    for candidate in (own, spec.context / ".dockerignore"):
        if candidate.is_file() and not candidate.is_symlink():
            return sandbox.paths.to_inside(candidate)
    return sandbox.paths.inside / "config/no-ignore"
