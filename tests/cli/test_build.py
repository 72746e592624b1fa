"""`build` and `run` to their end: what is sent, what is seen, and what the exit code tells."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from cli.conftest import Darsena
from cli.fake_server import BASE_DIGEST, DIGEST, FakeServer, Run, successful_run
from darsena.client import blobs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    (root / "src").mkdir(parents=True)
    (root / "Dockerfile").write_text("FROM scratch\nCOPY . .\n")
    (root / "src" / "main.c").write_text("int main;")
    (root / "secret.env").write_text("x")
    (root / ".dockerignore").write_text("*.env\n")
    return root


def names_in(source: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(source)) as archive:
        return archive.getnames()


def test_a_build_from_a_folder(darsena: Darsena, server: FakeServer, folder: Path) -> None:
    host = server.login_server("contoso")
    done = darsena(
        *("build", "-r", "contoso", "-t", "shop/web:v1", "-t", f"{host}/shop/web:latest"),
        *("--build-arg", "A=1=2", "--secret-build-arg", "S=x", "--target", "last", "--no-cache", "--timeout", "600"),
        str(folder),
    )
    assert done.code == 0, done.err
    [source] = server.state.sources.items()
    assert server.state.scheduled == [
        {
            "type": "DockerBuildRequest",
            "platform": {"os": "linux", "architecture": "amd64"},
            "credentials": {},
            "isArchiveEnabled": False,
            "sourceLocation": source[0],
            "timeout": 600,
            "imageNames": ["shop/web:v1", "shop/web:latest"],
            "isPushEnabled": True,
            "noCache": True,
            "dockerFilePath": "Dockerfile",
            "arguments": [
                {"name": "A", "value": "1=2", "isSecret": False},
                {"name": "S", "value": "x", "isSecret": True},
            ],
            "target": "last",
        }
    ]
    assert names_in(source[1]) == [".dockerignore", "Dockerfile", "src", "src/main.c"]
    shown = done.json
    assert isinstance(shown, dict)
    assert (shown["status"], shown["runId"], shown["outputImages"][0]["digest"]) == ("Succeeded", "ca1", DIGEST)


def test_the_end_of_a_build_tells_what_was_made(darsena: Darsena, server: FakeServer, folder: Path) -> None:
    done = darsena("build", "-r", "contoso", "-t", "shop/web:v1", "-o", "none", str(folder))
    assert done.out == ""
    lines = done.err.splitlines()
    assert "STEP 2/2: COPY . ." in lines
    assert "half a line ñ" in lines
    facts = [tuple(line.split(maxsplit=1)) for line in lines]
    assert ("image", "shop/web:v1") in facts
    assert ("digest", DIGEST) in facts
    assert ("size", "2.1 MB") in facts
    assert ("time", "12s") in facts
    assert ("base", f"mcr.local/base:1@{BASE_DIGEST}") in facts
    assert ("base", f"mcr.local/sdk:2@{DIGEST} (build time)") in facts
    image = f"{server.login_server('contoso')}/shop/web:v1"
    assert any(line.startswith("pull") and line.endswith(f" pull {image}") for line in lines)


def test_without_a_name_nothing_is_pushed(darsena: Darsena, server: FakeServer, folder: Path) -> None:
    done = darsena("build", "-r", "contoso", str(folder))
    assert done.code == 0
    assert server.state.scheduled[0]["isPushEnabled"] is False
    assert "not pushed" in done.err


def test_a_dockerfile_elsewhere_is_added_under_a_name_of_its_own(
    darsena: Darsena, server: FakeServer, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "Other.Dockerfile"
    other.write_text("FROM scratch\n")
    for _ in range(2):
        assert darsena("build", "-r", "contoso", "-t", "a:b", "-f", str(other), str(folder)).code == 0
    first, second = (request["dockerFilePath"] for request in server.state.scheduled)
    assert first == second
    assert first.endswith("_Other.Dockerfile")
    assert len(first.partition("_")[0]) == 32
    sources = list(server.state.sources.values())
    assert first in names_in(sources[0])
    assert sources[0] == sources[1]


def test_a_git_context_goes_as_it_was_typed(darsena: Darsena, server: FakeServer) -> None:
    url = "https://git.example.com/a/b.git#main:src"
    assert darsena("build", "-r", "contoso", "-t", "a:b", "-f", "docker/Dockerfile", url).code == 0
    request = server.state.scheduled[0]
    assert (request["sourceLocation"], request["dockerFilePath"]) == (url, "docker/Dockerfile")
    assert server.state.sources == {}


@pytest.mark.parametrize(
    ("status", "word"),
    [("Failed", "failed"), ("Timeout", "timedout"), ("Canceled", "canceled"), ("Error", "internalerror")],
)
def test_a_run_that_did_not_succeed_is_one(
    darsena: Darsena, server: FakeServer, folder: Path, status: str, word: str
) -> None:
    server.state.next_run = lambda: successful_run(status, word, [b"no good\r\n"])
    done = darsena("build", "-r", "contoso", "-t", "a:b", str(folder))
    assert done.code == 1
    assert "no good" in done.err
    assert "failed during run, err: exit status 1" in done.err
    assert "darsena logs -r contoso ca1" in done.err
    shown = done.json
    assert isinstance(shown, dict)
    assert shown["status"] == status
    assert darsena("logs", "-r", "contoso", "ca1").code == 1


def test_not_waiting_and_not_showing(darsena: Darsena, server: FakeServer, folder: Path) -> None:
    started = darsena("build", "-r", "contoso", "-t", "a:b", "--no-wait", "--query", "status", str(folder))
    assert (started.code, started.json) == (0, "Queued")

    def finished() -> Run:
        run = successful_run()
        run.resource["properties"].update(run.final)
        return run

    server.state.next_run = finished
    ended = darsena("build", "-r", "contoso", "-t", "a:b", "--no-logs", "--query", "status", str(folder))
    assert (ended.code, ended.json) == (0, "Succeeded")
    assert not any("listLogSasUrl" in path for _, _, path in server.state.requests)


def test_progress_as_json_is_one_object_per_line(darsena: Darsena, server: FakeServer, folder: Path) -> None:
    done = darsena("build", "-r", "contoso", "-t", "a:b", "--progress", "json", str(folder))
    events = [json.loads(line) for line in done.err.splitlines()]
    kinds = [event["event"] for event in events]
    assert list(dict.fromkeys(kinds)) == ["note", "packed", "sending", "sent", "scheduled", "log", "ended", "made"]
    assert {"event": "ended", "status": "Succeeded"} in events
    assert ["digest", DIGEST] in events[-1]["facts"]
    assert {"event": "log", "line": "half a line ñ"} in events


def test_a_queued_run_says_its_position_and_why(darsena: Darsena, server: FakeServer, folder: Path) -> None:
    def queued() -> Run:
        run = successful_run()
        run.looks_before_start = 2
        run.resource["properties"].update(queuePosition=3, queueReason="2 of 2 processors are in use")
        return run

    server.state.next_run = queued
    done = darsena("build", "-r", "contoso", "-t", "a:b", str(folder))
    assert done.code == 0
    assert done.err.count("queued at position 3: 2 of 2 processors are in use") == 1


def test_a_broken_upload_is_repeated_and_said(darsena: Darsena, server: FakeServer, folder: Path) -> None:
    server.state.failures = [("PUT /container/source", 503), ("PUT /container/source", 0)]
    done = darsena("build", "-r", "contoso", "-t", "a:b", str(folder))
    assert done.code == 0, done.err
    assert "retry 2" in done.err
    assert "retry 3" in done.err
    [source] = server.state.sources.values()
    assert "Dockerfile" in names_in(source)


def test_a_large_context_goes_in_blocks(
    darsena: Darsena, server: FakeServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "SINGLE_LIMIT_BYTES", 1000)
    monkeypatch.setattr(blobs, "BLOCK_BYTES", 40_000)
    noise = os.urandom(100_000)
    (folder / "noise").write_bytes(noise)
    server.state.failures = [("PUT .*comp=block&", 0)]
    assert darsena("build", "-r", "contoso", "-t", "a:b", str(folder)).code == 0
    [source] = server.state.sources.values()
    with tarfile.open(fileobj=io.BytesIO(source)) as archive:
        member = archive.extractfile("noise")
        assert member is not None
        assert member.read() == noise
    assert len(server.state.blocks) == 3


def test_a_run_streams_its_output_as_the_result(darsena: Darsena, server: FakeServer) -> None:
    server.state.next_run = lambda: successful_run(
        chunks=[b"Hello\x1b]0;evil\x07 \x1b[31mworld\x1b[0m\r\n", b"10%\r20%\r\n"]
    )
    done = darsena("run", "-r", "contoso", "--cmd", "$Registry/shop/web:v1 --flag", "--timeout", "60", "/dev/null")
    assert (done.code, done.out) == (0, "Hello world\n10%\n20%\n")
    request = server.state.scheduled[0]
    assert request["type"] == "EncodedTaskRunRequest"
    assert "sourceLocation" not in request
    assert base64.b64decode(request["encodedTaskContent"]).decode() == (
        "version: v1.1.0\nsteps: \n  - cmd: $Registry/shop/web:v1 --flag\n"
        "    disableWorkingDirectoryOverride: true\n    timeout: 60\n"
    )


def test_a_run_of_a_task_file(darsena: Darsena, server: FakeServer, folder: Path) -> None:
    (folder / "acb.yaml").write_text("steps: []\n")
    values = ("--set", "a=1", "--set-secret", "b=2")
    done = darsena("run", "-r", "contoso", "-f", "acb.yaml", *values, "-o", "json", str(folder))
    assert done.code == 0, done.err
    request = server.state.scheduled[0]
    assert (request["type"], request["taskFilePath"]) == ("FileTaskRunRequest", "acb.yaml")
    assert [value["isSecret"] for value in request["values"]] == [False, True]
    assert "acb.yaml" in names_in(server.state.sources[request["sourceLocation"]])
    shown = done.json
    assert isinstance(shown, dict)
    assert shown["runId"] == "ca1"
    assert "half a line ñ" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "-t", "a:b", "no/such/folder"),
        ("build", "-t", "a:b", "--platform", "a/b/c/d", "."),
        ("build", "-t", "UPPER:b", "."),
        ("build", "-t", "a:b", "--build-arg", "=x", "."),
        ("run", "/dev/null"),
        ("run", "--cmd", "x", "-f", "y", "/dev/null"),
        ("run", "-f", "no-such.yaml", "/dev/null"),
        ("logs", "--image", "nothing"),
        ("show-run",),
    ],
)
def test_wrong_usage(darsena: Darsena, server: FakeServer, arguments: tuple[str, ...]) -> None:
    done = darsena(arguments[0], "-r", "contoso", *arguments[1:])
    assert done.code == 2, done.err
    assert server.state.scheduled == []


def test_runs_are_listed_shown_canceled(darsena: Darsena, server: FakeServer, folder: Path) -> None:
    for _ in range(2):
        darsena("build", "-r", "contoso", "-t", "a:b", str(folder))
    assert darsena("list-runs", "-r", "contoso", "--query", "[].runId").json == ["ca2", "ca1"]
    table = darsena("list-runs", "-r", "contoso", "-o", "table").out.splitlines()
    assert table[2].split()[:4] == ["ca2", "Succeeded", "Manual", "2026-01-01"]
    darsena("list-runs", "-r", "contoso", "--run-status", "Failed", "--image", "shop/web:v1")
    assert "Status%20eq%20%27Failed%27%20and%20contains%28OutputImageManifests" in server.state.requests[-1][2]
    assert darsena("show-run", "-r", "contoso", "--run-id", "ca1", "--query", "status").json == "Succeeded"
    assert darsena("show-run", "-r", "contoso", "ca9").code == 3
    last = darsena("logs", "-r", "contoso")
    assert (last.code, "half a line ñ" in last.out) == (0, True)
    assert darsena("cancel-run", "-r", "contoso", "ca1").code == 1
    server.state.next_run = lambda: successful_run(word="")
    darsena("build", "-r", "contoso", "-t", "a:b", "--no-wait", str(folder))
    canceled = darsena("cancel-run", "-r", "contoso", "ca3")
    assert (canceled.code, "canceled" in canceled.err) == (0, True)


def test_ctrl_c_without_a_terminal_leaves_the_run_and_says_how_to_go_on(server: FakeServer, folder: Path) -> None:
    server.state.next_run = lambda: successful_run(word="", chunks=[b"started\r\n"])
    command = "import sys; from darsena.cli.app import run; sys.exit(run())"
    with subprocess.Popen(
        [sys.executable, "-c", command, "build", "-r", "contoso", "-t", "a:b", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = ""
        while "started" not in said and process.poll() is None:
            said += process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert "darsena logs -r contoso ca1" in err
    assert "darsena cancel-run -r contoso ca1" in err
    assert server.state.runs["ca1"].word == ""
