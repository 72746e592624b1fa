"""A quick build: the fixed steps `build` and, if there is something to push, `push` (tasks-engine, section 2)."""

from __future__ import annotations

from darsena.agent.plan import BuildAction, Plan, PlanFault, PushAction, Step
from darsena.agent.protocol import DockerBuildRequest, RunOrder
from darsena.agent.variables import Variables, render

BUILD_TIMEOUT_S = 28800.0
PUSH_TIMEOUT_S = 3600.0


def plan_quick_build(request: DockerBuildRequest, order: RunOrder, variables: Variables) -> Plan:
    known = (order.registry.login_server, *order.custom_registries)
    names = [qualify(render(name, variables), known) for name in request.image_names or ()]
    arguments = request.arguments or []
    if any(not argument.name for argument in arguments):
        raise PlanFault("a build argument has no name")
    plain = {a.name: render(a.value or "", variables) for a in arguments if not a.is_secret}
    secret = {a.name: a.value or "" for a in arguments if a.is_secret}
    build = Step(
        id="build",
        timeout_s=BUILD_TIMEOUT_S,
        action=BuildAction(
            context=".",
            dockerfile=render(request.docker_file_path or "Dockerfile", variables),
            tags=tuple(dict.fromkeys(names)),
            arguments=plain,
            secret_arguments=secret,
            target=render(request.target, variables) if request.target else None,
            no_cache=bool(request.no_cache),
            platform=str(order.platform),
        ),
    )
    if request.is_push_enabled is False or not names:
        return Plan(steps=(build,))
    push = Step(id="push", timeout_s=PUSH_TIMEOUT_S, action=PushAction(images=tuple(dict.fromkeys(names))))
    return Plan(steps=(build, push))


def qualify(name: str, registries: tuple[str, ...]) -> str:
    """The run's registry is put in front, unless the name begins with a registry that the run knows or `library/`."""
    if not name.strip():
        raise PlanFault("an image name is empty")
    if name.startswith("library/") or any(name.startswith(f"{registry}/") for registry in registries):
        return with_tag(name)
    return with_tag(f"{registries[0]}/{name}")


def with_tag(name: str) -> str:
    """`:latest` where there is neither tag nor digest; a port is no tag."""
    return name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"
