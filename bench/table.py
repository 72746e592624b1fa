"""What a row found, and the table that it stands in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

WIDTHS = (46, 18, 18, 8, 8)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One line. `value` is held against `goal`: at least it, or at most where `is_limit`."""

    name: str
    peer: str
    ours: str
    value: float
    goal: float
    unit: str = "x"
    is_limit: bool = False

    @property
    def is_reached(self) -> bool:
        return self.value <= self.goal if self.is_limit else self.value >= self.goal

    def render(self) -> str:
        goal = f"{'≤' if self.is_limit else '≥'} {self.goal:g}{self.unit}"
        cells = (self.name, self.peer, self.ours, f"{self.value:.4g}{self.unit}", goal)
        return _line(cells) + ("  yes" if self.is_reached else "  NO")


def head() -> str:
    return _line(("", "docker-registry", "Dársena", "value", "goal")) + "  reached"


def _line(cells: tuple[str, ...]) -> str:
    first, *rest = zip(cells, WIDTHS, strict=True)
    return f"{first[0]:<{first[1]}}" + "".join(f"{cell:>{width}}" for cell, width in rest)


def ratio_of(name: str, ours: list[float], theirs: list[float], goal: float, show: Callable[[float], str]) -> Result:
    """Of the medians; more is better."""
    own, peer = median(ours), median(theirs)
    return Result(name=name, peer=show(peer), ours=show(own), value=own / peer, goal=goal)


def per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 1000 else f"{rate:,.1f}/s"


def megabytes(rate: float) -> str:
    return f"{rate / 1e6:,.0f} MB/s"
