"""Quick builds from the order to the finish, by the real agent process and the real engine."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Callable

from agentprocess import pack
from fakeserver import FakeRun, FakeServer

from darsena.engine.podman.machine import describe
from darsena.engine.port import HEREDOCS

Execute = Callable[..., FakeRun]


def _build(dockerfile: str, *, files: dict[str, str | bytes] | None = None, **request: object) -> tuple[object, bytes]:
    wire = {"type": "DockerBuildRequest", "dockerFilePath": "Dockerfile", "isPushEnabled": False} | request
    return wire, pack({"Dockerfile": dockerfile, **(files or {})})


def test_it_is_built_pushed_and_told(execute: Execute, server: FakeServer) -> None:
    run = execute(
        *_build(
            "FROM mcr.microsoft.com/hello-world\nARG WHO\nRUN mkdir /made && echo $WHO > /made/who\n"
            "COPY a.txt /a.txt\nRUN cat /made/who && stat -c 'owner %u:%g' /made /a.txt\n",
            files={"a.txt": "a"},
            imageNames=["sample/app:{{.Run.ID}}", "sample/app"],
            isPushEnabled=True,
            arguments=[{"name": "WHO", "value": "a-secret-person", "isSecret": True, "type": "Argument"}],
        )
    )
    assert run.finish is not None
    assert run.finish["status"] == "Succeeded", run.text
    names = [f"{image['repository']}:{image['tag']}" for image in run.finish["output_images"]]
    run_id = run.order["run_id"]
    assert names == [f"sample/app:{run_id}", "sample/app:latest"]
    digest = run.finish["output_images"][0]["digest"]
    assert digest == _digest_in_registry(server, "sample/app", run_id)
    dependency = run.finish["dependencies"][0]
    assert dependency["image"]["digest"] == digest
    assert dependency["runtime_dependency"]["registry"] == "mcr.microsoft.com"
    assert dependency["runtime_dependency"]["digest"] == _digest_in_registry(server, "hello-world", "latest")
    assert run.text.count("owner 0:0") == 2
    assert "a-secret-person" not in run.text
    assert "\n***\r\n" in run.text
    _check_lines(run, server)


def _check_lines(run: FakeRun, server: FakeServer) -> None:
    """The service's lines in the service's order, all ended by CR LF."""
    assert run.text.count("\n") == run.text.count("\r\n")
    app = f"{server.registry}/sample/app"
    expected = [
        "Downloading source code...",
        "Finished downloading source code",
        "as the home volume",
        "Setting up Docker configuration...",
        "Successfully set up Docker configuration",
        f"Logging in to registry: {server.registry}",
        f"Successfully logged into {server.registry}",
        "Executing step ID: build. Timeout(sec): 28800, Working directory: '', Network: ''",
        "Scanning for dependencies...",
        "Successfully scanned dependencies",
        "Launching container with name: build",
        "STEP 1/5: FROM mcr.microsoft.com/hello-world",
        "Successfully executed container: build",
        "Executing step ID: push. Timeout(sec): 3600, Working directory: '', Network: ''",
        f"Pushing image: {app}:{run.order['run_id']}, attempt 1",
        f"Successfully pushed image: {app}:{run.order['run_id']}",
        f"Pushing image: {app}:latest, attempt 1",
        "Step ID: build marked as successful (elapsed time in seconds: ",
        "Populating digests for step ID: build...",
        "Successfully populated digests for step ID: build",
        "Step ID: push marked as successful",
        "The following dependencies were found:",
        f"Run ID: {run.order['run_id']} was successful after ",
    ]
    place = 0
    for line in expected:
        assert line in run.text[place:], line
        place = run.text.index(line, place)


def _digest_in_registry(server: FakeServer, repository: str, tag: str) -> str:
    request = urllib.request.Request(f"https://127.0.0.1:{server.port}/v2/{repository}/manifests/{tag}", method="HEAD")
    request.add_header("Authorization", server.basic)
    request.add_header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
    context = ssl.create_default_context(cafile=str(server.certificates.ca))
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:
        return str(answer.headers["Docker-Content-Digest"])


def test_lines_arrive_while_the_build_runs(execute: Execute) -> None:
    run = execute(
        *_build("FROM mcr.microsoft.com/hello-world\nRUN for i in 1 2 3 4; do echo line $i; sleep 0.5; done\n")
    )
    sizes = [run.text.index(f"\nline {i}\r") for i in range(1, 5)]
    seen = [next(at for at, size in run.arrivals if size > offset) for offset in sizes]
    assert seen[-1] - seen[0] > 0.9
    assert len(set(seen)) >= 3


def test_stages_target_and_scratch(execute: Execute) -> None:
    dockerfile = (
        "FROM mcr.microsoft.com/hello-world AS one\nRUN echo made-in-one > /x\n"
        "FROM scratch AS two\nCOPY --from=one /x /x\nCOPY --from=one /bin/sh /bin/sh\n"
        'RUN ["/bin/sh", "-c", "read l </x; echo $l"]\n'
        "FROM nowhere.example/never AS three\n"
    )
    run = execute(*_build(dockerfile, target="two", imageNames=["stages:v1"]))
    assert run.finish is not None
    assert run.finish["status"] == "Succeeded", run.text
    assert "\nmade-in-one\r\n" in run.text
    record = run.finish["dependencies"][0]
    assert record["runtime_dependency"]["repository"] == "library/scratch"
    assert record["runtime_dependency"]["digest"] is None
    assert [item["repository"] for item in record["buildtime_dependencies"]] == ["hello-world"]
    assert run.finish["output_images"] == []


def test_a_base_that_cannot_be_had_is_named(execute: Execute, server: FakeServer) -> None:
    run = execute(*_build(f"FROM {server.registry}/no/such:v9\n"))
    assert run.finish is not None
    assert run.finish["status"] == "Failed"
    assert f"{server.registry}/no/such:v9 cannot be had" in run.text
    assert "line 1 of the Dockerfile" in run.finish["error"]
    assert "failed to run step ID: build" in run.text


def test_a_failing_run_instruction_fails_the_step(execute: Execute) -> None:
    run = execute(*_build("FROM mcr.microsoft.com/hello-world\nRUN exit 7\n"))
    assert run.finish is not None
    assert run.finish["status"] == "Failed"
    assert run.finish["error"].startswith("failed during run, err: exit status ")
    tail = run.text.splitlines()[-3:]
    assert tail[0].startswith("failed to run step ID: build: exit status ")
    assert tail[2].startswith(f"Run ID: {run.order['run_id']} failed after ")


def test_a_missing_dockerfile(execute: Execute) -> None:
    run = execute({"type": "DockerBuildRequest", "dockerFilePath": "sub/Dockerfile"}, pack({"x": "x"}))
    assert "error opening dockerfile: sub/Dockerfile" in run.text
    assert run.finish is not None
    assert run.finish["status"] == "Failed"


def test_a_heredoc_is_built_or_refused_with_what_to_do(execute: Execute) -> None:
    run = execute(*_build("FROM mcr.microsoft.com/hello-world\nRUN <<EOF\necho he''redoc\nEOF\n"))
    assert run.finish is not None
    if HEREDOCS in describe().features:
        assert "heredoc" in run.text
    else:
        assert run.finish["status"] == "Failed"
        assert "line 2 of the Dockerfile: a heredoc (<<) needs buildah 1.33 or newer" in run.finish["error"]


def test_windows_is_assembled_without_run(execute: Execute) -> None:
    changes = {"platform": {"os": "Windows", "architecture": "amd64", "variant": None}}
    wire, archive = _build('FROM scratch\nCOPY a.txt /a.txt\nCMD ["x"]\n', files={"a.txt": "a"}, imageNames=["win:1"])
    run = execute(wire, archive, **changes)
    assert run.finish is not None
    assert run.finish["status"] == "Succeeded", run.text
    run = execute(*_build("FROM scratch\nCOPY a.txt /a.txt\nRUN x\n", files={"a.txt": "a"}), **changes)
    assert "needs a Windows agent" in run.text


def test_an_archive_that_leads_out_is_refused(execute: Execute) -> None:
    run = execute(*_build("FROM scratch\nCOPY . /\n", files={"../evil": "x"}))
    assert run.finish is not None
    assert run.finish["status"] == "Failed"
    assert "failed to untar context" in run.finish["error"]
    assert json.dumps(run.finish)
