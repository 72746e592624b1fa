"""`az acr build` with every option, `az acr run`, and what `az acr task` and `az acr taskrun` tell of the runs."""

from __future__ import annotations

from pathlib import Path

from stand import wait_until
from stock import Az

DOCKERFILE = """FROM scratch AS early
COPY busybox /bin/busybox
ARG GREETING=none
ARG WORD=none
RUN ["/bin/busybox", "sh", "-c", "echo greeting is $GREETING, word is $WORD"]
CMD ["/bin/busybox", "echo", "early"]
FROM early AS late
CMD ["/bin/busybox", "echo", "late"]
"""
TASK = """version: v1.1.0
steps:
  - cmd: $Registry/sample/hello:v1 /bin/busybox echo {{.Values.word}} from {{.Run.Registry}}
"""


def test_build_with_every_option(az: Az, registry: str, context: Path) -> None:
    (context / "Options").write_text(DOCKERFILE)
    done = az.ok(
        *("acr", "build", "-r", registry, "-f", "Options", "--target", "early", "--timeout", "600"),
        *("--build-arg", "GREETING=hello", "--secret-build-arg", "WORD=s3cret", "--platform", "linux/amd64"),
        *("-t", "options/one:v1", "-t", "options/one:{{.Run.ID}}", "--no-format", "."),
        cwd=context,
    )
    assert "greeting is hello" in done.out
    assert "s3cret" not in done.out
    tags = az.json("acr", "repository", "show-tags", "-n", registry, "--repository", "options/one")
    assert len(tags) == 2
    run_id = next(tag for tag in tags if tag != "v1")
    shown = az.json("acr", "task", "show-run", "-r", registry, "--run-id", run_id)
    assert (shown["status"], shown["runType"], shown["runId"]) == ("Succeeded", "QuickRun", run_id)
    assert {image["tag"] for image in shown["outputImages"]} == set(tags)
    az.ok("acr", "manifest", "delete", "-r", registry, "-n", f"options/one:{run_id}", "--yes")
    assert az.json("acr", "manifest", "list-metadata", "-r", registry, "-n", "options/one") == []


def test_no_push_no_wait_and_logs(az: Az, registry: str, context: Path) -> None:
    done = az.ok("acr", "build", "-r", registry, "--no-push", "--no-wait", "-t", "never/pushed:1", str(context))
    run_id = done.json()["runId"] if done.out.strip() else done.err.rpartition("ID: ")[2].strip()
    logs = az.ok("acr", "task", "logs", "-r", registry, "--run-id", run_id)
    assert f"Run ID: {run_id} was successful after" in logs.out
    assert "never/pushed" not in az.json("acr", "repository", "list", "-n", registry)


def test_a_build_that_fails_ends_with_1(az: Az, registry: str, context: Path) -> None:
    (context / "Broken").write_text('FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "false"]\n')
    done = az("acr", "build", "-r", registry, "-f", "Broken", "-t", "broken:1", ".", cwd=context)
    assert done.code == 1
    assert "failed" in (done.out + done.err).lower()


def test_run_a_file_with_values(az: Az, registry: str, image: str, tmp_path: Path) -> None:
    (tmp_path / "acb.yaml").write_text(TASK)
    (tmp_path / "values.yaml").write_text("word: quiet\n")
    command = ("acr", "run", "-r", registry, "-f", "acb.yaml")
    assert "loud from" in az.ok(*command, "--set", "word=loud", str(tmp_path)).out
    assert "quiet from" in az.ok(*command, "--values", "values.yaml", str(tmp_path)).out
    printed = az.ok("acr", "run", "-r", registry, "--set", "word=piped", "-f", str(tmp_path / "acb.yaml"), "/dev/null")
    assert "piped from" in printed.out


def test_lists_of_runs(az: Az, registry: str, image: str) -> None:
    runs = az.json("acr", "task", "list-runs", "-r", registry, "--top", "3")
    assert 0 < len(runs) <= 3
    assert runs == sorted(runs, key=lambda run: run["createTime"], reverse=True)
    wanted = az.json("acr", "task", "list-runs", "-r", registry, "--run-status", "Succeeded", "--image", image)
    assert [run["status"] for run in wanted] == ["Succeeded"]
    header = az.ok("acr", "task", "list-runs", "-r", registry, "-o", "table").out.splitlines()[0]
    assert header.split() == ["RUN", "ID", "TASK", "PLATFORM", "STATUS", "TRIGGER", "STARTED", "DURATION"]
    assert az.json("acr", "taskrun", "list", "-r", registry) == []
    assert az.json("acr", "task", "list", "-r", registry) == []


def test_cancel_and_archive(az: Az, registry: str, image: str) -> None:
    slow = f"$Registry/{image} /bin/busybox sleep 600"
    started = az.ok("acr", "run", "-r", registry, "--no-wait", "--cmd", slow, "/dev/null")
    run_id = started.json()["runId"] if started.out.strip() else started.err.rpartition("ID: ")[2].strip()
    az.ok("acr", "task", "cancel-run", "-r", registry, "--run-id", run_id)
    status = ("acr", "task", "show-run", "-r", registry, "--run-id", run_id, "--query", "status")
    wait_until(lambda: az.lines(*status) == ["Canceled"], "the run is canceled")
    kept = az.json("acr", "task", "update-run", "-r", registry, "--run-id", run_id, "--no-archive", "false")
    assert kept["isArchiveEnabled"] is True
