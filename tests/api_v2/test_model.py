"""A registry in a few lines of Python, and the server: whatever is done to both, they say the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darsena.core import media_types

from .world import Pushed, World, digest_of, image, manifest_of

CONFIG = b'{"architecture":"amd64","os":"linux"}'
LAYERS = [b"one", b"two"]
IMAGES = [manifest_of(image(CONFIG, layer)) for layer in LAYERS]
EMPTY: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": []}
INDEX = manifest_of(EMPTY | {"manifests": [IMAGES[0].descriptor(), IMAGES[1].descriptor()]})
REFERRER = manifest_of(EMPTY | {"subject": IMAGES[0].descriptor(), "artifactType": "application/x"})
SECOND = manifest_of(EMPTY | {"subject": REFERRER.descriptor(), "artifactType": "application/y"})
SUBJECTS = {REFERRER.digest: IMAGES[0].digest, SECOND.digest: REFERRER.digest}
MANIFESTS = [*IMAGES, INDEX, REFERRER, SECOND]
CHILDREN = {INDEX.digest: {found.digest for found in IMAGES}}
BLOBS = [CONFIG, *LAYERS]
NEEDS = {found.digest: {digest_of(CONFIG), digest_of(layer)} for found, layer in zip(IMAGES, LAYERS, strict=True)}
TAGS = ["a", "b"]
FLAGS = ["writeEnabled", "deleteEnabled", "readEnabled"]
WRITE, DELETE, READ = FLAGS
REPOSITORY = ""
"""As the key of a lock; others are tags and digests."""


@dataclass
class Repository:
    blobs: set[str] = field(default_factory=set)
    manifests: set[str] = field(default_factory=set)
    tags: dict[str, str] = field(default_factory=dict)
    locks: set[tuple[str, str]] = field(default_factory=set)
    """(tag, digest or REPOSITORY; the flag that is false)."""

    def is_locked(self, key: str, *flags: str) -> bool:
        return any((key, flag) in self.locks for flag in flags)

    def unlock(self, key: str) -> None:
        self.locks = {lock for lock in self.locks if lock[0] != key}


@dataclass
class Upload:
    repository: str
    content: bytes = b""


@dataclass
class Model:
    """Each method does the operation and returns the status that the server owes."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    uploads: list[Upload | None] = field(default_factory=list)

    def find(self, name: str) -> Repository:
        return self.repositories.get(name, Repository())

    def push_blob(self, name: str, content: bytes) -> int:
        if self.find(name).is_locked(REPOSITORY, WRITE):
            return 405
        self.repositories.setdefault(name, Repository()).blobs.add(digest_of(content))
        return 201

    def put(self, name: str, manifest: Pushed, tag: str | None) -> int:
        found = self.find(name)
        if found.is_locked(REPOSITORY, WRITE) or found.is_locked(manifest.digest, WRITE):
            return 405
        if NEEDS.get(manifest.digest, set()) - found.blobs or CHILDREN.get(manifest.digest, set()) - found.manifests:
            return 400
        if tag is not None and found.is_locked(tag, WRITE):
            return 405
        self.repositories[name] = found
        found.manifests.add(manifest.digest)
        if tag is not None:
            found.tags[tag] = manifest.digest
        return 201

    def delete_tag(self, name: str, tag: str) -> int:
        found = self.find(name)
        if tag not in found.tags:
            return 404
        locked = found.is_locked(REPOSITORY, WRITE) or found.is_locked(tag, WRITE, DELETE)
        if locked or found.is_locked(found.tags[tag], WRITE):
            return 405
        del found.tags[tag]
        found.unlock(tag)
        return 202

    def delete_manifest(self, name: str, digest: str) -> int:
        found = self.find(name)
        if digest not in found.manifests:
            return 404
        doomed = {digest}
        while more := {at for at, subject in SUBJECTS.items() if subject in doomed and at in found.manifests} - doomed:
            doomed |= more
        parents = {at for at, children in CHILDREN.items() if children & doomed and at in found.manifests}
        gone = [tag for tag, target in found.tags.items() if target in doomed]
        locked = any(found.is_locked(key, WRITE, DELETE) for key in (*doomed, *gone))
        if locked or found.is_locked(REPOSITORY, WRITE) or parents - doomed:
            return 405
        found.manifests -= doomed
        for tag in gone:
            del found.tags[tag]
        for key in (*doomed, *gone):
            found.unlock(key)
        return 202

    def delete_blob(self, name: str, digest: str) -> int:
        found = self.find(name)
        if digest not in found.blobs:
            return 404
        if found.is_locked(REPOSITORY, WRITE) or any(digest in NEEDS.get(at, ()) for at in found.manifests):
            return 405
        found.blobs.discard(digest)
        return 202

    def delete_repository(self, name: str) -> int:
        if name not in self.repositories:
            return 404
        found = self.repositories[name]
        if any(found.is_locked(key, WRITE, DELETE) for key in (REPOSITORY, *found.tags, *found.manifests)):
            return 405
        del self.repositories[name]
        return 202

    def mount(self, name: str, digest: str, source: str | None) -> int:
        """From any repository when `source` is None."""
        if self.find(name).is_locked(REPOSITORY, WRITE):
            return 405
        sources = [source] if source is not None else list(self.repositories)
        if not any(digest in self.find(at).blobs and not self.find(at).is_locked(REPOSITORY, READ) for at in sources):
            return 202
        self.repositories.setdefault(name, Repository()).blobs.add(digest)
        return 201

    def lock(self, name: str, key: str, flag: str, enabled: bool) -> int:
        found = self.find(name)
        if key not in found.tags and key not in found.manifests and (key or name not in self.repositories):
            return 404
        (found.locks.discard if enabled else found.locks.add)((key, flag))
        return 200

    # --- uploads --------------------------------------------------------------------------------------------------

    def begin(self, name: str) -> int:
        if self.find(name).is_locked(REPOSITORY, WRITE):
            return 405
        self.uploads.append(Upload(name))
        return 202

    def append(self, slot: int, data: bytes, at: int | None) -> int:
        upload = self.upload(slot)
        if upload is None:
            return 404
        if at is not None and at != len(upload.content):
            return 416
        upload.content += data
        return 202

    def finish(self, slot: int, is_right: bool) -> int:
        """With a wrong digest it stays open; refused by a lock it is given up."""
        upload = self.upload(slot)
        if upload is None:
            return 404
        if not is_right:
            return 400
        self.uploads[slot % len(self.uploads)] = None
        return self.push_blob(upload.repository, upload.content)

    def cancel(self, slot: int) -> int:
        if self.upload(slot) is None:
            return 404
        self.uploads[slot % len(self.uploads)] = None
        return 204

    def upload(self, slot: int) -> Upload | None:
        return self.uploads[slot % len(self.uploads)] if self.uploads else None


names = st.sampled_from(["x/1", "x/2"])
tags = st.sampled_from(TAGS)
manifests = st.sampled_from(MANIFESTS)
digests = manifests.map(lambda found: found.digest)
blobs = st.sampled_from(BLOBS)
slots = st.integers(0, 3)
operations = st.one_of(
    st.tuples(st.just("push_blob"), names, blobs),
    st.tuples(st.just("put"), names, manifests, tags | st.none()),
    st.tuples(st.just("put"), names, manifests, tags | st.none()),
    st.tuples(st.just("delete_tag"), names, tags),
    st.tuples(st.just("delete_manifest"), names, digests),
    st.tuples(st.just("delete_blob"), names, blobs.map(digest_of)),
    st.tuples(st.just("delete_repository"), names),
    st.tuples(st.just("mount"), names, blobs.map(digest_of), names | st.none()),
    st.tuples(st.just("lock"), names, tags | digests | st.just(REPOSITORY), st.sampled_from(FLAGS), st.just(False)),
    st.tuples(st.just("lock"), names, tags | digests | st.just(REPOSITORY), st.sampled_from(FLAGS), st.just(True)),
    st.tuples(st.just("begin"), names),
    st.tuples(
        st.just("append"), slots, st.sampled_from([b"o", b"ne", b"two", b"one", b""]), st.none() | st.integers(0, 4)
    ),
    st.tuples(st.just("append"), slots, st.sampled_from([b"one", b"two"]), st.none()),
    st.tuples(st.just("finish"), slots, st.booleans()),
    st.tuples(st.just("cancel"), slots),
)


FURNISHED: list[tuple[Any, ...]] = [
    *(("push_blob", "x/1", content) for content in BLOBS),
    *(("put", "x/1", manifest, "a") for manifest in MANIFESTS),
    ("begin", "x/1"),
    ("append", 0, b"on", 0),
    ("begin", "x/2"),
]


@dataclass
class Driver:
    """Does to the server what is done to the model."""

    world: World
    model: Model
    locations: list[str] = field(default_factory=list)

    async def perform(self, name: str, *arguments: Any) -> int:
        if name in ("append", "finish", "cancel"):
            return await self._continue(name, *arguments)
        repository, *rest = arguments
        match name, rest:
            case "push_blob", [content]:
                target = f"/v2/{repository}/blobs/uploads/?digest={digest_of(content)}"
                answer = await self.world.ask("POST", target, content)
            case "put", [manifest, tag]:
                answer = await self.world.push_manifest(repository, tag, manifest)
            case "delete_tag", [tag]:
                answer = await self.world.ask("DELETE", f"/acr/v1/{repository}/_tags/{tag}")
            case "delete_manifest", [digest]:
                answer = await self.world.ask("DELETE", f"/v2/{repository}/manifests/{digest}")
            case "delete_blob", [digest]:
                answer = await self.world.ask("DELETE", f"/v2/{repository}/blobs/{digest}")
            case "delete_repository", []:
                answer = await self.world.ask("DELETE", f"/acr/v1/{repository}")
            case "mount", [digest, source]:
                query = f"?mount={digest}" + ("" if source is None else f"&from={source}")
                answer = await self.world.ask("POST", f"/v2/{repository}/blobs/uploads/{query}")
            case "lock", [key, flag, enabled]:
                body = msgspec.json.encode({flag: enabled})
                answer = await self.world.ask("PATCH", f"/acr/v1/{repository}{_place(key)}", body)
            case "begin", []:
                answer = await self.world.ask("POST", f"/v2/{repository}/blobs/uploads/")
                if answer.status == 202:
                    self.locations.append(answer.headers["location"])
            case _:
                raise AssertionError(name)
        return answer.status

    async def _continue(self, name: str, slot: int, *rest: Any) -> int:
        """Of an upload; of one that was never begun when there is none."""
        location = (
            self.locations[slot % len(self.locations)] if self.locations else "/v2/x/1/blobs/uploads/none?_state="
        )
        match name, rest:
            case "append", [data, at]:
                headers = {} if at is None or not data else {"content-range": f"{at}-{at + len(data) - 1}"}
                return (await self.world.ask("PATCH", location, data, headers)).status
            case "finish", [is_right]:
                upload = self.model.upload(slot)
                digest = digest_of(upload.content if is_right and upload else b"wrong")
                answer = await self.world.ask("PUT", f"{location}&digest={digest}")
                if answer.status == 405:
                    await self.world.ask("DELETE", location)
                return answer.status
            case _:
                return (await self.world.ask("DELETE", location)).status

    async def step(self, name: str, *arguments: Any) -> None:
        """The server first: to finish an upload it takes from the model what is in it."""
        if name == "append" and not arguments[1]:
            arguments = (arguments[0], b"", None)
        given = await self.perform(name, *arguments)
        assert given == getattr(self.model, name)(*arguments), (name, arguments)


def _place(key: str) -> str:
    if key == REPOSITORY:
        return ""
    return f"/_manifests/{key}" if ":" in key else f"/_tags/{key}"


async def compare(world: World, driver: Driver) -> None:
    """Everything that can be seen from outside."""
    model = driver.model
    assert (await world.ask("GET", "/v2/_catalog")).json["repositories"] == sorted(model.repositories)
    for name, found in model.repositories.items():
        assert (await world.ask("GET", f"/v2/{name}/tags/list")).json["tags"] == sorted(found.tags)
        listed = (await world.ask("GET", f"/acr/v1/{name}/_manifests")).json["manifests"]
        assert {manifest["digest"] for manifest in listed} == found.manifests
        shown = (await world.ask("GET", f"/acr/v1/{name}")).json
        assert (shown["manifestCount"], shown["tagCount"]) == (len(found.manifests), len(found.tags))
        for target, status, digest in list_pulls(found):
            answer = await world.ask("GET", f"/v2/{name}/{target}")
            assert answer.status == status, target
            assert status != 200 or answer.headers["docker-content-digest"] == digest_of(answer.content) == digest
        for subject in (IMAGES[0], REFERRER, SECOND):
            refer = (await world.ask("GET", f"/v2/{name}/referrers/{subject.digest}")).json["manifests"]
            expected = {at for at in found.manifests if SUBJECTS.get(at) == subject.digest}
            assert {manifest["digest"] for manifest in refer} == expected
    for upload, location in zip(model.uploads, driver.locations, strict=True):
        answer = await world.ask("GET", location)
        assert answer.status == (404 if upload is None else 204)
        assert upload is None or answer.headers["range"] == f"0-{max(len(upload.content) - 1, 0)}"


def list_pulls(found: Repository) -> Iterator[tuple[str, int, str]]:
    """(target, status, digest) of every pull there can be."""
    closed = found.is_locked(REPOSITORY, READ)
    for digest in (manifest.digest for manifest in MANIFESTS):
        there = 405 if found.is_locked(digest, READ) else 200
        yield f"manifests/{digest}", 405 if closed else there if digest in found.manifests else 404, digest
    for tag in TAGS:
        digest = found.tags.get(tag, "")
        there = 405 if found.is_locked(tag, READ) or found.is_locked(digest, READ) else 200
        yield f"manifests/{tag}", 405 if closed else there if digest else 404, digest
    for digest in map(digest_of, BLOBS):
        yield f"blobs/{digest}", 405 if closed else 200 if digest in found.blobs else 404, digest


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.booleans(), st.lists(operations, min_size=8, max_size=40))
async def test_the_server_and_the_model_agree(world: World, furnished: bool, steps: list[tuple[Any, ...]]) -> None:
    """Each example begins with the repositories gone, which is itself held to the model."""
    driver = Driver(world, Model())
    for name in ("x/1", "x/2"):
        for key in (*TAGS, *(manifest.digest for manifest in MANIFESTS), REPOSITORY):
            await world.ask("PATCH", f"/acr/v1/{name}{_place(key)}", msgspec.json.encode(dict.fromkeys(FLAGS, True)))
        assert await driver.perform("delete_repository", name) in (202, 404)
    for name, *arguments in [*(FURNISHED if furnished else []), *steps]:
        await driver.step(name, *arguments)
    await compare(world, driver)
