"""What was used lately stays, within the room."""

from __future__ import annotations

from darsena.core.recent import Recent


def test_what_was_longest_unused_goes_first() -> None:
    recent: Recent[str, int] = Recent(30)
    for number, key in enumerate("abc"):
        recent.keep(key, number, 10)
    assert recent.find("a") == 0
    recent.keep("d", 3, 10)
    assert [recent.find(key) for key in "abcd"] == [0, None, 2, 3]


def test_each_key_takes_room_once_and_gives_it_back() -> None:
    recent: Recent[str, int] = Recent(30)
    for number in range(5):
        recent.keep("a", number, 20)
    recent.keep("b", 9, 10)
    assert [recent.find(key) for key in "ab"] == [4, 9]
    recent.drop("a")
    recent.drop("unknown")
    recent.keep("c", 1, 20)
    assert [recent.find(key) for key in "abc"] == [None, 9, 1]


def test_what_is_larger_than_the_room_is_not_kept() -> None:
    recent: Recent[str, int] = Recent(30)
    recent.keep("a", 1, 31)
    assert recent.find("a") is None
    recent.keep("b", 2, 30)
    assert recent.find("b") == 2
