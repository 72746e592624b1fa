"""Whether what clients were told, together, could have happened one after the other (linearizability).

Wing and Gong's search with the memory of Lowe: of the operations that no other one precedes in time, each is tried as
the next; a set of operations done that led to a state before is not tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

S = TypeVar("S", bound=Hashable)

NEVER: Final = float("inf")
"""When an operation ended whose client never heard of it: it may have happened at any time since, or not at all."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What one client did between two moments, and what it was told."""

    name: str
    argument: Any
    result: Any
    began: float
    ended: float


def is_linearizable(history: Sequence[Operation], initial: S, step: Callable[[S, Operation], Iterable[S]]) -> bool:
    """`step` gives the states in which an operation with this result may leave a state: none where it is impossible."""
    operations = sorted(history, key=lambda operation: operation.began)
    needed = sum(1 << index for index, operation in enumerate(operations) if operation.ended != NEVER)
    pending: list[tuple[int, S]] = [(0, initial)]
    seen = {(0, initial)}
    while pending:
        done, state = pending.pop()
        if done & needed == needed:
            return True
        for index in _list_next(operations, done):
            for after in step(state, operations[index]):
                known = (done | 1 << index, after)
                if known not in seen:
                    seen.add(known)
                    pending.append(known)
    return False


def _list_next(operations: Sequence[Operation], done: int) -> list[int]:
    """Those not done that began before any other that is not done had ended."""
    found: list[int] = []
    first_end = NEVER
    for index, operation in enumerate(operations):
        if done >> index & 1:
            continue
        if operation.began > first_end:
            break
        found.append(index)
        first_end = min(first_end, operation.ended)
    return found
