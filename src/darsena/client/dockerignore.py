"""docker's `.dockerignore`, rule for rule: what `docker build` (BuildKit) leaves out is left out, and nothing else.

The reference is the builder reference (section .dockerignore file) and, where it is silent, what BuildKit does:
- the last line that matches decides; `!` takes a file back; a directory's lines hold for all below it;
- a line is remembered as matching a directory only if it was asked there, and it is asked only when it could change
  the answer: `a/b` followed by `!a` therefore leaves `a/b` out;
- a pattern without special characters is compared as text, `dir/**` as a prefix, `**name` as a suffix (so it matches
  `some-name` too), and everything else as an anchored expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from darsena.core.errors import RequestInvalid

_ESCAPED_LETTERS = {
    "d": r"[0-9]",
    "D": r"[^0-9]",
    "s": r"[\t\n\f\r ]",
    "S": r"[^\t\n\f\r ]",
    "w": r"[0-9A-Za-z_]",
    "W": r"[^0-9A-Za-z_]",
    "a": r"\x07",
    "f": r"\x0c",
    "n": r"\n",
    "r": r"\r",
    "t": r"\t",
    "v": r"\x0b",
}
"""docker hands an escape on to Go's regular expressions, so an escaped letter has the meaning that it has there."""

_ESCAPED_PLACES = {"b": r"(?a:\b)", "B": r"(?a:\B)", "A": r"\A", "z": r"\Z"}
"""The same, for those that match a place and not a character: they have none in a [class]."""


class PatternInvalid(RequestInvalid):
    """A line that docker refuses as well."""

    def __init__(self, pattern: str, why: str) -> None:
        super().__init__(f"the ignore pattern {pattern!r} is not valid: {why}")
        self.pattern = pattern


def read_patterns(text: str) -> list[str]:
    """The patterns of an ignore file, cleaned as docker cleans them. A `#` is a comment only in the first column."""
    patterns: list[str] = []
    for line in text.removeprefix("\ufeff").split("\n"):
        if line.startswith("#"):
            continue
        pattern = line.strip()
        if not pattern:
            continue
        exception = pattern.startswith("!")
        if exception:
            pattern = pattern[1:].strip()
        if pattern:
            pattern = clean(pattern)
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        patterns.append(f"!{pattern}" if exception else pattern)
    return patterns


def clean(path: str) -> str:
    """The shortest equal path, found by its text alone (as Go's `filepath.Clean`)."""
    rooted = path.startswith("/")
    parts: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part != ".." or not rooted:
            parts.append(part)
    return ("/" if rooted else "") + "/".join(parts) or "."


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line, compiled. Exactly one of `text`, `prefix`, `suffix`, `expression` is set."""

    source: str
    is_exception: bool
    text: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    expression: re.Pattern[str] | None = None

    def matches(self, path: str) -> bool:
        if self.text is not None:
            return path == self.text
        if self.prefix is not None:
            return path.startswith(self.prefix)
        if self.suffix is not None:
            return path.endswith(self.suffix) or (self.suffix[:1] == "/" and path == self.suffix[1:])
        assert self.expression is not None
        return self.expression.match(path) is not None


_SPECIAL = "*[]?^\\"


def _without_end(source: str) -> str:
    return source.removesuffix("/**").removesuffix("/*")


Marks = tuple[bool, ...]
"""Of one directory: for each pattern whether it was found to match there."""


class IgnoreRules:
    """The lines of one ignore file, in order. Paths are relative to the context's root, with `/` between names."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        """Raise PatternInvalid for a line that docker would refuse."""
        self.patterns: Sequence[Pattern] = tuple(
            compile_pattern(pattern) for pattern in map(str.strip, patterns) if pattern
        )
        self._exceptions = [_without_end(pattern.source) for pattern in self.patterns if pattern.is_exception]
        self._exceptions_are_plain = not any(set(_SPECIAL) & set(exception) for exception in self._exceptions)

    @classmethod
    def parse(cls, text: str) -> IgnoreRules:
        return cls(read_patterns(text))

    def judge(self, path: str, parent: Marks | None = None) -> tuple[bool, Marks]:
        """Whether `path` is left out, and its marks for its children. `parent` is None for a name in the root."""
        ignored = False
        marks: list[bool] = []
        for number, pattern in enumerate(self.patterns):
            matched = parent is not None and parent[number]
            if not matched and pattern.is_exception == ignored:
                matched = pattern.matches(path)
            marks.append(matched)
            if matched:
                ignored = not pattern.is_exception
        return ignored, tuple(marks)

    def closes(self, directory: str) -> bool:
        """Whether nothing below `directory`, which is left out, can be taken back: it need not be walked."""
        if not self._exceptions_are_plain:
            return False
        return not any(f"{exception}/".startswith(f"{directory}/") for exception in self._exceptions)

    def ignores(self, path: str) -> bool:
        """Whether a walk from the root would leave `path` out."""
        names = path.split("/")
        ignored, marks = False, None
        for depth in range(1, len(names) + 1):
            ignored, marks = self.judge("/".join(names[:depth]), marks)
        return ignored


def compile_pattern(pattern: str) -> Pattern:
    """Raise PatternInvalid for bad syntax and for a lone `!`."""
    source = clean(pattern)
    is_exception = source.startswith("!")
    if is_exception:
        source = source[1:]
        if not source:
            raise PatternInvalid("!", "an exception names a path after the '!'")
    return _Compiler(source, is_exception).compile()


class _Compiler:
    """Reads one pattern from left to right, choosing the cheapest way of matching that means the same."""

    def __init__(self, source: str, is_exception: bool) -> None:
        self._source = source
        self._is_exception = is_exception
        self._at = 0
        self._kind = "text"
        self._expression = ""

    def compile(self) -> Pattern:
        while self._at < len(self._source):
            self._term()
        source, is_exception = self._source, self._is_exception
        if self._kind == "prefix":
            return Pattern(source, is_exception, prefix=source[:-2])
        if self._kind == "suffix":
            return Pattern(source, is_exception, suffix=source[2:])
        if self._kind == "text":
            return Pattern(source, is_exception, text=source)
        try:
            return Pattern(source, is_exception, expression=re.compile(self._expression + r"\Z"))
        except re.error as error:
            raise PatternInvalid(source, str(error)) from error

    def _term(self) -> None:
        first = self._at == 0
        char = self._next()
        if char == "*" and self._peek() == "*":
            self._next()
            self._any_depth(first)
            return
        if char in "*?[":
            self._kind = "expression"
        if char == "*":
            self._expression += "[^/]*"
        elif char == "?":
            self._expression += "[^/]"
        elif char == "[":
            self._class()
        elif char == "\\":
            self._kind = "expression"
            self._expression += self._escape()
        else:
            if char == "]":
                self._kind = "expression"
            self._expression += re.escape(char)

    def _any_depth(self, first: bool) -> None:
        """`**`, with the `/` after it: any number of directories, none included; at the end, everything."""
        if self._peek() == "/":
            self._next()
        if self._peek():
            self._expression += "(?:.*/)?"
            self._kind = "expression"
        elif self._kind == "text":
            self._kind = "prefix"
        else:
            self._expression += ".*"
            self._kind = "expression"
        if first:
            self._kind = "suffix"

    def _class(self) -> None:
        """`[abc]`, `[a-z]`, `[^a]`: a dash or bracket that is meant stands behind a backslash."""
        expression = "["
        if self._peek() == "^":
            expression += self._next()
        members = 0
        while members == 0 or self._peek() != "]":
            low, literal_low = self._member()
            if self._peek() == "-":
                self._next()
                high, literal_high = self._member()
                if literal_low is None or literal_high is None or literal_low > literal_high:
                    raise PatternInvalid(self._source, "a range in a [class] goes from low to high")
                low = f"{low}-{high}"
            expression += low
            members += 1
        self._next()
        self._expression += expression + "]"

    def _member(self) -> tuple[str, str | None]:
        """One member as an expression and, when it is a single character, that character."""
        char = self._next()
        if char in ("", "-", "]"):
            raise PatternInvalid(self._source, "a [class] is empty, is not closed or has a bare '-' at an edge")
        if char == "\\":
            escaped = self._peek()
            expression = self._escape(in_class=True)
            if expression.startswith("["):
                if expression.startswith("[^"):
                    raise PatternInvalid(self._source, f"\\{escaped} cannot stand in a [class]")
                return expression[1:-1], None
            return expression, None if escaped in _ESCAPED_LETTERS else escaped
        return re.escape(char), char

    def _escape(self, *, in_class: bool = False) -> str:
        char = self._next()
        if not char:
            raise PatternInvalid(self._source, "it ends in a backslash")
        if char in _ESCAPED_PLACES and not in_class:
            return _ESCAPED_PLACES[char]
        if char in _ESCAPED_LETTERS:
            return _ESCAPED_LETTERS[char]
        if char.isascii() and char.isalnum():
            raise PatternInvalid(self._source, f"\\{char} has no meaning")
        return re.escape(char)

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _next(self) -> str:
        char = self._peek()
        self._at += len(char)
        return char
