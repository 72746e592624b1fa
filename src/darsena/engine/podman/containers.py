"""Steps' containers: `podman run` in the run's sandbox."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from darsena.engine.podman.builds import is_free_name
from darsena.engine.podman.network import RESOLVER, Networks
from darsena.engine.podman.sandbox import Sandbox
from darsena.engine.port import ContainerSpec, OutputSink
from darsena.engine.references import parse_image

_ODD = re.compile(r"[^a-zA-Z0-9_.-]")


def container_name(step_id: str) -> str:
    """A name podman takes, different for different ids."""
    plain = _ODD.sub("-", step_id)[:100]
    return f"acb-{plain}" if plain == step_id else f"acb-{plain}-{hashlib.sha256(step_id.encode()).hexdigest()[:8]}"


async def run(sandbox: Sandbox, networks: Networks, spec: ContainerSpec, sink: OutputSink) -> int:
    name = container_name(spec.step_id)
    # No health checks: nobody asks for their results, and without systemd podman complains of each.
    program = ["podman", "--log-level=error", "run", f"--name={name}", "--replace", "--pull=never", "--no-healthcheck"]
    program += [] if spec.keep else ["--rm"]
    program += ["--detach", "--log-driver=k8s-file"] if spec.detach else ["--log-driver=none"]
    program += await _network_options(sandbox, networks, spec)
    program += [f"--volume={sandbox.paths.to_inside(source)}:{target}" for source, target in spec.volumes]
    program += [f"--workdir={spec.working_directory}"] if spec.working_directory else []
    program += [f"--entrypoint={spec.entry_point}"] if spec.entry_point is not None else []
    program += [f"--user={spec.user}"] if spec.user else []
    program += [f"--cpus={spec.cpus}"] if spec.cpus and sandbox.cgroup.parent else []
    program += [f"--cgroup-parent={sandbox.cgroup.parent}"] if sandbox.cgroup.parent else []
    options, extra = _environment_options(sandbox, spec.environment, name)
    program += options
    program += [str(parse_image(spec.image)), *spec.arguments]
    try:
        return await sandbox.stream(program, sink, extra=extra)
    except asyncio.CancelledError:
        await asyncio.shield(remove(sandbox, spec.step_id))
        raise


async def remove(sandbox: Sandbox, step_id: str) -> None:
    """End and remove a step's container. podman sometimes says that its state is improper, and not the second time."""
    for _ in range(3):
        answer = await sandbox.ask(
            ["podman", "--log-level=error", "rm", "--force", "--ignore", "--time=0", container_name(step_id)],
            timeout_s=10,
        )
        if answer.code == 0:
            return


async def _network_options(sandbox: Sandbox, networks: Networks, spec: ContainerSpec) -> list[str]:
    if spec.network == "none":
        return ["--network=none"]
    hosts: tuple[str, ...] = ()
    if spec.network in (None, "default"):
        namespace = await networks.ensure_outside()
    else:
        namespace, hosts = await networks.attach(spec.network, spec.step_id)
    resolver = [f"--dns={RESOLVER}"] if sandbox.machine.outside else []
    return [f"--network=ns:{namespace}", *resolver, *(f"--add-host={host}" for host in hosts)]


def _environment_options(
    sandbox: Sandbox, environment: Mapping[str, str], name: str
) -> tuple[list[str], dict[str, str]]:
    """The options, and what podman is to find in its own environment.

    Values stand in no command line, but in a file. It cannot hold a line break: those values go through podman's
    environment, and where their name would change what podman does, through an option after all.
    """
    path = sandbox.paths.host / "config" / f"{name}.env"
    plain = {key: value for key, value in environment.items() if "\n" not in value and "\r" not in value}
    _write_private(path, "".join(f"{key}={value}\n" for key, value in plain.items()), sandbox.machine.owner)
    rest = {key: value for key, value in environment.items() if key not in plain}
    extra = {key: value for key, value in rest.items() if is_free_name(key)}
    options = [f"--env={key}" if key in extra else f"--env={key}={value}" for key, value in rest.items()]
    return [f"--env-file={sandbox.paths.to_inside(path)}", *options], extra


def _write_private(path: Path, text: str, owner: tuple[int, int] | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    if owner is not None:
        os.chown(path, *owner)
