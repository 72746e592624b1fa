"""Flows of crane, ORAS, cosign and notation DERIVED FROM THEIR SPECIFICATIONS AND SOURCES.

These programs are in none of the registries that the tests install from, so that what runs here is not the programs:
each test sends, request by request, what its client sends.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from layouts import CONFIG, INDEX, MANIFEST
from pushing import Pusher, digest_of
from stand import REGISTRY, Stand
from token_client import OCTETS, TokenClient, with_digest

EMPTY = "application/vnd.oci.empty.v1+json"
ACCEPT = ", ".join(
    [
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        MANIFEST,
        INDEX,
    ]
)
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

Descriptor = dict[str, Any]
Start = Callable[..., TokenClient]


@pytest.fixture
def start(stand: Stand) -> Iterator[Start]:
    made: list[TokenClient] = []

    def start(user_agent: str, *, grant: str = "basic", registry: str = REGISTRY) -> TokenClient:
        made.append(TokenClient(stand, registry, user_agent, grant))
        return made[-1]

    yield start
    for client in made:
        client.close()


def describe(content: bytes, media_type: str, **more: Any) -> Descriptor:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}


def encode(document: dict[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, **document}).encode()


def an_image(stand: Stand, repository: str, tag: str = "v1") -> Descriptor:
    pusher = Pusher(stand, REGISTRY, repository)
    content = pusher.make_manifest(os.urandom(20_000))
    pusher.put_manifest(tag, content)
    return describe(content, MANIFEST)


def attach(
    client: TokenClient, repository: str, subject: Descriptor, artifact_type: str, layer: Descriptor, blob: bytes
) -> Descriptor:
    """An artifact on a subject, pushed by digest, as the image specification's guidance has it."""
    client.push_blob(repository, b"{}")
    client.push_blob(repository, blob)
    manifest = encode(
        {
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": describe(b"{}", EMPTY, data=base64.b64encode(b"{}").decode()),
            "layers": [layer],
            "subject": subject,
            "annotations": {"org.opencontainers.image.created": "2026-01-01T00:00:00Z"},
        }
    )
    done = client.put_manifest(repository, digest_of(manifest), manifest, MANIFEST)
    assert done.headers["oci-subject"] == subject["digest"]  # else clients write an index of their own
    return describe(manifest, MANIFEST, artifactType=artifact_type)


def referrers(client: TokenClient, repository: str, digest: str, artifact_type: str = "") -> list[Descriptor]:
    query = f"?artifactType={quote(artifact_type)}" if artifact_type else ""
    answer = client.request("GET", f"/v2/{repository}/referrers/{digest}{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, INDEX)
    assert answer.headers.get("oci-filters-applied", "") == ("artifactType" if artifact_type else "")
    return answer.json()["manifests"]


# --- crane (go-containerregistry: pkg/v1/remote) ----------------------------------------------------------------------


def crane_push_layer(client: TokenClient, repository: str, content: bytes, *, source: str = "") -> str:
    """Is it there? Can it be mounted? Else stream it in one PATCH of unknown length and commit it with an empty PUT.

    What it had to do is the answer.
    """
    digest = digest_of(content)
    scope = f"repository:{repository}:push,pull" + (f" repository:{source}:pull" if source else "")
    if client.request("HEAD", f"/v2/{repository}/blobs/{digest}", scope=scope).status_code == 200:
        return "exists"
    query = f"?from={source}&mount={digest}&origin={client.server}" if source else ""
    begun = client.request("POST", f"/v2/{repository}/blobs/uploads/{query}", scope=scope, headers=OCTETS)
    if begun.status_code == 201:
        assert begun.headers["docker-content-digest"] == digest
        return "mounted"
    assert begun.status_code == 202, begun.text
    parts = iter([content[at : at + 9_999] for at in range(0, len(content), 9_999)])
    sent = client.request("PATCH", begun.headers["location"], scope=scope, content=parts, headers=OCTETS)
    assert sent.request.headers["transfer-encoding"] == "chunked"
    assert sent.status_code == 202, sent.text
    done = client.request("PUT", with_digest(sent.headers["location"], digest), scope=scope, headers=OCTETS)
    assert (done.status_code, done.headers["docker-content-digest"]) == (201, digest), done.text
    return "streamed"


def crane_push(
    client: TokenClient, repository: str, tag: str, config: bytes, layers: list[bytes], source: str = ""
) -> tuple[bytes, list[str]]:
    """The manifest, and what became of each blob."""
    found = [crane_push_layer(client, repository, content, source=source) for content in [*layers, config]]
    manifest = encode(
        {
            "mediaType": MANIFEST,
            "config": describe(config, CONFIG),
            "layers": [describe(layer, LAYER) for layer in layers],
        }
    )
    client.put_manifest(repository, tag, manifest, MANIFEST)
    return manifest, found


@pytest.mark.parametrize("grant", ["basic", "refresh_token"])
def test_crane_push_head_pull_and_delete(start: Start, grant: str) -> None:
    client = start("crane", grant=grant)
    repository, config = f"crane/{grant.replace('_', '-')}", b'{"architecture": "amd64", "os": "linux"}'
    layers = [os.urandom(50_000), os.urandom(120_000)]
    manifest, found = crane_push(client, repository, "v1", config, layers)
    assert found == ["streamed"] * 3
    assert crane_push(client, repository, "v2", config, layers) == (manifest, ["exists"] * 3)

    head = client.request("HEAD", f"/v2/{repository}/manifests/v1", headers={"accept": ACCEPT})
    assert (head.status_code, head.headers["docker-content-digest"]) == (200, digest_of(manifest))
    assert (head.headers["content-type"], head.headers["content-length"]) == (MANIFEST, str(len(manifest)))
    pulled = client.request("GET", f"/v2/{repository}/manifests/{digest_of(manifest)}", headers={"accept": ACCEPT})
    assert pulled.content == manifest
    for content in [*layers, config]:
        answer = client.request("GET", f"/v2/{repository}/blobs/{digest_of(content)}")
        assert (answer.content, answer.headers["content-length"]) == (content, str(len(content)))

    gone = client.request(
        "DELETE", f"/v2/{repository}/manifests/{digest_of(manifest)}", scope=f"repository:{repository}:delete,pull"
    )
    assert gone.status_code == 202
    missing = client.request("HEAD", f"/v2/{repository}/manifests/v1", headers={"accept": ACCEPT})
    assert missing.status_code == 404


def test_crane_copy_mounts_each_blob_with_one_token_of_two_scopes(start: Start) -> None:
    client = start("crane")
    config, layers = b'{"architecture": "arm64", "os": "linux"}', [os.urandom(30_000)]
    manifest, _ = crane_push(client, "crane/from", "v1", config, layers)
    source = client.request("GET", "/v2/crane/from/manifests/v1", headers={"accept": ACCEPT})
    assert source.content == manifest
    client.sent.clear()
    copied, found = crane_push(client, "crane/deep/to", "v1", config, layers, "crane/from")
    assert (copied, found) == (manifest, ["mounted", "mounted"])
    assert not [line for line in client.sent if line.startswith("PATCH")]

    client.request("GET", "/v2/crane/from/manifests/v1", headers={"accept": ACCEPT})
    client.put_manifest("crane/from", "again", manifest, MANIFEST)  # crane tag
    assert [tag for page in client.pages("/v2/crane/from/tags/list?n=1", "tags") for tag in page] == ["again", "v1"]


def test_crane_catalog_and_ls_follow_the_links(stand: Stand, start: Start) -> None:
    stand.ok("create", "-g", "tests", "-n", "cranecatalog", "--sku", "Basic")
    client = start("crane", registry="cranecatalog")
    names = sorted(f"list/{letter}" for letter in "abcde")
    for name in names:
        crane_push(client, name, "v1", b"{}", [])
    pages = list(client.pages("/v2/_catalog?n=2", "repositories"))
    assert [len(page) for page in pages if page] == [2, 2, 1]
    assert [name for page in pages for name in page] == names
    for number in range(4):
        crane_push(client, "list/a", f"t{number}", b"{}", [])
    tags = list(client.pages("/v2/list/a/tags/list?n=2", "tags"))
    assert [tag for page in tags for tag in page] == ["t0", "t1", "t2", "t3", "v1"]


# --- ORAS (oras-go v2: registry/remote) -------------------------------------------------------------------------------


@pytest.mark.parametrize("grant", ["basic", "password"])
def test_oras_push_resolve_and_fetch(start: Start, grant: str) -> None:
    """`oras push --artifact-type`: the empty config, one blob per file, the manifest last; then pull in parts."""
    client, repository, file = start("oras-go", grant=grant), f"oras/{grant}", os.urandom(100_000)
    client.push_blob(repository, b"{}")
    client.push_blob(repository, file)
    manifest = encode(
        {
            "mediaType": MANIFEST,
            "artifactType": "application/vnd.example.backup",
            "config": describe(b"{}", EMPTY, data="e30="),
            "layers": [describe(file, "application/octet-stream", annotations={"org.opencontainers.image.title": "f"})],
        }
    )
    client.put_manifest(repository, "v1", manifest, MANIFEST)
    client.sent.clear()
    client.push_blob(repository, file)
    assert [line.split()[0] for line in client.sent] == ["HEAD"]

    resolved = client.request("HEAD", f"/v2/{repository}/manifests/v1", headers={"accept": MANIFEST})
    assert resolved.headers["docker-content-digest"] == digest_of(manifest)
    assert int(resolved.headers["content-length"]) == len(manifest)
    path = f"/v2/{repository}/blobs/{digest_of(file)}"
    whole = client.request("GET", path)
    assert whole.headers["accept-ranges"] == "bytes"  # else oras-go does not seek
    assert whole.content == file
    tail = client.request("GET", path, headers={"range": f"bytes=60000-{len(file) - 1}"})
    assert (tail.status_code, tail.content) == (206, file[60_000:])
    assert tail.headers["content-range"] == f"bytes 60000-{len(file) - 1}/{len(file)}"
    assert (
        client.request("GET", f"/v2/{repository}/blobs/{digest_of(b'{}')}", headers={"range": "bytes=2-"}).status_code
        == 416
    )


def test_oras_attach_and_discover(stand: Stand, start: Start) -> None:
    client, repository = start("oras-go"), "oras/attach"
    image = an_image(stand, repository)
    probe = referrers(client, repository, "sha256:" + "0" * 64)  # how oras-go finds out that the API is there
    assert probe == []
    sbom = b'{"spdxVersion": "SPDX-2.3"}'
    first = attach(client, repository, image, "example/sbom", describe(sbom, "application/spdx+json"), sbom)
    other = attach(client, repository, image, "example/scan", describe(b"clean", "text/plain"), b"clean")
    upon = attach(client, repository, first, "example/signature", describe(b"sig", "text/plain"), b"sig")
    found = {row["digest"]: row for row in referrers(client, repository, image["digest"])}
    assert set(found) == {first["digest"], other["digest"]}
    row = found[first["digest"]]
    assert (row["artifactType"], row["size"], row["mediaType"]) == ("example/sbom", first["size"], MANIFEST)
    assert row["annotations"] == {"org.opencontainers.image.created": "2026-01-01T00:00:00Z"}
    filtered = referrers(client, repository, image["digest"], "example/scan")
    assert [row["digest"] for row in filtered] == [other["digest"]]
    assert [row["digest"] for row in referrers(client, repository, first["digest"])] == [upon["digest"]]


def test_oras_cp_r_copies_the_graph_with_its_referrers(stand: Stand, start: Start) -> None:
    """From the leaves up, each node by digest, blobs mounted; the tag last (oras-go, ExtendedCopyGraph)."""
    client, source, target = start("oras-go"), "oras/graph", "oras/copies/graph"
    image = an_image(stand, source)
    sbom = attach(client, source, image, "example/sbom", describe(b"sbom", "text/plain"), b"sbom")
    signature = attach(client, source, sbom, "example/signature", describe(b"over it", "text/plain"), b"over it")

    def copy(node: Descriptor) -> None:
        if client.request("HEAD", f"/v2/{target}/manifests/{node['digest']}").status_code == 200:
            return
        content = client.request(
            "GET", f"/v2/{source}/manifests/{node['digest']}", headers={"accept": MANIFEST}
        ).content
        document = json.loads(content)
        if "subject" in document:
            copy(document["subject"])
        for blob in [document["config"], *document["layers"]]:
            scope = f"repository:{target}:pull,push repository:{source}:pull"
            query = f"?mount={blob['digest']}&from={source}"
            assert client.request("POST", f"/v2/{target}/blobs/uploads/{query}", scope=scope).status_code == 201
        client.put_manifest(target, node["digest"], content, MANIFEST)

    def copy_with_predecessors(node: Descriptor) -> None:
        copy(node)
        for predecessor in referrers(client, source, node["digest"]):
            copy_with_predecessors(predecessor)

    copy_with_predecessors(image)
    content = client.request("GET", f"/v2/{target}/manifests/{image['digest']}", headers={"accept": MANIFEST}).content
    client.put_manifest(target, "v1", content, MANIFEST)
    assert [row["digest"] for row in referrers(client, target, image["digest"])] == [sbom["digest"]]
    assert [row["digest"] for row in referrers(client, target, sbom["digest"])] == [signature["digest"]]


def test_oras_repo_tags_and_deletions(stand: Stand, start: Start) -> None:
    client, repository = start("oras-go"), "oras/deletions"
    image = an_image(stand, repository)
    sbom = attach(client, repository, image, "example/sbom", describe(b"s", "text/plain"), b"s")
    assert list(client.pages(f"/v2/{repository}/tags/list", "tags")) == [["v1"]]
    scope = f"repository:{repository}:delete"
    gone = client.request("DELETE", f"/v2/{repository}/manifests/{sbom['digest']}", scope=scope)
    assert gone.status_code == 202
    assert referrers(client, repository, image["digest"]) == []
    assert client.request("DELETE", f"/v2/{repository}/blobs/{digest_of(b's')}", scope=scope).status_code == 202


def test_oras_upload_goes_on_where_it_was_broken_off(start: Start) -> None:
    """Chunks with Content-Range; after a cut the client asks how far it is (distribution specification, Chunked)."""
    client, repository, content = start("oras-go"), "oras/resumed", os.urandom(90_000)
    scope = f"repository:{repository}:pull,push"
    begun = client.request("POST", f"/v2/{repository}/blobs/uploads/", scope=scope)
    first = client.request(
        "PATCH",
        begun.headers["location"],
        scope=scope,
        content=content[:40_000],
        headers={**OCTETS, "content-range": "0-39999"},
    )
    assert (first.status_code, first.headers["range"]) == (202, "0-39999")
    wrong = {**OCTETS, "content-range": "50000-89999"}
    gap = client.request("PATCH", first.headers["location"], scope=scope, content=content[50_000:], headers=wrong)
    assert gap.status_code == 416
    status = client.request("GET", first.headers["location"], scope=scope)
    assert (status.status_code, status.headers["range"]) == (204, "0-39999")
    location = with_digest(status.headers["location"], digest_of(content))
    rest = {**OCTETS, "content-range": "40000-89999"}
    done = client.request("PUT", location, scope=scope, content=content[40_000:], headers=rest)
    assert (done.status_code, done.headers["docker-content-digest"]) == (201, digest_of(content))


# --- cosign (specs/SIGNATURE_SPEC.md, ATTESTATION_SPEC.md, the OCI 1.1 mode) ------------------------------------------


def cosign_write(client: TokenClient, repository: str, image: Descriptor, suffix: str, media_type: str) -> list[str]:
    """One more layer in the image behind the tag that the digest gives; the layers that it has then."""
    tag = f"{image['digest'].replace(':', '-')}.{suffix}"
    before = client.request("GET", f"/v2/{repository}/manifests/{tag}", headers={"accept": ACCEPT})
    layers: list[Descriptor] = []
    if before.status_code == 200:
        layers = before.json()["layers"]
    else:
        assert before.json()["errors"][0]["code"] == "MANIFEST_UNKNOWN"
    payload = json.dumps(
        {
            "critical": {
                "identity": {"docker-reference": f"{client.server}/{repository}"},
                "image": {"docker-manifest-digest": image["digest"]},
                "type": "cosign container image signature",
            },
            "optional": {"number": len(layers)},
        }
    ).encode()
    layers.append(describe(payload, media_type, annotations={"dev.cosignproject.cosign/signature": "MEUCIQ=="}))
    digests = [layer["digest"] for layer in layers]
    config = json.dumps({"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": digests}}).encode()
    assert crane_push_layer(client, repository, payload) == "streamed"
    crane_push_layer(client, repository, config)
    manifest = encode({"mediaType": MANIFEST, "config": describe(config, CONFIG), "layers": layers})
    client.put_manifest(repository, tag, manifest, MANIFEST)
    return digests


@pytest.mark.parametrize(
    ("suffix", "media_type"),
    [
        ("sig", "application/vnd.dev.cosign.simplesigning.v1+json"),
        ("att", "application/vnd.dsse.envelope.v1+json"),
        ("sbom", "text/spdx+json"),
    ],
)
def test_cosign_writes_and_verifies_by_tag(stand: Stand, start: Start, suffix: str, media_type: str) -> None:
    client, repository = start("cosign"), f"cosign/{suffix}"
    image = an_image(stand, repository)
    cosign_write(client, repository, image, suffix, media_type)
    layers = cosign_write(client, repository, image, suffix, media_type)
    assert len(layers) == 2
    tag = f"{image['digest'].replace(':', '-')}.{suffix}"
    for layer in client.request("GET", f"/v2/{repository}/manifests/{tag}", headers={"accept": ACCEPT}).json()[
        "layers"
    ]:
        content = client.request("GET", f"/v2/{repository}/blobs/{layer['digest']}").content
        assert digest_of(content) == layer["digest"]
        assert json.loads(content)["critical"]["image"]["docker-manifest-digest"] == image["digest"]
    tags = [name for page in client.pages(f"/v2/{repository}/tags/list", "tags") for name in page]
    assert tags == [tag, "v1"]
    scope = f"repository:{repository}:delete"
    assert client.request("DELETE", f"/v2/{repository}/manifests/{tag}", scope=scope).status_code == 202  # clean
    assert client.request("HEAD", f"/v2/{repository}/manifests/v1", headers={"accept": ACCEPT}).status_code == 200


@pytest.mark.parametrize(
    "artifact_type",
    ["application/vnd.dev.cosign.artifact.sig.v1+json", "application/vnd.dev.sigstore.bundle.v0.3+json"],
)
def test_cosign_signs_as_a_referrer(stand: Stand, start: Start, artifact_type: str) -> None:
    client, repository = start("cosign"), "cosign/referrers"
    image, bundle = an_image(stand, repository), json.dumps({"for": artifact_type}).encode()
    made = attach(client, repository, image, artifact_type, describe(bundle, artifact_type), bundle)
    (row,) = referrers(client, repository, image["digest"], artifact_type)
    assert row["digest"] == made["digest"]
    signature = client.request("GET", f"/v2/{repository}/manifests/{row['digest']}", headers={"accept": MANIFEST})
    assert digest_of(signature.content) == row["digest"]
    (layer,) = signature.json()["layers"]
    assert client.request("GET", f"/v2/{repository}/blobs/{layer['digest']}").content == bundle


# --- notation (notaryproject/specifications: signature-specification.md) ----------------------------------------------

NOTATION = "application/vnd.cncf.notary.signature"


def notation_signature(subject: Descriptor, envelope: bytes) -> bytes:
    thumbprint = json.dumps([hashlib.sha256(envelope).hexdigest()])
    return encode(
        {
            "mediaType": MANIFEST,
            "config": describe(b"{}", NOTATION),
            "layers": [describe(envelope, "application/jose+json")],
            "subject": subject,
            "annotations": {
                "io.cncf.notary.x509chain.thumbprint#S256": thumbprint,
                "org.opencontainers.image.created": "2026-01-01T00:00:00Z",
            },
        }
    )


def test_notation_signs_lists_and_verifies(stand: Stand, start: Start) -> None:
    """The config's media type is the artifact's type; a signature is found by it."""
    client, repository = start("notation", grant="password"), "notation/signed"
    image = an_image(stand, repository)
    client.push_blob(repository, b"{}")
    made: list[str] = []
    for envelope in (b'{"payload": "one"}', b'{"payload": "two"}'):
        client.push_blob(repository, envelope)
        signature = notation_signature(image, envelope)
        done = client.put_manifest(repository, digest_of(signature), signature, MANIFEST)
        assert done.headers["oci-subject"] == image["digest"]
        made.append(digest_of(signature))
    rows = referrers(client, repository, image["digest"], NOTATION)
    assert sorted(row["digest"] for row in rows) == sorted(made)
    for row in rows:
        assert row["artifactType"] == NOTATION
        assert "io.cncf.notary.x509chain.thumbprint#S256" in row["annotations"]
        found = client.request("GET", f"/v2/{repository}/manifests/{row['digest']}", headers={"accept": MANIFEST})
        (layer,) = found.json()["layers"]
        envelope = client.request("GET", f"/v2/{repository}/blobs/{layer['digest']}").json()
        assert envelope["payload"] in ("one", "two")
    scope = f"repository:{repository}:delete"
    assert client.request("DELETE", f"/v2/{repository}/manifests/{made[0]}", scope=scope).status_code == 202
    assert [row["digest"] for row in referrers(client, repository, image["digest"], NOTATION)] == made[1:]


def test_notation_with_the_referrers_tag_schema(stand: Stand, start: Start) -> None:
    """For registries without the API, yet kept working: an index behind the tag `sha256-<hex>` that grows."""
    client, repository = start("notation"), "notation/fallback"
    image = an_image(stand, repository)
    tag = image["digest"].replace(":", "-")
    assert client.request("GET", f"/v2/{repository}/manifests/{tag}", headers={"accept": INDEX}).status_code == 404
    client.push_blob(repository, b"{}")
    listed: list[Descriptor] = []
    for envelope in (b'{"payload": "1"}', b'{"payload": "2"}'):
        client.push_blob(repository, envelope)
        signature = notation_signature(image, envelope)
        client.put_manifest(repository, digest_of(signature), signature, MANIFEST)
        listed.append(describe(signature, MANIFEST, artifactType=NOTATION))
        client.put_manifest(repository, tag, encode({"mediaType": INDEX, "manifests": listed}), INDEX)
    index = client.request("GET", f"/v2/{repository}/manifests/{tag}", headers={"accept": INDEX}).json()
    assert [row["digest"] for row in index["manifests"]] == [row["digest"] for row in listed]
    found = referrers(client, repository, image["digest"], NOTATION)  # and the API knows them too
    assert {row["digest"] for row in found} == {row["digest"] for row in listed}
