"""What readers that stop reading may keep in memory."""

from __future__ import annotations

import pytest

from darsena.core.errors import Unavailable
from darsena.storage import slow_readers
from darsena.storage.slow_readers import LARGE_PIECE, SMALL_PIECE, WHOLE_PIECE, Readers


class Memory:
    """As much as a test says."""

    def __init__(self) -> None:
        self.own_bytes = 100 << 20

    def __call__(self) -> int:
        return self.own_bytes


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    monkeypatch.setattr(slow_readers, "_LOOK_S", 0.0)
    return Memory()


async def test_the_more_of_them_the_smaller_the_pieces(memory: Memory) -> None:
    readers = Readers(measure=memory)
    rests = [readers.enter() for _ in range(4)]
    assert readers.piece_bytes == WHOLE_PIECE
    rests.append(readers.enter())
    assert readers.piece_bytes == LARGE_PIECE
    for rest in rests:
        readers.leave(rest)
    readers.close()


async def test_what_was_handed_over_and_not_taken_counts(memory: Memory) -> None:
    """However few read now: what is in memory was not taken by those who read before."""
    readers = Readers(measure=memory)
    memory.own_bytes = 1 << 30
    readers.leave(readers.enter())
    assert readers.piece_bytes == SMALL_PIECE
    memory.own_bytes = 150 << 20
    readers.leave(readers.enter())
    assert readers.piece_bytes == WHOLE_PIECE
    memory.own_bytes = slow_readers.most_bytes() + 1
    with pytest.raises(Unavailable):
        readers.enter()
    readers.close()
