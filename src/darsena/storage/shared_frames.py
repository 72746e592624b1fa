"""Readers of one object at about the same place share what was decrypted for the first of them.

The nodes of a cluster pull a layer at the same moment. The first of them to reach a frame has it read and decrypted;
the others, spared that, catch up with it, and then all go on together.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Generator
from contextlib import contextmanager

KEPT_FRAMES = 48
"""Of all objects together: 48 MiB, the last ones used. Downloads that begin together are some 20 frames apart soon."""


class SharedFrames:
    """Frames of objects that more than one reads at the moment; a single reader costs and keeps nothing.

    Objects are told apart by `FrameCipher.identity`. Belongs to one event loop.
    """

    def __init__(self, kept: int = KEPT_FRAMES) -> None:
        self._kept = kept
        self._readers: Counter[bytes] = Counter()
        self._frames: OrderedDict[tuple[bytes, int], bytes] = OrderedDict()

    @contextmanager
    def reading(self, identity: bytes) -> Generator[None]:
        self._readers[identity] += 1
        try:
            yield
        finally:
            self._readers[identity] -= 1
            if self._readers[identity] < 2:
                self._forget(identity)
            if not self._readers[identity]:
                del self._readers[identity]

    def find(self, identity: bytes, index: int) -> bytes | None:
        if not self._frames:
            return None
        plaintext = self._frames.get((identity, index))
        if plaintext is not None:
            self._frames.move_to_end((identity, index))
        return plaintext

    def offer(self, identity: bytes, index: int, plaintext: bytes) -> None:
        """Keep what was just decrypted, if anybody else may want it."""
        if self._readers[identity] > 1:
            self._frames[identity, index] = plaintext
            if len(self._frames) > self._kept:
                self._frames.popitem(last=False)

    def _forget(self, identity: bytes) -> None:
        for key in [key for key in self._frames if key[0] == identity]:
            del self._frames[key]
