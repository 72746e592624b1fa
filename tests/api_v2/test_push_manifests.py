"""What is accepted as a manifest and what is not (distribution-spec 1.1, Pushing manifests; image-spec 1.1)."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from darsena.core import media_types
from darsena.registry.document import MANIFEST_LIMIT_BYTES

from .world import Pushed, World, digest_of, image, manifest_of

CONFIG = msgspec.json.encode({"architecture": "arm64", "os": "linux"})
LAYER = b"layer"
MISSING = digest_of(b"missing")
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
PLAIN = image(CONFIG, LAYER)
EMPTY = {"mediaType": media_types.OCI_EMPTY, "digest": digest_of(b"{}"), "size": 2, "data": "e30="}


def without(document: dict[str, Any], member: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != member}


def layer(**changes: Any) -> dict[str, Any]:
    """PLAIN with one layer, which differs in this."""
    return PLAIN | {"layers": [descriptor(LAYER) | changes]}


def descriptor(content: bytes, media_type: str = "application/octet-stream", **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}


def subject_of(digest: str) -> dict[str, Any]:
    return {"mediaType": media_types.OCI_MANIFEST, "digest": digest, "size": 7}


@pytest.fixture
async def ready(world: World) -> World:
    """`team/app` has CONFIG, LAYER, the empty descriptor's content and the image `base`."""
    for content in (CONFIG, LAYER, b"{}"):
        await world.push_blob("team/app", content)
    assert (await world.push_manifest("team/app", "base", BASE)).status == 201
    return world


BASE = manifest_of(PLAIN)
INDEX: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": media_types.OCI_INDEX,
    "manifests": [BASE.descriptor(platform={"architecture": "amd64", "os": "windows", "os.version": "10.0.17763.1"})],
}
ARTIFACT = {
    "mediaType": media_types.OCI_ARTIFACT_MANIFEST,
    "artifactType": "application/x",
    "blobs": [descriptor(LAYER)],
}

ACCEPTED: dict[str, tuple[Any, str | None]] = {
    # document, Content-Type (None: its own mediaType)
    "OCI image": (PLAIN, None),
    "OCI image without mediaType": (without(PLAIN, "mediaType"), media_types.OCI_MANIFEST),
    "Content-Type with a parameter": (PLAIN, f"{media_types.OCI_MANIFEST}; charset=utf-8"),
    "no Content-Type": (PLAIN, ""),
    "neither Content-Type nor mediaType": (without(PLAIN, "mediaType"), ""),
    "Content-Type application/json": (PLAIN, "application/json"),
    "an index without either": (without(INDEX, "mediaType"), ""),
    "Docker schema 2": (PLAIN | {"mediaType": media_types.DOCKER_MANIFEST}, None),
    "Docker manifest list": (INDEX | {"mediaType": media_types.DOCKER_LIST}, None),
    "OCI index": (INDEX, None),
    "OCI index without children": (INDEX | {"manifests": []}, None),
    "OCI index with null for none": (INDEX | {"manifests": None}, None),
    "OCI index with a subject": (INDEX | {"subject": subject_of(MISSING), "artifactType": "application/x"}, None),
    "an index that lists a blob": (INDEX | {"manifests": [descriptor(LAYER)]}, None),
    "an index in an index": (None, None),
    "OCI artifact manifest": (ARTIFACT, None),
    "ORAS artifact manifest": (ARTIFACT | {"mediaType": media_types.ORAS_ARTIFACT_MANIFEST}, None),
    "artifact with the empty config": (PLAIN | {"config": EMPTY, "artifactType": "a/x", "layers": [EMPTY]}, None),
    "layers of null": (PLAIN | {"layers": None}, None),
    "no layers": (PLAIN | {"layers": []}, None),
    "one layer twice": (PLAIN | {"layers": [descriptor(LAYER)] * 2}, None),
    "a subject that is not there": (PLAIN | {"subject": subject_of(MISSING)}, None),
    "a foreign layer": (PLAIN | {"layers": [descriptor(b"no", FOREIGN, urls=["https://x/y"])]}, None),
    "a layer with data": (PLAIN | {"layers": [descriptor(LAYER, data="bGF5ZXI=")]}, None),
    "members that nobody knows": (PLAIN | {"x": {"y": [1, {"z": None}]}}, None),
    "annotations": (PLAIN | {"annotations": {"a": "b", "A": "é"}}, None),
}


@pytest.mark.parametrize("name", ACCEPTED)
async def test_accepted(ready: World, name: str) -> None:
    """Pushing manifests: 201, Location, the digest; OCI-Subject when there is a subject."""
    document: dict[str, Any] | None
    document, content_type = ACCEPTED[name]
    if document is None:
        inner = await ready.push_index("team/app", children=[BASE])
        document = INDEX | {"manifests": [inner.descriptor()]}
    content = msgspec.json.encode(document)
    stored: str = document.get("mediaType") or (
        media_types.OCI_INDEX if "manifests" in document else media_types.OCI_MANIFEST
    )
    pushed = Pushed(content, stored if content_type is None else content_type, digest_of(content))
    answer = await ready.push_manifest("team/app", "new", pushed)
    assert answer.status == 201, answer.content
    assert answer.content == b""
    assert answer.headers["location"] == f"/v2/team/app/manifests/{pushed.digest}"
    assert answer.headers["docker-content-digest"] == pushed.digest
    assert answer.headers.get("oci-subject") == (document.get("subject") or {}).get("digest")
    pulled = await ready.ask("GET", "/v2/team/app/manifests/new")
    assert (pulled.content, pulled.headers["content-type"]) == (content, stored)


INVALID: dict[str, tuple[Any, str | None]] = {
    "not JSON": (b"{", media_types.OCI_MANIFEST),
    "empty": (b"", media_types.OCI_MANIFEST),
    "not UTF-8": (b'{"a":"\xff"}', media_types.OCI_MANIFEST),
    "not an object": (b"[]", media_types.OCI_MANIFEST),
    "null": (b"null", media_types.OCI_MANIFEST),
    "two documents": (BASE.content * 2, media_types.OCI_MANIFEST),
    "too deep": (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", media_types.OCI_MANIFEST),
    "Docker schema 1": ({"schemaVersion": 1, "name": "a", "fsLayers": []}, media_types.DOCKER_SCHEMA1),
    "Docker schema 1, signed": ({"schemaVersion": 1}, media_types.DOCKER_SCHEMA1_SIGNED),
    "schema 1 in disguise": (PLAIN | {"schemaVersion": 1}, None),
    "both schemas": (PLAIN | {"fsLayers": []}, None),
    "no schemaVersion": (without(PLAIN, "schemaVersion"), None),
    "schemaVersion 3": (PLAIN | {"schemaVersion": 3}, None),
    "schemaVersion of text": (PLAIN | {"schemaVersion": "2"}, None),
    "mediaType against Content-Type": (PLAIN, media_types.DOCKER_MANIFEST),
    "an unknown type": (PLAIN | {"mediaType": "application/x"}, None),
    "no config": (without(PLAIN, "config"), None),
    "no layers member": (without(PLAIN, "layers"), None),
    "an image with manifests": (PLAIN | {"manifests": []}, None),
    "an index with layers": (INDEX | {"layers": []}, None),
    "an index with config": (INDEX | {"config": descriptor(CONFIG)}, None),
    "an index without manifests": ({"schemaVersion": 2}, media_types.OCI_INDEX),
    "an artifact with layers": (ARTIFACT | {"layers": []}, None),
    "a member twice": (BASE.content.replace(b'"layers"', b'"config": {}, "layers"'), media_types.OCI_MANIFEST),
    "a member in another case": (PLAIN | {"Layers": []}, None),
    "a digest of nothing": (layer(digest="sha256:0"), None),
    "a digest in capitals": (layer(digest=digest_of(LAYER).upper()), None),
    "a descriptor without digest": (PLAIN | {"layers": [{"size": 1}]}, None),
    "a descriptor without size": (PLAIN | {"layers": [{"digest": digest_of(LAYER)}]}, None),
    "a size below nothing": (layer(size=-1), None),
    "a size past counting": (layer(size=1 << 70), None),
    "sizes past counting": (PLAIN | {"layers": [descriptor(LAYER) | {"size": 1 << 61}] * 3}, None),
    "an artifactType with a NUL": (PLAIN | {"artifactType": "a\0b"}, None),
    "annotations that are no text": (PLAIN | {"annotations": {"a": 1}}, None),
    "a layer's annotations that are no text": (layer(annotations={"a": 1}), None),
    "urls that are no list": (layer(urls="https://a.example/b"), None),
    "an artifactType that is no text": (layer(artifactType=5), None),
    "a platform that is no object": (INDEX | {"manifests": [BASE.descriptor(platform="linux")]}, None),
    "a platform that is no text": (INDEX | {"manifests": [BASE.descriptor(platform={"os": 5})]}, None),
    "data that is no base64": (layer(data="!"), None),
    "data of another content": (layer(data=base64.b64encode(LAYER[::-1]).decode()), None),
    "data of another size": (layer(data=base64.b64encode(LAYER).decode(), size=1), None),
    "a subject without digest": (PLAIN | {"subject": {"size": 1}}, None),
    "too many references": (PLAIN | {"layers": [descriptor(LAYER)] * 20_001}, None),
}
INCOMPLETE: dict[str, tuple[dict[str, Any], int]] = {
    # document, number of references that are missing
    "one layer missing": (PLAIN | {"layers": [descriptor(b"missing")]}, 1),
    "config and layers missing": (image(b"x", b"y", b"z"), 3),
    "a child missing": (INDEX | {"manifests": [subject_of(MISSING)]}, 1),
    "a child that is a blob": (INDEX | {"manifests": [subject_of(digest_of(LAYER))]}, 1),
    "a layer that is a manifest": (PLAIN | {"layers": [BASE.descriptor()]}, 1),
    "data does not stand for the blob": (PLAIN | {"layers": [descriptor(b"no", data="bm8=")]}, 1),
    "an artifact's blob missing": (ARTIFACT | {"blobs": [descriptor(b"no")]}, 1),
}


async def test_refused(ready: World) -> None:
    """Pushing manifests: MANIFEST_INVALID; MANIFEST_BLOB_UNKNOWN, one for each that is missing."""
    before = ready.kinds()
    rows: dict[str, tuple[Any, str | None, list[str]]] = {
        name: (document, type_, ["MANIFEST_INVALID"]) for name, (document, type_) in INVALID.items()
    }
    rows |= {name: (document, None, ["MANIFEST_BLOB_UNKNOWN"] * n) for name, (document, n) in INCOMPLETE.items()}
    for name, (document, content_type, codes) in rows.items():
        declared = document["mediaType"] if content_type is None else content_type
        content = document if isinstance(document, bytes) else msgspec.json.encode(document)
        answer = await ready.push_manifest("team/app", "new", Pushed(content, declared, digest_of(content)))
        assert (answer.status, answer.codes) == (400, codes), name
    assert (await ready.ask("GET", "/v2/team/app/manifests/new")).status == 404
    assert ready.kinds() == before


async def test_up_to_four_mebibytes(ready: World) -> None:
    """Pushing manifests: at least 4 MiB SHOULD be taken; 413 over the limit."""
    rest = MANIFEST_LIMIT_BYTES - len(msgspec.json.encode(PLAIN | {"annotations": {"a": ""}}))
    for size, status in ((rest, 201), (rest + 1, 413)):
        content = msgspec.json.encode(PLAIN | {"annotations": {"a": "b" * size}})
        pushed = Pushed(content, media_types.OCI_MANIFEST, digest_of(content))
        assert (await ready.push_manifest("team/app", "big", pushed)).status == status
    assert len((await ready.ask("GET", "/v2/team/app/manifests/big")).content) == MANIFEST_LIMIT_BYTES


async def test_the_reason_for_schema_1_is_told(ready: World) -> None:
    answer = await ready.push_manifest("team/app", "new", Pushed(b"{}", media_types.DOCKER_SCHEMA1_SIGNED, ""))
    assert "schema 1" in answer.json["errors"][0]["message"]


async def test_each_missing_digest_is_named(ready: World) -> None:
    answer = await ready.push_manifest("team/app", "new", manifest_of(image(CONFIG, b"y", b"z")))
    assert [error["detail"]["digest"] for error in answer.json["errors"]] == [digest_of(b"y"), digest_of(b"z")]


async def test_what_another_repository_has_does_not_count(ready: World) -> None:
    """Content is of a repository: a reference is checked there and nowhere else."""
    answer = await ready.push_manifest("team/other", "v1", BASE)
    assert answer.codes == ["MANIFEST_BLOB_UNKNOWN"] * 2
    assert (await ready.ask("GET", "/v2/team/other/tags/list")).status == 404


@pytest.mark.parametrize(
    ("reference", "codes"),
    [
        (digest_of(b"other"), ["DIGEST_INVALID"]),
        ("sha256:abc", ["DIGEST_INVALID"]),
        ("-latest", ["UNSUPPORTED"]),
        ("a" * 129, ["UNSUPPORTED"]),
    ],
)
async def test_a_reference_that_does_not_fit(ready: World, reference: str, codes: list[str]) -> None:
    """Pushing manifests: a <reference> is a tag or the content's digest."""
    answer = await ready.push_manifest("team/app", reference, BASE)
    assert (answer.status, answer.codes) == (400, codes)


async def test_pushing_again_changes_nothing(ready: World) -> None:
    """A trigger fires on a tag that moves, not on a push of the same digest again."""
    before = ready.kinds()
    for reference in ("base", None):
        assert (await ready.push_manifest("team/app", reference, BASE)).status == 201
    assert ready.kinds() == before


async def test_a_tag_that_moves_tells_from_where_and_to_where(ready: World) -> None:
    index = await ready.push_index("team/app", "base", children=[BASE])
    assert ready.last_event() == {
        "kind": "tag.moved",
        "repository": "team/app",
        "tag": "base",
        "previous_digest": BASE.digest,
        "digest": index.digest,
    }
    assert (await ready.ask("GET", f"/v2/team/app/manifests/{BASE.digest}")).status == 200


async def test_a_foreign_layer_that_is_there_is_kept(ready: World) -> None:
    """Named with `urls` it need not be pushed; once pushed it is part of the image as any other layer."""
    await ready.push_blob("team/app", b"foreign")
    layers = [descriptor(b"foreign", FOREIGN, urls=["https://x/y"])]
    assert (await ready.push_manifest("team/app", "v1", manifest_of(PLAIN | {"layers": layers}))).status == 201
    answer = await ready.ask("DELETE", f"/v2/team/app/blobs/{digest_of(b'foreign')}")
    assert (answer.status, answer.codes) == (405, ["UNSUPPORTED"])
