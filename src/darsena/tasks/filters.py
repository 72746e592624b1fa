"""The `$filter` of the list of runs, read into a tree of tests (OData 4: logical and comparison operators, `contains`).

Names compare without case. Values are texts in quotes, times (RFC 3339, bare or in quotes), true, false and null.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from darsena.core.clock import parse_time
from darsena.core.errors import RequestInvalid

Operator = Literal["eq", "ne", "gt", "ge", "lt", "le"]
FieldKind = Literal["text", "word", "time", "flag"]
Value = str | int | bool | None

FIELDS: Final[dict[str, FieldKind]] = {
    "runid": "word",
    "runtype": "word",
    "status": "word",
    "createtime": "time",
    "finishtime": "time",
    "outputimagemanifests": "text",
    "isarchiveenabled": "flag",
    "taskname": "text",
    "agentpoolname": "text",
}
"""A word compares without case."""

_OPERATORS: Final[dict[str, Operator]] = {
    "eq": "eq", "ne": "ne", "gt": "gt", "ge": "ge", "lt": "lt", "le": "le",
}  # fmt: skip
_TOKEN = re.compile(
    r"\s*(?:(?P<text>(?:datetime(?:offset)?)?'(?:[^']|'')*')|(?P<mark>[(),])|(?P<word>[A-Za-z0-9_.:+-]+))", re.I | re.A
)
_LONGEST = 4096
_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Compare:
    field: str
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class Contains:
    field: str
    part: str


@dataclass(frozen=True, slots=True)
class Both:
    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Either:
    tests: tuple[Test, ...]


Test = Compare | Contains | Both | Either


def parse_filter(text: str) -> Test | None:
    """None for an empty filter. Raises RequestInvalid."""
    if not text.strip():
        return None
    if len(text) > _LONGEST:
        raise _invalid(f"it is longer than {_LONGEST} characters")
    parser = _Parser(_tokens(text))
    test = parser.either(0)
    if parser.peek():
        raise _invalid(f"'{parser.peek()}' was not expected")
    return test


@dataclass(slots=True)
class _Parser:
    tokens: list[str]
    index: int = 0

    def peek(self) -> str:
        return self.tokens[self.index] if self.index < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if not token or (expected is not None and token.lower() != expected):
            raise _invalid(f"'{expected or 'an expression'}' was expected before '{token or 'the end'}'")
        self.index += 1
        return token

    def either(self, depth: int) -> Test:
        if depth > _DEEPEST:
            raise _invalid("it has too many brackets in each other")
        tests = [self.both(depth)]
        while self.peek().lower() == "or":
            self.take()
            tests.append(self.both(depth))
        return tests[0] if len(tests) == 1 else Either(tuple(tests))

    def both(self, depth: int) -> Test:
        tests = [self.single(depth)]
        while self.peek().lower() == "and":
            self.take()
            tests.append(self.single(depth))
        return tests[0] if len(tests) == 1 else Both(tuple(tests))

    def single(self, depth: int) -> Test:
        first = self.take()
        if first == "(":
            inner = self.either(depth + 1)
            self.take(")")
            return inner
        if first.lower() == "contains":
            return self.contains()
        field = _field(first)
        word = self.take().lower()
        operator = _OPERATORS.get(word)
        if operator is None:
            raise _invalid(f"the operator '{word}' is not supported; use {', '.join(_OPERATORS)}")
        return Compare(field, operator, _value(field, operator, self.take()))

    def contains(self) -> Test:
        self.take("(")
        field = _field(self.take())
        self.take(",")
        part = _text(self.take())
        self.take(")")
        if FIELDS[field] not in ("text", "word"):
            raise _invalid(f"contains does not work on '{field}'")
        if self.peek().lower() == "eq":
            self.take()
            self.take("true")
        return Contains(field, part)


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    index = 0
    text = text.rstrip()
    while index < len(text):
        match = _TOKEN.match(text, index)
        if match is None:
            raise _invalid(f"it cannot be read from '{text[index : index + 40]}' on")
        tokens.append(match.group().strip())
        index = match.end()
    return tokens


def _field(token: str) -> str:
    name = token.lower()
    if name not in FIELDS:
        raise _invalid(f"'{token[:80]}' cannot be filtered by")
    return name


def _value(field: str, operator: Operator, token: str) -> Value:
    if token.lower() == "null":
        if operator not in ("eq", "ne"):
            raise _invalid(f"null cannot be compared by '{operator}'")
        return None
    kind = FIELDS[field]
    if kind == "flag":
        word = token.strip("'").lower()
        if word not in ("true", "false") or operator not in ("eq", "ne"):
            raise _invalid(f"'{field}' is true or false")
        return word == "true"
    if kind == "time":
        try:
            return parse_time(_text(token) if "'" in token else token)
        except (ValueError, OverflowError):
            raise _invalid(f"{token[:80]} is no time like 2021-04-14T17:14:01Z") from None
    return _text(token)


def _text(token: str) -> str:
    _, quote, rest = token.partition("'")
    if not quote or not token.endswith("'"):
        raise _invalid(f"'{token[:80]}' is no text in quotes")
    if "\0" in rest:
        raise _invalid("it holds a NUL")
    return rest[:-1].replace("''", "'")


def _invalid(why: str) -> RequestInvalid:
    return RequestInvalid(f"Invalid $filter in the query string: {why}.", "$filter", code="InvalidFilterInQueryString")
