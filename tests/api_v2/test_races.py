"""Many clients at once: what they are told, together, is a history that could have happened one after the other."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from darsena.journal import subscription_stream
from darsena.registry.deleting import drop_registry
from darsena.resources.events import RegistryDeleted

from .world import REGISTRIES, Pushed, World, digest_of, image, manifest_of

LATEST = "/v2/team/app/manifests/latest"
NONE = ""


@dataclass
class History:
    """Reads and writes of one tag, by when they began and ended. Every write writes another digest."""

    now: int = 0
    writes: dict[str, tuple[int, int]] = field(default_factory=lambda: {NONE: (-1, -1)})
    reads: list[tuple[str, int, int]] = field(default_factory=list)

    def tick(self) -> int:
        self.now += 1
        return self.now

    def check(self) -> None:
        """A register is linearizable only if no read returns what was overwritten before the read began, or what was
        written after it ended, and no two reads one after the other go back in time."""
        for value, began, ended in self.reads:
            assert self.writes[value][0] < ended, "a read from the future"
            overwritten = [w for w in self.writes.values() if self.writes[value][1] < w[0] and w[1] < began]
            assert not overwritten, f"{value} was overwritten before the read began"
        for value, _, ended in self.reads:
            for later, began, _ in self.reads:
                if ended < began and later != value:
                    assert not self.writes[later][1] < self.writes[value][0], "a read that goes back in time"


async def test_a_tag_is_a_linearizable_register(world: World) -> None:
    """R3: a read after a finished write sees it, or a newer one."""
    await world.push_image("team/app")
    history, rng = History(), random.Random(3)
    images = [manifest_of(image(CONFIG, b"layer", annotations={"n": str(number)})) for number in range(40)]

    async def write(pushed: Pushed) -> None:
        began = history.tick()
        history.writes[pushed.digest] = (began, 1 << 60)
        answer = await world.push_manifest("team/app", "latest", pushed)
        history.writes[pushed.digest] = (began, history.tick())
        assert answer.status == 201

    async def read() -> None:
        began = history.tick()
        answer = await world.ask("GET", LATEST)
        found = answer.headers["docker-content-digest"] if answer.status == 200 else NONE
        history.reads.append((found, began, history.tick()))

    jobs: list[Coroutine[Any, Any, None]] = [*(write(pushed) for pushed in images), *(read() for _ in range(160))]
    rng.shuffle(jobs)
    gate = asyncio.Semaphore(8)

    async def limited(job: Coroutine[Any, Any, None]) -> None:
        async with gate:
            await job

    await asyncio.gather(*map(limited, jobs))
    history.check()
    assert world.kinds().count("tag.moved") == 40


CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}}'


async def test_the_journal_tells_the_moves_of_a_tag_in_their_order(world: World) -> None:
    """Each move begins where the one before it ended: nothing is lost, nothing is told twice."""
    await world.push_image("team/app")
    images = [manifest_of(image(CONFIG, b"layer", annotations={"n": str(number)})) for number in range(12)]
    await asyncio.gather(*(world.push_manifest("team/app", "latest", pushed) for pushed in images))
    moves = [event for event in world.events() if event["kind"] == "tag.moved"]
    assert len(moves) == 12
    for before, after in itertools.pairwise(moves):
        assert after["previous_digest"] == before["digest"]
    answer = await world.ask("GET", LATEST)
    assert answer.headers["docker-content-digest"] == moves[-1]["digest"]


async def test_everybody_makes_the_repository_first(world: World) -> None:
    answers = await asyncio.gather(
        *(world.ask("POST", f"/v2/new/app/blobs/uploads/?digest={digest_of(b'%d' % n)}", b"%d" % n) for n in range(12))
    )
    assert {answer.status for answer in answers} == {201}
    assert world.kinds().count("repository.created") == 1
    assert world.kinds().count("blob.linked") == 12


async def test_one_manifest_pushed_by_many(world: World) -> None:
    await world.push_image("team/app", "v0")
    pushed = manifest_of(image(CONFIG, b"layer", annotations={"a": "b"}))
    answers = await asyncio.gather(*(world.push_manifest("team/app", f"v{n}", pushed) for n in range(8)))
    assert {answer.status for answer in answers} == {201}
    assert world.kinds().count("manifest.pushed") == 2
    assert (await world.ask("GET", "/acr/v1/team/app")).json["tagCount"] == 8


async def test_a_manifest_is_never_left_without_its_blobs(world: World) -> None:
    """Putting it and deleting its layer race: either the one or the other is refused."""
    for number in range(10):
        layer = b"layer %d" % number
        await world.push_blob("team/app", CONFIG)
        digest = await world.push_blob("team/app", layer)
        pushed = manifest_of(image(CONFIG, layer))
        put, deleted = await asyncio.gather(
            world.push_manifest("team/app", f"v{number}", pushed),
            world.ask("DELETE", f"/v2/team/app/blobs/{digest}"),
        )
        there = (await world.ask("HEAD", f"/v2/team/app/blobs/{digest}")).status
        assert (put.status, deleted.status, there) in ((201, 405, 200), (400, 202, 404))


async def test_an_index_is_never_left_without_its_children(world: World) -> None:
    for number in range(10):
        child = await world.push_image("team/app", layer=b"%d" % number)
        index = manifest_of(INDEX | {"manifests": [child.descriptor()]})
        put, deleted = await asyncio.gather(
            world.push_manifest("team/app", f"v{number}", index),
            world.ask("DELETE", f"/v2/team/app/manifests/{child.digest}"),
        )
        there = (await world.ask("HEAD", f"/v2/team/app/manifests/{child.digest}")).status
        assert (put.status, deleted.status, there) in ((201, 405, 200), (400, 202, 404))


INDEX: dict[str, Any] = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}


async def test_a_lock_holds_from_the_moment_it_is_answered(world: World) -> None:
    """Every push that began after the lock was answered is refused, whatever ran beside it."""
    await world.push_image("team/app", "latest")
    images = [manifest_of(image(CONFIG, b"layer", annotations={"n": str(number)})) for number in range(8)]
    pushes = [asyncio.create_task(world.push_manifest("team/app", "latest", pushed)) for pushed in images]
    lock = await world.ask("PATCH", "/acr/v1/team/app/_tags/latest", b'{"writeEnabled":false}')
    locked = (await world.ask("GET", LATEST)).headers["docker-content-digest"]
    assert lock.status == 200
    statuses = {(await push).status for push in pushes}
    assert statuses <= {201, 405}
    assert (await world.ask("GET", LATEST)).headers["docker-content-digest"] == locked


async def test_a_repository_deleted_while_it_is_pushed_to(world: World) -> None:
    """Each push is either gone with it or lands in a new one; nothing dangles."""
    for number in range(6):
        await world.push_image("team/app", "v1")
        deleted, *pushed = await asyncio.gather(
            world.ask("DELETE", "/acr/v1/team/app"),
            world.ask("POST", f"/v2/team/app/blobs/uploads/?digest={digest_of(b'%d' % number)}", b"%d" % number),
            world.push_manifest("team/app", "v2", manifest_of(image(CONFIG, b"layer", annotations={"a": "b"}))),
        )
        assert deleted.status == 202
        assert pushed[0].status == 201
        assert pushed[1].status in (201, 400)
        tags = await world.ask("GET", "/v2/team/app/tags/list")
        if tags.status == 200:
            assert tags.json["tags"] == []  # v2 came first and went with the old one, or was refused


async def test_a_registry_deleted_while_it_is_pushed_to(world: World) -> None:
    """No row of it is left, whatever was under way."""
    facts = REGISTRIES["regtwo"]
    keyring = world.identity.keyring

    def delete(tx: Any) -> None:
        drop_registry(tx, facts.uid)
        keyring.destroy(tx, facts.uid)
        event = RegistryDeleted(uid=facts.uid, name=facts.name, resource_group="g", location="westus")
        tx.emit(subscription_stream(facts.subscription_id), event)

    await world.push_image("team/app", "v1", registry="regtwo")
    targets = [f"/v2/new{n}/blobs/uploads/?digest={digest_of(b'%d' % n)}" for n in range(6)]
    pushes = [
        asyncio.create_task(world.ask("POST", target, b"%d" % number, registry="regtwo"))
        for number, target in enumerate(targets)
    ]
    await asyncio.sleep(0)
    await world.db.transact(delete)
    assert {(await push).status for push in pushes} <= {201, 404}
    for table in ("repository", "blob"):
        count = f"SELECT count(*) FROM {table} WHERE registry_uid = '{facts.uid}'"
        assert world.db.read_sync(lambda tx, text=count: tx.connection.exec_driver_sql(text).scalar()) == 0
    assert (await world.ask("GET", "/v2/team/app/manifests/v1", registry="regtwo")).status == 404
