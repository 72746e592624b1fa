"""OCI image-spec 1.1 and the older formats, as far as a registry meets them: taken, kept to the byte, shown."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from api_v2.world import World, digest_of, image, manifest_of
from darsena.core import media_types

from .rows import CONFIG, EMPTY, IMAGE, LAYER, MISSING, SBOM, furnish

REPOSITORY = "img/app"
OCI, DOCKER = media_types.OCI_MANIFEST, media_types.DOCKER_MANIFEST
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
WINDOWS = {"architecture": "amd64", "os": "windows", "os.version": "10.0.20348.2113", "os.features": ["win32k"]}
PLAIN = image(CONFIG, LAYER)
ABSENT = {"mediaType": "application/x", "digest": MISSING, "size": 11}


def layer(**changes: Any) -> dict[str, Any]:
    return PLAIN | {"layers": [PLAIN["layers"][0] | changes]}


def index(*children: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": list(children), **more}


TAKEN: dict[str, Any] = {
    "manifest.md: config of an unknown media type": PLAIN | {"config": PLAIN["config"] | {"mediaType": "text/x"}},
    "manifest.md: layers of unknown media types": layer(mediaType="application/vnd.nobody.knows+zstd"),
    "manifest.md: an artifactType that nobody knows": PLAIN | {"artifactType": "application/vnd.nobody.knows"},
    "manifest.md: guidelines for artifacts, minimal": PLAIN
    | {"artifactType": SBOM, "config": EMPTY, "layers": [EMPTY]},
    "manifest.md: annotations": PLAIN | {"annotations": {"org.opencontainers.image.title": "é\u2028"}},
    "manifest.md: no mediaType": {name: value for name, value in PLAIN.items() if name != "mediaType"},
    "descriptor.md: data, the content itself": layer(data=base64.b64encode(LAYER).decode()),
    "descriptor.md: artifactType and annotations": layer(artifactType=SBOM, annotations={"a": "b"}),
    "descriptor.md: urls beside content that is there": layer(urls=["https://x.example/y"]),
    "descriptor.md: members that nobody knows": layer(**{"x-y": [None, {"z": 1.5e300}]}),
    "layer.md: a non-distributable layer that is not there": PLAIN
    | {"layers": [ABSENT | {"mediaType": FOREIGN, "urls": ["https://x.example/y"]}]},
    "image-index.md: a platform with os.version": index(IMAGE.descriptor(platform=WINDOWS)),
    "image-index.md: annotations, artifactType": index(annotations={"a": "b"}, artifactType=SBOM),
    "image-index.md: a child without platform": index(IMAGE.descriptor()),
    "image-index.md: one child twice, for two platforms": index(
        IMAGE.descriptor(platform=WINDOWS),
        IMAGE.descriptor(platform={"architecture": "arm", "os": "linux", "variant": "v7"}),
    ),
    "image-index.md: a child of an unknown media type": index(
        {"mediaType": "application/vnd.nobody.knows", "digest": digest_of(LAYER), "size": len(LAYER)}
    ),
    "Docker schema 2": PLAIN | {"mediaType": DOCKER},
    "Docker manifest list": index(IMAGE.descriptor(platform=WINDOWS)) | {"mediaType": media_types.DOCKER_LIST},
    "OCI artifact manifest": {
        "mediaType": media_types.OCI_ARTIFACT_MANIFEST,
        "artifactType": SBOM,
        "blobs": PLAIN["layers"],
        "subject": IMAGE.descriptor(),
    },
    "ORAS artifact manifest": {
        "mediaType": media_types.ORAS_ARTIFACT_MANIFEST,
        "artifactType": SBOM,
        "blobs": PLAIN["layers"],
        "subject": IMAGE.descriptor(),
    },
}

REFUSED: dict[str, tuple[Any, str]] = {
    "manifest.md: a config must be there, whatever its urls": (
        PLAIN | {"config": ABSENT | {"urls": ["https://x.example/y"]}},
        "MANIFEST_BLOB_UNKNOWN",
    ),
    "descriptor.md: data does not stand for the content": (
        PLAIN | {"layers": [ABSENT | {"data": "aGVsbG8gd29ybGQ=", "digest": digest_of(b"hello world")}]},
        "MANIFEST_BLOB_UNKNOWN",
    ),
    "descriptor.md: data MUST be identical to the content": (
        PLAIN | {"layers": [ABSENT | {"data": "aGVsbG8gd29ybGQ="}]},
        "MANIFEST_INVALID",
    ),
    "descriptor.md: urls that are none": (PLAIN | {"layers": [ABSENT | {"urls": []}]}, "MANIFEST_BLOB_UNKNOWN"),
    "descriptor.md: a digest outside the grammar": (layer(digest="sha256:xyz"), "MANIFEST_INVALID"),
    "descriptor.md: a size that is no count": (layer(size="5"), "MANIFEST_INVALID"),
    "image-index.md: a child that is not there": (index(ABSENT | {"mediaType": OCI}), "MANIFEST_BLOB_UNKNOWN"),
    "image-index.md: a list of layers": (index() | {"layers": []}, "MANIFEST_INVALID"),
    "Docker schema 1": ({"schemaVersion": 1, "name": "a", "tag": "b", "fsLayers": []}, "MANIFEST_INVALID"),
    "more objects than any image has": (PLAIN | {"x": [{}] * 200_001}, "MANIFEST_INVALID"),
}


@pytest.fixture
async def ready(world: World) -> World:
    await furnish(world, REPOSITORY)
    return world


async def test_taken(ready: World) -> None:
    for name, document in TAKEN.items():
        stored = document.get("mediaType", OCI)
        pushed = manifest_of(document, stored)
        answer = await ready.push_manifest(REPOSITORY, "new", pushed)
        assert answer.status == 201, (name, answer.content)
        assert answer.headers.get("oci-subject") == document.get("subject", {}).get("digest"), name
        pulled = await ready.ask("GET", f"/v2/{REPOSITORY}/manifests/new")
        assert (pulled.content, pulled.headers["content-type"]) == (pushed.content, stored), name
        shown = await ready.ask("GET", f"/acr/v1/{REPOSITORY}/_manifests/{pushed.digest}")
        assert shown.json["manifest"]["mediaType"] == stored, name
        assert (await ready.ask("DELETE", f"/v2/{REPOSITORY}/manifests/{pushed.digest}")).status == 202, name
        await furnish(ready, REPOSITORY)


async def test_refused(ready: World) -> None:
    for name, (document, code) in REFUSED.items():
        pushed = manifest_of(document, document.get("mediaType", OCI))
        answer = await ready.push_manifest(REPOSITORY, "new", pushed)
        assert (answer.status, answer.codes) == (400, [code]), name
        assert (await ready.ask("HEAD", f"/v2/{REPOSITORY}/manifests/new")).status == 404, name


async def test_an_image_for_windows(ready: World) -> None:
    """Its platform is read from its config, its foreign layers count in its size, its index keeps `os.version`."""
    config = msgspec.json.encode({**WINDOWS, "rootfs": {"type": "layers"}})
    await ready.push_blob(REPOSITORY, config)
    foreign = ABSENT | {"mediaType": FOREIGN, "size": 1_000_000, "urls": ["https://x.example/y"]}
    document = image(config, LAYER) | {"mediaType": DOCKER}
    pushed = manifest_of(document | {"layers": [foreign, *document["layers"]]})
    assert (await ready.push_manifest(REPOSITORY, "win", pushed)).status == 201
    found = (await ready.ask("GET", f"/acr/v1/{REPOSITORY}/_manifests/{pushed.digest}")).json["manifest"]
    assert (found["os"], found["architecture"]) == ("windows", "amd64")
    assert found["imageSize"] == 1_000_000 + len(config) + len(LAYER)
    listing = await ready.push_index(REPOSITORY, "list", children=[pushed], x={"a": 1})
    content = listing.content.replace(b'"linux"', b'"windows", "os.version": "10.0.20348.2113"')
    answer = await ready.ask("PUT", f"/v2/{REPOSITORY}/manifests/list", content, {"content-type": listing.media_type})
    assert answer.status == 201
    digest = answer.headers["docker-content-digest"]
    assert (await ready.ask("GET", f"/v2/{REPOSITORY}/manifests/{digest}")).content == content
    shown = (await ready.ask("GET", f"/acr/v1/{REPOSITORY}/_manifests/{digest}")).json["manifest"]
    assert shown["references"] == [{"digest": pushed.digest, "architecture": "amd64", "os": "windows"}]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_either_algorithm_everywhere(ready: World, algorithm: str) -> None:
    """descriptor.md, Registered Algorithms: blobs, manifests, children, subjects, referrers, deletion."""
    base = f"/v2/{REPOSITORY}"

    def of(content: bytes) -> dict[str, Any]:
        return {"mediaType": "application/x", "digest": digest_of(content, algorithm), "size": len(content)}

    for content in (b"{}", b"other layer"):
        target = f"{base}/blobs/uploads/?digest={digest_of(content, algorithm)}"
        assert (await ready.ask("POST", target, content)).status == 201
    document = PLAIN | {"config": of(b"{}"), "layers": [of(b"other layer")]}
    pushed = manifest_of(document).content
    child = digest_of(pushed, algorithm)
    typed = {"content-type": OCI}
    assert (await ready.ask("PUT", f"{base}/manifests/{child}", pushed, typed)).status == 201
    parent = manifest_of(index({"mediaType": OCI, "digest": child, "size": len(pushed)}))
    assert (await ready.push_manifest(REPOSITORY, digest_of(parent.content, algorithm), parent)).status == 201
    subject = {"mediaType": OCI, "digest": child, "size": len(pushed)}
    referrer = manifest_of(document | {"artifactType": SBOM, "subject": subject})
    answer = await ready.push_manifest(REPOSITORY, digest_of(referrer.content, algorithm), referrer)
    assert (answer.status, answer.headers["oci-subject"]) == (201, child)
    (listed,) = (await ready.ask("GET", f"{base}/referrers/{child}")).json["manifests"]
    assert listed["digest"] == digest_of(referrer.content, algorithm)
    shown = await ready.ask("GET", f"/acr/v1/{REPOSITORY}/_manifests/{child.replace(':', '%3A')}")
    assert shown.json["manifest"]["digest"] == child
    for content in (parent.content, pushed):
        assert (await ready.ask("DELETE", f"{base}/manifests/{digest_of(content, algorithm)}")).status == 202
    assert (await ready.ask("GET", f"{base}/referrers/{child}")).json["manifests"] == []
    answer = await ready.ask("DELETE", f"{base}/blobs/{digest_of(b'other layer', algorithm)}")
    assert answer.status == 202
