"""The kinds of data of the specification's conformance program (its form of 2025), each taken through all of its life.

Blobs, then manifests by digest, then tags; listed, looked at, pulled, referred to; then gone in the opposite order, at
once. Nothing may be refused on the way. Left out is what the program leaves out by itself: manifests without their
content ("sparse"), which Dársena refuses.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from api_v2.world import Answer, Pushed, World, digest_of
from darsena.core import media_types

BASE = "/v2/conformance/data"
ONE, TWO = "application/vnd.example.one", "application/vnd.example.two"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
PLATFORMS = [{"architecture": name, "os": "linux"} for name in ("amd64", "arm64")]

Descriptor = dict[str, Any]


@dataclass
class Data:
    """One kind: what is pushed, in order. Digests are of `algorithm`."""

    algorithm: str = "sha256"
    data: bool = False
    """Whether descriptors hold what they describe."""
    more: dict[str, Any] = field(default_factory=dict)
    """Of every manifest and config."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: list[Pushed] = field(default_factory=list)
    tags: dict[str, Pushed] = field(default_factory=dict)
    referrers: dict[str, list[Descriptor]] = field(default_factory=dict)

    def blob(self, content: bytes, media_type: str, **more: Any) -> Descriptor:
        digest = digest_of(content, self.algorithm)
        self.blobs[digest] = content
        held = {"data": base64.b64encode(content).decode()} if self.data else {}
        return {"mediaType": media_type, "digest": digest, "size": len(content), **held, **more}

    def image(self, *layers: Descriptor, config: Descriptor | None = None, tag: str = "", **more: Any) -> Pushed:
        if config is None:
            made = {"architecture": "amd64", "os": "linux", "number": len(self.blobs), **self.more}
            config = self.blob(msgspec.json.encode(made), media_types.OCI_CONFIG)
        return self._manifest(media_types.OCI_MANIFEST, tag, {"config": config, "layers": list(layers), **more})

    def artifact(self, artifact_type: str, *layers: Descriptor, **more: Any) -> Pushed:
        empty = self.blob(b"{}", media_types.OCI_EMPTY)
        return self.image(*(layers or [empty]), config=empty, artifactType=artifact_type, **more)

    def index(self, *children: Pushed, tag: str = "", **more: Any) -> Pushed:
        listed = [child.descriptor(platform=platform) for child, platform in zip(children, PLATFORMS, strict=False)]
        return self._manifest(media_types.OCI_INDEX, tag, {"manifests": listed, **more})

    def _manifest(self, media_type: str, tag: str, members: dict[str, Any]) -> Pushed:
        document = {"schemaVersion": 2, "mediaType": media_type, **members, **self.more}
        content = msgspec.json.encode(document)
        made = Pushed(content, media_type, digest_of(content, self.algorithm))
        self.manifests.append(made)
        if tag:
            self.tags[tag] = made
        if (subject := members.get("subject")) is not None:
            artifact_type = members.get("artifactType") or members.get("config", {}).get("mediaType")
            shown = made.descriptor(annotations=members.get("annotations", {}), artifactType=artifact_type)
            self.referrers.setdefault(subject["digest"], []).append(shown)
        return made


def two_images(made: Data, **more: Any) -> list[Pushed]:
    return [made.image(made.blob(name, LAYER), layers_of=name.decode(), **more) for name in (b"amd64", b"arm64")]


def an_image(made: Data) -> None:
    made.image(made.blob(b"one", LAYER), made.blob(b"two", LAYER), tag="image")


def a_large_manifest(made: Data) -> None:
    made.image(made.blob(b"one", LAYER), tag="large", annotations={f"large-{n}": "A" * 10_000 for n in range(390)})


def an_index(made: Data) -> None:
    made.index(*two_images(made), tag="index")


def an_index_of_indexes(made: Data) -> None:
    made.index(made.index(*two_images(made)), made.index(*two_images(made, again=True)), tag="nested")


def an_empty_index(made: Data) -> None:
    made.index(tag="empty")


def artifacts(made: Data) -> None:
    made.artifact(ONE, made.blob(b"file", ONE), tag="artifact")
    made.artifact(ONE, tag="without-layers")
    made.index(made.artifact(TWO, made.blob(b"a", TWO)), made.artifact(TWO, made.blob(b"b", TWO)), tag="of-artifacts")


def artifacts_with_a_subject(made: Data) -> None:
    about: dict[str, Any] = {"subject": made.image(made.blob(b"one", LAYER), tag="image").descriptor()}
    made.image(made.blob(b"two", LAYER), **about)
    made.artifact(ONE, made.blob(b"file", ONE), tag="first", annotations={"a": "1"}, **about)
    made.artifact(TWO, made.blob(b"octets", "application/octet-stream"), tag="second", annotations={"a": "2"}, **about)


def an_index_with_a_subject(made: Data) -> None:
    about: dict[str, Any] = {"subject": made.index(*two_images(made), tag="index").descriptor()}
    child = made.artifact(ONE, made.blob(b"file", ONE), annotations={"a": "1"}, **about)
    made.index(child, tag="tagged", artifactType=ONE, annotations={"a": "2"}, **about)


def a_missing_subject(made: Data) -> None:
    missing = {"mediaType": media_types.OCI_MANIFEST, "digest": digest_of(b"missing content"), "size": 123}
    made.artifact(ONE, made.blob(b"file", ONE), tag="tagged", annotations={"a": "1"}, subject=missing)


def layers_from_elsewhere(made: Data) -> None:
    there = {"mediaType": FOREIGN, "digest": digest_of(b"elsewhere"), "size": 123456, "urls": ["https://a.example/b"]}
    made.image(there, made.blob(b"here", LAYER), tag="foreign")


def no_layers(made: Data) -> None:
    made.image(tag="no-layers")


KINDS: dict[str, tuple[Callable[[Data], None], dict[str, Any]]] = {
    "image": (an_image, {}),
    "large manifest": (a_large_manifest, {}),
    "index": (an_index, {}),
    "nested index": (an_index_of_indexes, {}),
    "empty index": (an_empty_index, {}),
    "artifacts": (artifacts, {}),
    "artifacts with a subject": (artifacts_with_a_subject, {}),
    "index with a subject": (an_index_with_a_subject, {}),
    "missing subject": (a_missing_subject, {}),
    "data field": (an_image, {"data": True}),
    "non-distributable layers": (layers_from_elsewhere, {}),
    "custom fields": (an_index, {"more": {"org.example.custom": "value"}}),
    "no layers": (no_layers, {}),
    "sha512": (an_index, {"algorithm": "sha512"}),
}


@pytest.mark.parametrize("tagged", ["by tag", "with the digest"])
@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_data_from_push_to_deletion(world: World, kind: str, tagged: str) -> None:
    """`with the digest`: tags are parameters of the push by digest (after 1.1), the only way to tag by sha512."""
    make, options = KINDS[kind]
    made = Data(**options)
    make(made)
    if made.algorithm != "sha256" and tagged == "by tag":
        made.tags.clear()
    await push(world, made, with_the_digest=tagged == "with the digest")
    await check_there(world, made)
    await check_referrers(world, made)
    await delete(world, made)


async def ask(world: World, status: int, method: str, target: str, **options: Any) -> Answer:
    answer = await world.ask(method, f"{BASE}/{target}", **options)
    assert answer.status == status, (method, target, answer.content[:500])
    return answer


async def push(world: World, made: Data, *, with_the_digest: bool) -> None:
    for digest, content in made.blobs.items():
        await ask(world, 201, "POST", f"blobs/uploads/?digest={digest}", body=content)
    for manifest in made.manifests:
        tags = [tag for tag, named in made.tags.items() if named == manifest]
        query = "&".join(f"tag={tag}" for tag in tags) if with_the_digest else ""
        for target in [f"{manifest.digest}?{query}"] + ([] if with_the_digest else tags):
            headers = {"content-type": manifest.media_type, "transfer-encoding": "chunked"}
            answer = await ask(world, 201, "PUT", f"manifests/{target}", body=manifest.content, headers=headers)
            assert answer.headers["docker-content-digest"] == manifest.digest
            assert answer.headers["location"] == f"{BASE}/manifests/{manifest.digest}"
            subject = msgspec.json.decode(manifest.content).get("subject", {})
            assert answer.headers.get("oci-subject") == subject.get("digest")
            if with_the_digest:
                assert answer.headers.get("oci-tag", "") == ", ".join(tags)


async def check_there(world: World, made: Data) -> None:
    listed: list[str] = (await ask(world, 200, "GET", "tags/list")).json["tags"]
    assert listed == sorted(made.tags)
    if len(listed) > 1:
        rest = await ask(world, 200, "GET", f"tags/list?last={listed[0]}")
        assert rest.json["tags"] == listed[1:]
    named = [*made.tags.items(), *((manifest.digest, manifest) for manifest in made.manifests)]
    for method in ("HEAD", "GET"):
        for reference, manifest in named:
            answer = await ask(world, 200, method, f"manifests/{reference}")
            assert answer.content == (manifest.content if method == "GET" else b"")
            assert answer.headers["content-type"] == manifest.media_type
            assert answer.headers["docker-content-digest"] == manifest.digest
        for digest, content in made.blobs.items():
            answer = await ask(world, 200, method, f"blobs/{digest}")
            assert answer.content == (content if method == "GET" else b"")
            assert answer.headers["docker-content-digest"] == digest


async def check_referrers(world: World, made: Data) -> None:
    for subject, owed in made.referrers.items():
        assert by_digest((await ask(world, 200, "GET", f"referrers/{subject}")).json["manifests"]) == by_digest(owed)
        for artifact_type in {row["artifactType"] for row in owed}:
            answer = await ask(world, 200, "GET", f"referrers/{subject}?artifactType={artifact_type}")
            assert answer.headers["oci-filters-applied"] == "artifactType"
            filtered = [row for row in owed if row["artifactType"] == artifact_type]
            assert by_digest(answer.json["manifests"]) == by_digest(filtered)


def by_digest(rows: list[Descriptor]) -> dict[str, Descriptor]:
    return {row["digest"]: {name: value for name, value in row.items() if value} for row in rows}


async def delete(world: World, made: Data) -> None:
    """Tags, the newest manifest first, blobs: each is gone when the answer is there."""
    manifests = [f"manifests/{manifest.digest}" for manifest in reversed(made.manifests)]
    targets = [f"manifests/{tag}" for tag in made.tags] + manifests + [f"blobs/{digest}" for digest in made.blobs]
    for target in targets:
        await ask(world, 202, "DELETE", target)
        await ask(world, 404, "HEAD", target)
