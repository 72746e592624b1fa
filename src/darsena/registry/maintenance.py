"""What keeps a folder in order, together as the composition root makes it: gc, fsck, sizes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from darsena.core.errors import RepositoryUnknown
from darsena.core.names import RepositoryName
from darsena.db import Database
from darsena.registry.fsck import Fsck
from darsena.registry.fsck_model import Examined, Finding
from darsena.registry.gc import GarbageCollector
from darsena.registry.model import Page, Registry
from darsena.registry.store import sizes
from darsena.registry.store.sizes import RegistrySize, RepositorySize


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    db: Database
    gc: GarbageCollector
    fsck: Fsck
    list_registries: Callable[[], Awaitable[Sequence[Registry]]]

    async def check(
        self, registry: Registry | None, examined: Examined, *, repair: bool = False, digests: bool = True
    ) -> AsyncIterator[Finding]:
        """Everything, or one registry; see Fsck.check."""
        registries = await self.list_registries() if registry is None else [registry]
        async for finding in self.fsck.check(registries, examined, repair=repair, digests=digests):
            yield finding
        if registry is None:
            async for finding in self.fsck.check_folders(self.list_registries):
                yield finding

    async def measure_registry(self, registry: Registry) -> RegistrySize:
        return await self.db.read(sizes.measure_registry, registry.uid)

    async def measure_repository(self, registry: Registry, name: RepositoryName) -> RepositorySize:
        """Raises RepositoryUnknown."""
        found = await self.db.read(sizes.find_size, registry.uid, name)
        if found is None:
            raise RepositoryUnknown(name)
        return found

    async def list_sizes(self, registry: Registry, *, last: str, limit: int) -> Page[RepositorySize]:
        """By name, beginning after `last`."""
        found = await self.db.read(sizes.list_sizes, registry.uid, last, limit + 1)
        items = tuple(found[:limit])
        return Page(items=items, last=items[-1].name if len(found) > limit > 0 else None)
