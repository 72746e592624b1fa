"""What stands before a build step's execution: its paths checked, its Dockerfile scanned, its bases fetched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from darsena.agent.dependencies import DependencyBook
from darsena.agent.log import RunLog
from darsena.agent.plan import WORKSPACE, BuildAction, Step
from darsena.agent.protocol import RunOrder
from darsena.engine.dockerfile import DockerfileScan, scan
from darsena.engine.port import HEREDOCS, Engine, EngineInfo, Image, RunScope, StepFault

_DOCKERFILE_MAX = 1024 * 1024
_FAILED = "failed to scan dependencies"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    engine: Engine
    scope: RunScope
    info: EngineInfo
    order: RunOrder
    log: RunLog
    book: DependencyBook
    default_directory: str
    """Of builds and steps that name none: where in the workspace the context is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedBuild:
    context: Path
    dockerfile: Path
    platform: str
    scan: DockerfileScan
    bases: dict[str, Image]


async def prepare_build(context: StepContext, step: Step, action: BuildAction) -> PreparedBuild:
    """Raises StepFault. Afterwards every base is in the run's store and nothing needs the network to start."""
    log, workspace = context.log, context.scope.workspace
    log.note("Scanning for dependencies...")
    directory = step.working_directory or context.default_directory
    folder = locate(workspace, directory, action.context)
    if not folder.is_dir():
        raise StepFault(f"{_FAILED}: the context {action.context} is not a directory")
    dockerfile = _find_dockerfile(workspace, directory, action)
    platform = (action.platform or str(context.order.platform)).lower()
    found = scan(_read(dockerfile), {**action.arguments, **action.secret_arguments}, platform, action.target)
    if found.runs:
        require_platform(platform, context.info.platforms)
    if found.heredoc_line is not None and HEREDOCS not in context.info.features:
        raise StepFault(
            f"line {found.heredoc_line} of the Dockerfile: a heredoc (<<) needs buildah 1.33 or newer, the agent has "
            f"{context.info.version}; join the commands with &&, COPY a file of the context, or upgrade buildah"
        )
    log.note("Successfully scanned dependencies")
    if action.secret_arguments:
        log.note("Secret build arguments can be read in the image's history by all who may pull it.")
    bases = await _fetch_bases(context, found, platform)
    return PreparedBuild(context=folder, dockerfile=dockerfile, platform=platform, scan=found, bases=bases)


def require_platform(platform: str, executable: tuple[str, ...]) -> None:
    """Building without RUN needs no emulator, whatever the platform; executing does. Raises StepFault."""
    if platform.startswith("windows"):
        raise StepFault("RUN for windows needs a Windows agent; without RUN the image can be assembled here")
    plain = "/".join(platform.split("/")[:2])
    if plain not in executable:
        raise StepFault(f"platform {plain} needs emulation (binfmt) on the agent: install qemu-user-static")


def locate(workspace: Path, directory: str, name: str) -> Path:
    """A path as the file has it, on the host, with its links resolved. Raises StepFault when it leads out."""
    root = workspace.resolve()
    text = PurePosixPath(WORKSPACE, directory, name)
    path = (root / text.relative_to(WORKSPACE)).resolve() if text.is_relative_to(WORKSPACE) else Path("/")
    if not path.is_relative_to(root):
        raise StepFault(f"{_FAILED}: {name} is not inside {WORKSPACE}")
    return path


async def ensure_image(context: StepContext, reference: str, platform: str) -> Image:
    """What an earlier step built is used as it is; all else is pulled. Raises StepFault."""
    image = await context.engine.find_image(context.scope, reference)
    if image is None:
        context.log.note(f"Pulling image: {reference}")
        image = await context.engine.pull(context.scope, reference, platform)
    return image


def _find_dockerfile(workspace: Path, directory: str, action: BuildAction) -> Path:
    """From the working directory, else from the context; the usual name in the context when none is given."""
    name = action.dockerfile or "Dockerfile"
    in_context = str(PurePosixPath(directory, action.context))
    for folder in (directory, in_context) if action.dockerfile else (in_context,):
        path = locate(workspace, folder, name)
        if path.is_file():
            return path
    raise StepFault(f"{_FAILED}: error opening dockerfile: {name}")


def _read(dockerfile: Path) -> str:
    if dockerfile.stat().st_size > _DOCKERFILE_MAX:
        raise StepFault(f"{_FAILED}: the Dockerfile is larger than 1 MiB")
    return dockerfile.read_text(errors="replace")


async def _fetch_bases(context: StepContext, found: DockerfileScan, platform: str) -> dict[str, Image]:
    bases: dict[str, Image] = {}
    for base in found.bases:
        try:
            bases[base.reference] = await ensure_image(context, base.reference, base.platform or platform)
        except StepFault as e:
            raise StepFault(f"line {base.line} of the Dockerfile: {e}") from e
    return bases
