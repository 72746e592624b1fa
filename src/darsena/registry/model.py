"""Values of the data plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from darsena.core.digest import Digest
from darsena.core.names import RepositoryName, TagName

T = TypeVar("T")

OrderBy = Literal["none", "timeasc", "timedesc"]


QUARANTINED: Final = "Quarantined"
PASSED: Final = "Passed"
QUARANTINE_STATES: Final = (QUARANTINED, PASSED, "Failed")
"""While the registry's policy is on, a manifest with any state but Passed is not pulled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What may be done with a repository, tag or manifest. New ones: everything."""

    read_enabled: bool = True
    write_enabled: bool = True
    delete_enabled: bool = True
    list_enabled: bool = True

    def as_wire(self) -> dict[str, bool]:
        return {
            "deleteEnabled": self.delete_enabled,
            "writeEnabled": self.write_enabled,
            "listEnabled": self.list_enabled,
            "readEnabled": self.read_enabled,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """As much of the ARM resource as the data plane needs."""

    uid: str
    stream: str
    quarantine: bool = False
    """Whether pushed manifests wait to be released."""
    storage_limit_bytes: int = 0
    """What its blobs together may take; 0: anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulls:
    """How often something was pulled, and when last."""

    number: int
    last_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    id: int
    registry_uid: str
    name: RepositoryName
    created_us: int
    updated_us: int
    attributes: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryView:
    """A repository with its counts."""

    repository: Repository
    manifest_count: int
    tag_count: int
    pulls: Pulls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    digest: Digest
    media_type: str
    size: int
    image_size: int
    """Bytes of config and layers; of an index its own bytes."""
    config_media_type: str | None
    architecture: str | None
    os: str | None
    artifact_type: str | None
    subject: Digest | None
    created_us: int
    updated_us: int
    attributes: Attributes
    quarantine_state: str | None

    @property
    def is_quarantined(self) -> bool:
        """Not released; it matters while the registry's policy is on."""
        return self.quarantine_state not in (None, PASSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestView:
    """A manifest with the tags that name it, in order."""

    manifest: Manifest
    tags: tuple[str, ...]
    pulls: Pulls | None = None
    """Of a manifest that was asked for by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    name: TagName
    digest: Digest
    created_us: int
    updated_us: int
    attributes: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a manifest PUT did."""

    digest: Digest
    subject: Digest | None
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What went with a repository: digests as text, and names."""

    manifests: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    items: tuple[T, ...]
    last: str | None
    """Where the next page begins, exclusive; None on the last page."""
