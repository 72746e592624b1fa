"""Every single file operation fails once, with a full disk and with an I/O error: the caller hears of it, nothing
half-done is visible, what was acknowledged stays, and the same request succeeds afterwards."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import BlobUnknown, StorageFull, Unavailable, UploadUnknown
from darsena.storage import Keyring, LocalStorage

from .conftest import REGISTRY
from .feeding import SEGMENT, chunks, collect, content, push

CALLS = [
    "open",
    "mkdir",
    "pwritev",
    "pread",
    "fsync",
    "ftruncate",
    "rename",
    "unlink",
    "fstat",
    "stat",
    "lstat",
    "scandir",
]
FAULTS = {"full": errno.ENOSPC, "broken": errno.EIO}
EXPECTED = {"full": StorageFull, "broken": Unavailable}


class Fault:
    """Makes the file operation number `at`, counted in the store's threads only, fail; with `lasting`, all after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.happened = False

    @contextmanager
    def injected(self, code: int, at: int, *, lasting: bool) -> Iterator[None]:
        count = 0
        self.happened = False

        def failing(call: Callable[..., Any]) -> Callable[..., Any]:
            def maybe(*args: Any, **kwargs: Any) -> Any:
                nonlocal count
                if threading.current_thread().name.startswith("store-"):
                    count += 1
                    if count == at or (lasting and count > at):
                        self.happened = True
                        raise OSError(code, os.strerror(code))
                return call(*args, **kwargs)

            return maybe

        with self._monkeypatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, failing(getattr(os, name)))
            yield


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    return Fault(monkeypatch)


Step = Callable[[], Awaitable[object]]


async def fail_everywhere(fault: Fault, kind: str, lasting: bool, make: Callable[[int], Awaitable[Scene]]) -> None:
    """`make` prepares a scene; its step is tried with a fault at the first, second, … operation, then without."""
    for at in range(1, 500):
        scene = await make(at)
        failed = False
        with fault.injected(FAULTS[kind], at, lasting=lasting):
            try:
                await scene.step()
            except EXPECTED[kind]:
                failed = True
        if not fault.happened:
            assert not failed
            assert at > 3  # the calls that we inject into are the ones that are made
            return
        await scene.check()
        await scene.again()
    raise AssertionError("the step never ends")


class Scene:
    """`step` may fail; `check` looks at what is left; `again` must succeed."""

    def __init__(self, step: Step, check: Step, again: Step) -> None:
        self.step, self.check, self.again = step, check, again


KINDS = pytest.mark.parametrize("kind", ["full", "broken"])
LASTING = pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])


@KINDS
@LASTING
@pytest.mark.parametrize("restart", [False, True], ids=["same process", "restarted"])
async def test_append(
    local: LocalStorage, fault: Fault, kind: str, lasting: bool, restart: bool, keyring: Keyring
) -> None:
    async def make(at: int) -> Scene:
        upload, first, second = f"u{at}", content(700, f"{at}"), content(SEGMENT + 900)
        await local.uploads.begin(REGISTRY, upload)
        await local.uploads.append(REGISTRY, upload, 0, chunks(first))
        storage = LocalStorage(local.layout.root, keyring) if restart else local

        async def step() -> None:
            assert await storage.uploads.append(REGISTRY, upload, 700, chunks(second)) == 700 + len(second)

        async def check() -> None:
            assert await storage.uploads.offset(REGISTRY, upload) in (700, 700 + len(second))

        async def again() -> None:
            offset = await storage.uploads.offset(REGISTRY, upload)
            whole = first + second
            await storage.uploads.append(REGISTRY, upload, offset, chunks(whole[offset:]))
            assert await storage.uploads.commit(REGISTRY, upload, Digest.of(whole)) == len(whole)
            assert await collect(storage.blobs.read(REGISTRY, Digest.of(whole))) == whole
            if restart:
                await storage.close()

        return Scene(step, check, again)

    await fail_everywhere(fault, kind, lasting, make)


@KINDS
@LASTING
@pytest.mark.parametrize(
    ("border", "sync"),
    [(SEGMENT, True), (500, True), (SEGMENT, False), (500, False)],
    ids=["renamed", "rewritten", "renamed, unsynced", "rewritten, unsynced"],
)
async def test_commit(local: LocalStorage, fault: Fault, kind: str, lasting: bool, border: int, sync: bool) -> None:
    async def make(at: int) -> Scene:
        upload, data = f"u{at}", content(SEGMENT + 900, f"{at}")

        async def send(offset: int) -> None:
            if offset < border:
                await local.uploads.append(REGISTRY, upload, offset, chunks(data[offset:border]), sync=sync)
            await local.uploads.append(
                REGISTRY, upload, max(offset, border), chunks(data[max(offset, border) :]), sync=sync
            )

        await local.uploads.begin(REGISTRY, upload)
        await send(0)

        async def step() -> None:
            assert await local.uploads.commit(REGISTRY, upload, Digest.of(data)) == len(data)

        async def check() -> None:
            if await local.blobs.stat(REGISTRY, Digest.of(data)) is not None:
                assert await collect(local.blobs.read(REGISTRY, Digest.of(data))) == data
                return
            offset = await local.uploads.offset(REGISTRY, upload)
            if sync:
                assert offset == len(data)
            else:
                await send(offset)

        async def again() -> None:
            await step()
            assert await collect(local.blobs.read(REGISTRY, Digest.of(data))) == data
            with pytest.raises(UploadUnknown):
                await local.uploads.offset(REGISTRY, upload)
            assert await local.sweep(REGISTRY, 1 << 60) <= (1 if lasting else 0)

        return Scene(step, check, again)

    await fail_everywhere(fault, kind, lasting, make)


@KINDS
@LASTING
async def test_begin(local: LocalStorage, fault: Fault, kind: str, lasting: bool) -> None:
    async def make(at: int) -> Scene:
        async def step() -> None:
            await local.uploads.begin(REGISTRY, f"u{at}")

        async def check() -> None:
            return None

        async def again() -> None:
            await local.uploads.begin(REGISTRY, f"u{at}")
            assert await local.uploads.offset(REGISTRY, f"u{at}") == 0

        return Scene(step, check, again)

    await fail_everywhere(fault, kind, lasting, make)


@KINDS
@LASTING
async def test_source_by_blocks(local: LocalStorage, fault: Fault, kind: str, lasting: bool) -> None:
    parts = {"a": content(SEGMENT + 5, "a"), "b": content(9, "b")}

    async def make(at: int) -> Scene:
        name = f"source/{at}"
        await local.sources.put(REGISTRY, name, chunks(b"old"))

        async def step() -> None:
            for block_id, part in parts.items():
                await local.sources.stage_block(REGISTRY, name, block_id, chunks(part))
            await local.sources.commit_blocks(REGISTRY, name, ["b", "a"])

        async def check() -> None:
            assert await collect(local.sources.read(REGISTRY, name)) in (b"old", parts["b"] + parts["a"])

        async def again() -> None:
            await step()
            assert await collect(local.sources.read(REGISTRY, name)) == parts["b"] + parts["a"]

        return Scene(step, check, again)

    await fail_everywhere(fault, kind, lasting, make)


@KINDS
@LASTING
@pytest.mark.parametrize("restart", [False, True], ids=["same process", "restarted"])
async def test_log(
    local: LocalStorage, fault: Fault, kind: str, lasting: bool, restart: bool, keyring: Keyring
) -> None:
    async def make(at: int) -> Scene:
        name = f"run{at}"
        if at % 2:
            await local.logs.append(REGISTRY, name, 0, b"one\r\n")
        storage = LocalStorage(local.layout.root, keyring) if restart else local

        async def step() -> None:
            await storage.logs.append(REGISTRY, name, 0, b"one\r\ntwo\r\n")
            await storage.logs.append(REGISTRY, name, 10, b"three\r\n")

        async def check() -> None:
            size = await storage.logs.size(REGISTRY, name)
            assert size is not None or at % 2 == 0
            if size is not None:
                assert b"one\r\ntwo\r\nthree\r\n".startswith(await storage.logs.read(REGISTRY, name))

        async def again() -> None:
            await step()
            assert await storage.logs.read(REGISTRY, name) == b"one\r\ntwo\r\nthree\r\n"
            if restart:
                await storage.close()

        return Scene(step, check, again)

    await fail_everywhere(fault, kind, lasting, make)


@KINDS
async def test_read(local: LocalStorage, fault: Fault, kind: str) -> None:
    data = content(2 * SEGMENT + 5)
    digest = await push(local, REGISTRY, data)

    async def make(at: int) -> Scene:
        async def step() -> None:
            assert await local.blobs.stat(REGISTRY, digest) == len(data)
            assert await local.blobs.read_whole(REGISTRY, digest, len(data)) == data
            assert await collect(local.blobs.read(REGISTRY, digest)) == data
            assert [found async for found, _ in local.blobs.list(REGISTRY)] in ([digest], [])

        return Scene(step, step, step)

    await fail_everywhere(fault, kind, True, make)


@KINDS
async def test_delete(local: LocalStorage, fault: Fault, kind: str) -> None:
    async def make(at: int) -> Scene:
        digest = await push(local, REGISTRY, content(10, f"{at}"), upload=f"u{at}")

        async def step() -> None:
            await local.blobs.delete(REGISTRY, digest)
            await local.blobs.stat(REGISTRY, digest)

        async def check() -> None:
            await local.blobs.stat(REGISTRY, digest)

        async def again() -> None:
            await local.blobs.delete(REGISTRY, digest)
            with pytest.raises(BlobUnknown):
                await local.blobs.read_whole(REGISTRY, digest, 10)

        return Scene(step, check, again)

    await fail_everywhere(fault, kind, False, make)


async def test_an_unsynced_file_is_never_synced_again(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch, data: Path
) -> None:
    """The kernel drops the pages that it could not write: a second fsync of the same file would succeed and lie."""
    fsync, open_file = os.fsync, os.open
    failed: set[int] = set()
    fail = False
    failures = 0

    def opened(path: Path, flags: int, mode: int = 0o777) -> int:
        fd = open_file(path, flags, mode)
        if flags & os.O_EXCL:
            failed.discard(os.fstat(fd).st_ino)  # a new file, though its number may be an old one's
        return fd

    def watched(fd: int) -> None:
        nonlocal failures
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode):
            assert status.st_ino not in failed
            if fail:
                failures += 1
                failed.add(status.st_ino)
        if fail:
            raise OSError(errno.EIO, "the disk said no")
        fsync(fd)

    whole = content(SEGMENT + 500)
    await local.uploads.begin(REGISTRY, "u")
    await local.uploads.append(REGISTRY, "u", 0, chunks(whole[:300]))
    await local.logs.append(REGISTRY, "run", 0, b"one")
    monkeypatch.setattr(os, "fsync", watched)
    monkeypatch.setattr(os, "open", opened)
    for _ in range(2):
        fail = True
        with pytest.raises(Unavailable):
            await local.uploads.append(REGISTRY, "u", 300, chunks(whole[300:]))
        with pytest.raises(Unavailable):
            await local.uploads.commit(REGISTRY, "u", Digest.of(whole[:300]))
        with pytest.raises(Unavailable):
            await local.logs.append(REGISTRY, "run", 3, b"two")
        assert await local.logs.read(REGISTRY, "run") == b"one"
        fail = False
    assert failures == 6
    assert await local.uploads.append(REGISTRY, "u", 300, chunks(whole[300:])) == len(whole)
    assert await local.uploads.commit(REGISTRY, "u", Digest.of(whole)) == len(whole)
    assert await local.logs.append(REGISTRY, "run", 3, b"two") == 6
    assert await local.blobs.read_whole(REGISTRY, Digest.of(whole), len(whole)) == whole
    assert await local.logs.read(REGISTRY, "run") == b"onetwo"
