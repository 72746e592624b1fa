"""Pulls are counted where they are answered, by either path, and noted in batches."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from darsena.core.digest import Digest
from darsena.core.errors import Unavailable
from darsena.db import Database, Tx
from darsena.registry.pulls import PullCounter
from darsena.registry.tables import manifest
from darsena.testing import FakeClock

from .world import Pushed, World

MANIFEST = "/v2/team/app/manifests"


async def shown(world: World, of: str = "") -> tuple[int, str] | None:
    """What `/acr/v1` says of the repository, or of a tag or manifest of it."""
    answer = (await world.ask("GET", f"/acr/v1/team/app{of}")).json
    found: dict[str, Any] = answer.get("tag") or answer.get("manifest") or answer
    return (found["pullCount"], found["lastPullTime"]) if "pullCount" in found else None


def rows(world: World) -> int:
    return world.db.read_sync(lambda tx: tx.connection.execute(text("SELECT count(*) FROM pull_count")).scalar_one())


def repository_id(world: World) -> int:
    return world.db.read_sync(lambda tx: tx.connection.execute(text("SELECT id FROM repository")).scalar_one())


@pytest.fixture
async def pushed(world: World) -> Pushed:
    await world.push_image("team/app", "v1", "v2")
    return await world.push_image("team/app", "v3", layer=b"other")


async def test_each_get_counts_for_manifest_and_repository(world: World, pushed: Pushed, clock: FakeClock) -> None:
    begun = clock.now_us()
    for reference in ("v1", "v1", "v2", "v3", pushed.digest):
        clock.advance(1)
        assert (await world.ask("GET", f"{MANIFEST}/{reference}")).status == 200
    for method, reference in (("HEAD", "v1"), ("HEAD", pushed.digest), ("GET", "none")):
        await world.ask(method, f"{MANIFEST}/{reference}")
    assert await shown(world) is None  # nothing waits for a database on the way
    kinds = world.kinds()
    await world.service.pulls.flush()
    assert world.kinds() == kinds  # no facts for the journal
    assert (await shown(world, f"/_manifests/{pushed.digest}") or (0,))[0] == 2
    numbers = [(await shown(world, f"/_tags/{tag}") or (0,))[0] for tag in ("v1", "v2", "v3")]
    assert numbers == [3, 3, 2]  # of what they name
    number, last = await shown(world) or (0, "")
    assert number == 5
    assert last.startswith("20")
    assert clock.now_us() - begun == 5_000_000
    assert [(await world.ask("GET", f"{MANIFEST}/v1")).status for _ in range(3)] == [200] * 3
    await world.service.pulls.flush()
    again, later = await shown(world) or (0, "")
    assert (again, later) == (8, last)  # the clock stands still


async def test_a_conditional_get_is_one_too(world: World, pushed: Pushed) -> None:
    answer = await world.ask("GET", f"{MANIFEST}/v3", headers={"if-none-match": f'"{pushed.digest}"'})
    assert answer.status == 304
    await world.service.pulls.flush()
    assert (await shown(world, "/_tags/v3") or (0,))[0] == 1


async def test_counts_go_with_what_they_count(world: World, pushed: Pushed) -> None:
    for reference in ("v1", "v2", "v3"):
        await world.ask("GET", f"{MANIFEST}/{reference}")
    await world.service.pulls.flush()
    assert rows(world) == 3
    await world.ask("DELETE", "/acr/v1/team/app/_tags/v1")
    assert rows(world) == 3
    await world.ask("GET", f"{MANIFEST}/v3")
    await world.ask("DELETE", f"{MANIFEST}/{pushed.digest}")
    assert rows(world) == 2
    await world.service.pulls.flush()  # what is gone gains nothing
    assert rows(world) == 2
    assert (await shown(world) or (0,))[0] == 4
    await world.ask("GET", f"{MANIFEST}/v2")
    await world.ask("DELETE", "/acr/v1/team/app")
    assert rows(world) == 0
    await world.service.pulls.flush()
    assert rows(world) == 0


async def test_several_processes_add_up(world: World, pushed: Pushed) -> None:
    repository, counters = repository_id(world), [PullCounter(world.db) for _ in range(4)]
    stored = Digest.parse(pushed.digest).stored
    for _ in range(5):
        for counter in counters:
            for _twice in range(2):
                counter.count(repository, stored)
        await asyncio.gather(*(counter.flush() for counter in counters))
    assert (await shown(world) or (0,))[0] == 40
    assert (await shown(world, f"/_manifests/{pushed.digest}") or (0,))[0] == 40


async def test_a_tag_that_moves_between_two_pulls(world: World, pushed: Pushed) -> None:
    await world.ask("GET", f"{MANIFEST}/v1")
    await world.push_manifest("team/app", "v1", pushed)
    for _ in range(2):
        await world.ask("GET", f"{MANIFEST}/v1")
    await world.service.pulls.flush()
    assert (await shown(world, "/_tags/v1") or (0,))[0] == 2
    assert (await shown(world, f"/_manifests/{pushed.digest}") or (0,))[0] == 2
    assert (await shown(world) or (0,))[0] == 3


async def test_many_manifests_take_several_transactions(world: World, pushed: Pushed) -> None:
    digests = [Digest.of(str(number).encode()).stored for number in range(4_500)]

    def add_manifests(tx: Tx) -> None:
        columns = [column.name for column in manifest.c if column.name != "id"]
        values = ", ".join(":digest" if name == "digest" else name for name in columns)
        copy = text(f"INSERT INTO manifest ({', '.join(columns)}) SELECT {values} FROM manifest WHERE digest = :here")
        here = Digest.parse(pushed.digest).stored
        tx.connection.execute(copy, [{"digest": digest, "here": here} for digest in digests])

    world.db.transact_sync(add_manifests)
    repository = repository_id(world)
    for digest in [*digests, Digest.of(b"gone").stored, *digests]:
        world.service.pulls.count(repository, digest)
    await world.service.pulls.flush()
    assert rows(world) == len(digests) + 1
    texts = [str(Digest.from_stored(digest)) for digest in digests[::500]]
    assert {(await shown(world, f"/_manifests/{digest}") or (0,))[0] for digest in texts} == {2}
    assert (await shown(world) or (0,))[0] == 2 * len(digests) + 1


class Unwilling:
    """A database that does not take the next so many transactions."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.clock = db.clock
        self.refuses = 0

    async def transact(self, fn: Any, *args: Any) -> Any:
        if self.refuses:
            self.refuses -= 1
            raise Unavailable("the database does not answer")
        return await self.db.transact(fn, *args)


async def test_what_the_database_does_not_take_is_noted_later(world: World, pushed: Pushed) -> None:
    database = Unwilling(world.db)
    counter = PullCounter(database, capacity=3)  # type: ignore[arg-type]
    repository, first = repository_id(world), await world.push_image("team/app", "v1")
    stored = [Digest.parse(digest).stored for digest in (first.digest, pushed.digest)]

    async def numbers() -> list[int]:
        return [(await shown(world, f"/_manifests/{digest}") or (0,))[0] for digest in (first.digest, pushed.digest)]

    for refuses in (1, 1, 0):
        for digest in stored:
            counter.count(repository, digest)
        database.refuses = refuses
        await counter.flush()
    assert await numbers() == [1, 1]  # what waits takes room
    assert (await shown(world) or (0,))[0] == 2
    counter.count(repository, stored[1])
    await counter.flush()
    assert await numbers() == [1, 2]


async def test_memory_is_bounded_and_the_log_says_what_is_lost(
    world: World, pushed: Pushed, capsys: pytest.CaptureFixture[str]
) -> None:
    counter = PullCounter(world.db, capacity=10)
    for number in range(25):
        counter.count(number + 100, b"\x01" + bytes(32))
    await counter.flush()
    assert "pulls_not_counted" in capsys.readouterr().out
    assert rows(world) == 0


async def test_the_loop_notes_the_rest_when_it_ends(world: World, pushed: Pushed) -> None:
    stop = asyncio.Event()
    loop = asyncio.create_task(world.service.pulls.run(stop))
    await world.ask("GET", f"{MANIFEST}/v1")
    stop.set()
    await loop
    assert (await shown(world) or (0,))[0] == 1
