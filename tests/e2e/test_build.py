"""`darsena build` and `darsena run` end to end: folder to image, git to image, and what people see of it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from containers import Containers
from stand import DARSENA, REGISTRY, Done, Stand, free_port, process_list, run, wait_until

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    return folder


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def build(stand: Stand, *arguments: str, **options: Any) -> Done:
    return stand.darsena("build", "-r", REGISTRY, *arguments, **options)


def built(stand: Stand, *arguments: str, **options: Any) -> dict[str, Any]:
    """A build that must succeed; the run, with its log as `log`."""
    done = build(stand, *arguments, **options)
    assert done.code == 0, f"{done.err}\n{done.out}"
    return {**done.json(), "log": done.err}


def failed(stand: Stand, *arguments: str, **options: Any) -> Done:
    """A build that must fail as a run: exit code 1, and the run is Failed."""
    done = build(stand, *arguments, **options)
    assert done.code == 1, f"{done.err}\n{done.out}"
    newest = stand.runs(REGISTRY)[0]
    assert newest["status"] == "Failed"
    assert newest["finishTime"]
    return done


def tags(stand: Stand, repository: str) -> list[str]:
    return stand.ok("repository", "show-tags", "-n", REGISTRY, "--repository", repository).json()


# --- from a folder ----------------------------------------------------------------------------------------------------


def test_folder_with_stages_arguments_ignore_file_links_and_names(
    stand: Stand, clients: Containers, base: str, context: Path
) -> None:
    write(
        context,
        {
            "Dockerfile": f"""FROM {base} AS make
ARG GREETING=unset
WORKDIR /work
COPY . .
RUN echo "$GREETING" > greeting.txt; ls -R > listing.txt

FROM {base}
COPY --from=make /work/greeting.txt /work/listing.txt /out/
COPY tree /out/tree
EXPOSE 8080
ENV MODE=shown
CMD ["cat", "/out/greeting.txt"]
""",
            ".dockerignore": "# what stays here\n*.secret\n!kept.secret\nnode_modules\n**/*.log\n",
            "a.secret": "never sent",
            "kept.secret": "sent",
            "node_modules/x/index.js": "never sent",
            "deep/er/trace.log": "never sent",
            "tree/file": "plain",
        },
    )
    (context / "tree" / "link").symlink_to("file")
    (context / "tree" / "dangling").symlink_to("nowhere")
    os.chmod(context / "tree" / "file", 0o750)
    names = ("-t", "build/many:v1", "-t", "build/many:latest", "-t", "build/other")
    run = built(stand, *names, "--build-arg", "GREETING=¡Hola, mundo!", str(context))

    assert run["status"] == "Succeeded"
    assert {(image["repository"], image["tag"]) for image in run["outputImages"]} == {
        ("build/many", "v1"),
        ("build/many", "latest"),
        ("build/other", "latest"),
    }
    assert len({image["digest"] for image in run["outputImages"]}) == 1
    assert tags(stand, "build/many") == ["latest", "v1"]

    server = clients.sign_in(REGISTRY)
    image = clients.read(f"{server}/build/many:v1")
    assert image.texts["out/greeting.txt"].decode() == "¡Hola, mundo!\n"
    listing = image.texts["out/listing.txt"].decode().split()
    assert "kept.secret" in listing
    assert not {"a.secret", "node_modules", "trace.log"} & set(listing)
    assert image.entries["out/tree/link"].linkname == "file"
    assert image.entries["out/tree/dangling"].linkname == "nowhere"
    assert image.entries["out/tree/file"].mode & 0o777 == 0o750
    assert image.owners == {(0, 0)}
    assert image.config["config"]["Env"][-1] == "MODE=shown"
    assert image.config["config"]["ExposedPorts"] == {"8080/tcp": {}}
    assert image.config["config"]["Cmd"] == ["cat", "/out/greeting.txt"]

    log = run["log"]
    assert f"pull    podman pull {server}/build/many:v1" in log
    assert f"digest  {run['outputImages'][0]['digest']}" in log
    assert f"base    {base}@sha256:" in log
    shown = stand.ok("run", "-r", REGISTRY, "--cmd", "$Registry/build/many:v1", "/dev/null")
    assert "¡Hola, mundo!" in shown.out.splitlines()


def test_lesson_shape_on_a_well_known_base(stand: Stand, clients: Containers, base: str, context: Path) -> None:
    """FROM a .NET runtime base, WORKDIR, COPY, EXPOSE, CMD: Azure's lessons, with the base seeded in the registry."""
    server = clients.sign_in(REGISTRY)
    for name in ("dotnet/aspnet:8.0", "hello-world:latest"):
        clients.skopeo("copy", f"docker://{base}", f"docker://{server}/{name}")
    write(
        context,
        {
            "src/Dockerfile": "FROM mcr.microsoft.com/dotnet/aspnet:8.0\nWORKDIR /app\nCOPY bin/ ./\n"
            'EXPOSE 80\nCMD ["cat", "app.dll"]\n',
            "src/bin/app.dll": "the application",
            "hello/Dockerfile": "FROM mcr.microsoft.com/hello-world\n",
        },
    )
    run = built(stand, "-t", "lesson/web:v1", "-f", str(context / "src/Dockerfile"), str(context / "src"))
    assert "mcr.microsoft.com/dotnet/aspnet:8.0@sha256:" in run["log"]
    image = clients.read(f"{server}/lesson/web:v1")
    assert image.config["config"]["WorkingDir"] == "/app"
    assert image.texts["app/app.dll"] == b"the application"
    shown = stand.ok("run", "-r", REGISTRY, "--cmd", "$Registry/lesson/web:v1", "/dev/null")
    assert "the application" in shown.out.splitlines()

    hello = built(stand, "-t", "sample/hello-world:{{.Run.ID}}", str(context / "hello"))
    assert hello["outputImages"][0]["tag"] == hello["runId"]


def test_secret_argument_is_in_no_process_list_and_no_log(stand: Stand, base: str, context: Path) -> None:
    pause = f"sleep 2.{stand.port}"
    write(
        context,
        {"Dockerfile": f'FROM {base}\nARG TOKEN\nRUN test -n "$TOKEN"; echo "it is $TOKEN."; {pause}; exit 3\n'},
    )
    options = ("-t", "build/secret:v1", "--secret-build-arg", "TOKEN")
    environment = {**stand.env(), "TOKEN": SECRET}
    command = [*DARSENA, "build", "-r", REGISTRY, *options, str(context)]
    seen: list[str] = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        sleeping = False
        while process.poll() is None:
            listed = process_list()
            seen += [line for line in listed if SECRET in line]
            sleeping |= any(pause in line for line in listed)
            time.sleep(0.05)
        log = process.communicate()[0].decode()
    assert process.returncode == 1
    assert sleeping, "the process list was looked at while the step ran"
    assert seen == []
    assert SECRET not in log
    assert "it is ***." in log
    run_id = stand.runs(REGISTRY)[0]["runId"]
    for command in ("logs", "show-run"):
        done = stand.darsena(command, "-r", REGISTRY, run_id)
        assert SECRET not in done.out + done.err


def test_target_other_dockerfile_and_no_push(
    stand: Stand, clients: Containers, base: str, context: Path, tmp_path: Path
) -> None:
    write(context, {"file": "x"})
    outside = tmp_path / "Other.Dockerfile"
    outside.write_text(f"FROM {base} AS first\nCOPY file /first\nFROM {base} AS second\nRUN false\n")
    run = built(stand, "-t", "build/target:v1", "--target", "first", "-f", str(outside), str(context))
    assert "false" not in run["log"]
    image = clients.read(f"{clients.sign_in(REGISTRY)}/build/target:v1")
    assert image.texts["first"] == b"x"
    assert [name for name in image.texts if "ockerfile" in name] == []

    run = built(stand, "-t", "build/nopush:v1", "--no-push", "--target", "first", "-f", str(outside), str(context))
    assert not run.get("outputImages")
    assert stand.darsena("repository", "show", "-n", REGISTRY, "--repository", "build/nopush").code == 3


def test_layers_are_cached_until_no_cache(stand: Stand, base: str, context: Path) -> None:
    write(context, {"Dockerfile": f"FROM {base}\nRUN cat /proc/sys/kernel/random/uuid > /random\n"})
    first = built(stand, "-t", "build/cached:v1", str(context))
    again = built(stand, "-t", "build/cached:v2", str(context))
    anew = built(stand, "-t", "build/cached:v3", "--no-cache", str(context))
    digests = [run["outputImages"][0]["digest"] for run in (first, again, anew)]
    assert digests[0] == digests[1]
    assert digests[2] != digests[0]
    assert "Using cache" in again["log"]


def test_other_platforms_without_run_are_assembled(stand: Stand, clients: Containers, base: str, context: Path) -> None:
    """And the layer cache, which knows no platforms, does not mix them up."""
    write(context, {"Dockerfile": "FROM scratch\nCOPY Dockerfile /it\nENV a=1\n"})
    server = clients.sign_in(REGISTRY)
    for platform in ("linux/amd64", "linux/arm64", "windows/amd64", "linux/amd64"):
        os_name, _, architecture = platform.partition("/")
        built(stand, "-t", f"build/platform:{os_name}-{architecture}", "--platform", platform, str(context))
        config = clients.read(
            f"{server}/build/platform:{os_name}-{architecture}",
            "--override-os",
            os_name,
            "--override-arch",
            architecture,
        ).config
        assert (config["os"], config["architecture"]) == (os_name, architecture)


# --- builds that fail -------------------------------------------------------------------------------------------------


def test_failing_step_fails_the_command_the_run_and_the_log(stand: Stand, base: str, context: Path) -> None:
    write(context, {"Dockerfile": f"FROM {base}\nRUN echo this far; exit 7\nRUN echo never\n"})
    done = failed(stand, "-t", "build/failing:v1", str(context))
    assert "this far" in done.err
    assert "exit status 7" in done.err
    assert f"darsena logs -r {REGISTRY}" in done.err
    newest = stand.runs(REGISTRY)[0]
    assert "exit status 7" in newest["runErrorMessage"]
    logs = stand.darsena("logs", "-r", REGISTRY, newest["runId"])
    assert logs.code == 1
    assert "this far" in logs.out
    assert stand.darsena("repository", "show", "-n", REGISTRY, "--repository", "build/failing").code == 3


@pytest.mark.parametrize(
    ("dockerfile", "told"),
    [
        (
            "FROM mcr.microsoft.com/no/such:1\n",
            "line 1 of the Dockerfile: the image mcr.microsoft.com/no/such:1 cannot",
        ),
        ("# none\n", "FROM"),
        ("FROM scratch\nCOPY nosuch /x\n", "nosuch"),
    ],
    ids=["base", "empty", "copy"],
)
def test_what_is_missing_is_named(stand: Stand, context: Path, dockerfile: str, told: str) -> None:
    write(context, {"Dockerfile": dockerfile})
    assert told in failed(stand, "-t", "build/missing:v1", str(context)).err


def test_foreign_platform_that_must_execute_says_what_it_needs(stand: Stand, base: str, context: Path) -> None:
    write(context, {"Dockerfile": "FROM scratch\nRUN true\n"})
    done = failed(stand, "-t", "build/foreign:v1", "--platform", "windows/amd64", str(context))
    assert "needs a Windows agent" in done.err


def test_what_cannot_be_built_at_all_is_refused_before_anything_is_sent(stand: Stand, context: Path) -> None:
    newest = stand.runs(REGISTRY)[0]["runId"]
    write(context, {"file": "x"})
    cases = {
        (str(context / "nosuch"),): "does not exist",
        (str(context),): "Dockerfile",
        ("-f", str(context / "nosuch"), str(context)): "nosuch",
    }
    for arguments, told in cases.items():
        done = build(stand, "-t", "build/no:v1", *arguments)
        assert (done.code, told in done.err) == (2, True), (arguments, done)
    write(context, {"Dockerfile": "FROM scratch\n"})
    assert build(stand, "-t", "Not A Name", str(context)).code == 2
    assert stand.runs(REGISTRY)[0]["runId"] == newest


def test_link_that_leads_out_of_the_folder_is_refused_and_named(stand: Stand, context: Path) -> None:
    write(context, {"Dockerfile": "FROM scratch\nCOPY . /\n"})
    (context / "outside").symlink_to("/etc/hostname")
    assert "outside leads out of the folder" in failed(stand, "-t", "build/link:v1", str(context)).err


# --- from git ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def repository(stand: Stand, tmp_path: Path) -> Iterator[str]:
    """A git server on loopback, with a main and a feature branch; its URL."""
    work = tmp_path / "git" / "work"
    write(work, {"deep/Dockerfile": "FROM scratch\nCOPY note /note\n", "deep/note": "main"})
    names = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    commands = (
        ("init", "--quiet", "--initial-branch", "main"),
        ("add", "."),
        (*names, "commit", "--quiet", "-m", "one"),
        ("checkout", "--quiet", "-b", "feature"),
    )
    for command in commands:
        subprocess.run(["git", *command], cwd=work, check=True)
    write(work, {"deep/note": "feature"})
    subprocess.run(["git", *names, "commit", "--quiet", "--all", "-m", "two"], cwd=work, check=True)
    subprocess.run(["git", "checkout", "--quiet", "main"], cwd=work, check=True)
    subprocess.run(["git", "clone", "--quiet", "--bare", str(work), str(tmp_path / "git" / "it.git")], check=True)
    port = free_port()
    command = ["git", "daemon", f"--base-path={tmp_path / 'git'}", "--export-all", "--listen=127.0.0.1"]
    with subprocess.Popen([*command, f"--port={port}", "--reuseaddr"], start_new_session=True) as daemon:
        url = f"git://127.0.0.1:{port}/it.git"
        ask = ["git", "ls-remote", url]
        wait_until(lambda: run(ask, env=stand.env(), timeout=10).code == 0, "the git server answers")
        yield url
        os.killpg(daemon.pid, 15)


def test_git_url_with_reference_and_folder(stand: Stand, clients: Containers, repository: str) -> None:
    server = clients.sign_in(REGISTRY)
    for reference, note in (("#feature:deep", b"feature"), ("#:deep", b"main")):
        run = built(stand, "-t", "build/git:v1", repository + reference)
        assert "git-head-revision:" in run["log"]
        assert clients.read(f"{server}/build/git:v1").texts["note"] == note
    done = failed(stand, "-t", "build/git:v1", f"{repository}#nosuch:deep")
    assert "the repository has no such branch, tag or commit" in done.err


def test_sources_that_no_run_may_fetch(stand: Stand) -> None:
    """The server itself, link-local addresses, transports that run programs or read files."""
    done = failed(stand, "-t", "build/git:v1", f"https://localhost:{stand.port}/it.git")
    assert "this server itself" in done.err
    done = failed(stand, "-t", "build/git:v1", "http://169.254.169.254/it.git")
    assert "link-local" in done.err
    for location in ("file:///root/it.git", "ext::sh -c id %.git"):
        refused = build(stand, "-t", "build/git:v1", location)
        assert refused.code == 1
        assert "is not understood" in refused.err


# --- while it runs ----------------------------------------------------------------------------------------------------


def start(stand: Stand, command: str, *options: str) -> str:
    """A run that goes on by itself; its id."""
    text = f"$Registry/base/busybox:1 sh -c '{command}'"
    done = stand.ok("run", "-r", REGISTRY, "--cmd", text, "--no-wait", *options, "-o", "json", "/dev/null")
    return done.json()["runId"]


def show(stand: Stand, run_id: str) -> dict[str, Any]:
    return stand.run(REGISTRY, run_id)


def read_log(stand: Stand, run_id: str) -> str:
    return stand.read_log(REGISTRY, run_id)


def test_log_is_live_and_cancel_ends_everything_of_the_run(stand: Stand, base: str) -> None:
    run_id = start(stand, f"echo early; {stand.endless}; echo late")
    wait_until(lambda: "early" in read_log(stand, run_id), "the log's first line while the run goes on")
    assert show(stand, run_id)["status"] == "Running"
    assert any(stand.endless in line for line in process_list())

    begin = time.monotonic()
    done = stand.ok("cancel-run", "-r", REGISTRY, run_id)
    assert "canceled" in done.err
    wait_until(lambda: show(stand, run_id)["status"] == "Canceled", "the run is canceled", within_s=20)
    assert time.monotonic() - begin < 20
    text = read_log(stand, run_id)
    assert "early" in text
    assert "late" not in text
    assert "was canceled after" in text
    assert_nothing_left(stand)
    logs = stand.darsena("logs", "-r", REGISTRY, run_id)
    assert logs.code == 1
    again = stand.darsena("cancel-run", "-r", REGISTRY, run_id)
    assert again.code == 1
    assert "finished" in again.err.lower() or "ended" in again.err.lower()


def assert_nothing_left(stand: Stand) -> None:
    """Of runs that are over: no process, no folder, no credential."""
    assert not any(stand.endless in line for line in process_list())
    wait_until(lambda: not list((stand.state / "runs").iterdir()), "the run's folder is gone")
    assert stand.rows("SELECT count(*) FROM run_credential") == [(0,)]


def test_canceled_build_leaves_nothing_and_pushes_nothing(stand: Stand, base: str, context: Path) -> None:
    write(context, {"Dockerfile": f"FROM {base}\nRUN setsid {stand.endless} & echo started; {stand.endless}\n"})
    run_id = built(stand, "-t", "build/canceled:v1", "--no-wait", str(context))["runId"]
    wait_until(lambda: "started" in read_log(stand, run_id), "the step has started")
    stand.ok("cancel-run", "-r", REGISTRY, run_id)
    wait_until(lambda: show(stand, run_id)["status"] == "Canceled", "the run is canceled", within_s=20)
    assert_nothing_left(stand)
    assert stand.darsena("repository", "show", "-n", REGISTRY, "--repository", "build/canceled").code == 3


def test_queued_run_says_why_it_waits_and_can_be_canceled(stand: Stand, base: str) -> None:
    """A run takes two processors unless it asks for less, so a few of them fill any machine."""
    running = [start(stand, stand.endless) for _ in range((os.cpu_count() or 1) // 2 or 1)]
    try:
        waiting = start(stand, "true")
        for run_id in running:
            wait_until(lambda run_id=run_id: show(stand, run_id)["status"] == "Running", "the run has started")
        queued = show(stand, waiting)
        assert queued["queuePosition"] == 1
        assert "processors" in queued["queueReason"]
        stand.ok("cancel-run", "-r", REGISTRY, waiting)
        assert show(stand, waiting)["status"] == "Canceled"
    finally:
        for run_id in running:
            stand.ok("cancel-run", "-r", REGISTRY, run_id)
    for run_id in running:
        wait_until(lambda run_id=run_id: show(stand, run_id)["status"] == "Canceled", "it ends")


# --- run --------------------------------------------------------------------------------------------------------------


def test_run_streams_output_and_fails_with_the_command(stand: Stand, base: str) -> None:
    done = stand.darsena(
        "run", "-r", REGISTRY, "--cmd", "$Registry/base/busybox:1 sh -c 'echo out; exit 5'", "/dev/null"
    )
    assert done.code == 1
    assert "out" in done.out.splitlines()
    assert "failed" in done.err


def test_task_file_with_steps_values_and_secrets(stand: Stand, base: str, context: Path) -> None:
    write(
        context,
        {
            "Dockerfile": f"FROM {base}\nARG WHO\nRUN echo $WHO > /who\n",
            "acb.yaml": """version: v1.1.0
steps:
  - build: -t $Registry/build/task:{{.Values.tag}} --build-arg WHO={{.Values.who}} .
  - cmd: $Registry/build/task:{{.Values.tag}} cat /who
  - cmd: $Registry/build/task:{{.Values.tag}} echo the secret is {{.Values.word}}
  - push: [$Registry/build/task:{{.Values.tag}}]
""",
        },
    )
    values = ("--set", "tag=t1", "--set", "who=somebody", "--set-secret", f"word={SECRET}")
    done = stand.ok("run", "-r", REGISTRY, *values, str(context))
    assert "somebody" in done.out.splitlines()
    assert "the secret is ***" in done.out
    assert SECRET not in done.out + done.err
    assert tags(stand, "build/task") == ["t1"]


def test_runs_are_listed_shown_and_their_logs_read(stand: Stand, base: str) -> None:
    made = stand.ok("list-runs", "-r", REGISTRY, "--image", "base/busybox:1").json()
    assert [image["repository"] for image in made[-1]["outputImages"]] == ["base/busybox"]
    run_id = made[-1]["runId"]
    assert show(stand, run_id)["status"] == "Succeeded"
    done = stand.ok("logs", "-r", REGISTRY, "--image", "base/busybox:1")
    assert f"Run ID: {run_id} was successful after" in done.out
    only = stand.ok("list-runs", "-r", REGISTRY, "--run-status", "Succeeded").json()
    assert {run["status"] for run in only} == {"Succeeded"}
    table = stand.ok("list-runs", "-r", REGISTRY, "-o", "table").out.splitlines()
    assert table[0].split()[:4] == ["RUN", "ID", "TASK", "PLATFORM"]
    assert stand.darsena("show-run", "-r", REGISTRY, "zz999").code == 3
    assert stand.darsena("logs", "-r", REGISTRY, "zz999").code == 3
    assert json.loads(stand.ok("list-runs", "-r", REGISTRY, "--top", "1").out)[0]["type"].endswith("registries/runs")
