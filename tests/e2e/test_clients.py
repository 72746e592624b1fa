"""Unmodified podman, buildah and skopeo against the login server (issue: Login server, Shown)."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from containers import Containers
from layouts import INDEX, MANIFEST, Layout
from stand import REGISTRY, Stand

LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
"""podman's own default is above what some machines allow even to root."""
ANONYMOUS_USER = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A build context whose image nobody has pushed before."""
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "random").write_bytes(os.urandom(200_000))
    (tmp_path / "context" / "Dockerfile").write_text('FROM scratch\nCOPY random /random\nLABEL made="here"\n')
    return tmp_path / "context"


def admin(stand: Stand, registry: str = REGISTRY) -> tuple[str, str]:
    found = stand.ok("credential", "show", "-n", registry).json()
    return found["username"], found["passwords"][0]["value"]


def inspect(clients: Containers, image: str, *options: str) -> dict[str, Any]:
    return clients.skopeo("inspect", *options, f"docker://{image}").json()


# --- who may ----------------------------------------------------------------------------------------------------------


def test_admin_user_pushes_and_pulls_with_podman(stand: Stand, clients: Containers, image: Path) -> None:
    server = stand.login_server(REGISTRY)
    clients.login(server, *admin(stand))
    name = f"{server}/clients/podman:v1"
    clients.podman("build", "--isolation", "chroot", "--tag", name, str(image))
    clients.podman("push", "--digestfile", str(clients.folder / "digest"), name)
    digest = (clients.folder / "digest").read_text()
    clients.remove(name)
    clients.podman("pull", name)
    found = clients.podman("image", "inspect", name).json()[0]
    assert f"{server}/clients/podman@{digest}" in found["RepoDigests"]
    assert found["Labels"]["made"] == "here"
    mounted = clients.podman("image", "mount", name).out.strip()
    assert (Path(mounted) / "random").read_bytes() == (image / "random").read_bytes()
    clients.podman("image", "unmount", name)


def test_second_password_of_the_admin_user_works_and_a_renewed_one_stops(stand: Stand, clients: Containers) -> None:
    stand.ok("create", "-g", "tests", "-n", "adminregistry", "--sku", "Basic", "--admin-enabled", "true")
    server = stand.login_server("adminregistry")
    found = stand.ok("credential", "show", "-n", "adminregistry").json()
    first, second = (password["value"] for password in found["passwords"])
    assert first != second
    clients.login(server, "adminregistry", second)
    stand.ok("credential", "renew", "-n", "adminregistry", "--password-name", "password2")
    assert clients.login(server, "adminregistry", second, check=False).code != 0
    clients.login(server, "adminregistry", first)
    stand.ok("update", "-n", "adminregistry", "--admin-enabled", "false")
    assert clients.login(server, "adminregistry", first, check=False).code != 0


def test_wrong_password_is_refused_and_said(stand: Stand, clients: Containers) -> None:
    done = clients.login(stand.login_server(REGISTRY), REGISTRY, "wrong", check=False)
    assert done.code != 0
    assert "invalid username/password" in done.err


def test_other_registrys_admin_is_refused(stand: Stand, clients: Containers) -> None:
    stand.ok("create", "-g", "tests", "-n", "otherregistry", "--sku", "Basic", "--admin-enabled", "true")
    server = stand.login_server(REGISTRY)
    user, password = admin(stand, "otherregistry")
    assert clients.login(server, user, password, check=False).code != 0
    assert clients.login(server, REGISTRY, password, check=False).code != 0


def test_owner_pushes_with_buildah(stand: Stand, clients: Containers, image: Path) -> None:
    server = clients.sign_in(REGISTRY)
    name = f"{server}/clients/buildah:v1"
    clients.buildah("bud", "--isolation", "chroot", "--format", "oci", "--tag", name, str(image))
    clients.buildah("push", "--digestfile", str(clients.folder / "digest"), name)
    assert inspect(clients, name)["Digest"] == (clients.folder / "digest").read_text()
    clients.remove(name)
    clients.buildah("pull", name)


def test_nobody_pulls_without_a_sign_in(stand: Stand, clients: Containers, base: str) -> None:
    done = clients.podman("pull", base, check=False)
    assert done.code != 0
    assert "unauthorized" in done.err.lower()


def test_anonymous_pull_once_it_is_enabled(stand: Stand, clients: Containers, tmp_path: Path) -> None:
    stand.ok("create", "-g", "tests", "-n", "openregistry", "--sku", "Standard")
    server = stand.login_server("openregistry")
    layout = Layout(tmp_path / "layout")
    layout.name(layout.image([{"file": b"open"}]))
    push = ("copy", "--dest-creds", stand.credentials, f"oci:{layout.folder}:latest", f"docker://{server}/open:v1")
    clients.skopeo(*push)
    assert clients.podman("pull", f"{server}/open:v1", check=False).code != 0
    stand.ok("update", "-n", "openregistry", "--anonymous-pull-enabled", "true")
    clients.podman("pull", f"{server}/open:v1")
    assert inspect(clients, f"{server}/open:v1")["RepoTags"] == ["v1"]
    refused = clients.skopeo("copy", f"oci:{layout.folder}:latest", f"docker://{server}/open:v2", check=False)
    assert refused.code != 0
    assert clients.skopeo("delete", f"docker://{server}/open:v1", check=False).code != 0
    stand.ok("update", "-n", "openregistry", "--anonymous-pull-enabled", "false")
    clients.remove(f"{server}/open:v1")
    assert clients.podman("pull", f"{server}/open:v1", check=False).code != 0


# --- darsena login ----------------------------------------------------------------------------------------------------


def test_darsena_login_signs_podman_in(stand: Stand, clients: Containers, base: str) -> None:
    done = stand.darsena("login", "-n", REGISTRY, environment={"REGISTRY_AUTH_FILE": str(clients.auth)})
    assert done.code == 0, done.err
    assert "podman is logged in to" in done.err
    clients.podman("pull", base)


def test_exposed_token_is_a_password_for_podman(stand: Stand, clients: Containers, base: str) -> None:
    found = stand.ok("login", "-n", REGISTRY, "--expose-token").json()
    assert found["loginServer"] == stand.login_server(REGISTRY)
    assert found["username"] == ANONYMOUS_USER
    clients.login(found["loginServer"], found["username"], found["accessToken"])
    clients.podman("pull", base)
    with stand.client(found["loginServer"]) as client:
        form = {
            "grant_type": "refresh_token",
            "service": found["loginServer"],
            "scope": "repository:base/busybox:pull",
            "refresh_token": found["refreshToken"],
        }
        token = client.post("/oauth2/token", data=form).json()["access_token"]
        answer = client.get("/v2/base/busybox/tags/list", headers={"authorization": f"Bearer {token}"})
    assert answer.json() == {"name": "base/busybox", "tags": ["1"]}


# --- skopeo -----------------------------------------------------------------------------------------------------------


def test_skopeo_copies_inspects_lists_and_deletes(stand: Stand, clients: Containers, tmp_path: Path) -> None:
    server = clients.sign_in(REGISTRY)
    repository = f"{server}/clients/skopeo"
    layout = Layout(tmp_path / "layout")
    made = layout.name(layout.image([{"a": b"1"}, {"b": os.urandom(100_000)}], labels={"made": "from-nothing"}))
    for tag in ("v1", "v2"):
        clients.skopeo("copy", "--preserve-digests", f"oci:{layout.folder}:latest", f"docker://{repository}:{tag}")
    found = inspect(clients, f"{repository}:v1")
    assert found["Digest"] == made["digest"]
    assert found["Labels"] == {"made": "from-nothing"}
    assert found["RepoTags"] == ["v1", "v2"]
    raw = clients.skopeo("inspect", "--raw", f"docker://{repository}@{made['digest']}").out
    assert raw.encode() == layout.read(made)
    assert clients.skopeo("list-tags", f"docker://{repository}").json()["Tags"] == ["v1", "v2"]

    back = Layout(tmp_path / "back")
    clients.skopeo("copy", f"docker://{repository}:v1", f"oci:{back.folder}:latest")
    assert back.blobs() == layout.blobs()

    clients.skopeo("delete", f"docker://{repository}:v1")
    gone = clients.skopeo("inspect", f"docker://{repository}:v2", check=False)  # a deleted manifest takes its tags
    assert gone.code != 0
    assert "manifest unknown" in gone.err.lower()


def test_copy_between_repositories_of_a_registry_moves_no_layer(
    stand: Stand, clients: Containers, tmp_path: Path
) -> None:
    server = clients.sign_in(REGISTRY)
    layout = Layout(tmp_path / "layout")
    made = layout.name(layout.image([{"big": os.urandom(3_000_000)}]))
    clients.skopeo("copy", f"oci:{layout.folder}:latest", f"docker://{server}/clients/from:v1")
    clients.skopeo("copy", f"docker://{server}/clients/from:v1", f"docker://{server}/clients/deep/to:v1")
    assert inspect(clients, f"{server}/clients/deep/to:v1")["Digest"] == made["digest"]
    clients.podman("pull", f"{server}/clients/deep/to:v1")


def test_index_of_two_platforms_from_a_layout(stand: Stand, clients: Containers, tmp_path: Path) -> None:
    server = clients.sign_in(REGISTRY)
    name = f"{server}/clients/index:v1"
    layout = Layout(tmp_path / "layout")
    parts = [layout.image([{"which": arch.encode()}], architecture=arch) for arch in ("amd64", "arm64")]
    made = layout.name(layout.index(parts))
    clients.skopeo("copy", "--all", f"oci:{layout.folder}:latest", f"docker://{name}")
    raw = clients.skopeo("inspect", "--raw", f"docker://{name}").out.encode()
    assert "sha256:" + hashlib.sha256(raw).hexdigest() == made["digest"]
    for part in parts:
        architecture = part["platform"]["architecture"]
        assert inspect(clients, name, "--override-arch", architecture)["Architecture"] == architecture
    clients.podman("pull", "--arch", "arm64", name)
    assert clients.podman("image", "inspect", name).json()[0]["Architecture"] == "arm64"

    back = Layout(tmp_path / "back")
    clients.skopeo("copy", "--all", f"docker://{name}", f"oci:{back.folder}:latest")
    assert back.blobs() == layout.blobs()
    rows = stand.ok("manifest", "list-metadata", "-r", REGISTRY, "-n", "clients/index").json()
    assert {row["digest"] for row in rows} == {made["digest"], *(part["digest"] for part in parts)}


def test_manifest_list_that_buildah_makes(stand: Stand, clients: Containers, tmp_path: Path) -> None:
    server = clients.sign_in(REGISTRY)
    for arch in ("amd64", "arm64"):
        folder = tmp_path / arch
        folder.mkdir()
        (folder / "which").write_text(arch)
        (folder / "Dockerfile").write_text("FROM scratch\nCOPY which /which\n")
        options = ("--isolation", "chroot", "--platform", f"linux/{arch}", "--manifest", "localhost/both")
        clients.buildah("bud", *options, str(folder))
    clients.buildah("manifest", "push", "--all", "localhost/both", f"docker://{server}/clients/both:v1")
    raw = json.loads(clients.skopeo("inspect", "--raw", f"docker://{server}/clients/both:v1").out)
    assert [part["platform"]["architecture"] for part in raw["manifests"]] == ["amd64", "arm64"]


def test_docker_schema_image_keeps_its_bytes(stand: Stand, clients: Containers, base: str) -> None:
    """What builds push is of Docker's media types; a copy to another repository keeps its digest."""
    clients.sign_in(REGISTRY)
    raw = clients.skopeo("inspect", "--raw", f"docker://{base}").out
    assert json.loads(raw)["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert json.loads(raw)["mediaType"] != INDEX
    target = f"{stand.login_server(REGISTRY)}/clients/copied:v1"
    clients.skopeo("copy", "--preserve-digests", f"docker://{base}", f"docker://{target}")
    assert clients.skopeo("inspect", "--raw", f"docker://{target}").out == raw


@pytest.mark.parametrize(
    ("form", "media_type"),
    [("v2s2", "application/vnd.docker.distribution.manifest.v2+json"), ("oci", MANIFEST)],
)
def test_skopeo_pushes_in_either_format(
    stand: Stand, clients: Containers, tmp_path: Path, form: str, media_type: str
) -> None:
    name = f"{clients.sign_in(REGISTRY)}/clients/format:{form}"
    layout = Layout(tmp_path / "layout")
    layout.name(layout.image([{"file": os.urandom(10_000)}]))
    clients.skopeo("copy", "--format", form, f"oci:{layout.folder}:latest", f"docker://{name}")
    assert json.loads(clients.skopeo("inspect", "--raw", f"docker://{name}").out)["mediaType"] == media_type
    clients.skopeo("copy", f"docker://{name}", f"dir:{tmp_path / 'dir'}")
    clients.skopeo("copy", f"dir:{tmp_path / 'dir'}", f"docker://{name}-again")
    assert inspect(clients, f"{name}-again")["Digest"] == inspect(clients, name)["Digest"]


def test_schema_1_is_refused_with_the_reason(stand: Stand, clients: Containers, tmp_path: Path) -> None:
    name = f"{clients.sign_in(REGISTRY)}/clients/schema:v1"
    layout = Layout(tmp_path / "layout")
    layout.name(layout.image([{"file": b"old"}]))
    done = clients.skopeo("copy", "--format", "v2s1", f"oci:{layout.folder}:latest", f"docker://{name}", check=False)
    assert done.code != 0
    assert "schema" in done.err.lower()


def test_skopeo_syncs_a_repository_and_a_folder(stand: Stand, clients: Containers, tmp_path: Path) -> None:
    """Every tag of a repository to a folder and to another place in the registry, indexes with all they list."""
    server = clients.sign_in(REGISTRY)
    layout = Layout(tmp_path / "layout")
    parts = [layout.image([{"which": arch.encode()}], architecture=arch) for arch in ("amd64", "arm64")]
    layout.name(layout.index(parts))
    for tag in ("v1", "v2"):
        clients.skopeo("copy", "--all", f"oci:{layout.folder}:latest", f"docker://{server}/clients/sync:{tag}")
    digest = inspect(clients, f"{server}/clients/sync:v1")["Digest"]
    clients.skopeo("sync", "--all", "--src", "docker", "--dest", "dir", f"{server}/clients/sync", str(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["sync:v1", "sync:v2"]
    clients.skopeo("sync", "--all", "--src", "docker", "--dest", "docker", f"{server}/clients/sync", f"{server}/mirror")
    assert clients.skopeo("list-tags", f"docker://{server}/mirror/sync").json()["Tags"] == ["v1", "v2"]
    assert inspect(clients, f"{server}/mirror/sync:v2")["Digest"] == digest
    clients.skopeo("sync", "--all", "--src", "dir", "--dest", "docker", str(tmp_path / "out"), f"{server}/back")
    assert inspect(clients, f"{server}/back/sync:v1")["Digest"] == digest


def test_podman_makes_a_manifest_list_of_what_is_there(stand: Stand, clients: Containers, tmp_path: Path) -> None:
    """Added by name, pushed without the images: they are in the repository already."""
    repository = f"{clients.sign_in(REGISTRY)}/clients/listed"
    for arch in ("amd64", "arm64"):
        layout = Layout(tmp_path / arch)
        layout.name(layout.image([{"which": arch.encode()}], architecture=arch))
        clients.skopeo("copy", f"oci:{layout.folder}:latest", f"docker://{repository}:{arch}")
    clients.podman("manifest", "create", "localhost/listed")
    for arch in ("amd64", "arm64"):
        clients.podman("manifest", "add", "localhost/listed", f"docker://{repository}:{arch}")
    clients.podman("manifest", "push", "localhost/listed", f"docker://{repository}:v1")
    found = json.loads(clients.skopeo("inspect", "--raw", f"docker://{repository}:v1").out)
    assert [part["platform"]["architecture"] for part in found["manifests"]] == ["amd64", "arm64"]
    wanted = {inspect(clients, f"{repository}:{arch}")["Digest"] for arch in ("amd64", "arm64")}
    assert {part["digest"] for part in found["manifests"]} == wanted


def test_buildah_changes_an_image_of_the_registry(stand: Stand, clients: Containers, base: str) -> None:
    server = clients.sign_in(REGISTRY)
    container = clients.buildah("from", base).out.strip()
    clients.buildah("config", "--label", "changed=yes", "--env", "WHERE=here", container)
    clients.buildah("commit", "--rm", container, f"docker://{server}/clients/committed:v1")
    assert inspect(clients, f"{server}/clients/committed:v1")["Labels"]["changed"] == "yes"


def test_podman_logout_ends_it(stand: Stand, clients: Containers, base: str) -> None:
    server = clients.sign_in(REGISTRY)
    clients.podman("pull", base)
    clients.podman("logout", server)
    clients.remove(base)
    assert clients.podman("pull", base, check=False).code != 0


def test_pushed_image_runs_with_podman(stand: Stand, clients: Containers, base: str) -> None:
    clients.sign_in(REGISTRY)
    run = ("--cgroup-manager", "cgroupfs", "run", "--rm", "--network", "none", *LIMITS)
    done = clients.podman(*run, base, "echo", "hello from it")
    assert done.out.strip() == "hello from it"


def test_big_layer_goes_and_comes_back_whole(stand: Stand, clients: Containers, tmp_path: Path) -> None:
    """40 MB: many frames, several requests' worth, and no blob is ever whole in memory."""
    server = clients.sign_in(REGISTRY)
    layout = Layout(tmp_path / "layout")
    layout.name(layout.image([{"big": os.urandom(40_000_000)}]))
    clients.skopeo("copy", f"oci:{layout.folder}:latest", f"docker://{server}/clients/big:v1")
    back = Layout(tmp_path / "back")
    clients.skopeo("copy", f"docker://{server}/clients/big:v1", f"oci:{back.folder}:latest")
    assert back.blobs() == layout.blobs()
