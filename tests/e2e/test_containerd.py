"""Debian's containerd through `ctr`, told of the login server by what `darsena trust` wrote (issue: Clients)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import Containers
from daemons import Containerd, own_containerd
from layouts import INDEX, Layout
from stand import REGISTRY, Stand


@pytest.fixture(scope="module")
def daemon(stand: Stand) -> Iterator[Containerd]:
    missing = [program for program in ("ctr", "containerd") if shutil.which(program) is None]
    assert not missing, "apt-get install containerd"
    with own_containerd(stand) as running:
        yield running


@pytest.fixture
def containerd(daemon: Containerd) -> Iterator[Containerd]:
    """With nothing stored."""
    yield daemon
    daemon.forget()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An index of two platforms, each with a layer of its own and one that they share."""
    layout = Layout(tmp_path / "layout")
    shared = {"shared": os.urandom(100_000)}
    parts = [layout.image([shared, {"which": arch.encode()}], architecture=arch) for arch in ("amd64", "arm64")]
    layout.name(layout.index(parts))
    return layout


def pushed(stand: Stand, clients: Containers, layout: Layout, repository: str) -> str:
    name = f"{stand.login_server(REGISTRY)}/{repository}:v1"
    credentials = ("--dest-creds", stand.credentials)
    clients.skopeo("copy", "--all", *credentials, f"oci:{layout.folder}:latest", f"docker://{name}")
    return name


def test_index_is_pulled_with_all_its_platforms(
    stand: Stand, containerd: Containerd, clients: Containers, layout: Layout
) -> None:
    name = pushed(stand, clients, layout, "containerd/pulled")
    containerd.pull(name, "--all-platforms")
    assert set(containerd.content()) == set(layout.blobs())
    rows = containerd("images", "ls", f"name=={name}").out.splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [[name, INDEX]]


def test_one_platform_is_pulled_by_digest(
    stand: Stand, containerd: Containerd, clients: Containers, layout: Layout
) -> None:
    name = pushed(stand, clients, layout, "containerd/digest")
    digest = clients.skopeo("inspect", "--creds", stand.credentials, f"docker://{name}").json()["Digest"]
    by_digest = f"{name.rpartition(':')[0]}@{digest}"
    containerd.pull(by_digest, "--platform", "linux/arm64")
    assert len(containerd.content()) == 5  # the index, one manifest, its config, two layers


def test_pulled_index_is_pushed_elsewhere_byte_for_byte(
    stand: Stand, containerd: Containerd, clients: Containers, layout: Layout, tmp_path: Path
) -> None:
    name = pushed(stand, clients, layout, "containerd/from")
    target = f"{stand.login_server(REGISTRY)}/containerd/deep/to:v1"
    containerd.pull(name, "--all-platforms")
    containerd.push(target, local=name)
    containerd.push(target, local=name)  # again: everything is there
    back = Layout(tmp_path / "back")
    options = ("--all", "--src-creds", stand.credentials)
    clients.skopeo("copy", *options, f"docker://{target}", f"oci:{back.folder}:latest")
    assert back.blobs() == layout.blobs()


def test_imported_image_is_pushed(stand: Stand, containerd: Containerd, clients: Containers, tmp_path: Path) -> None:
    name = f"{stand.login_server(REGISTRY)}/containerd/imported:v1"
    layout = Layout(tmp_path / "layout")
    layout.name(layout.image([{"big": os.urandom(5_000_000)}]))
    clients.skopeo("copy", f"oci:{layout.folder}:latest", f"docker-archive:{tmp_path / 'image.tar'}:{name}")
    containerd("images", "import", "--all-platforms", str(tmp_path / "image.tar"))
    containerd.push(name)
    configs = [
        clients.skopeo("inspect", "--config", *options, image).json()
        for options, image in [(("--creds", stand.credentials), f"docker://{name}"), ((), f"oci:{layout.folder}")]
    ]
    assert configs[0]["rootfs"] == configs[1]["rootfs"]


def test_nobody_and_a_wrong_password_are_refused(stand: Stand, containerd: Containerd, base: str) -> None:
    wrong = containerd.pull(base, user=f"{REGISTRY}:wrong", check=False)
    assert wrong.code != 0
    assert "401" in wrong.err or "unauthorized" in wrong.err.lower()
    nobody = containerd("images", "pull", "--hosts-dir", "/etc/containerd/certs.d", base, check=False)
    assert nobody.code != 0
    assert "authorization failed" in nobody.err or "401" in nobody.err
    assert containerd.content() == {}


def test_what_is_not_there_is_said(stand: Stand, containerd: Containerd) -> None:
    done = containerd.pull(f"{stand.login_server(REGISTRY)}/containerd/nowhere:v1", check=False)
    assert done.code != 0
    assert "not found" in done.err
