"""The `$filter` of the list of runs, read into a tree of tests (OData 4: logical and comparison operators, `contains`).

Names compare without case. Values are texts in quotes, times (RFC 3339, bare or in quotes), true, false and null.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from darsena.core.clock import parse_time
from darsena.core.odata import FilterTokens, invalid_filter

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
    parser = _Parser(text, _TOKEN)
    test = parser.either(0)
    parser.end()
    return test


class _Parser(FilterTokens):
    def either(self, depth: int) -> Test:
        if depth > _DEEPEST:
            raise invalid_filter("it has too many brackets in each other")
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
            raise invalid_filter(f"the operator '{word}' is not supported; use {', '.join(_OPERATORS)}")
        return Compare(field, operator, _value(field, operator, self.take()))

    def contains(self) -> Test:
        self.take("(")
        field = _field(self.take())
        self.take(",")
        part = _text(self.take())
        self.take(")")
        if FIELDS[field] not in ("text", "word"):
            raise invalid_filter(f"contains does not work on '{field}'")
        if self.peek().lower() == "eq":
            self.take()
            self.take("true")
        return Contains(field, part)


def _field(token: str) -> str:
    name = token.lower()
    if name not in FIELDS:
        raise invalid_filter(f"'{token[:80]}' cannot be filtered by")
    return name


def _value(field: str, operator: Operator, token: str) -> Value:
    if token.lower() == "null":
        if operator not in ("eq", "ne"):
            raise invalid_filter(f"null cannot be compared by '{operator}'")
        return None
    kind = FIELDS[field]
    if kind == "flag":
        word = token.strip("'").lower()
        if word not in ("true", "false") or operator not in ("eq", "ne"):
            raise invalid_filter(f"'{field}' is true or false")
        return word == "true"
    if kind == "time":
        try:
            return parse_time(_text(token) if "'" in token else token)
        except (ValueError, OverflowError):
            raise invalid_filter(f"{token[:80]} is no time like 2021-04-14T17:14:01Z") from None
    return _text(token)


def _text(token: str) -> str:
    _, quote, rest = token.partition("'")
    if not quote or not token.endswith("'"):
        raise invalid_filter(f"'{token[:80]}' is no text in quotes")
    if "\0" in rest:
        raise invalid_filter("it holds a NUL")
    return rest[:-1].replace("''", "'")
