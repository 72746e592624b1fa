"""What a build stood upon and what it made: the records that base-image triggers read, and the list in the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from darsena.agent.protocol import DependencyRecord, ImageRecord
from darsena.engine.dockerfile import DockerfileScan
from darsena.engine.port import Image
from darsena.engine.references import DOCKER_HUB, ImageReference, parse_image

_HUB_NAME = "registry.hub.docker.com"
"""Docker Hub as ACR writes it in records."""


def to_record(reference: ImageReference, digest: str | None) -> ImageRecord:
    registry = _HUB_NAME if reference.registry == DOCKER_HUB else reference.registry
    return ImageRecord(registry=registry, repository=reference.repository, tag=reference.tag, digest=digest)


class DependencyBook:
    """Filled by build steps, completed by pushes."""

    def __init__(self) -> None:
        self._builds: list[tuple[tuple[str, ...], ImageRecord, list[ImageRecord]]] = []
        self.pushed: dict[str, str] = {}
        """Whole reference → digest in the registry, in order of push."""

    def add_build(self, tags: Iterable[str], scan: DockerfileScan, bases: Mapping[str, Image]) -> None:
        """`bases` by the reference as the Dockerfile has it."""
        runtime = self._record_base(scan.runtime, bases)
        others = [self._record_base(base.reference, bases) for base in scan.bases if base.reference != scan.runtime]
        distinct = [record for index, record in enumerate(others) if record not in others[:index]]
        self._builds.append((tuple(str(parse_image(tag)) for tag in tags), runtime, distinct))

    def output_images(self) -> list[ImageRecord]:
        return [to_record(parse_image(reference), digest) for reference, digest in self.pushed.items()]

    def records(self, commit: str) -> list[DependencyRecord]:
        """One per tag; a build without tags still has its bases."""
        git = {"git-head-revision": commit} if commit else {}
        found: list[DependencyRecord] = []
        for tags, runtime, others in self._builds:
            images = [to_record(parse_image(tag), self.pushed.get(tag)) for tag in tags] or [None]
            found += [
                DependencyRecord(image=image, runtime_dependency=runtime, buildtime_dependencies=others, git=git)
                for image in images
            ]
        return found

    @staticmethod
    def _record_base(reference: str, bases: Mapping[str, Image]) -> ImageRecord:
        if reference == "scratch":
            return ImageRecord(registry=_HUB_NAME, repository="library/scratch", tag=None, digest=None)
        return to_record(parse_image(reference), bases[reference].digest if reference in bases else None)


def render_records(records: Iterable[DependencyRecord]) -> str:
    """The list as the service's logs show it (YAML)."""
    lines: list[str] = []
    for record in records:
        lines.append("- image:")
        lines += _render_image(record.image, 4) if record.image else []
        if record.runtime_dependency:
            lines += ["  runtime-dependency:", *_render_image(record.runtime_dependency, 4)]
        if record.buildtime_dependencies:
            lines.append("  buildtime-dependency:")
            for dependency in record.buildtime_dependencies:
                first, *rest = _render_image(dependency, 4)
                lines += [f"  - {first.strip()}", *rest]
        git = [f"    {name}: {value}" for name, value in record.git.items()]
        lines += ["  git:", *git] if git else ["  git: {}"]
    return "\n".join(lines)


def _render_image(image: ImageRecord, indent: int) -> list[str]:
    fields = (
        ("registry", image.registry),
        ("repository", image.repository),
        ("tag", image.tag),
        ("digest", image.digest),
    )
    return [f"{' ' * indent}{name}: {value}" for name, value in fields if value]
