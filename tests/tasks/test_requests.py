"""Bodies of scheduleRun (tasks-wire, section 3), read as the service reads them; and what a source location means."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from darsena.core.errors import NotImplementedHere, Problem, RequestInvalid, ResourceUnknown
from darsena.tasks.locations import parse_location
from darsena.tasks.platforms import normalize_platform
from darsena.tasks.requests import RunRequest, list_secrets, parse_request
from darsena.tasks.wire import RunRequestBody

PLATFORM = {"os": "Linux", "architecture": "AMD64"}
TASK = base64.b64encode(b"steps:\n  - cmd: bash echo hi\n").decode()


def parse(**body: Any) -> RunRequest:
    return parse_request(msgspec.convert(body, RunRequestBody))


def docker(**body: Any) -> RunRequest:
    return parse(**{"type": "DockerBuildRequest", "dockerFilePath": "Dockerfile", "platform": PLATFORM, **body})


def encoded(**body: Any) -> RunRequest:
    return parse(**{"type": "EncodedTaskRunRequest", "encodedTaskContent": TASK, "platform": PLATFORM, **body})


def test_what_az_sends_for_a_build() -> None:
    request = docker(
        imageNames=["sample/hello:{{.Run.ID}}"],
        isPushEnabled=True,
        sourceLocation="source/202104141714/0b1f6471-1bf0-4dda-aec3-cb9272f09590.tar.gz",
        arguments=[{"type": "Argument", "name": "A", "value": "1=2", "isSecret": False}],
        credentials={},
        noCache=None,
        isArchiveEnabled=False,
    )
    assert request.type == "DockerBuildRequest"
    assert (request.platform.os, request.platform.architecture, request.platform.variant) == ("linux", "amd64", None)
    assert (request.cpu, request.timeout_s, request.source.kind) == (2, 3600, "upload")
    assert request.stored["imageNames"] == ["sample/hello:{{.Run.ID}}"]
    assert request.stored["arguments"] == [{"name": "A", "value": "1=2", "isSecret": False}]
    assert request.stored["isPushEnabled"] is True
    assert request.stored["noCache"] is False


def test_what_az_sends_for_a_command() -> None:
    request = encoded(values=[{"type": "SetValue", "name": "x", "value": "y"}], sourceLocation=None, timeout=600)
    assert (request.source.kind, request.timeout_s) == ("none", 600)
    assert request.stored["encodedTaskContent"] == TASK
    assert request.stored["values"] == [{"name": "x", "value": "y", "isSecret": False}]


def test_a_task_file_and_its_values() -> None:
    request = parse(
        type="filetaskrunrequest",
        taskFilePath="acb.yaml",
        valuesFilePath="values.yaml",
        platform={"os": "linux", "architecture": "arm", "variant": "V7"},
        agentConfiguration={"cpu": 4},
        sourceLocation="https://github.com/u/r.git#main:app",
    )
    assert request.type == "FileTaskRunRequest"
    assert str(request.platform) == "linux/arm/v7"
    assert (request.cpu, request.source.kind) == (4, "git")
    assert request.stored["valuesFilePath"] == "values.yaml"


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ({"type": None}, "type"),
        ({"type": "BuildRequest"}, "type"),
        ({"platform": None}, "platform.os"),
        ({"platform": {"architecture": "amd64"}}, "platform.os"),
        ({"platform": {"os": "plan9"}}, "platform.os"),
        ({"platform": {"os": "linux", "architecture": "riscv64"}}, "platform.architecture"),
        ({"platform": {"os": "linux", "architecture": "arm", "variant": "v9"}}, "platform.variant"),
        ({"timeout": 299}, "timeout"),
        ({"timeout": 28801}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"agentConfiguration": {"cpu": 0}}, "agentConfiguration.cpu"),
        ({"agentConfiguration": {"cpu": 65}}, "agentConfiguration.cpu"),
        ({"dockerFilePath": None}, "dockerFilePath"),
        ({"dockerFilePath": " "}, "dockerFilePath"),
        ({"imageNames": ["a", ""]}, "imageNames"),
        ({"imageNames": ["a\nb"]}, "imageNames"),
        ({"imageNames": ["a"] * 101}, "imageNames"),
        ({"arguments": [{"value": "x"}]}, "arguments.name"),
        ({"arguments": [{"name": "a=b", "value": "x"}]}, "arguments.name"),
        ({"sourceLocation": "somewhere"}, "sourceLocation"),
        ({"credentials": {"sourceRegistry": {"loginMode": "Maybe"}}}, "credentials.sourceRegistry.loginMode"),
        ({"credentials": {"customRegistries": {"r.io": {}}}}, "credentials.customRegistries.r.io"),
        (
            {"credentials": {"customRegistries": {"r.io": {"userName": {"value": "u"}, "password": {"value": ""}}}}},
            "credentials.customRegistries.r.io.password",
        ),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], target: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        docker(**body)
    assert refused.value.target == target
    assert target.split(".")[-1].lower() in refused.value.message.lower()


@pytest.mark.parametrize("content", [None, "", "not base64!", "/w==", "abc"])
def test_task_content_must_be_base64_of_text(content: str | None) -> None:
    with pytest.raises(RequestInvalid) as refused:
        encoded(encodedTaskContent=content)
    assert refused.value.target == "encodedTaskContent"


def test_base64_may_be_wrapped() -> None:
    assert encoded(encodedTaskContent=f"{TASK[:8]}\n{TASK[8:]}").stored["encodedTaskContent"] == TASK


@pytest.mark.parametrize(
    ("body", "condition"),
    [
        ({"agentPoolName": "pool1"}, ResourceUnknown),
        ({"type": "TaskRunRequest", "taskId": "/subscriptions/x/tasks/t1"}, ResourceUnknown),
        ({"type": "TaskRunRequest"}, RequestInvalid),
        ({"credentials": {"customRegistries": {"r.io": {"identity": "[system]"}}}}, NotImplementedHere),
        (
            {
                "credentials": {
                    "customRegistries": {
                        "r.io": {"userName": {"value": "u"}, "password": {"value": "u", "type": "Vaultsecret"}}
                    }
                }
            },
            NotImplementedHere,
        ),
    ],
)
def test_what_is_not_there(body: dict[str, Any], condition: type[Problem]) -> None:
    with pytest.raises(condition):
        docker(**body)


def test_secrets_are_known_so_that_they_can_be_masked() -> None:
    request = docker(
        arguments=[{"name": "A", "value": "plain"}, {"name": "B", "value": "hidden", "isSecret": True}],
        credentials={
            "sourceRegistry": {"loginMode": "none", "identity": "[caller]"},
            "customRegistries": {
                "Other.Example:5000": {"userName": {"value": "u"}, "password": {"value": "pw", "type": "opaque"}},
                "gone.example": None,
            },
        },
    )
    assert list_secrets(request.stored) == ["hidden", "pw"]
    assert request.custom_registries == ("other.example:5000",)
    assert request.source_registry_auth == "None"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (None, "none"),
        ("", "none"),
        ("/dev/null", "none"),
        ("source/202104141714/0b1f6471-1bf0-4dda-aec3-cb9272f09590.tar.gz", "upload"),
        ("https://github.com/u/r.git", "git"),
        ("https://github.com/u/r.git#branch:folder", "git"),
        ("https://github.com/u/r", "git"),
        ("https://github.com/u/r#main", "git"),
        ("github.com/u/r", "git"),
        ("git@github.com:u/r.git", "git"),
        ("git://host/r", "git"),
        ("http://127.0.0.1:3000/u/r.git#v1", "git"),
        ("https://dev.azure.com/o/p/_git/r#ref:folder", "git"),
        ("https://o.visualstudio.com/p/_git/r", "git"),
        ("https://dev.azure.com/o/p/_apis/git/repositories/r/items?download=true", "tarball"),
        ("https://github.com/u/r/archive/refs/heads/main.tar.gz", "tarball"),
        ("https://host.example/x.tar.gz", "tarball"),
    ],
)
def test_source_locations(text: str | None, kind: str) -> None:
    assert parse_location(text).kind == kind


@pytest.mark.parametrize(
    "text",
    [
        "oci://registry/repo:tag",
        "file:///etc/passwd",
        "ssh://host/r",
        "ext::sh -c id",
        "--upload-pack=id",
        "https://",
        "http://[::1",
        "../../etc/passwd",
        "source/../../etc/passwd",
        "source/202104141714/../x.tar.gz",
        "source/x.tar.gz",
        "https://host/x\ny.tar.gz",
        "https://host/" + "x" * 5000,
    ],
)
def test_locations_that_nobody_could_fetch_are_refused(text: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        parse_location(text)
    assert refused.value.target == "sourceLocation"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/x86", "linux/386"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/arm64/v8", "linux/arm64"),
        ("windows/amd64", "windows/amd64"),
        ("linux", "linux/amd64"),
    ],
)
def test_platforms_have_one_spelling(text: str, same: str) -> None:
    assert normalize_platform(text) == same
