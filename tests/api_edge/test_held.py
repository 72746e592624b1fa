"""Bodies that are read whole have so much room together, and who stands still gives way."""

from __future__ import annotations

import asyncio

import pytest

from darsena.api import http
from darsena.api.held import Held
from darsena.api.http import Request, TooSlow
from darsena.core.errors import Unavailable

from .test_edge import Message, make_scope

LIMIT = 100


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    room = Held(LIMIT)
    monkeypatch.setattr(http, "HELD", room)
    return room


class Client:
    """Sends pieces when it is told to, and reads its own answer."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[Message] = asyncio.Queue()
        self.request = Request(make_scope("POST", "/", [(b"transfer-encoding", b"chunked")]), self._pieces.get)
        self.reading = asyncio.ensure_future(self.request.body(LIMIT))

    async def send(self, size: int, *, last: bool = False) -> None:
        self._pieces.put_nowait({"type": "http.request", "body": b"x" * size, "more_body": not last})
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_stands_still_longest_gives_way(held: Held) -> None:
    first, second, third = Client(), Client(), Client()
    await first.send(30)
    await second.send(30)
    await first.send(30)  # the second is the one that stands still now
    await third.send(40, last=True)
    assert await third.reading == b"x" * 40
    with pytest.raises(TooSlow, match="others needed the room"):
        await second.reading
    await first.send(0, last=True)
    assert await first.reading == b"x" * 60


async def test_what_is_being_answered_keeps_its_room(held: Held) -> None:
    done, late = Client(), Client()
    await done.send(80, last=True)
    await done.reading
    await late.send(40)
    with pytest.raises(Unavailable):
        await late.reading
    held.release(done.request)
    held.release(done.request)  # once is enough
    again = Client()
    await again.send(LIMIT, last=True)
    assert len(await again.reading) == LIMIT


async def test_who_was_cut_off_is_not_read_on(held: Held) -> None:
    slow, other = Client(), Client()
    await slow.send(60)
    await other.send(60, last=True)
    await other.reading
    with pytest.raises(TooSlow):
        await slow.reading
    with pytest.raises(TooSlow):
        await anext(slow.request.stream())
