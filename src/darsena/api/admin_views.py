"""Bodies of the maintenance API: what goes in, what comes out."""

from __future__ import annotations

from typing import Literal

import msgspec

from darsena.core.clock import render_time
from darsena.registry.fsck_model import Examined, Finding
from darsena.registry.gc_model import GcRun, Plan, Progress, Tally
from darsena.registry.store.sizes import RegistrySize, RepositorySize


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class GcRequest(Body, frozen=True, kw_only=True):
    registry: str | None = None
    dry_run: bool = False
    grace_seconds: float | None = None


class FsckRequest(Body, frozen=True, kw_only=True):
    registry: str | None = None
    repair: bool = False
    digests: bool = True


class TallyView(Body, frozen=True, kw_only=True):
    number: int
    bytes: int


class DigestView(Body, frozen=True, kw_only=True):
    digest: str
    bytes: int


class PlanView(Body, frozen=True, kw_only=True):
    blobs: TallyView
    links: int
    orphans: TallyView
    leftovers: TallyView
    uploads: TallyView
    waiting: TallyView
    bytes: int
    digests: list[DigestView]


class GcRunView(Body, frozen=True, kw_only=True):
    id: int
    registry: str | None
    status: str
    grace_seconds: float
    requested_at: str
    started_at: str | None
    finished_at: str | None
    error: str | None
    progress: Progress


class FindingLine(Body, frozen=True, kw_only=True, tag_field="line", tag="finding"):
    kind: str
    severity: str
    registry: str
    repository: str | None
    subject: str
    detail: str
    repaired: bool


class ProgressLine(Body, frozen=True, kw_only=True, tag_field="line", tag="progress"):
    registries: int
    blobs: int
    bytes: int
    manifests: int
    uploads: int


class EndLine(Body, frozen=True, kw_only=True, tag_field="line", tag="end"):
    """`verdict`: clean, or the worst that was found and not repaired."""

    verdict: Literal["clean", "garbage", "inconsistent", "lost"]
    findings: int
    repaired: int
    registries: int
    blobs: int
    bytes: int
    manifests: int
    uploads: int


class FailureLine(Body, frozen=True, kw_only=True, tag_field="line", tag="failure"):
    message: str


class RepositorySizeView(Body, frozen=True, kw_only=True):
    name: str
    own_bytes: int
    shared_bytes: int
    freed_bytes: int
    blobs: int
    manifest_bytes: int


class RegistrySizeView(Body, frozen=True, kw_only=True):
    registry: str
    stored_bytes: int
    single_bytes: int
    shared_bytes: int
    unlinked_bytes: int
    blobs: int
    repositories: list[RepositorySizeView]
    next: str | None


def view_plan(plan: Plan) -> PlanView:
    parts = (plan.blobs, plan.orphans, plan.leftovers, plan.uploads)
    return PlanView(
        blobs=_tally(plan.blobs),
        links=plan.links,
        orphans=_tally(plan.orphans),
        leftovers=_tally(plan.leftovers),
        uploads=_tally(plan.uploads),
        waiting=_tally(plan.waiting),
        bytes=sum(part.size for part in parts),
        digests=[DigestView(digest=digest, bytes=size) for digest, size in plan.digests],
    )


def view_run(run: GcRun, registry: str | None) -> GcRunView:
    return GcRunView(
        id=run.id,
        registry=registry,
        status=run.status,
        grace_seconds=run.grace_us / 1_000_000,
        requested_at=render_time(run.requested_us),
        started_at=None if run.started_us is None else render_time(run.started_us),
        finished_at=None if run.finished_us is None else render_time(run.finished_us),
        error=run.error,
        progress=run.progress,
    )


def view_finding(finding: Finding, registry: str) -> FindingLine:
    return FindingLine(
        kind=finding.kind,
        severity=finding.severity,
        registry=registry,
        repository=finding.repository,
        subject=finding.subject,
        detail=finding.detail,
        repaired=finding.is_repaired,
    )


def view_progress(examined: Examined) -> ProgressLine:
    return ProgressLine(
        registries=examined.registries,
        blobs=examined.blobs,
        bytes=examined.bytes,
        manifests=examined.manifests,
        uploads=examined.uploads,
    )


def view_repository_size(size: RepositorySize) -> RepositorySizeView:
    return RepositorySizeView(
        name=size.name,
        own_bytes=size.own,
        shared_bytes=size.shared,
        freed_bytes=size.freed,
        blobs=size.blobs,
        manifest_bytes=size.manifest_bytes,
    )


def view_registry_size(
    name: str, size: RegistrySize, repositories: list[RepositorySizeView], last: str | None
) -> RegistrySizeView:
    return RegistrySizeView(
        registry=name,
        stored_bytes=size.stored,
        single_bytes=size.single,
        shared_bytes=size.shared,
        unlinked_bytes=size.unlinked,
        blobs=size.blobs,
        repositories=repositories,
        next=last,
    )


def _tally(tally: Tally) -> TallyView:
    return TallyView(number=tally.number, bytes=tally.size)
