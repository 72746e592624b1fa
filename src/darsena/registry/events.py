"""Facts of the data plane, each on its registry's stream. Digests are `algorithm:hex`; sizes are plaintext bytes."""

from __future__ import annotations

from typing import ClassVar

from darsena.journal import EventBody


class RepositoryCreated(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "repository.created"
    repository: str


class RepositoryUpdated(EventBody, frozen=True, kw_only=True):
    """An attribute changed; the attributes as they are now, under ACR's names for them."""

    kind: ClassVar[str] = "repository.updated"
    repository: str
    attributes: dict[str, bool]


class RepositoryDeleted(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "repository.deleted"
    repository: str
    manifests: int
    tags: int


class ManifestPushed(EventBody, frozen=True, kw_only=True):
    """A manifest that the repository did not have."""

    kind: ClassVar[str] = "manifest.pushed"
    repository: str
    digest: str
    media_type: str
    size: int
    artifact_type: str | None = None
    subject: str | None = None
    quarantine_state: str | None = None


class ManifestUpdated(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "manifest.updated"
    repository: str
    digest: str
    attributes: dict[str, bool]
    quarantine_state: str | None = None
    previous_quarantine_state: str | None = None


class ManifestDeleted(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "manifest.deleted"
    repository: str
    digest: str
    media_type: str
    size: int


class TagMoved(EventBody, frozen=True, kw_only=True):
    """A tag names another digest now; `previous_digest` is None for a new tag."""

    kind: ClassVar[str] = "tag.moved"
    repository: str
    tag: str
    previous_digest: str | None
    digest: str


class TagUpdated(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "tag.updated"
    repository: str
    tag: str
    attributes: dict[str, bool]


class TagDeleted(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "tag.deleted"
    repository: str
    tag: str
    previous_digest: str


class BlobAdded(EventBody, frozen=True, kw_only=True):
    """The registry as a whole gained a blob: its bytes count once, however many repositories link it."""

    kind: ClassVar[str] = "blob.added"
    digest: str
    size: int


class BlobRemoved(EventBody, frozen=True, kw_only=True):
    """The registry's row of a blob is gone; its bytes go next."""

    kind: ClassVar[str] = "blob.removed"
    digest: str
    size: int


class BlobLinked(EventBody, frozen=True, kw_only=True):
    """A repository may serve a blob now."""

    kind: ClassVar[str] = "blob.linked"
    repository: str
    digest: str


class BlobUnlinked(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "blob.unlinked"
    repository: str
    digest: str
