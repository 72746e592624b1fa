"""Any range of any blob, cut into any appends, is what the plaintext has there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darsena.core.digest import Digest
from darsena.storage import Keyring, LocalStorage

from .conftest import REGISTRY
from .feeding import SEGMENT, chunks, collect, content, push

WHOLE = content(3 * SEGMENT + 4321)
BORDERS = [0, 1, 17, *(n * SEGMENT + d for n in (1, 2, 3) for d in (-1, 0, 1)), len(WHOLE) - 1, len(WHOLE)]
PLACES = st.one_of(st.sampled_from(BORDERS), st.integers(0, len(WHOLE)))
SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_ranges_of_a_blob(runner: asyncio.Runner, data: Path, keyring: Keyring) -> None:
    storage = LocalStorage(data, keyring)
    digest = runner.run(push(storage, REGISTRY, WHOLE))

    @settings(SETTINGS, max_examples=150)
    @given(start=PLACES, stop=st.one_of(st.none(), PLACES, st.just(1 << 40)))
    def check(start: int, stop: int | None) -> None:
        got = runner.run(collect(storage.blobs.read(REGISTRY, digest, start, stop)))
        assert got == WHOLE[start:stop]

    check()
    runner.run(storage.close())


def test_any_appends_make_the_blob(runner: asyncio.Runner, data: Path, keyring: Keyring) -> None:
    storage = LocalStorage(data, keyring)
    count = 0

    @settings(SETTINGS, max_examples=30)
    @given(cuts=st.lists(PLACES, max_size=5), step=st.integers(50_000, 2 * SEGMENT), restarts=st.booleans())
    def check(cuts: list[int], step: int, restarts: bool) -> None:
        nonlocal storage, count
        count += 1
        runner.run(storage.uploads.begin(REGISTRY, f"u{count}"))
        offset = 0
        for border in [*sorted(cuts), len(WHOLE)]:
            part = chunks(WHOLE[offset:border], step)
            assert runner.run(storage.uploads.append(REGISTRY, f"u{count}", offset, part)) == border
            offset = border
            if restarts:
                runner.run(storage.close())
                storage = LocalStorage(data, keyring)
        runner.run(storage.uploads.commit(REGISTRY, f"u{count}", Digest.of(WHOLE)))
        assert runner.run(collect(storage.blobs.read(REGISTRY, Digest.of(WHOLE)))) == WHOLE

    check()
    runner.run(storage.close())


def test_any_log(runner: asyncio.Runner, data: Path, keyring: Keyring) -> None:
    storage = LocalStorage(data, keyring)
    count = 0

    @settings(SETTINGS, max_examples=40)
    @given(parts=st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=200)), max_size=12))
    def check(parts: list[tuple[int, bytes]]) -> None:
        """Each append starts at or before the end, as a writer's does that had no answer."""
        nonlocal count
        count += 1
        name, whole = f"run{count}", b""
        for back, part in parts:
            offset = max(0, len(whole) - back)
            whole += (whole[offset:] + part)[len(whole) - offset :]
            sent = whole[offset:]
            assert runner.run(storage.logs.append(REGISTRY, name, offset, sent)) == len(whole)
        if parts:
            for start in range(0, len(whole) + 1, 7):
                assert runner.run(storage.logs.read(REGISTRY, name, start, start + 50)) == whole[start : start + 50]

    check()
    runner.run(storage.close())
