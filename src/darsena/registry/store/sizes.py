"""Three sizes of a repository: what it has, what of that others have too, and what its deletion would free."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, exists, func, select

from darsena.db import Tx
from darsena.registry.tables import blob, manifest, repository, repository_blob


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositorySize:
    """`own` = `shared` + `freed`. The bytes of blobs, each once; manifests apart, since they are in the database."""

    name: str
    own: int
    shared: int
    """Also in other repositories of the registry: stored once for all of them."""
    blobs: int
    manifest_bytes: int

    @property
    def freed(self) -> int:
        """What gc would free if the repository were deleted."""
        return self.own - self.shared


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySize:
    """`stored` = `single` + `shared` + `unlinked`: what all blobs have, each counted once."""

    stored: int
    blobs: int
    single: int
    """Of blobs in one repository: the sum of what deleting each repository would free."""
    shared: int
    """Of blobs in several repositories."""
    unlinked: int
    """Of blobs in no repository: gc takes them."""


def list_sizes(tx: Tx, registry_uid: str, after: str, limit: int) -> list[RepositorySize]:
    """By name, beginning after `after`."""
    rows = tx.execute(
        select(repository.c.id, repository.c.name)
        .where(repository.c.registry_uid == registry_uid, repository.c.name > after)
        .order_by(repository.c.name)
        .limit(limit)
    ).all()
    return [_measure(tx, registry_uid, row.id, row.name) for row in rows]


def find_size(tx: Tx, registry_uid: str, name: str) -> RepositorySize | None:
    here = (repository.c.registry_uid == registry_uid) & (repository.c.name == name)
    id_ = tx.execute(select(repository.c.id).where(here)).scalar()
    return None if id_ is None else _measure(tx, registry_uid, id_, name)


def _measure(tx: Tx, registry_uid: str, repository_id: int, name: str) -> RepositorySize:
    other = repository_blob.alias("other")
    is_shared = (
        exists()
        .select_from(other, repository)
        .where(
            other.c.digest == repository_blob.c.digest,
            other.c.repository_id != repository_blob.c.repository_id,
            repository.c.id == other.c.repository_id,
            repository.c.registry_uid == registry_uid,
        )
        .correlate(repository_blob)
    )
    row = tx.execute(
        select(
            func.count().label("number"),
            func.coalesce(func.sum(blob.c.size), 0).label("own"),
            func.coalesce(func.sum(case((is_shared, blob.c.size), else_=0)), 0).label("shared"),
        )
        .select_from(repository_blob)
        .join(blob, (blob.c.registry_uid == registry_uid) & (blob.c.digest == repository_blob.c.digest))
        .where(repository_blob.c.repository_id == repository_id)
    ).one()
    manifests = select(func.coalesce(func.sum(manifest.c.size), 0)).where(manifest.c.repository_id == repository_id)
    return RepositorySize(
        name=name,
        own=int(row.own),
        shared=int(row.shared),
        blobs=row.number,
        manifest_bytes=int(tx.execute(manifests).scalar_one()),
    )


def measure_registry(tx: Tx, registry_uid: str) -> RegistrySize:
    mine = select(repository.c.id).where(repository.c.registry_uid == registry_uid)
    links = (
        select(repository_blob.c.digest, func.count().label("holders"))
        .where(repository_blob.c.repository_id.in_(mine))
        .group_by(repository_blob.c.digest)
        .subquery()
    )
    counted = (
        select(blob.c.size, func.coalesce(links.c.holders, 0).label("holders"))
        .outerjoin(links, links.c.digest == blob.c.digest)
        .where(blob.c.registry_uid == registry_uid)
        .subquery()
    )
    by_class = case((counted.c.holders == 0, 0), (counted.c.holders == 1, 1), else_=2).label("class")
    rows = tx.execute(
        select(by_class, func.count().label("number"), func.sum(counted.c.size).label("total")).group_by(by_class)
    ).all()
    totals = {row[0]: int(row.total) for row in rows}
    return RegistrySize(
        stored=sum(totals.values()),
        blobs=sum(row.number for row in rows),
        single=totals.get(1, 0),
        shared=totals.get(2, 0),
        unlinked=totals.get(0, 0),
    )
