"""A registry in a few lines of Python, and the server: whatever is done to both, they say the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .world import Pushed, World, digest_of, image, manifest_of

CONFIG = b'{"architecture":"amd64","os":"linux"}'
LAYERS = [b"one", b"two"]
IMAGES = [manifest_of(image(CONFIG, layer)) for layer in LAYERS]
EMPTY: dict[str, Any] = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
INDEX = manifest_of(EMPTY | {"manifests": [IMAGES[0].descriptor(), IMAGES[1].descriptor()]})
REFERRER = manifest_of(EMPTY | {"subject": IMAGES[0].descriptor(), "artifactType": "application/x"})
MANIFESTS = [*IMAGES, INDEX, REFERRER]
CHILDREN = {INDEX.digest: [found.digest for found in IMAGES]}
BLOBS = [CONFIG, *LAYERS]
NEEDS = {found.digest: {digest_of(CONFIG), digest_of(layer)} for found, layer in zip(IMAGES, LAYERS, strict=True)}
TAGS = ["a", "b"]


@dataclass
class Repository:
    blobs: set[str] = field(default_factory=set)
    manifests: set[str] = field(default_factory=set)
    tags: dict[str, str] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    """Tags that may not be written."""


@dataclass
class Model:
    """Each method does the operation and returns the status that the server owes."""

    repositories: dict[str, Repository] = field(default_factory=dict)

    def push_blob(self, name: str, content: bytes) -> int:
        self.repositories.setdefault(name, Repository()).blobs.add(digest_of(content))
        return 201

    def put(self, name: str, manifest: Pushed, tag: str | None) -> int:
        found = self.repositories.get(name, Repository())
        if NEEDS.get(manifest.digest, set()) - found.blobs:
            return 400
        if set(CHILDREN.get(manifest.digest, [])) - found.manifests:
            return 400
        if tag in found.locked:
            return 405
        self.repositories[name] = found
        found.manifests.add(manifest.digest)
        if tag is not None:
            found.tags[tag] = manifest.digest
        return 201

    def delete_tag(self, name: str, tag: str) -> int:
        found = self.repositories.get(name, Repository())
        if tag not in found.tags:
            return 404
        if tag in found.locked:
            return 405
        del found.tags[tag]
        return 202

    def delete_manifest(self, name: str, digest: str) -> int:
        found = self.repositories.get(name, Repository())
        if digest not in found.manifests:
            return 404
        doomed = {digest} | ({REFERRER.digest} & found.manifests if digest == IMAGES[0].digest else set())
        if INDEX.digest in found.manifests and digest in CHILDREN[INDEX.digest]:
            return 405
        gone = [tag for tag, target in found.tags.items() if target in doomed]
        if found.locked & set(gone):
            return 405
        found.manifests -= doomed
        for tag in gone:
            del found.tags[tag]
        return 202

    def delete_blob(self, name: str, digest: str) -> int:
        found = self.repositories.get(name, Repository())
        if digest not in found.blobs:
            return 404
        if any(digest in NEEDS.get(manifest, ()) for manifest in found.manifests):
            return 405
        found.blobs.discard(digest)
        return 202

    def delete_repository(self, name: str) -> int:
        if name not in self.repositories:
            return 404
        if self.repositories[name].locked:
            return 405
        del self.repositories[name]
        return 202

    def mount(self, name: str, digest: str, source: str) -> int:
        if digest not in self.repositories.get(source, Repository()).blobs:
            return 202
        self.repositories.setdefault(name, Repository()).blobs.add(digest)
        return 201

    def lock(self, name: str, tag: str, enabled: bool) -> int:
        found = self.repositories.get(name, Repository())
        if tag not in found.tags:
            return 404
        (found.locked.discard if enabled else found.locked.add)(tag)
        return 200


names = st.sampled_from(["x/1", "x/2"])
tags = st.sampled_from(TAGS)
manifests = st.sampled_from(MANIFESTS)
blobs = st.sampled_from(BLOBS)
operations = st.one_of(
    st.tuples(st.just("push_blob"), names, blobs),
    st.tuples(st.just("put"), names, manifests, tags | st.none()),
    st.tuples(st.just("put"), names, manifests, tags | st.none()),
    st.tuples(st.just("delete_tag"), names, tags),
    st.tuples(st.just("delete_manifest"), names, manifests.map(lambda found: found.digest)),
    st.tuples(st.just("delete_blob"), names, blobs.map(digest_of)),
    st.tuples(st.just("delete_repository"), names),
    st.tuples(st.just("mount"), names, blobs.map(digest_of), names),
    st.tuples(st.just("lock"), names, tags, st.booleans()),
)


FURNISHED: list[tuple[Any, ...]] = [
    *(("push_blob", "x/1", content) for content in BLOBS),
    *(("put", "x/1", manifest, "a") for manifest in MANIFESTS),
]


async def perform(world: World, name: str, *arguments: Any) -> int:
    repository, *rest = arguments
    match name, rest:
        case "push_blob", [content]:
            target = f"/v2/{repository}/blobs/uploads/?digest={digest_of(content)}"
            answer = await world.ask("POST", target, content)
        case "put", [manifest, tag]:
            answer = await world.push_manifest(repository, tag, manifest)
        case "delete_tag", [tag]:
            answer = await world.ask("DELETE", f"/acr/v1/{repository}/_tags/{tag}")
        case "delete_manifest", [digest]:
            answer = await world.ask("DELETE", f"/v2/{repository}/manifests/{digest}")
        case "delete_blob", [digest]:
            answer = await world.ask("DELETE", f"/v2/{repository}/blobs/{digest}")
        case "delete_repository", []:
            answer = await world.ask("DELETE", f"/acr/v1/{repository}")
        case "mount", [digest, source]:
            answer = await world.ask("POST", f"/v2/{repository}/blobs/uploads/?mount={digest}&from={source}")
        case "lock", [tag, enabled]:
            body = msgspec.json.encode({"writeEnabled": enabled})
            answer = await world.ask("PATCH", f"/acr/v1/{repository}/_tags/{tag}", body)
        case _:
            raise AssertionError(name)
    return answer.status


async def compare(world: World, model: Model) -> None:
    """Everything that can be seen from outside."""
    assert (await world.ask("GET", "/v2/_catalog")).json["repositories"] == sorted(model.repositories)
    for name, found in model.repositories.items():
        assert (await world.ask("GET", f"/v2/{name}/tags/list")).json["tags"] == sorted(found.tags)
        listed = (await world.ask("GET", f"/acr/v1/{name}/_manifests")).json["manifests"]
        assert {manifest["digest"] for manifest in listed} == found.manifests
        for tag in TAGS:
            answer = await world.ask("HEAD", f"/v2/{name}/manifests/{tag}")
            assert answer.headers.get("docker-content-digest") == found.tags.get(tag)
        for manifest in MANIFESTS:
            answer = await world.ask("GET", f"/v2/{name}/manifests/{manifest.digest}")
            assert answer.status == (200 if manifest.digest in found.manifests else 404)
            assert answer.status == 404 or answer.content == manifest.content
        for content in BLOBS:
            answer = await world.ask("GET", f"/v2/{name}/blobs/{digest_of(content)}")
            assert answer.status == (200 if digest_of(content) in found.blobs else 404)
        refer = (await world.ask("GET", f"/v2/{name}/referrers/{IMAGES[0].digest}")).json["manifests"]
        assert [manifest["digest"] for manifest in refer] == sorted({REFERRER.digest} & found.manifests)


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.booleans(), st.lists(operations, min_size=8, max_size=30))
async def test_the_server_and_the_model_agree(world: World, furnished: bool, steps: list[tuple[Any, ...]]) -> None:
    """Each example begins with the repositories gone, which is itself held to the model."""
    model = Model()
    for name in ("x/1", "x/2"):
        for tag in TAGS:
            await perform(world, "lock", name, tag, True)
        assert await perform(world, "delete_repository", name) in (202, 404)
    for name, *arguments in [*(FURNISHED if furnished else []), *steps]:
        expected = getattr(model, name)(*arguments)
        assert await perform(world, name, *arguments) == expected, (name, arguments)
    await compare(world, model)
