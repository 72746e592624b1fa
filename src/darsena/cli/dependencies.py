"""The base images that a build names at the end of its log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from darsena.cli.build_log import DEPENDENCIES_MARK, ENGINE_LINE
from darsena.client.shapes import Object, as_object, as_objects

_END = "Run ID: "
_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    reference: str
    """`registry/repository:tag`, as the Dockerfile meant it."""
    digest: str
    is_runtime: bool
    """False for a base that only an earlier stage used."""


class DependencyReader:
    """Fed with every line of a log; `bases` is right once the log has ended."""

    def __init__(self) -> None:
        self._lines: list[str] | None = None
        self._size = 0

    def feed(self, line: str) -> None:
        if self._lines is None:
            if line.endswith(DEPENDENCIES_MARK):
                self._lines = []
        elif self._size < _LIMIT_BYTES and not line.startswith(_END):
            # The list begins on a line of its own after the engine's time, or beside it.
            engine = ENGINE_LINE.match(line)
            self._lines.append(engine["text"] if engine else line)
            self._size += len(line)

    @property
    def bases(self) -> list[BaseImage]:
        """Each base once, run-time ones first; none when the log names none or cannot be understood."""
        found: dict[BaseImage, None] = {}
        for record in self._records():
            found.update(dict.fromkeys(_images(record)))
        return sorted(found, key=lambda base: not base.is_runtime)

    def _records(self) -> list[Object]:
        import yaml  # slow to import, and wanted only at the end of a build

        try:
            # JSON is YAML too; the service has written both.
            listed: Any = yaml.safe_load("\n".join(self._lines or []))
        except yaml.YAMLError:
            return []
        return as_objects(listed)


def _images(record: Object) -> list[BaseImage]:
    runtime = record.get("runtime-dependency") or record.get("runtime_dependency")
    buildtime = record.get("buildtime-dependency") or record.get("buildtime_dependencies")
    images = [(as_object(runtime), True), *((image, False) for image in as_objects(buildtime))]
    return [_base(image, is_runtime) for image, is_runtime in images if _is_image(image)]


def _is_image(image: Object) -> bool:
    """`scratch` is listed as a base too, and is none."""
    repository = str(image.get("repository") or "")
    return bool(repository) and not (repository.removeprefix("library/") == "scratch" and not image.get("digest"))


def _base(image: Object, is_runtime: bool) -> BaseImage:
    registry, repository, tag = (str(image.get(key) or "") for key in ("registry", "repository", "tag"))
    reference = f"{registry}/{repository}" if registry else repository
    return BaseImage(
        reference=f"{reference}:{tag}" if tag else reference,
        digest=str(image.get("digest") or ""),
        is_runtime=is_runtime,
    )
