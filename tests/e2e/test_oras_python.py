"""`oras`, the Python client of the ORAS project, unmodified (issue: Clients).

Two of its ways to sign in: with the password on every request, and with tokens. With tokens it keeps the first one that
it gets, so that a push needs one that may push from the start.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import oras.client
import oras.oci
import pytest
from pushing import digest_of
from stand import REGISTRY, Stand

Make = Callable[[str], oras.client.OrasClient]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where its files lie, and the sign-ins of no one else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def make(stand: Stand, folder: Path) -> Iterator[Make]:
    made: list[oras.client.OrasClient] = []

    def make(backend: str) -> oras.client.OrasClient:
        ca = stand.owner["ca_file"]
        client = oras.client.OrasClient(stand.login_server(REGISTRY), auth_backend=backend, tls_verify=ca)
        made.append(client)
        return client

    yield make
    for client in made:
        client.session.close()


@pytest.fixture
def client(stand: Stand, make: Make, folder: Path) -> oras.client.OrasClient:
    """Signed in as the owner, the password sent along."""
    client, owner = make("basic"), stand.owner
    done = client.login(
        owner["client_id"],
        owner["client_secret"],
        hostname=stand.login_server(REGISTRY),
        tls_verify=stand.owner["ca_file"],  # pyright: ignore[reportArgumentType] (goes to requests)
        config_path=str(folder / "docker.json"),
    )
    assert done == {"Status": "Login Succeeded"}
    return client


def test_files_and_a_folder_are_pushed_and_pulled(stand: Stand, client: oras.client.OrasClient, folder: Path) -> None:
    target = f"{stand.login_server(REGISTRY)}/oras/files:v1"
    (folder / "notes.txt").write_text("notes")
    (folder / "data").mkdir()
    (folder / "data" / "random").write_bytes(os.urandom(50_000))
    done = client.push(
        target,
        files=["notes.txt:text/plain", "data"],
        manifest_annotations={"org.example.made": "here"},
        quiet=True,
    )
    assert done.status_code == 201
    assert done.headers["docker-content-digest"].startswith("sha256:")
    manifest = client.get_manifest(target)
    assert manifest["layers"][0]["mediaType"] == "text/plain"
    assert manifest["annotations"] == {"org.example.made": "here"}

    pulled = client.pull(target, outdir=str(folder / "back"))
    assert len(pulled) == 2
    assert (folder / "back" / "notes.txt").read_text() == "notes"
    assert (folder / "back" / "data" / "random").read_bytes() == (folder / "data" / "random").read_bytes()


def test_big_file_goes_in_chunks(stand: Stand, client: oras.client.OrasClient, folder: Path) -> None:
    target = f"{stand.login_server(REGISTRY)}/oras/chunks:v1"
    (folder / "big").write_bytes(os.urandom(5_000_001))
    client.push(target, files=["big"], do_chunked=True, chunk_size=1_000_000, quiet=True)
    client.pull(target, outdir=str(folder / "back"))
    assert (folder / "back" / "big").read_bytes() == (folder / "big").read_bytes()


def test_tags_are_listed_and_deleted(stand: Stand, client: oras.client.OrasClient, folder: Path) -> None:
    repository = f"{stand.login_server(REGISTRY)}/oras/tags"
    (folder / "file").write_text("one for all")
    for number in range(5):
        client.push(f"{repository}:v{number}", files=["file"], quiet=True)
    assert client.get_tags(repository) == [f"v{number}" for number in range(5)]
    assert client.get_tags(repository, N=2) == ["v0", "v1"]
    client.push(f"{repository}:other", files=["file"], manifest_annotations={"a": "b"}, quiet=True)
    assert client.delete_tag(repository, "other")  # it deletes the manifest behind the tag
    assert client.get_tags(repository) == [f"v{number}" for number in range(5)]


def test_artifact_with_a_subject_is_its_referrer(stand: Stand, client: oras.client.OrasClient, folder: Path) -> None:
    repository = f"{stand.login_server(REGISTRY)}/oras/subject"
    (folder / "file").write_text("subject")
    pushed = client.push(f"{repository}:v1", files=["file"], quiet=True)
    body = pushed.request.body
    assert isinstance(body, bytes)
    digest, size = pushed.headers["docker-content-digest"], len(body)
    subject = oras.oci.Subject("application/vnd.oci.image.manifest.v1+json", digest, size)
    attached = client.push(f"{repository}:sbom", files=["file:text/spdx"], subject=subject, quiet=True)  # pyright: ignore[reportArgumentType]
    assert attached.headers["oci-subject"] == digest
    url = f"https://{stand.login_server(REGISTRY)}/v2/oras/subject/referrers/{digest}"
    listed = client.do_request(url, headers=dict(client.headers)).json()["manifests"]
    assert [found["digest"] for found in listed] == [attached.headers["docker-content-digest"]]


def test_tokens_pull_and_push(stand: Stand, client: oras.client.OrasClient, make: Make, folder: Path) -> None:
    server = stand.login_server(REGISTRY)
    target = f"{server}/oras/tokens:v1"
    (folder / "file").write_text("with a token")
    client.push(target, files=["file"], quiet=True)

    reader, owner = make("token"), stand.owner
    reader.auth.set_basic_auth(owner["client_id"], owner["client_secret"])
    reader.pull(target, outdir=str(folder / "back"))
    assert (folder / "back" / "file").read_text() == "with a token"

    query = {"service": server, "scope": "repository:oras/tokens:pull,push"}
    with stand.client(server) as http:
        answer = http.get("/oauth2/token", params=query, auth=(owner["client_id"], owner["client_secret"]))
    writer = make("token")
    writer.auth.set_token_auth(answer.json()["access_token"])
    (folder / "file").write_text("other content")
    writer.push(target, files=["file"], quiet=True)
    assert reader.get_manifest(target)["layers"][0]["digest"] == digest_of(b"other content")


def test_nobody_is_refused(stand: Stand, make: Make, folder: Path) -> None:
    target = f"{stand.login_server(REGISTRY)}/oras/files:v1"
    with pytest.raises(ValueError, match="Unauthorized"):
        make("token").get_manifest(target)
