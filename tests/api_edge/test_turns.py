"""Long answers step aside for short ones, as far as they must."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from darsena.api.http import Request, Response, send_response
from darsena.api.turns import ANSWERED, Answered, Turns

MANY, PIECE = 1000, 1 << 18


def test_alone_a_long_answer_does_not_wait() -> None:
    turns = Turns(Answered())
    assert [turns.take(PIECE) for _ in range(3)] == [0, 0, 0]


def test_beside_few_it_waits_once_they_add_up() -> None:
    answered = Answered()
    turns = Turns(answered)
    waited: list[float] = []
    for _ in range(10):
        answered.short += 1
        waited.append(turns.take(PIECE))
    assert [bool(seconds) for seconds in waited] == ([False] * 4 + [True]) * 2
    assert sum(waited) == pytest.approx(0.002)


def test_beside_many_it_waits_a_little_and_still_goes_on() -> None:
    answered = Answered()
    turns = Turns(answered)
    answered.short += MANY
    assert turns.take(PIECE) == 0.002
    assert turns.take(PIECE) == 0
    answered.short += MANY
    assert turns.take(4 * PIECE) == 0.008


def test_who_begins_later_owes_nothing_for_what_was_before() -> None:
    answered = Answered()
    answered.short = MANY
    assert Turns(answered).take(PIECE) == 0


async def test_only_whole_answers_are_short() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "GET", "raw_path": b"/", "headers": [], "query_string": b""}
    before = ANSWERED.short
    await send_response(Request(scope, receive), Response(200, pieces(), length=2), send)
    assert ANSWERED.short == before
    await send_response(Request(scope, receive), Response(200, b"ab"), send)
    assert ANSWERED.short == before + 1
    assert sent[-1]["body"] == b"ab"
