"""What a Dockerfile builds upon, found in its text alone (tasks-engine, section 17).

Reads the `escape` directive, continuations, heredocs, global and stage ARGs, `FROM --platform`, `COPY --from=` and
`RUN --mount=…from=`; only stages that the target needs count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from darsena.engine.port import StepFault

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*\Z")
_HEREDOC = re.compile(r"\d*<<(-?)([\"']?)([A-Za-z_][A-Za-z0-9_]*)\2")
_VARIABLE = re.compile(
    r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?::?([-+?])((?:[^{}\\]|\\.|\{[^{}]*\})*))?\})"
)
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(\S*))?\s+")
_HEREDOC_INSTRUCTIONS = ("RUN", "COPY", "ADD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    line: int
    name: str
    flags: tuple[tuple[str, str], ...]
    text: str
    """What stands after the flags, continuations joined; a heredoc's lines are not in it."""
    has_heredoc: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """An image that the build uses and does not make. `platform` when FROM names one."""

    reference: str
    platform: str | None
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileScan:
    runtime: str
    """What the image that results stands upon: a reference, or `scratch`."""
    bases: tuple[Base, ...]
    """All images that are needed, in order of appearance, each once; without `scratch`."""
    runs: bool
    """Whether anything is executed (RUN)."""
    heredoc_line: int | None
    """Where the first heredoc is, if there is one."""


@dataclass(slots=True, kw_only=True)
class _Stage:
    reference: str
    platform: str | None
    line: int
    name: str | None
    origin: int | None
    """Index of the stage that FROM names."""
    uses: list[int] = field(default_factory=list[int])
    images: list[Base] = field(default_factory=list[Base])
    runs: bool = False
    heredoc_lines: list[int] = field(default_factory=list[int])


def scan(text: str, arguments: Mapping[str, str], platform: str, target: str | None = None) -> DockerfileScan:
    """Raise StepFault for a file with no FROM, an unknown target or an empty base name."""
    stages = _read_stages(list(parse(text)), arguments, _platform_arguments(platform))
    if not stages:
        raise StepFault("the Dockerfile has no FROM instruction")
    last = _find_target(stages, target)
    needed = _reach(stages, last)
    bases: dict[tuple[str, str | None], Base] = {}
    for index in sorted(needed):
        stage = stages[index]
        own = (
            []
            if stage.origin is not None
            else [Base(reference=stage.reference, platform=stage.platform, line=stage.line)]
        )
        for base in (*own, *stage.images):
            if base.reference != "scratch":
                bases.setdefault((base.reference, base.platform), base)
    origin = stages[last]
    while origin.origin is not None:
        origin = stages[origin.origin]
    return DockerfileScan(
        runtime=origin.reference,
        bases=tuple(bases.values()),
        runs=any(stages[index].runs for index in needed),
        heredoc_line=min((line for index in needed for line in stages[index].heredoc_lines), default=None),
    )


def parse(text: str) -> Iterator[Instruction]:
    lines = text.removeprefix("\ufeff").splitlines()
    escape = _read_escape(lines)
    index = 0
    while index < len(lines):
        first, joined = index, ""
        while index < len(lines):
            line = lines[index]
            index += 1
            if line.strip().startswith("#") or (joined and not line.strip()):
                continue
            body = line.rstrip()
            joined += body[:-1] if body.endswith(escape) else body
            if not body.endswith(escape):
                break
        instruction = _split(joined.strip(), first + 1)
        if instruction is None:
            continue
        heredocs = _find_heredocs(instruction)
        index = _skip_heredocs(heredocs, lines, index)
        yield replace(instruction, has_heredoc=bool(heredocs))


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$x`, `${x}`, `${x:-d}`, `${x:+d}`, with or without the colon; unknown is empty; `\\$` is a dollar sign."""

    def put(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        value, operator, word = variables.get(name), match[3], match[4] or ""
        given = value is not None and (bool(value) or ":" not in match[0])
        if operator == "-":
            return value or "" if given else expand(word, variables)
        if operator == "+":
            return expand(word, variables) if given else ""
        return value or ""

    parts = text.split("\\$")
    return "$".join(_VARIABLE.sub(put, part) for part in parts)


def _read_escape(lines: list[str]) -> str:
    """Directives stand before everything else, comments included."""
    for line in lines:
        match = _DIRECTIVE.match(line.strip())
        if match is None:
            break
        if match[1].lower() == "escape" and match[2] in ("\\", "`"):
            return match[2]
    return "\\"


def _split(text: str, line: int) -> Instruction | None:
    name, _, rest = text.partition(" ") if " " in text else text.partition("\t")
    if not name:
        return None
    name, _, more = name.partition("\t")
    rest = f"{more} {rest}".strip() + " "
    flags: list[tuple[str, str]] = []
    while match := _FLAG.match(rest):
        flags.append((match[1], match[2] or ""))
        rest = rest[match.end() :]
    return Instruction(line=line, name=name.upper(), flags=tuple(flags), text=rest.strip())


def _find_heredocs(instruction: Instruction) -> list[tuple[str, bool]]:
    """The word that ends each, and whether tabs before it count for nothing. `1<<N` inside of a word is none."""
    if instruction.name not in _HEREDOC_INSTRUCTIONS:
        return []
    found = (_HEREDOC.fullmatch(word) for word in _words(instruction.text))
    return [(match[3], bool(match[1])) for match in found if match]


def _skip_heredocs(heredocs: list[tuple[str, bool]], lines: list[str], index: int) -> int:
    for end, has_tabs in heredocs:
        while index < len(lines):
            line = lines[index].lstrip("\t") if has_tabs else lines[index]
            index += 1
            if line.rstrip("\r") == end:
                break
    return index


def _read_stages(
    instructions: Iterable[Instruction], arguments: Mapping[str, str], predefined: Mapping[str, str]
) -> list[_Stage]:
    """Global ARGs (before the first FROM) count in FROM lines; a stage's own and re-declared ones inside it."""
    stages: list[_Stage] = []
    shared = dict(predefined)
    scope: dict[str, str] = {}
    for instruction in instructions:
        if instruction.name == "ARG":
            _declare(instruction, scope if stages else shared, shared, arguments)
        elif instruction.name == "FROM":
            stages.append(_open_stage(instruction, stages, shared))
            scope = {}
        elif stages:
            _note_uses(instruction, stages, {**predefined, **scope})
    return stages


def _declare(
    instruction: Instruction, scope: dict[str, str], shared: Mapping[str, str], arguments: Mapping[str, str]
) -> None:
    for word in _words(instruction.text):
        name, equals, default = word.partition("=")
        if name in arguments:
            scope[name] = arguments[name]
        elif equals:
            if scope is not shared or name not in scope:
                scope[name] = expand(_unquote(default), {**shared, **scope})
        elif name in shared:
            scope[name] = shared[name]


def _open_stage(instruction: Instruction, stages: list[_Stage], variables: Mapping[str, str]) -> _Stage:
    words = instruction.text.split()
    reference = expand(_unquote(words[0]), variables) if words else ""
    if not reference:
        raise StepFault(f"line {instruction.line}: FROM {instruction.text} names no image")
    name = words[2].lower() if len(words) == 3 and words[1].upper() == "AS" else None
    platform = expand(_unquote(dict(instruction.flags).get("platform", "")), variables) or None
    return _Stage(
        reference=reference,
        platform=platform,
        line=instruction.line,
        name=name,
        origin=_find_stage(stages, reference, numbers=False),
    )


def _note_uses(instruction: Instruction, stages: list[_Stage], variables: Mapping[str, str]) -> None:
    stage = stages[-1]
    if instruction.name == "RUN":
        stage.runs = True
    if instruction.has_heredoc:
        stage.heredoc_lines.append(instruction.line)
    for source in _sources(instruction):
        reference = expand(_unquote(source), variables)
        index = _find_stage(stages[:-1], reference, numbers=True)
        if index is not None:
            stage.uses.append(index)
        elif reference and not reference.isdigit():
            stage.images.append(Base(reference=reference, platform=None, line=instruction.line))


def _sources(instruction: Instruction) -> Iterator[str]:
    for flag, value in instruction.flags:
        if flag == "from" and instruction.name in ("COPY", "ADD"):
            yield value
        elif flag == "mount" and instruction.name == "RUN":
            yield from (part[5:] for part in value.split(",") if part.startswith("from="))


def _find_stage(stages: list[_Stage], reference: str, *, numbers: bool) -> int | None:
    if numbers and reference.isdigit() and int(reference) < len(stages):
        return int(reference)
    for index in range(len(stages) - 1, -1, -1):
        if stages[index].name == reference.lower():
            return index
    return None


def _find_target(stages: list[_Stage], target: str | None) -> int:
    if not target:
        return len(stages) - 1
    index = _find_stage(stages, target, numbers=True)
    if index is None:
        raise StepFault(f"the target stage {target!r} is not in the Dockerfile")
    return index


def _reach(stages: list[_Stage], last: int) -> set[int]:
    needed, queue = {last}, [last]
    while queue:
        stage = stages[queue.pop()]
        for index in (*stage.uses, *((stage.origin,) if stage.origin is not None else ())):
            if index not in needed:
                needed.add(index)
                queue.append(index)
    return needed


def _platform_arguments(platform: str) -> dict[str, str]:
    system, _, rest = platform.partition("/")
    architecture, _, variant = rest.partition("/")
    values: dict[str, str] = {}
    for side in ("BUILD", "TARGET"):
        values |= {f"{side}PLATFORM": platform, f"{side}OS": system, f"{side}ARCH": architecture}
        values[f"{side}VARIANT"] = variant
    return values


def _words(text: str) -> list[str]:
    """Split at blanks outside quotes; the quotes stay."""
    return re.findall(r"(?:[^\s\"']|\"(?:[^\"\\]|\\.)*\"|'[^']*')+", text)


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text
