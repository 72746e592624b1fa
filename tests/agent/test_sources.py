"""Sources other than an upload: git with `#ref:dir`, and tarballs within the egress policy."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fakeserver import FakeRun

from darsena.agent.egress import EgressPolicy, SourceRefused
from darsena.agent.git import GitFailure, parse_location

Execute = Callable[..., FakeRun]


@dataclass(frozen=True)
class GitServer:
    url: str
    commits: dict[str, str]
    root: Path


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """A git daemon with one repository: main (two commits) and the branch feature/x."""
    root = tmp_path_factory.mktemp("git")
    work = root / "app.git"
    work.mkdir()
    commits: dict[str, str] = {}

    def call(*words: str) -> str:
        settings = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(root)}
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        done = subprocess.run(
            ["git", *who, *words], cwd=work, env={**os.environ, **settings}, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(name: str, text: str) -> None:
        (work / "sub").mkdir(exist_ok=True)
        (work / "sub/Dockerfile").write_text(f"FROM mcr.microsoft.com/hello-world\nRUN echo this-is-{text}\n")
        call("add", "-A")
        call("commit", "-q", "-m", text)
        commits[name] = call("rev-parse", "HEAD")

    call("init", "-q", "-b", "main")
    commit("old", "old")
    commit("main", "main")
    call("checkout", "-q", "-b", "feature/x")
    commit("feature", "feature")
    call("checkout", "-q", "main")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--reuseaddr", "--export-all", "--listen=127.0.0.1", f"--port={port}", f"--base-path={root}"]
    daemon = subprocess.Popen(["git", "daemon", *options], stderr=subprocess.DEVNULL, env={**os.environ, "HOME": "/"})
    try:
        _wait_until_open(port)
        yield GitServer(f"git://127.0.0.1:{port}/app.git", commits, root)
    finally:
        daemon.terminate()
        daemon.wait(10)


def _wait_until_open(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)


def _request() -> dict[str, object]:
    return {"type": "DockerBuildRequest", "dockerFilePath": "Dockerfile", "imageNames": ["from-git:v1"]}


@pytest.mark.parametrize(
    ("fragment", "commit", "word"), [("feature/x:sub", "feature", "feature"), (":sub", "main", "main")]
)
def test_a_branch_and_a_folder(execute: Execute, git: GitServer, fragment: str, commit: str, word: str) -> None:
    run = execute(_request(), source={"kind": "git", "location": f"{git.url}#{fragment}", "token": None})
    assert run.finish is not None
    assert run.finish["status"] == "Succeeded", run.text
    assert f"\nthis-is-{word}\r\n" in run.text
    assert run.finish["dependencies"][0]["git"] == {"git-head-revision": git.commits[commit]}


def test_the_default_branch_of_a_repository_that_is_plain_files(execute: Execute, git: GitServer) -> None:
    """Such a server knows no shallow fetch."""
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    clone = git.root / "files"
    subprocess.run(["git", "clone", "-q", git.root / "app.git", clone], check=True, capture_output=True)
    (clone / "sub/Dockerfile").write_text("FROM mcr.microsoft.com/hello-world\nRUN echo this-is-plain\n")
    for words in (["commit", "-q", "-a", "-m", "plain"], ["update-server-info"]):
        subprocess.run(["git", "-C", clone, *who, *words], check=True)
    with files_over_http(git.root) as url:
        run = execute(_request(), source={"kind": "git", "location": f"{url}/files/.git#:sub", "token": None})
    assert "\nthis-is-plain\r\n" in run.text


@contextlib.contextmanager
def files_over_http(root: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_older_commit_by_its_id(execute: Execute, git: GitServer) -> None:
    location = f"{git.url}#{git.commits['old']}:sub"
    run = execute(_request(), source={"kind": "git", "location": location, "token": None})
    assert "\nthis-is-old\r\n" in run.text


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("{url}#no-such-branch:sub", "error checking out no-such-branch"),
        ("{url}#main:nowhere", 'error setting git context, "nowhere" is not a directory'),
        ("{url}#main:../..", "not within git root"),
        ("file:///etc#main", "no transport that sources may use"),
        ("ext::sh -c id#main", "no transport that sources may use"),
        ("--upload-pack=touch /tmp/x", "no transport that sources may use"),
        ("http://169.254.169.254/x.git", "link-local"),
    ],
)
def test_git_faults(execute: Execute, git: GitServer, location: str, message: str) -> None:
    run = execute(_request(), source={"kind": "git", "location": location.format(url=git.url), "token": None})
    assert run.finish is not None
    assert run.finish["status"] == "Failed"
    assert message in run.finish["error"]


def test_a_token_is_a_password_and_stands_in_no_url() -> None:
    location = parse_location("https://tok3n@github.com/u/r.git#v1.0:a/b", None)
    assert (location.url, location.user, location.password) == ("https://github.com/u/r.git", "git", "tok3n")
    assert (location.reference, location.folder) == ("v1.0", "a/b")
    assert parse_location("github.com/u/r", "t").url == "https://github.com/u/r"
    assert parse_location("git@github.com:u/r.git", None).host == "github.com"
    with pytest.raises(GitFailure):
        parse_location("https://github.com/u/r.git#--upload-pack=x", None)


async def test_the_egress_policy() -> None:
    policy = EgressPolicy(server=("127.0.0.1", 8443), allowed=("127.0.0.1:9000",))
    assert await policy.resolve("127.0.0.1", 9000) == "127.0.0.1"
    assert await policy.resolve("127.0.0.1", 80, loopback=True) == "127.0.0.1"
    refused = [("127.0.0.1", 80, False), ("127.0.0.1", 8443, True), ("169.254.169.254", 80, True)]
    refused += [("0.0.0.0", 80, True), ("::ffff:127.0.0.1", 80, False), ("::1", 80, False)]
    for host, port, loopback in refused:
        with pytest.raises(SourceRefused):
            await policy.resolve(host, port, loopback=loopback)


def test_a_tarball_from_this_machine_is_refused(execute: Execute, tmp_path: Path) -> None:
    run = execute(_request(), source={"kind": "tarball", "location": "http://127.0.0.1:1/x.tgz", "token": None})
    assert run.finish is not None
    assert "is this machine itself (the setting build.allow_sources permits it)" in run.finish["error"]
