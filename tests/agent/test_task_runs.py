"""Task files executed by the real agent: steps, names on the network, retries, files handed from step to step."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from agentprocess import pack
from fakeserver import FakeRun

Execute = Callable[..., FakeRun]


def encoded(text: str, **more: object) -> dict[str, object]:
    return {"type": "EncodedTaskRunRequest", "encodedTaskContent": base64.b64encode(text.encode()).decode(), **more}


def test_az_acr_run_cmd(execute: Execute, base: str) -> None:
    text = "version: v1.1.0\nsteps: \n  - cmd: $Registry/hello-world\n    disableWorkingDirectoryOverride: true\n"
    run = execute(encoded(text))
    assert run.finish is not None
    assert run.finish["status"] == "Succeeded", run.text
    assert "\nhello from the base\r\n" in run.text
    for line in (
        "Alias support enabled for version >= 1.1.0, please see https://aka.ms/acr/tasks/task-aliases",
        "Creating Docker network: acb_default_network, driver: 'bridge'",
        "Successfully set up Docker network: acb_default_network",
        "Executing step ID: acb_step_0. Timeout(sec): 600, Working directory: '', Network: 'acb_default_network'",
        "Launching container with name: acb_step_0",
        "Successfully executed container: acb_step_0",
        "Step ID: acb_step_0 marked as successful",
    ):
        assert line in run.text, line


def test_build_run_test_push(execute: Execute) -> None:
    """The shape of the published sample: build, run the server detached, ask it by its name, push."""
    task = """version: v1.1.0
env: ["COLOUR=blue"]
steps:
  - id: make
    build: -t $Registry/web:$ID -f app/Dockerfile --build-arg WORD={{.Values.word}} app
  - id: web
    cmd: $Registry/web:$ID
    detach: true
  - id: ask
    cmd: $Registry/hello-world sh -c 'wget -q -O - http://web/ && echo $COLOUR > said && pwd'
    retries: 3
    retryDelay: 1
  - id: read
    cmd: $Registry/hello-world cat /workspace/said
  - push: [$Registry/web:$ID]
"""
    dockerfile = (
        "FROM mcr.microsoft.com/hello-world\nARG WORD\nRUN mkdir /w && echo the word is $WORD > /w/index.html\n"
        'CMD ["httpd", "-f", "-h", "/w", "-p", "80"]\n'
    )
    run = execute(
        {"type": "FileTaskRunRequest", "taskFilePath": "task.yaml", "valuesFilePath": "v.yaml"},
        pack({"task.yaml": task, "v.yaml": "word: swordfish\n", "app/Dockerfile": dockerfile}),
    )
    assert run.finish is not None
    assert run.finish["status"] == "Succeeded", run.text
    assert "\nthe word is swordfish\r\n/workspace\r\n" in run.text
    assert "\nblue\r\n" in run.text
    assert [image["repository"] for image in run.finish["output_images"]] == ["web"]


def test_retries_ignored_errors_and_step_timeout(execute: Execute) -> None:
    task = """version: v1.1.0
steps:
  - id: flaky
    cmd: $Registry/hello-world sh -c 'test -e done || { touch done; exit 9; }'
    retries: 2
    retryDelay: 1
  - id: slow
    cmd: $Registry/hello-world sleep 60
    timeout: 1
    ignoreErrors: true
  - id: bad
    cmd: $Registry/hello-world sh -c 'exit 3'
  - id: never
    cmd: $Registry/hello-world echo never-printed
"""
    run = execute(encoded(task))
    assert run.finish is not None
    assert run.finish["status"] == "Failed"
    assert run.finish["error"] == "failed during run, err: exit status 3"
    assert "Container failed during run: flaky, waiting 1 seconds before retrying..." in run.text
    assert "Step ID: slow encountered an error: timed out, but is set to ignore errors. Continuing..." in run.text
    assert "failed to run step ID: bad: exit status 3\r\n\r\nRun ID: " in run.text
    assert "Step ID: never marked as skipped" in run.text
    assert "never-printed" not in run.text


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("cmd: no.such.host.invalid/x", "cannot be had"),
        ("cmd: UPPER/x", "invalid reference format"),
        ("push: [nothing/here]", "failed to push images successfully"),
        ("build: -t x /etc", "is not inside /workspace"),
    ],
)
def test_faults_of_steps(execute: Execute, step: str, message: str) -> None:
    run = execute(encoded(f"version: v1.1.0\nsteps:\n  - {step}\n"))
    assert run.finish is not None
    assert run.finish["status"] == "Failed"
    assert message in run.text


def test_an_order_that_cannot_be_read_is_handed_back(execute: Execute) -> None:
    run = execute({"type": "SomethingNewRequest"})
    assert run.finish is not None
    assert run.finish["status"] == "Error"
    assert "cannot execute the run's request" in run.finish["error"]
