"""What a build or run is made from: a folder that is packed and sent, or a place that the server fetches itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from darsena.client.dockerignore import IgnoreRules
from darsena.client.pack import ExtraFile
from darsena.client.walk import Entry, walk
from darsena.core.errors import RequestInvalid

NO_CONTEXT = "/dev/null"

_REMOTE = re.compile(r"(?:git@|git://|ssh://|https?://|oci://)|.*\.git(?:#.*)?\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalContext:
    """A folder. `file_name` is what the server is to call the Dockerfile or task file: a path below the root, or the
    name under which `extra` adds it.
    """

    root: Path
    rules: IgnoreRules
    file_name: str
    extra: tuple[ExtraFile, ...] = ()

    def entries(self, skipped: Callable[[str, str], None]) -> Iterator[Entry]:
        return walk(self.root, self.rules, skipped)


def is_remote(location: str) -> bool:
    """A git or archive URL, told by its form as az tells it; a folder that exists is never remote."""
    return bool(_REMOTE.match(location)) and not Path(location).is_dir()


def open_folder(location: str) -> Path:
    """Raise RequestInvalid unless `location` is a folder here."""
    root = Path(location)
    if not root.exists():
        raise RequestInvalid(f"the context {location!r} does not exist; give a folder, a git URL or {NO_CONTEXT}")
    if not root.is_dir():
        raise RequestInvalid(f"the context {location!r} is not a folder; give a folder, a git URL or {NO_CONTEXT}")
    return root.resolve()


def build_context(location: str, dockerfile: str | None, stdin: Callable[[], bytes]) -> LocalContext:
    """A folder to build. Its Dockerfile is found as docker finds it (`-f` from the working directory, `-` from stdin),
    and the ignore file beside the Dockerfile beats the one in the root. A Dockerfile that the context does not hold
    is added at the root under a name that no other file has, the same for the same text.
    """
    root = open_folder(location)
    if dockerfile == "-":
        rules = _rules(root, None)
        added = _added("Dockerfile", stdin())
        return LocalContext(root=root, rules=rules, file_name=added.name, extra=(added,))
    path = _find(root, dockerfile or "Dockerfile", first=root if dockerfile is None else Path.cwd())
    rules = _rules(root, path)
    return _with_file(root, rules, path)


def task_context(location: str, task_file: str | None) -> LocalContext:
    """A folder for a run. Its task file, if it has one, is looked for in the folder first."""
    root = open_folder(location)
    rules = _rules(root, None)
    if task_file is None:
        return LocalContext(root=root, rules=rules, file_name="")
    first = root if (root / task_file).is_file() else Path.cwd()
    return _with_file(root, rules, _find(root, task_file, first=first))


def _with_file(root: Path, rules: IgnoreRules, path: Path) -> LocalContext:
    inside = _inside(root, path)
    if inside is not None and not rules.ignores(inside):
        return LocalContext(root=root, rules=rules, file_name=inside)
    added = _added(path.name, _read(path))
    return LocalContext(root=root, rules=rules, file_name=added.name, extra=(added,))


def _find(root: Path, name: str, *, first: Path) -> Path:
    for folder in (first, root):
        path = folder / name
        if path.is_file():
            return path.absolute()
    wanted = (first / name).absolute()
    what = "is a folder" if wanted.is_dir() else "does not exist"
    raise RequestInvalid(f"the file {wanted} {what}; name the Dockerfile or task file with -f")


def _inside(root: Path, path: Path) -> str | None:
    """The path below the root when no link is on the way: the server would not find the text behind it."""
    folder = path.parent.resolve()
    if path.is_symlink() or not folder.is_relative_to(root):
        return None
    return str(PurePosixPath((folder / path.name).relative_to(root)))


def _rules(root: Path, dockerfile: Path | None) -> IgnoreRules:
    candidates = [root / ".dockerignore"]
    if dockerfile is not None:
        candidates.insert(0, dockerfile.with_name(dockerfile.name + ".dockerignore"))
    for path in candidates:
        if path.is_file():
            return IgnoreRules.parse(_read(path).decode("utf-8", "replace"))
    return IgnoreRules()


def _added(name: str, content: bytes) -> ExtraFile:
    """Named after its content, so that an unchanged build sends unchanged bytes and finds its cached layers."""
    return ExtraFile(name=f"{hashlib.sha256(content).hexdigest()[:32]}_{name}", content=content)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RequestInvalid(f"{path} cannot be read: {error.strerror}") from error
