"""Debian's docker against the login server, its daemon started here (issue: Clients)."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from containers import Containers
from daemons import DOCKER, Docker, beyond_loopback, own_docker
from layouts import Layout
from stand import REGISTRY, Stand

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


@pytest.fixture(scope="module")
def daemon(stand: Stand) -> Iterator[Docker]:
    missing = [program for program in (DOCKER, "dockerd") if shutil.which(program) is None]
    assert not missing, "apt-get install docker.io"
    with own_docker(stand) as docker:
        yield docker


@pytest.fixture
def docker(daemon: Docker) -> Iterator[Docker]:
    """Nothing stored, nobody signed in."""
    yield daemon
    daemon.forget()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tar archive of a small file system that nobody has imported before."""
    path = tmp_path / "tree.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in {"etc/name": b"darsena\n", "random": os.urandom(200_000)}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def shown(docker: Docker, image: str) -> dict[str, Any]:
    return docker("image", "inspect", image).json()[0]


def digest_of(docker: Docker, image: str) -> str:
    """By which the registry knows it."""
    repository = image.rpartition(":")[0]
    (found,) = [name for name in shown(docker, image)["RepoDigests"] if name.startswith(f"{repository}@")]
    return found.partition("@")[2]


# --- who may ----------------------------------------------------------------------------------------------------------


def test_login_pull_and_logout(stand: Stand, docker: Docker, base: str) -> None:
    refused = docker("pull", base, check=False)
    assert refused.code != 0
    assert "unauthorized" in refused.err
    server = stand.login_server(REGISTRY)
    assert "Login Succeeded" in docker.login(server, *stand.credentials.split(":")).out
    docker("pull", base)
    docker("rmi", base)
    docker("logout", server)
    assert docker("pull", base, check=False).code != 0


def test_wrong_password_is_refused_and_nothing_is_kept(stand: Stand, docker: Docker, base: str) -> None:
    refused = docker.login(stand.login_server(REGISTRY), REGISTRY, "wrong", check=False)
    assert refused.code != 0
    assert "unauthorized" in refused.err
    assert docker("pull", base, check=False).code != 0


def test_admin_user_and_a_token_are_passwords(stand: Stand, docker: Docker, base: str) -> None:
    server = stand.login_server(REGISTRY)
    admin = stand.ok("credential", "show", "-n", REGISTRY).json()
    docker.login(server, admin["username"], admin["passwords"][1]["value"])
    docker("pull", base)
    docker("logout", server)
    exposed = stand.ok("login", "-n", REGISTRY, "--expose-token").json()
    docker.login(server, exposed["username"], exposed["refreshToken"])
    docker("rmi", base)
    docker("pull", base)


def test_darsena_login_signs_docker_in(stand: Stand, docker: Docker, base: str) -> None:
    done = stand.ok("login", "-n", REGISTRY, "--client", DOCKER, environment=docker.environment)
    assert "docker is logged in to" in done.err
    docker("pull", base)


# --- images -----------------------------------------------------------------------------------------------------------


def test_imported_image_goes_and_comes_back_whole(
    stand: Stand, docker: Docker, clients: Containers, tree: Path
) -> None:
    server = docker.sign_in(REGISTRY)
    name = f"{server}/docker/imported:v1"
    docker("import", "--change", 'CMD ["/bin/true"]', "--change", "LABEL made=here", str(tree), name)
    made = shown(docker, name)
    digest = next(line.split()[2] for line in docker("push", name).out.splitlines() if line.startswith("v1: digest:"))
    assert digest_of(docker, name) == digest
    clients.sign_in(REGISTRY)
    raw = clients.skopeo("inspect", "--raw", f"docker://{name}").out.encode()
    assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == digest
    assert json.loads(raw)["mediaType"] == DOCKER_MANIFEST

    docker("rmi", "--force", name)
    docker("pull", f"{server}/docker/imported@{digest}")
    docker("tag", f"{server}/docker/imported@{digest}", name)
    back = shown(docker, name)
    assert (back["Id"], back["RootFS"]) == (made["Id"], made["RootFS"])
    assert back["Config"]["Labels"] == {"made": "here"}
    with tarfile.open(tree) as tar:
        wanted = tar.extractfile("random").read()  # type: ignore[union-attr]
    assert clients.read(name).texts["random"] == wanted


def test_loaded_image_pushes_tags_and_all_of_them_are_pulled(
    docker: Docker, clients: Containers, tmp_path: Path
) -> None:
    server = docker.sign_in(REGISTRY)
    repository = f"{server}/docker/loaded"
    layout = Layout(tmp_path / "layout")
    layout.name(layout.image([{"a": b"1"}, {"b": os.urandom(300_000)}], labels={"made": "elsewhere"}))
    archive = tmp_path / "image.tar"
    clients.skopeo("copy", f"oci:{layout.folder}:latest", f"docker-archive:{archive}:{repository}:v1")
    assert f"Loaded image: {repository}:v1" in docker("load", "--input", str(archive)).out
    docker("tag", f"{repository}:v1", f"{repository}:v2")
    docker("push", "--all-tags", repository)
    docker("rmi", f"{repository}:v1", f"{repository}:v2")
    docker("pull", "--all-tags", repository)
    assert digest_of(docker, f"{repository}:v1") == digest_of(docker, f"{repository}:v2")
    assert shown(docker, f"{repository}:v1")["Config"]["Labels"] == {"made": "elsewhere"}
    saved = tmp_path / "saved.tar"
    docker("save", "--output", str(saved), f"{repository}:v1")
    clients.skopeo("inspect", f"docker-archive:{saved}")


def test_layer_that_is_there_is_not_sent_again(docker: Docker, tree: Path) -> None:
    server = docker.sign_in(REGISTRY)
    first, second = f"{server}/docker/first:v1", f"{server}/docker/deep/second:v1"
    docker("import", str(tree), first)
    docker("tag", first, second)
    assert "Pushed" in docker("push", first).out
    assert "Layer already exists" in docker("push", first).out
    assert "Mounted from docker/first" in docker("push", second).out
    docker("rmi", "--force", first, second)
    docker("pull", second)


def test_image_built_from_one_of_the_registry(docker: Docker, base: str, tmp_path: Path) -> None:
    """The daemon pulls the base with the client's sign-in, and pushes only what was added."""
    server = docker.sign_in(REGISTRY)
    name = f"{server}/docker/built:v1"
    (tmp_path / "file").write_bytes(os.urandom(1000))
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nCOPY file /file\nENV MADE=here\n")
    docker("build", "--tag", name, str(tmp_path))
    done = docker("push", name)
    assert "Mounted from base/busybox" in done.out
    docker("rmi", "--force", name)
    docker("pull", name)
    assert "MADE=here" in shown(docker, name)["Config"]["Env"]


def test_what_is_not_there_is_said(docker: Docker, base: str) -> None:
    server = docker.sign_in(REGISTRY)
    missing = docker("pull", f"{base.rpartition(':')[0]}:none", check=False)
    assert missing.code != 0
    assert "not found" in missing.err or "manifest unknown" in missing.err
    nowhere = docker("pull", f"{server}/docker/nowhere:v1", check=False)
    assert nowhere.code != 0
    assert "not found" in nowhere.err or "manifest unknown" in nowhere.err


# --- manifest lists ---------------------------------------------------------------------------------------------------


def test_manifest_list_is_made_pushed_inspected_and_pulled(
    stand: Stand, docker: Docker, clients: Containers, tmp_path: Path, tree: Path
) -> None:
    server = docker.sign_in(REGISTRY)
    name = f"{server}/docker/list:v1"
    parts = {arch: f"{server}/docker/list:{arch}" for arch in ("amd64", "arm64")}
    for arch, part in parts.items():
        docker("import", "--platform", f"linux/{arch}", "--change", f"LABEL arch={arch}", str(tree), part)
        docker("push", part)
    digests = {arch: digest_of(docker, part) for arch, part in parts.items()}
    docker("manifest", "create", name, *parts.values())
    docker("manifest", "annotate", "--arch", "arm64", "--variant", "v8", name, parts["arm64"])
    with beyond_loopback(stand, server, tmp_path) as hosts:
        pushed = docker("manifest", "push", "--purge", name, hosts=hosts).out.strip()

    found = docker("manifest", "inspect", name).json()
    assert found["mediaType"] == DOCKER_LIST
    assert {part["platform"]["architecture"]: part["digest"] for part in found["manifests"]} == digests
    clients.sign_in(REGISTRY)
    raw = clients.skopeo("inspect", "--raw", f"docker://{name}").out.encode()
    assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == pushed

    docker("rmi", "--force", *parts.values())
    for arch in parts:
        docker("pull", "--platform", f"linux/{arch}", name)
        assert shown(docker, name)["Config"]["Labels"]["arch"] == arch
