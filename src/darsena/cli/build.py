"""`darsena build`: from a folder or a git URL to an image in the registry."""

from __future__ import annotations

import shutil
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from darsena.cli.images import parse_image, without_host
from darsena.cli.options import Group, NoWait, Output, Query, RegistryName
from darsena.cli.output import Format, chosen, emit
from darsena.cli.reporting import Progress, choose_reporter
from darsena.cli.run_options import (
    AgentPool,
    LogTemplate,
    NoLogs,
    Platform,
    ProgressOption,
    SourceIdentity,
    Timeout,
    finish,
    parse_arguments,
    raise_unless_succeeded,
)
from darsena.cli.runs import COLUMNS, duration_s
from darsena.cli.session import open_session
from darsena.cli.sources import send_context
from darsena.cli.terminal import human_bytes, human_seconds
from darsena.cli.watch import Ended, wait_quietly, watch
from darsena.client.context import LocalContext, build_context, is_remote
from darsena.client.errors import ClientProblem
from darsena.client.run_requests import Settings, build_request, output_images, parse_platform, run_id_of
from darsena.client.shapes import flatten

if TYPE_CHECKING:
    from darsena.client.login_server import LoginServer

Images = Annotated[
    list[str] | None,
    typer.Option("--image", "-t", metavar="NAME:TAG", help="A name for the image; may be given several times."),
]
File = Annotated[str | None, typer.Option("--file", "-f", metavar="DOCKERFILE", help="The Dockerfile; - is stdin.")]
BuildArguments = Annotated[
    list[str] | None,
    typer.Option("--build-arg", metavar="KEY=VALUE", help="A build argument; may be given several times."),
]
SecretArguments = Annotated[
    list[str] | None,
    typer.Option("--secret-build-arg", metavar="KEY=VALUE", help="A build argument that no log or answer shows."),
]
Context = Annotated[
    str, typer.Argument(metavar="CONTEXT", help="A folder, a git URL with #ref:folder, or the URL of a tar.gz.")
]


def build(
    registry: RegistryName,
    context: Context,
    image: Images = None,
    file: File = None,
    platform: Platform = "linux/amd64",
    build_arg: BuildArguments = None,
    secret_build_arg: SecretArguments = None,
    target: Annotated[str | None, typer.Option("--target", metavar="STAGE", help="The stage to stop at.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Use no layer of an earlier build.")] = False,
    no_push: Annotated[bool, typer.Option("--no-push", help="Only build; push nothing.")] = False,
    timeout: Timeout = None,
    no_wait: NoWait = False,
    no_logs: NoLogs = False,
    progress: ProgressOption = Progress.AUTO,
    agent_pool: AgentPool = None,
    log_template: LogTemplate = None,
    source_acr_auth_id: SourceIdentity = None,
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Build an image at the server and push it to the registry.

    A folder is packed by docker's .dockerignore rules and sent. The log is shown as it grows; Ctrl-C offers to cancel.

    \b
    Examples:
      darsena build -r contoso -t shop/web:v1 .
      darsena build -r contoso -t shop/web:v1 -f docker/Dockerfile --build-arg VERSION=1 .
      darsena build -r contoso -t shop/web:v1 https://git.example.com/shop/web.git#main:src
    """
    arguments = parse_arguments(build_arg or [], secret_build_arg or [], "--build-arg")
    settings = Settings(
        platform=parse_platform(platform),
        timeout_s=timeout,
        agent_pool=agent_pool,
        log_template=log_template,
        source_identity=source_acr_auth_id,
    )
    images = image or []
    for name in images:
        _check(name)
    local = None if is_remote(context) else build_context(context, file, lambda: sys.stdin.buffer.read())
    with closing(choose_reporter(progress)) as reporter, open_session(talk=reporter.note) as session:
        if not images and not no_push:
            reporter.note("no name is given with -t, so the image is built and not pushed")
        found = session.resources.find_registry(registry, resource_group)
        runs = session.runs(found)
        source = context if local is None else send_context(session, runs, local, reporter)
        request = build_request(
            settings,
            source,
            _dockerfile(local, file),
            [without_host(name, found.login_server) for name in images],
            push=bool(images) and not no_push,
            no_cache=no_cache,
            target=target,
            arguments=arguments,
        )
        run = runs.schedule(request)
        run_id = run_id_of(run)
        reporter.scheduled(run_id)
        if no_wait:
            reporter.close()
            emit(flatten(run), output, query, COLUMNS)
            return
        if no_logs:
            finish(wait_quietly(runs, run_id, found.name, reporter), found.name, output, query, COLUMNS)
            return
        ended = watch(session, runs, run_id, found.name, reporter)
        if ended.status == "Succeeded":
            reporter.made(_facts(ended, session.login_server(found.login_server)))
        if output is not None or query is not None or chosen(output) is not Format.TABLE:
            emit(flatten(ended.run), output, query, COLUMNS)
        raise_unless_succeeded(ended.run, found.name)


def _check(name: str) -> None:
    """Refuse what no registry takes before anything is sent. Run variables are known to the server only."""
    if "{{" not in name and "$" not in name:
        parse_image(name)


def _dockerfile(local: LocalContext | None, file: str | None) -> str:
    return file or "Dockerfile" if local is None else local.file_name


def _facts(ended: Ended, server: LoginServer) -> list[tuple[str, str]]:
    """What was made: name, digest, size, time, bases, and how to pull it."""
    facts: list[tuple[str, str]] = []
    pulls: list[str] = []
    digests: set[str] = set()
    for image in output_images(ended.run):
        repository, tag, digest = (str(image.get(key) or "") for key in ("repository", "tag", "digest"))
        name = f"{repository}:{tag}" if tag else f"{repository}@{digest}"
        facts.append(("image", name))
        pulls.append(f"{_container_client()} pull {image.get('registry') or server.host}/{name}")
        if digest and digest not in digests:
            digests.add(digest)
            facts.append(("digest", digest))
            facts.extend(_size(server, repository, digest))
    seconds = duration_s(flatten(ended.run))
    if seconds is not None:
        facts.append(("time", human_seconds(seconds)))
    for base in ended.bases:
        name = f"{base.reference}@{base.digest}" if base.digest else base.reference
        facts.append(("base", name if base.is_runtime else f"{name} (build time)"))
    return facts + [("pull", pull) for pull in pulls]


def _size(server: LoginServer, repository: str, digest: str) -> list[tuple[str, str]]:
    """Nothing when the registry does not say: the image is there all the same."""
    try:
        attributes = server.get_manifest_attributes(repository, digest)
    except ClientProblem:
        return []
    return [("size", human_bytes(float(attributes.get("imageSize") or 0)))]


def _container_client() -> str:
    return "podman" if shutil.which("podman") or not shutil.which("docker") else "docker"


def register(app: typer.Typer) -> None:
    app.command("build")(build)
