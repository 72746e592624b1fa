"""Everything that the data plane writes, in a random order that a seed names: what the killed process was at."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any

import msgspec

from darsena.core.digest import Digest
from darsena.core.errors import BlobUnknown, Locked, ManifestBlobUnknown, Problem, Unsupported
from darsena.core.media_types import OCI_INDEX, OCI_MANIFEST
from darsena.core.names import RepositoryName, TagName
from faults.ledger import Ledger, Op, Shelf
from registry_gc.world import CONFIG, PRINCIPAL, REGISTRY, World, document_of

REPOSITORIES = ["shop/a", "shop/b", "shop/c"]
GRACE_S = 1.0
"""Of gc: what was pushed so shortly ago stays, whatever happens."""
_SIZES = [0, 1, 300, 4000, 9000, 30_000, 70_000, 1_100_000]
_POOL = 24


def content_of(number: int) -> bytes:
    return hashlib.shake_128(b"%d" % number).digest(_SIZES[number % len(_SIZES)])


POOL = {str(Digest.of(content_of(number))): number for number in range(_POOL)}


async def feed(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 200_000):
        yield content[at : at + 200_000]


@dataclass
class Worker:
    """One client of one repository. What it is told is written to the ledger before it goes on."""

    world: World
    ledger: Ledger
    name: str
    chance: random.Random

    @property
    def repository(self) -> RepositoryName:
        return RepositoryName(self.name)

    @property
    def shelf(self) -> Shelf:
        return self.ledger.shelves[self.name]

    async def run(self, steps: int) -> None:
        for _ in range(steps):
            await self._step()

    async def _step(self) -> None:
        kinds = {
            self._push_image: 6,
            self._push_index: 2,
            self._move_tag: 3,
            self._untag: 2,
            self._delete: 2 if len(self.shelf.manifests) < 8 else 9,
            self._begin: 2,
            self._go_on: 4,
            self._unlink: 1,
            self._drop: 0.3,
        }
        await self.chance.choices(list(kinds), list(kinds.values()))[0]()

    async def _do(self, op: Op, action: Awaitable[Any], *refusals: type[Problem]) -> bool:
        """True when it was acknowledged; a refusal that is not among those expected is a defect."""
        self.ledger.intend(self.name, op)
        try:
            answer = await action
        except refusals:
            self.ledger.refuse(self.name)
            return False
        self.ledger.acknowledge(self.name, answer if isinstance(answer, str | int) else None)
        return True

    # --- pushing --------------------------------------------------------------------------------------------------

    async def _push_image(self) -> None:
        layers = [content_of(self.chance.randrange(_POOL)) for _ in range(self.chance.randint(1, 3))]
        for content in (CONFIG, *layers):
            await self._give_blob(content)
        subject = self.chance.choice([None, None, *self.shelf.manifests])
        document = document_of(*layers, subject=None if subject is None else Digest.parse(subject))
        document["annotations"] = {"number": str(self.chance.randrange(6))}
        await self._push(document, OCI_MANIFEST, children=[], subject=subject)

    async def _push_index(self) -> None:
        known = [digest for digest, of in self.shelf.manifests.items() if not of["children"]]
        if known:
            children = self.chance.sample(known, min(len(known), 2))
            rows = [{"mediaType": OCI_MANIFEST, "digest": child, "size": 1} for child in children]
            document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": rows}
            await self._push(document, OCI_INDEX, children=children, subject=None)

    async def _push(
        self, document: dict[str, Any], media_type: str, *, children: list[str], subject: str | None
    ) -> None:
        tag = self.chance.choice([None, "v0", "v1", "v2", "v3"])
        content = msgspec.json.encode(document)
        await self._put({"children": children, "subject": subject, "content": content.decode()}, tag, media_type)

    async def _move_tag(self) -> None:
        if self.shelf.manifests:
            known = self.shelf.manifests[self.chance.choice(list(self.shelf.manifests))]
            media_type = OCI_INDEX if known["children"] else OCI_MANIFEST
            await self._put(known, self.chance.choice(["v0", "v1", "v2", "v3"]), media_type)

    async def _put(self, known: dict[str, Any], tag: str | None, media_type: str) -> None:
        content = known["content"].encode()
        digest = Digest.of(content)
        op = {"do": "push", "digest": str(digest), "tag": tag, **known}
        reference = digest if tag is None else TagName(tag)
        put = self.world.service.manifests.put(REGISTRY, self.repository, reference, content, media_type)
        await self._do(op, put, ManifestBlobUnknown)  # gc was faster than a slow push

    async def _give_blob(self, content: bytes) -> None:
        digest = Digest.of(content)
        uploading = self.world.service.uploading
        if self.chance.random() < 0.4:
            others = [name for name in REPOSITORIES if name != self.name]
            self.ledger.intend(self.name, {"do": "mount", "digest": str(digest)})
            if await uploading.mount(REGISTRY, self.repository, digest, others):
                self.ledger.acknowledge(self.name)
                return
            self.ledger.refuse(self.name)
        put = uploading.put(REGISTRY, self.repository, PRINCIPAL, feed(content), digest)
        await self._do({"do": "blob", "digest": str(digest)}, put)

    # --- uploads in parts -----------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        begin = self.world.service.uploading.begin(REGISTRY, self.repository, PRINCIPAL)
        await self._do({"do": "begin", "blob": self.chance.randrange(_POOL)}, begin)

    async def _go_on(self) -> None:
        if not self.shelf.uploads:
            return
        uid = self.chance.choice(list(self.shelf.uploads))
        content = content_of(self.shelf.uploads[uid]["blob"])
        uploading, where = self.world.service.uploading, (REGISTRY, self.repository, uid, PRINCIPAL)
        at = await uploading.offset(*where)
        match self.chance.randrange(5):
            case 0:
                await self._do({"do": "cancel", "upload": uid}, uploading.cancel(*where))
            case 1 | 2:
                part = content[at : at + self.chance.choice([1, 5000, 600_000])]
                await self._do({"do": "append", "upload": uid}, uploading.append(*where, feed(part), at=at))
            case _:
                digest = Digest.of(content)  # it only fits when nothing acknowledged was lost or mixed up
                op = {"do": "finish", "upload": uid, "digest": str(digest)}
                await self._do(op, uploading.finish(*where, feed(content[at:]), digest, at=at))

    # --- deleting -------------------------------------------------------------------------------------------------

    async def _untag(self) -> None:
        if self.shelf.tags:
            tag = self.chance.choice(list(self.shelf.tags))
            delete = self.world.service.deleting.delete_tag(REGISTRY, self.repository, TagName(tag))
            await self._do({"do": "untag", "tag": tag}, delete)

    async def _delete(self) -> None:
        if self.shelf.manifests:
            digest = self.chance.choice(list(self.shelf.manifests))
            refused = self.shelf.is_child(self.shelf.doomed(digest))
            delete = self.world.service.deleting.delete_manifest(REGISTRY, self.repository, Digest.parse(digest))
            done = await self._do({"do": "delete", "digest": digest}, delete, *([Locked] if refused else []))
            assert done != refused

    async def _unlink(self) -> None:
        digest = self.chance.choice(list(POOL))
        delete = self.world.service.deleting.delete_blob(REGISTRY, self.repository, Digest.parse(digest))
        await self._do({"do": "unlink", "digest": digest}, delete, BlobUnknown, Unsupported)

    async def _drop(self) -> None:
        if self.shelf.manifests:
            drop = self.world.service.deleting.delete_repository(REGISTRY, self.repository)
            await self._do({"do": "drop"}, drop)


async def collect_garbage(world: World, ended: asyncio.Event) -> None:
    """gc again and again, beside the pushes."""
    while not ended.is_set():
        await world.gc.start(None, GRACE_S)
        await world.gc.run_due()
        await asyncio.sleep(0.002)


async def work(world: World, ledger: Ledger, chance: random.Random, steps: int) -> None:
    ended = asyncio.Event()
    collecting = asyncio.create_task(collect_garbage(world, ended))
    async with asyncio.TaskGroup() as group:
        for name in REPOSITORIES:
            worker = Worker(world, ledger, name, random.Random(chance.random()))
            group.create_task(worker.run(steps))
    ended.set()
    await collecting
