"""Both registries side by side, and rounds that alternate between them."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from content import BigFile
from peers import running_darsena, running_docker_registry
from targets import Target

ROUNDS = 5


@dataclass
class Stand:
    """What rows share. Servers are started when a row first asks for them, and what was pushed stays for the next."""

    folder: Path
    _stack: contextlib.ExitStack
    _pairs: dict[str, tuple[Target, Target]] = field(default_factory=dict)
    _pulled: dict[str, BigFile] = field(default_factory=dict)

    def pair(self, scheme: str) -> tuple[Target, Target]:
        """(Dársena, docker-registry), over TLS with the same certificate."""
        if scheme not in self._pairs:
            print(f"starting both over {scheme} …", file=sys.stderr)
            ours = self._stack.enter_context(running_darsena(self.folder / f"darsena-{scheme}", scheme))
            tls = ours.folder / "tls"
            files = (tls / "server.pem", tls / "server.key") if scheme == "https" else (None, None)
            theirs = self._stack.enter_context(running_docker_registry(self.folder / f"peer-{scheme}", *files))
            self._pairs[scheme] = (ours, theirs)
        return self._pairs[scheme]

    def big_blob(self, scheme: str) -> BigFile:
        """1 GiB that both have in `bench/big`."""
        if scheme not in self._pulled:
            file = BigFile.make(self.folder / "pulled", 1024)
            for target in self.pair(scheme):
                file.push(target, "bench/big")
            file.path.unlink()
            self._pulled[scheme] = file
        return self._pulled[scheme]

    def alternate(self, scheme: str, measure: Callable[[Target, int], float]) -> tuple[list[float], list[float]]:
        """Five rounds: what `measure` says of each of the two, who begins changes every round."""
        ours, theirs = self.pair(scheme)
        return alternate(ours, theirs, measure)


def alternate(
    first: Target, second: Target, measure: Callable[[Target, int], float]
) -> tuple[list[float], list[float]]:
    figures: tuple[list[float], list[float]] = ([], [])
    for round_ in range(ROUNDS):
        order = [(first, figures[0]), (second, figures[1])]
        for target, into in order if round_ % 2 == 0 else reversed(order):
            into.append(measure(target, round_))
    return figures


@contextlib.contextmanager
def open_stand() -> Iterator[Stand]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="darsena-bench-")))
        yield Stand(folder, stack)
