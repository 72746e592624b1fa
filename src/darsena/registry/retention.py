"""The retention policy: manifests that lost their last tag while it was on, so many days ago, and that nothing holds.

As the service does it: Docker's media types only, nothing that is locked, no child of an index. In batches, each a
transaction that looks again under the lock that a push takes, so a tag that comes back in time is in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from darsena.core.digest import Digest
from darsena.core.errors import Locked, ManifestUnknown, Problem
from darsena.core.names import RepositoryName
from darsena.db import Database, Tx
from darsena.jobs.wake import pause
from darsena.registry.deleting import Deleting, manifest_event
from darsena.registry.model import Registry
from darsena.registry.store import manifests, repositories, tags, untagged

_log: structlog.stdlib.BoundLogger = structlog.get_logger("darsena.registry")

_EVERY_S: Final = 60.0
_AT_ONCE: Final = 200
"""A push waits for one such transaction: some ten milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One registry's, while it is on."""

    registry: Registry
    since_us: int
    """When it was switched on: what lost its tag before stays."""
    keep_us: int


ListPolicies = Callable[[], Awaitable[Sequence[Policy]]]


class Retention:
    """Any number of processes may sweep at the same time."""

    def __init__(self, db: Database, deleting: Deleting, list_policies: ListPolicies) -> None:
        self._db = db
        self._deleting = deleting
        self._list_policies = list_policies

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.sweep()
            except Problem as problem:
                _log.warning("untagged_not_removed", error=problem.message)
            await pause(stop, _EVERY_S)

    async def sweep(self) -> int:
        """Remove what is due now; returns how many manifests that were, their referrers not counted."""
        total = 0
        for policy in await self._list_policies():
            number = await self._sweep(policy)
            total += number
            if number:
                _log.info("untagged_removed", registry=policy.registry.uid, manifests=number)
        return total

    async def _sweep(self, policy: Policy) -> int:
        total, after = 0, untagged.START
        before_us = self._db.clock.now_us() - policy.keep_us
        while due := await self._db.read(self._list_due, policy, before_us, after):
            by_repository: dict[RepositoryName, list[Digest]] = {}
            for item in due:
                by_repository.setdefault(item.repository, []).append(item.digest)
            for name, digests in by_repository.items():
                removed, subjects = await self._db.transact(self._remove, policy, before_us, name, digests)
                total += removed
                for digest in subjects:
                    with suppress(Locked, ManifestUnknown):  # one of the referrers may not go: the subject stays too
                        total += await self._db.transact(self._remove_subject, policy, before_us, name, digest)
            after = due[-1]
        return total

    # --- inside -------------------------------------------------------------------------------------------------

    def _list_due(self, tx: Tx, policy: Policy, before_us: int, after: untagged.Due) -> list[untagged.Due]:
        return untagged.list_due(tx, policy.registry.uid, policy.since_us, before_us, after, _AT_ONCE)

    def _remove(
        self, tx: Tx, policy: Policy, before_us: int, name: RepositoryName, digests: Sequence[Digest]
    ) -> tuple[int, list[Digest]]:
        """How many went, and which have referrers: those need a closer look."""
        repository = repositories.find(tx, policy.registry.uid, name, lock=True)
        if repository is None or not repository.attributes.write_enabled:
            return 0, []
        removable = untagged.list_removable(tx, repository.id, digests, policy.since_us, before_us)
        subjects = manifests.list_subjects(tx, repository.id, removable)
        going = [digest for digest in removable if digest not in subjects]
        if going:
            for found in manifests.remove_many(tx, repository.id, going):
                tx.emit(policy.registry.stream, manifest_event(repository, found))
            repositories.touch(tx, repository.id)
        return len(going), [digest for digest in removable if digest in subjects]

    def _remove_subject(self, tx: Tx, policy: Policy, before_us: int, name: RepositoryName, digest: Digest) -> int:
        """With its referrers, unless one of them has a tag."""
        repository = repositories.find(tx, policy.registry.uid, name, lock=True)
        if repository is None:
            return 0
        if not untagged.list_removable(tx, repository.id, [digest], policy.since_us, before_us):
            return 0
        root = manifests.find(tx, repository.id, digest)
        assert root is not None
        if tags.map_by_digest(tx, repository.id, list(self._deleting.list_with_referrers(tx, repository, root))):
            return 0
        self._deleting.remove_manifest(tx, policy.registry, name, digest)
        return 1
