"""Conditions of role assignments (Azure ABAC, version 2.0): read when the role is assigned, asked at each decision.

Grammar: `AND` `OR` `NOT` (also `&&` `||` `!`), parentheses, `ActionMatches{'action'}`, `Exists @Source[attribute]`, and
comparisons `@Request[attribute] Operator 'text'` with the `String…` operators, or `ForAnyOf…`/`ForAllOf…` before them
and a list `{'a', 'b'}` after. What this version cannot evaluate is refused, so that no condition is kept and not held.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Final

from darsena.core.errors import RequestInvalid
from darsena.identity.roles import matches_action

VERSION: Final = "2.0"
REPOSITORY_NAME: Final = "Microsoft.ContainerRegistry/registries/repositories:name"
LONGEST: Final = 8 * 1024
_DEEPEST: Final = 50

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<attribute>@\w+\s*\[[^\]]*\])|(?P<sign>&&|\|\||[!(){},])"
    r"|(?P<word>[A-Za-z][A-Za-z0-9]*(?::[A-Za-z0-9]+)?))",
    re.ASCII,
)
_ATTRIBUTE: Final = re.compile(r"@(\w+)\s*\[\s*([^\]]*?)\s*\]\Z")
_SOURCES: Final = ("request", "resource")

Test = Callable[[str, str | None], bool | None]
"""(action, repository or None where no repository is meant) → whether it holds; None: it asks for a name that is not
there. Then neither it nor its opposite holds."""
Compare = Callable[[str, str], bool]


def _like(value: str, pattern: str) -> bool:
    """`*` stands for any text and `?` for one character; a bracket is a bracket."""
    return re.match(translate(pattern.replace("[", "[[]")), value) is not None


_BASIC: Final[Mapping[str, Compare]] = {
    "stringequals": lambda value, text: value == text,
    "stringnotequals": lambda value, text: value != text,
    "stringstartswith": lambda value, text: value.startswith(text),
    "stringnotstartswith": lambda value, text: not value.startswith(text),
    "stringlike": _like,
    "stringnotlike": lambda value, text: not _like(value, text),
}


def _caseless(compare: Compare) -> Compare:
    return lambda value, text: compare(value.casefold(), text.casefold())


_OPERATORS: Final[Mapping[str, Compare]] = {
    **_BASIC,
    **{f"{name}ignorecase": _caseless(compare) for name, compare in _BASIC.items()},
}
_LISTS: Final = {
    "foranyofanyvalues": any,
    "forallofanyvalues": any,
    "foranyofallvalues": all,
    "forallofallvalues": all,
}
"""A repository has one name, so what stands before `Of` says nothing here."""


@dataclass(frozen=True, slots=True)
class Condition:
    """`text` as it was given, and how it is asked."""

    text: str
    test: Test

    def allows(self, action: str, repository: str | None = None) -> bool:
        return self.test(action, repository) is True


@lru_cache(maxsize=1024)
def parse_condition(text: str) -> Condition:
    """Raises RequestInvalid with what cannot be read or evaluated."""
    if len(text) > LONGEST:
        raise _invalid(f"it is longer than {LONGEST} characters")
    reader = _Reader(_split(text))
    test = reader.either(0)
    if reader.peek():
        raise _invalid(f"'{reader.peek()[:80]}' was not expected")
    return Condition(text, test)


def condition_allows(text: str | None, action: str, repository: str | None = None) -> bool:
    """Whether an assignment under this condition counts for the action. One that cannot be read counts for nothing."""
    if text is None:
        return True
    try:
        return parse_condition(text).allows(action, repository)
    except RequestInvalid:
        return False


def _split(text: str) -> list[str]:
    tokens: list[str] = []
    index, text = 0, text.rstrip()
    while index < len(text):
        match = _TOKEN.match(text, index)
        if match is None:
            raise _invalid(f"it cannot be read from '{text[index : index + 40]}' on")
        tokens.append(match.group().strip())
        index = match.end()
    return tokens


class _Reader:
    """A recursive descent over the tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._next = 0

    def peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token != expected):
            raise _invalid(f"'{expected or 'an expression'}' was expected before '{token[:80] or 'the end'}'")
        self._next += 1
        return token

    def either(self, depth: int) -> Test:
        tests = [self.both(depth)]
        while self.peek().lower() in ("or", "||"):
            self.take()
            tests.append(self.both(depth))
        return tests[0] if len(tests) == 1 else _combine(tests, decides=True)

    def both(self, depth: int) -> Test:
        tests = [self.single(depth)]
        while self.peek().lower() in ("and", "&&"):
            self.take()
            tests.append(self.single(depth))
        return tests[0] if len(tests) == 1 else _combine(tests, decides=False)

    def single(self, depth: int) -> Test:
        if depth > _DEEPEST:
            raise _invalid("it is nested too deeply")
        token = self.take()
        match token.lower():
            case "(":
                inner = self.either(depth + 1)
                self.take(")")
                return inner
            case "!" | "not":
                negated = self.single(depth + 1)
                return lambda action, name: None if (held := negated(action, name)) is None else not held
            case "actionmatches":
                return self.action()
            case "exists":
                _check_attribute(self.take())
                return lambda _action, name: name is not None
            case "suboperationmatches":
                raise _invalid("SubOperationMatches is not evaluated here: registries have no suboperations")
            case _:
                _check_attribute(token)
                return self.comparison()

    def action(self) -> Test:
        self.take("{")
        wanted = _text(self.take())
        self.take("}")
        return lambda action, _name: matches_action(wanted, action)

    def comparison(self) -> Test:
        word = self.take()
        kind, colon, operator = word.rpartition(":")
        compare = _OPERATORS.get(operator.lower())
        if compare is None or (colon and kind.lower() not in _LISTS):
            raise _invalid(f"the operator '{word[:80]}' is not evaluated here; use one of the String operators")
        if not colon:
            text = _text(self.take())
            return lambda _action, name: None if name is None else compare(name, text)
        values, quantify = self.values(), _LISTS[kind.lower()]
        return lambda _action, name: None if name is None else quantify(compare(name, text) for text in values)

    def values(self) -> list[str]:
        self.take("{")
        values = [_text(self.take())]
        while self.peek() == ",":
            self.take()
            values.append(_text(self.take()))
        self.take("}")
        return values


def _combine(tests: list[Test], *, decides: bool) -> Test:
    """OR where True decides, AND where False does; what is unknown decides nothing."""

    def test(action: str, name: str | None) -> bool | None:
        found = {one(action, name) for one in tests}
        if decides in found:
            return decides
        return None if None in found else not decides

    return test


def _check_attribute(token: str) -> None:
    match = _ATTRIBUTE.match(token)
    if match is None:
        raise _invalid(f"'{token[:80]}' is no attribute such as @Request[{REPOSITORY_NAME}]")
    if match[1].lower() not in _SOURCES or match[2].lower() != REPOSITORY_NAME.lower():
        raise _invalid(f"the attribute '{token[:200]}' is not evaluated here; use @Request[{REPOSITORY_NAME}]")


def _text(token: str) -> str:
    if not token.startswith("'"):
        raise _invalid(f"'{token[:80]}' is no text in single quotes")
    return re.sub(r"\\(.)", r"\1", token[1:-1])


def _invalid(why: str) -> RequestInvalid:
    return RequestInvalid(
        f"The given role assignment condition is invalid: {why}.", "properties.condition", code="InvalidCondition"
    )
