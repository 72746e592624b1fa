from __future__ import annotations

from collections.abc import Callable

from fakeserver import FakeRun, FakeServer

from conftest import pack


def test_a_quick_build_is_built_pushed_and_told(execute: Callable[..., FakeRun], server: FakeServer) -> None:
    dockerfile = (
        "FROM mcr.microsoft.com/hello-world AS base\nARG WHO\nRUN mkdir /made && echo $WHO > /made/who\n"
        "COPY a.txt /a.txt\nRUN cat /made/who && ls -ln /\n"
    )
    run = execute(
        {
            "type": "DockerBuildRequest",
            "imageNames": ["sample/app:{{.Run.ID}}", "sample/app"],
            "dockerFilePath": "0123_Dockerfile",
            "arguments": [{"name": "WHO", "value": "someone-secret", "isSecret": True, "type": "Argument"}],
        },
        pack({"0123_Dockerfile": dockerfile, "a.txt": "a"}),
    )
    print(run.text)
    print(run.finish)
    assert run.finish["status"] == "Succeeded"
