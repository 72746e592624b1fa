"""Image names as people write them, made whole: Docker Hub is the default, and a port is no tag."""

from __future__ import annotations

import re
from dataclasses import dataclass

from darsena.engine.port import StepFault

DOCKER_HUB = "docker.io"
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_DIGEST = re.compile(r"sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        """Whole and unambiguous, with the tag left out where there is a digest."""
        if self.digest:
            return f"{self.name}@{self.digest}"
        return f"{self.name}:{self.tag or 'latest'}"


def parse_image(text: str) -> ImageReference:
    """Raise StepFault for what is no image name."""
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.match(digest):
        raise StepFault(f"invalid reference format: {text!r} has no valid digest after the @")
    head, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        head, tag = rest, ""
    if colon and "/" not in rest.rpartition(":")[2] and not _TAG.match(tag):
        raise StepFault(f"invalid reference format: {text!r} has no valid tag")
    registry, slash, repository = head.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, repository = DOCKER_HUB, head
    if registry in (DOCKER_HUB, "index.docker.io", "registry.hub.docker.com") and "/" not in repository:
        repository = f"library/{repository}"
    if registry in ("index.docker.io", "registry.hub.docker.com"):
        registry = DOCKER_HUB
    if not _HOST.match(registry) or not _REPOSITORY.match(repository) or len(repository) > 255:
        raise StepFault(f"invalid reference format: {text!r} is no image name (a repository is lower case)")
    return ImageReference(
        registry=registry,
        repository=repository,
        tag=tag or (None if digest else "latest"),
        digest=digest or None,
    )


def map_image(reference: ImageReference, mapping: dict[str, str]) -> ImageReference | None:
    """Where the longest matching repository prefix says the image really is; None without a match."""
    for prefix in sorted(mapping, key=len, reverse=True):
        if reference.name == prefix or reference.name.startswith(prefix + "/"):
            target = mapping[prefix].rstrip("/") + reference.name.removeprefix(prefix)
            registry, _, repository = target.partition("/")
            return ImageReference(registry=registry, repository=repository, tag=reference.tag, digest=reference.digest)
    return None
