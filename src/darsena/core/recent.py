"""What was used lately, as much of it as there is room for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key, bounded by the bytes that they are said to take; what was longest unused goes first. Not for
    several threads."""

    def __init__(self, room_bytes: int) -> None:
        self._room = room_bytes
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def find(self, key: K) -> V | None:
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def keep(self, key: K, value: V, size: int) -> None:
        """In the place of what the key had."""
        self.drop(key)
        self._values[key] = value, size
        self._room -= size
        while self._room < 0:
            self.drop(next(iter(self._values)))

    def drop(self, key: K) -> None:
        dropped = self._values.pop(key, None)
        if dropped is not None:
            self._room += dropped[1]
