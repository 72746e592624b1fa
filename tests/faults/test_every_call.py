"""ENOSPC and EIO at every call in turn, of the store and of SQLite: 503 or 507 with Retry-After, nothing broken, and
the same request succeeds as soon as the disk does, with nobody's help (promise R7)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from api_v2 import conftest as login_server
from api_v2.world import SUFFIX, Answer, World, digest_of, image, manifest_of
from darsena.db import Database
from darsena.journal import append
from darsena.registry.fsck import Fsck
from darsena.registry.fsck_model import Examined
from darsena.registry.service import to_registry
from darsena.testing import FakeClock
from faults.failing import Fault, failing_files, failing_sqlite
from faults.scenario import content

REGISTRY = to_registry(login_server.REGISTRIES["regone"])
CONFIG = b'{"architecture":"amd64","os":"linux"}'
OTHER = b"another layer"
LARGE = content((1 << 20) + 700, "large")
DONE = range(200, 300)
REFUSED = {503, 507}

Failing = Callable[..., AbstractContextManager[Fault]]
FAILING: dict[str, Failing] = {"store": failing_files, "database": failing_sqlite}


@pytest.fixture
def db(sqlite_template: Path, tmp_path: Path, clock: FakeClock) -> Iterator[Database]:
    path = tmp_path / "darsena.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{path}", clock=clock, before_commit=append, check_journal=True)
    yield database
    database.close()


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async for made in login_server.world.__wrapped__(db, tmp_path):  # type: ignore[attr-defined]
        yield made


class Client:
    """Asks as `World.ask` does, and takes refusals for an answer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._authorization = world.basic()
        self.refused = 0

    async def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if method in ("PUT", "POST", "PATCH"):
            given["content-length"] = str(len(body))
        lines = [(b"host", f"regone{SUFFIX}".encode()), (b"authorization", self._authorization)]
        lines += [(name.encode(), value.encode()) for name, value in given.items()]
        answer = await self.world._send(method, target, lines, [body], False)
        if answer.status >= 500:
            assert answer.status in REFUSED, (answer.status, answer.content)
            assert int(answer.headers["retry-after"]) > 0
            assert answer.json["errors"][0]["message"]
            self.refused += 1
        return answer


Step = Callable[[Client, int], Awaitable[list[Answer]]]


async def small_blob(client: Client, number: int) -> list[Answer]:
    data = b"small %d" % number
    return [await client.ask("POST", f"/v2/a/b/blobs/uploads/?digest={digest_of(data)}", data)]


async def large_blob(client: Client, number: int) -> list[Answer]:
    data = content((1 << 20) + 900, f"large {number}")
    return [await client.ask("POST", f"/v2/a/b/blobs/uploads/?digest={digest_of(data)}", data)]


async def blob_in_parts(client: Client, number: int) -> list[Answer]:
    """As a client that goes on where the server says it stands."""
    data = content(6000, f"parts {number}")
    begun = await client.ask("POST", "/v2/a/b/blobs/uploads/")
    if begun.status not in DONE:
        return [begun]
    place = begun.headers["location"]
    patched = await client.ask("PATCH", place, data[:2500], content_range="0-2499")
    if patched.status not in DONE:
        stands = await client.ask("GET", place)
        return [patched, stands]
    return [patched, await client.ask("PUT", f"{patched.headers['location']}&digest={digest_of(data)}", data[2500:])]


async def mount(client: Client, number: int) -> list[Answer]:
    target = f"/v2/mounted/r{number}/blobs/uploads/?mount={digest_of(OTHER)}&from=kept/image"
    return [await client.ask("POST", target)]


def manifest_numbered(number: int) -> Any:
    return manifest_of(image(CONFIG, LARGE, annotations={"number": str(number)}))


async def put_manifest(client: Client, number: int) -> list[Answer]:
    made = manifest_numbered(number)
    return [await client.ask("PUT", "/v2/kept/image/manifests/moving", made.content, content_type=made.media_type)]


async def delete_manifest(client: Client, number: int) -> list[Answer]:
    made = manifest_numbered(number)
    put = await client.ask("PUT", f"/v2/kept/image/manifests/{made.digest}", made.content, content_type=made.media_type)
    return [put, await client.ask("DELETE", f"/v2/kept/image/manifests/{made.digest}")]


async def delete_tag(client: Client, number: int) -> list[Answer]:
    made = manifest_numbered(number)
    put = await client.ask("PUT", f"/v2/kept/image/manifests/t{number}", made.content, content_type=made.media_type)
    return [put, await client.ask("DELETE", f"/v2/kept/image/manifests/t{number}")]


async def pull(client: Client, number: int) -> list[Answer]:
    answers = [await client.ask("GET", "/v2/kept/image/manifests/v1")]
    answers += [await client.ask("GET", f"/v2/kept/image/blobs/{digest_of(part)}") for part in (CONFIG, LARGE)]
    answers.append(await client.ask("GET", f"/v2/kept/image/blobs/{digest_of(LARGE)}", range="bytes=1048000-1049000"))
    for answer, part in zip(answers[1:3], (CONFIG, LARGE), strict=True):
        if answer.status == 200:
            assert part.startswith(answer.content)  # cut off where the disk failed, never wrong
    return answers


STEPS: dict[str, Step] = {
    step.__name__: step
    for step in (
        small_blob,
        large_blob,
        blob_in_parts,
        mount,
        put_manifest,
        delete_manifest,
        delete_tag,
        pull,
    )
}


@pytest.mark.parametrize("where", FAILING)
@pytest.mark.parametrize("kind", ["full", "broken"])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("name", STEPS)
async def test_step(world: World, where: str, kind: str, lasting: bool, name: str) -> None:
    step, client = STEPS[name], Client(world)
    await keep_an_image(world)
    reached = False
    for at in range(1, 1000):
        with FAILING[where](kind, at, lasting=lasting) as fault:
            answers = await step(client, at)
        if not fault.happened:
            assert all(answer.status in DONE for answer in answers), [answer.content for answer in answers]
            break
        reached = True
        again = await step(client, at)
        assert all(answer.status in DONE for answer in again), [(one.status, one.content) for one in again]
    else:
        raise AssertionError("the step never ends")
    assert reached or (where, name) in UNTOUCHED or (where, kind, name) == ("database", "full", "pull")
    await check_kept(world)


UNTOUCHED = {("store", "mount"), ("store", "delete_tag"), ("store", "delete_manifest"), ("store", "put_manifest")}
"""They are rows and nothing else; a manifest's config may have to be read."""


async def keep_an_image(world: World) -> None:
    for part in (CONFIG, LARGE, OTHER):
        await world.push_blob("kept/image", part)
    answer = await world.push_manifest("kept/image", "v1", manifest_of(image(CONFIG, LARGE)))
    assert answer.status == 201


async def check_kept(world: World) -> None:
    """What was acknowledged before is whole, and fsck finds no fault."""
    served = await world.ask("GET", "/v2/kept/image/manifests/v1")
    assert served.content == manifest_of(image(CONFIG, LARGE)).content
    blob = await world.ask("GET", f"/v2/kept/image/blobs/{digest_of(LARGE)}")
    assert blob.content == LARGE
    fsck = Fsck(world.db, world.storage, world.identity.keyring, world.storage.registries)
    findings = [finding async for finding in fsck.check([REGISTRY], Examined())]
    assert [finding for finding in findings if finding.severity != "garbage"] == []
