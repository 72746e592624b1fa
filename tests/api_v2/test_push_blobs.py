"""Blobs pushed in every form (distribution-spec 1.1, Pushing blobs; ACR data plane, section 5)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from darsena.core.digest import Digest
from darsena.core.names import RepositoryName
from darsena.registry.service import to_registry
from darsena.registry.store import blobs

from .world import REGISTRIES, World, digest_of

CONTENT = b"0123456789" * 30_000
UPLOADS = "/v2/team/app/blobs/uploads/"
NOTHING = digest_of(b"")


async def begin(world: World, target: str = UPLOADS) -> str:
    """A new upload's location."""
    answer = await world.ask("POST", target)
    assert answer.status == 202
    assert answer.headers["range"] == "0-0"
    assert answer.headers["docker-upload-uuid"] in answer.headers["location"]
    return answer.headers["location"]


async def pull(world: World, digest: str, repository: str = "team/app") -> bytes:
    answer = await world.ask("GET", f"/v2/{repository}/blobs/{digest}")
    assert answer.status == 200, answer.content
    return answer.content


@dataclass(frozen=True)
class Step:
    method: str
    slice: slice
    headers: dict[str, str]
    status: int
    range: str | None = None
    """Of the answer."""
    last: bool = False


WHOLE = slice(0, len(CONTENT))
FORMS: dict[str, list[Step]] = {
    "POST then PUT": [Step("PUT", WHOLE, {}, 201, last=True)],
    "POST then PUT, chunked transfer": [Step("PUT", WHOLE, {"transfer-encoding": "chunked"}, 201, last=True)],
    "streamed PATCH, empty PUT": [
        Step("PATCH", WHOLE, {"transfer-encoding": "chunked"}, 202, "0-299999"),
        Step("PUT", slice(0, 0), {}, 201, last=True),
    ],
    "chunks with Content-Range, empty PUT": [
        Step("PATCH", slice(0, 100_000), {"content-range": "0-99999"}, 202, "0-99999"),
        Step("PATCH", slice(100_000, 300_000), {"content-range": "100000-299999"}, 202, "0-299999"),
        Step("PUT", slice(0, 0), {"content-length": "0"}, 201, last=True),
    ],
    "chunks, the last one in the PUT": [
        Step("PATCH", slice(0, 100_000), {"content-range": "0-99999"}, 202, "0-99999"),
        Step("PUT", slice(100_000, 300_000), {"content-range": "100000-299999"}, 201, last=True),
    ],
    "chunks without Content-Range": [
        Step("PATCH", slice(0, 1), {}, 202, "0-0"),
        Step("PATCH", slice(1, 300_000), {}, 202, "0-299999"),
        Step("PUT", slice(0, 0), {}, 201, last=True),
    ],
    "Content-Range with a unit and a total": [
        Step("PATCH", WHOLE, {"content-range": "bytes 0-299999/300000"}, 202, "0-299999"),
        Step("PUT", slice(0, 0), {}, 201, last=True),
    ],
    "out of order is 416, then it goes on where it stands": [
        Step("PATCH", slice(0, 100_000), {"content-range": "0-99999"}, 202, "0-99999"),
        Step("PATCH", slice(200_000, 300_000), {"content-range": "200000-299999"}, 416, "0-99999"),
        Step("PATCH", slice(0, 100_000), {"content-range": "0-99999"}, 416, "0-99999"),
        Step("PATCH", slice(100_000, 300_000), {"content-range": "100000-299999"}, 202, "0-299999"),
        Step("PUT", slice(0, 0), {}, 201, last=True),
    ],
    "the last chunk out of order is 416": [
        Step("PATCH", slice(0, 100_000), {}, 202, "0-99999"),
        Step("PUT", slice(0, 100_000), {"content-range": "0-99999"}, 416, "0-99999", last=True),
        Step("PUT", slice(100_000, 300_000), {"content-range": "100000-299999"}, 201, last=True),
    ],
    "a chunk that does not fit its Content-Range": [
        Step("PATCH", slice(0, 100), {"content-range": "0-98"}, 400),
        Step("PATCH", slice(0, 100), {"content-range": "nonsense"}, 400),
        Step("PATCH", slice(0, 100), {"content-range": "9-0"}, 400),
        Step("PUT", WHOLE, {}, 201, last=True),
    ],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_blob_is_pushed(world: World, form: str, algorithm: str) -> None:
    """Pushing a blob monolithically; Pushing a blob in chunks: MUST 202/201, Location, 416 out of order."""
    digest = digest_of(CONTENT, algorithm)
    location = await begin(world)
    for step in FORMS[form]:
        target = f"{location}&digest={digest}" if step.last else location
        answer = await world.ask(step.method, target, CONTENT[step.slice], step.headers)
        assert answer.status == step.status, answer.content
        assert answer.headers.get("range") == step.range or step.range is None
        if answer.status == 202:
            assert answer.headers["location"] != location  # opaque, and new each time
            location = answer.headers["location"]
    assert answer.headers["location"] == f"/v2/team/app/blobs/{digest}"
    assert answer.headers["docker-content-digest"] == digest
    assert await pull(world, digest) == CONTENT
    assert (await world.ask("GET", location)).codes == ["BLOB_UPLOAD_UNKNOWN"]


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
async def test_a_single_request_pushes_a_blob(world: World, content: bytes) -> None:
    """Pushing a blob monolithically, Single POST: 201 with Location."""
    digest = digest_of(content)
    answer = await world.ask("POST", f"{UPLOADS}?digest={digest}", content)
    assert (answer.status, answer.headers["location"]) == (201, f"/v2/team/app/blobs/{digest}")
    assert await pull(world, digest) == content
    assert world.kinds() == ["repository.created", "blob.added", "blob.linked"]


@pytest.mark.parametrize(
    ("target", "body", "code"),
    [
        (f"{UPLOADS}?digest={NOTHING}", b"x", "DIGEST_INVALID"),
        (f"{UPLOADS}?digest=sha256:abc", b"x", "DIGEST_INVALID"),
        (f"{UPLOADS}?digest=md5:{'0' * 32}", b"x", "DIGEST_INVALID"),
        (f"{UPLOADS}?mount=sha256:abc&from=a", b"", "DIGEST_INVALID"),
        (f"{UPLOADS}?mount={NOTHING.upper()}&from=a", b"", "DIGEST_INVALID"),
    ],
)
async def test_a_single_request_that_does_not_fit_leaves_nothing(
    world: World, target: str, body: bytes, code: str
) -> None:
    """Content Digests: the client MUST be able to rely on them; 400 DIGEST_INVALID."""
    answer = await world.ask("POST", target, body)
    assert (answer.status, answer.codes) == (400, [code])
    assert world.kinds() == []
    assert [found async for found in world.storage.uploads.list("a" * 32)] == []


@pytest.mark.parametrize(("query", "code"), [("", "DIGEST_INVALID"), (f"&digest={NOTHING}", "DIGEST_INVALID")])
async def test_the_closing_put_names_the_right_digest(world: World, query: str, code: str) -> None:
    """Pushing a blob: PUT <location>?digest=<digest>; what was sent stays, and the right digest may follow."""
    location = await begin(world)
    assert (await world.ask("PATCH", location, CONTENT)).status == 202
    answer = await world.ask("PUT", location + query)
    assert (answer.status, answer.codes) == (400, [code])
    assert (await world.ask("HEAD", f"/v2/team/app/blobs/{NOTHING}")).status == 404
    assert (await world.ask("PUT", f"{location}&digest={digest_of(CONTENT)}")).status == 201


async def test_the_status_of_an_upload(world: World) -> None:
    """Pushing a blob in chunks: GET <location> is 204 with Range; cancelled by DELETE it is unknown."""
    location = await begin(world)
    for body, range_ in ((b"", "0-0"), (b"x", "0-0"), (b"yz", "0-2")):
        assert (await world.ask("PATCH", location, body)).status == 202
        answer = await world.ask("GET", location)
        assert (answer.status, answer.content, answer.headers["range"]) == (204, b"", range_)
        assert answer.headers["location"].startswith(UPLOADS)
        assert answer.headers["docker-upload-uuid"] in location
    assert (await world.ask("DELETE", location)).status == 204
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        answer = await world.ask(method, f"{location}&digest={NOTHING}")
        assert (answer.status, answer.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])


async def test_a_push_that_breaks_off_is_resumed(world: World) -> None:
    """What was received before the connection broke is kept: the client asks and goes on."""
    location = await begin(world)
    answer = await world.ask("PATCH", location, [CONTENT[:70_000], CONTENT[70_000:90_000]], gone=True)
    assert answer.status == 400
    assert (await world.ask("GET", location)).headers["range"] == "0-89999"
    answer = await world.ask("PATCH", location, CONTENT[90_000:], {"content-range": "90000-299999"})
    assert answer.status == 202
    assert (await world.ask("PUT", f"{location}&digest={digest_of(CONTENT)}")).status == 201


async def test_who_asks_where_an_upload_stands_hears_it_when_the_broken_request_has_ended(world: World) -> None:
    """So the place that is told is the one where it goes on."""
    location = await begin(world)
    pieces = [CONTENT[at : at + 1000] for at in range(0, 90_000, 1000)]
    broken = asyncio.create_task(world.ask("PATCH", location, pieces, gone=True))
    await asyncio.sleep(0)  # it has begun
    told = await world.ask("GET", location)
    assert (await broken).status == 400
    assert told.headers["range"] == "0-89999"


@pytest.mark.parametrize(("registry", "target"), [("regone", "/v2/team/other/blobs/uploads/"), ("regtwo", UPLOADS)])
async def test_an_upload_belongs_to_its_repository_and_registry(world: World, registry: str, target: str) -> None:
    location = (await begin(world)).replace(UPLOADS, target)
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        answer = await world.ask(method, f"{location}&digest={NOTHING}", registry=registry)
        assert (answer.status, answer.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])


async def test_an_upload_belongs_to_its_principal(world: World) -> None:
    location = await begin(world)
    user, password = world.db.transact_sync(world.identity.runs.create, "a" * 32, "c" * 32, 600)
    other = await sign(user, password)
    assert (await world.ask("POST", UPLOADS, auth=other)).status == 202
    assert (await world.ask("PATCH", location, b"x", auth=other)).status == 404
    assert (await world.ask("PATCH", location, b"x")).status == 202


async def sign(user: str, password: str) -> bytes:
    import base64

    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


async def test_two_at_once_push_the_same_blob(world: World) -> None:
    """Both are told 201; the registry counts its bytes once."""
    targets = [f"/v2/{name}/blobs/uploads/?digest={digest_of(CONTENT)}" for name in ("a", "a", "b", "b")]
    answers = await asyncio.gather(*(world.ask("POST", target, CONTENT) for target in targets))
    assert [answer.status for answer in answers] == [201] * 4
    assert world.kinds().count("blob.added") == 1
    assert world.kinds().count("blob.linked") == 2
    assert world.kinds().count("repository.created") == 2
    assert await pull(world, digest_of(CONTENT), "b") == CONTENT


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("mount={digest}&from=team/source", 201),
        ("mount={digest}&from=team%2Fsource", 201),
        ("mount={digest}", 201),
        ("mount={digest}&from=team/empty", 202),
        ("mount={digest}&from=Not A Name", 202),
        (f"mount={NOTHING}&from=team/source", 202),
        (f"mount={NOTHING}", 202),
    ],
)
async def test_mounting(world: World, query: str, status: int) -> None:
    """Mounting a blob from another repository: 201 with Location, or 202 as for any upload."""
    digest = await world.push_blob("team/source", CONTENT)
    answer = await world.ask("POST", f"{UPLOADS}?{query.format(digest=digest)}")
    assert answer.status == status
    if status == 201:
        assert answer.headers["location"] == f"/v2/team/app/blobs/{digest}"
        assert answer.headers["docker-content-digest"] == digest
        assert await pull(world, digest) == CONTENT
        assert world.kinds().count("blob.added") == 1
    else:
        assert answer.headers["location"].startswith(UPLOADS)
        assert (await world.ask("HEAD", f"/v2/team/app/blobs/{digest}")).status == 404


async def test_a_mount_without_from_finds_the_one_that_may_be_read(world: World) -> None:
    """However many others hold the blob, and come before it."""
    digest = Digest.parse(await world.push_blob("team/source", CONTENT))
    registry = to_registry(REGISTRIES["regone"])
    uploading = world.service.uploading
    for number in range(510):
        assert await uploading.mount(registry, RepositoryName(f"held/{number:03}"), digest, ["team/source"])
    assert await uploading.list_holders(registry, digest, [], lambda name: name == "team/source") == ["team/source"]
    assert await uploading.list_holders(registry, digest, [], lambda name: False) == []
    assert len(await uploading.list_holders(registry, digest, [], lambda name: True)) > 0
    assert await uploading.list_holders(registry, digest, ["not/there", "team/source"], None) == ["team/source"]


async def test_a_mount_without_from_looks_at_no_repository_that_may_not_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the time that it takes tell of them."""
    digest = Digest.parse(await world.push_blob("team/source", CONTENT))
    registry = to_registry(REGISTRIES["regone"])
    monkeypatch.delattr(blobs, "list_repositories_with")
    assert await world.service.uploading.list_holders(registry, digest, ["team/app"], None) == []


@pytest.mark.parametrize(
    ("query", "more"),
    [
        ("mount={digest}&from=team/source", " repository:team/source:pull"),
        ("mount={digest}", " repository:*:pull"),
        ("mount={digest}&from=Not%20A%22Name", ""),
        ("from=team/source", ""),
        ("", ""),
    ],
)
async def test_the_challenge_of_a_mount_asks_for_its_source_too(world: World, query: str, more: str) -> None:
    """A client that signs in for what it is asked can mount; whether there is anything to mount is not told."""
    answer = await world.ask("POST", f"{UPLOADS}?{query.format(digest=NOTHING)}", auth=None)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].endswith(f',scope="repository:team/app:pull,push{more}"')


async def test_nothing_is_mounted_from_another_registry(world: World) -> None:
    digest = await world.push_blob("team/source", CONTENT, registry="regtwo")
    answer = await world.ask("POST", f"{UPLOADS}?mount={digest}&from=team/source")
    assert answer.status == 202
    assert (await world.ask("POST", f"{UPLOADS}?mount={digest}")).status == 202


async def test_an_upload_that_is_left_alone_expires(world: World) -> None:
    location = await begin(world)
    await world.ask("PATCH", location, CONTENT)
    world.db.clock.advance(7 * 86_400)  # type: ignore[attr-defined]
    assert (await world.ask("GET", location)).status == 404
    assert await world.service.uploading.expire() == 1
    assert [found async for found in world.storage.uploads.list("a" * 32)] == []
