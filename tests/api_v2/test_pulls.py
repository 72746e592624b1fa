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
from darsena.registry.tables import tag
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


@pytest.fixture
async def pushed(world: World) -> Pushed:
    await world.push_image("team/app", "v1", "v2")
    return await world.push_image("team/app", "v3", layer=b"other")


async def test_each_get_counts_for_tag_manifest_and_repository(world: World, pushed: Pushed, clock: FakeClock) -> None:
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
    numbers = [(await shown(world, f"/_tags/{tag}") or (0,))[0] for tag in ("v1", "v2", "v3")]
    assert numbers == [2, 1, 1]
    assert (await shown(world, f"/_manifests/{pushed.digest}") or (0,))[0] == 2
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
    assert rows(world) == 6
    await world.ask("DELETE", "/acr/v1/team/app/_tags/v1")
    assert rows(world) == 5
    await world.ask("GET", f"{MANIFEST}/v3")
    await world.ask("DELETE", f"{MANIFEST}/{pushed.digest}")
    assert rows(world) == 3
    await world.service.pulls.flush()  # what is gone gains nothing
    assert rows(world) == 3
    assert (await shown(world) or (0,))[0] == 4
    await world.ask("GET", f"{MANIFEST}/v2")
    await world.ask("DELETE", "/acr/v1/team/app")
    assert rows(world) == 0
    await world.service.pulls.flush()
    assert rows(world) == 0


async def test_several_processes_add_up(world: World, pushed: Pushed, clock: FakeClock) -> None:
    def find(tx: Tx) -> int:
        return tx.connection.execute(text("SELECT id FROM repository")).scalar_one()

    repository, counters = world.db.read_sync(find), [PullCounter(world.db) for _ in range(4)]
    stored = Digest.parse(pushed.digest).stored
    for _ in range(5):
        for counter in counters:
            for reference in ("v3", pushed.digest):
                counter.count(repository, stored, reference)
        await asyncio.gather(*(counter.flush() for counter in counters))
    assert (await shown(world) or (0,))[0] == 40
    assert (await shown(world, "/_tags/v3") or (0,))[0] == 20
    assert (await shown(world, f"/_manifests/{pushed.digest}") or (0,))[0] == 40


async def test_a_tag_that_moves_between_two_pulls(world: World, pushed: Pushed) -> None:
    await world.ask("GET", f"{MANIFEST}/v1")
    await world.push_manifest("team/app", "v1", pushed)
    for _ in range(2):
        await world.ask("GET", f"{MANIFEST}/v1")
    await world.service.pulls.flush()
    assert (await shown(world, "/_tags/v1") or (0,))[0] == 3
    assert (await shown(world, f"/_manifests/{pushed.digest}") or (0,))[0] == 2
    assert (await shown(world) or (0,))[0] == 3


async def test_many_tags_take_several_transactions(world: World, pushed: Pushed) -> None:
    names = [f"many-{number}" for number in range(4_500)]

    def add_tags(tx: Tx) -> int:
        columns = [column.name for column in tag.c]
        values = ", ".join(":name" if name == "name" else name for name in columns)
        copy = text(f"INSERT INTO tag ({', '.join(columns)}) SELECT {values} FROM tag WHERE name = 'v3'")
        tx.connection.execute(copy, [{"name": name} for name in names])
        return tx.connection.execute(text("SELECT id FROM repository")).scalar_one()

    repository = world.db.transact_sync(add_tags)
    stored = Digest.parse(pushed.digest).stored
    for name in [*names, "gone", *names]:
        world.service.pulls.count(repository, stored, name)
    await world.service.pulls.flush()
    assert rows(world) == len(names) + 2
    assert {(await shown(world, f"/_tags/{name}") or (0,))[0] for name in names[::500]} == {2}
    assert (await shown(world) or (0,))[0] == 2 * len(names) + 1


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
    def find(tx: Tx) -> int:
        return tx.connection.execute(text("SELECT id FROM repository")).scalar_one()

    database = Unwilling(world.db)
    counter = PullCounter(database, capacity=5)  # type: ignore[arg-type]
    repository, stored = world.db.read_sync(find), Digest.parse(pushed.digest).stored
    for refuses in (1, 1, 0):
        counter.count(repository, stored, "v1")
        counter.count(repository, stored, "v2")
        database.refuses = refuses
        await counter.flush()
    assert [(await shown(world, f"/_tags/{name}") or (0,))[0] for name in ("v1", "v2")] == [
        3,
        1,
    ]  # what waits takes room
    assert (await shown(world) or (0,))[0] == 4
    counter.count(repository, stored, "v2")
    await counter.flush()
    assert [(await shown(world, f"/_tags/{name}") or (0,))[0] for name in ("v1", "v2")] == [3, 2]


async def test_memory_is_bounded_and_the_log_says_what_is_lost(
    world: World, pushed: Pushed, capsys: pytest.CaptureFixture[str]
) -> None:
    counter = PullCounter(world.db, capacity=10)
    for number in range(25):
        counter.count(number + 100, b"\x01" + bytes(32), "v1")
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
