"""What must be true after every fault, whatever it was (docs/explanation/promises.md): one place for all fault tests.

`fsck` is clean; rows and journal tell the same story; every acknowledged fact is there; nothing is left behind that gc
does not take; descriptors, processes and memory are where they were.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from darsena.core.digest import Digest
from darsena.db import Tx
from darsena.journal import list_entries
from darsena.registry.tables import blob, manifest, repository, repository_blob, tag
from registry_gc.world import REGISTRY, UID, World

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LONG_S = 30 * 86_400


# --- rows and journal -------------------------------------------------------------------------------------------------


@dataclass
class Facts:
    """A registry as its journal tells it, or as its rows do."""

    seq: int = 0
    tags: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    manifests: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    links: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    blobs: list[str] = field(default_factory=list[str])

    def tell(self, kind: str, body: dict[str, Any]) -> None:
        """What this event changes. An event of a thing that is not there, or is there already, is a lie."""
        name, digest = body.get("repository", ""), body.get("digest", "")
        match kind:
            case "repository.created":
                assert name not in self.tags
                self.tags[name], self.manifests[name], self.links[name] = {}, [], []
            case "repository.deleted":
                assert (self.tags.pop(name), self.manifests.pop(name)) == ({}, [])
                del self.links[name]  # its links go with it
            case "tag.moved":
                assert self.tags[name].get(body["tag"]) == body["previous_digest"]
                self.tags[name][body["tag"]] = digest
            case "tag.deleted":
                assert self.tags[name].pop(body["tag"]) == body["previous_digest"]
            case "manifest.pushed":
                _add(self.manifests[name], digest)
            case "manifest.deleted":
                self.manifests[name].remove(digest)
            case "blob.linked":
                _add(self.links[name], digest)
            case "blob.unlinked":
                self.links[name].remove(digest)
            case "blob.added":
                _add(self.blobs, digest)
            case "blob.removed":
                self.blobs.remove(digest)
            case _:
                raise AssertionError(f"an event of an unknown kind: {kind}")

    def as_sets(self) -> dict[str, Any]:
        return {
            "tags": self.tags,
            "manifests": {name: sorted(found) for name, found in self.manifests.items()},
            "links": {name: sorted(found) for name, found in self.links.items()},
            "blobs": sorted(self.blobs),
        }


def _add(known: list[str], digest: str) -> None:
    assert digest not in known
    known.append(digest)


def follow_journal(tx: Tx, facts: Facts) -> None:
    """Bring `facts` up to date; the stream has no gap."""
    while entries := list_entries(tx, REGISTRY.stream, after=facts.seq):
        for entry in entries:
            assert entry.seq == facts.seq + 1
            facts.tell(entry.kind, entry.decode())
            facts.seq = entry.seq


def read_rows(tx: Tx) -> Facts:
    facts = Facts()
    repositories = tx.execute(select(repository.c.id, repository.c.name).where(repository.c.registry_uid == UID)).all()
    for id_, name in ((row.id, row.name) for row in repositories):
        rows = tx.execute(select(tag.c.name, tag.c.digest).where(tag.c.repository_id == id_))
        facts.tags[name] = {row.name: str(Digest.from_stored(row.digest)) for row in rows}
        facts.manifests[name] = _digests(tx, select(manifest.c.digest).where(manifest.c.repository_id == id_))
        facts.links[name] = _digests(tx, select(repository_blob.c.digest).where(repository_blob.c.repository_id == id_))
    facts.blobs = _digests(tx, select(blob.c.digest).where(blob.c.registry_uid == UID))
    return facts


def _digests(tx: Tx, statement: Any) -> list[str]:
    return [str(Digest.from_stored(row.digest)) for row in tx.execute(statement)]


# --- a domain ---------------------------------------------------------------------------------------------------------


async def check_world(world: World, told: Facts) -> Facts:
    """No fault, R2 (fsck reads every byte), rows equal to the journal. `told` is the journal as it was known before."""
    found = await world.findings()
    assert [finding for finding in found if finding.severity != "garbage"] == []

    def compare(tx: Tx) -> Facts:
        follow_journal(tx, told)
        rows = read_rows(tx)
        assert told.as_sets() == rows.as_sets()
        return rows

    return world.db.read_sync(compare)


async def check_nothing_left(world: World) -> None:
    """Long after, gc has taken every orphan: what is stored is what rows name, and fsck has not a word to say."""
    for _ in range(2):
        world.clock.advance(LONG_S)
        await world.run_gc()
    assert await world.findings() == []
    rows = world.db.read_sync(read_rows)
    assert {str(digest) for digest in await world.stored()} == set(rows.blobs)
    folder = world.storage.layout.registry(UID)
    assert [path for path in folder.rglob(".*") if path.is_file()] == []
    assert [upload async for upload in world.storage.uploads.list(UID)] == []


# --- a process --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Footprint:
    """What a process has of the machine."""

    descriptors: int
    processes: int
    memory_bytes: int

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """With the processes below it."""
        family = [pid, *descendants(pid)]
        return cls(
            descriptors=sum(len(os.listdir(f"/proc/{member}/fd")) for member in family),
            processes=len(family),
            memory_bytes=sum(resident_bytes(member) for member in family),
        )

    def is_back_at(self, base: Footprint, *, descriptors: int = 8, memory_bytes: int = 64 << 20) -> bool:
        """Connections kept alive and caches take a little."""
        return (
            self.descriptors <= base.descriptors + descriptors
            and self.processes <= base.processes
            and self.memory_bytes <= base.memory_bytes + memory_bytes
        )


def resident_bytes(pid: int) -> int:
    """Its own share of what it has in memory."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no Pss")


def descendants(pid: int) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            fields = entry.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                child = int(entry.parent.name)
                found += [child, *descendants(child)]
    return found
