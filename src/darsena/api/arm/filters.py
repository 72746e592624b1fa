"""The `$filter` of resource lists: comparisons joined by `and` and `or`, compared without case as ARM does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from darsena.core.odata import FilterTokens, invalid_filter

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<punctuation>[(),])|(?P<word>[A-Za-z][A-Za-z0-9/]*))", re.ASCII)

Facts = Mapping[str, str]
"""A resource's fields by their lower-case names; `tags/<name>` for each tag."""
Test = Callable[[Facts], bool]

_PLAN = ("plan", *(f"plan/{part}" for part in ("publisher", "product", "name", "version", "promotioncode")))
FIELDS = frozenset(
    {"resourcetype", "name", "resourcegroup", "location", "tagname", "tagvalue", "identity", "identity/principalid",
     "id", *_PLAN}
)  # fmt: skip
"""No resource here has a plan."""


@dataclass(frozen=True, slots=True)
class _Equals:
    field: str
    value: str

    def __call__(self, facts: Facts) -> bool:
        if self.field == "tagname":
            return f"tags/{self.value}" in facts
        if self.field == "tagvalue":
            return any(name.startswith("tags/") and fact.lower() == self.value for name, fact in facts.items())
        return facts.get(self.field, "").lower() == self.value


class _Parser(FilterTokens):
    def either(self) -> Test:
        tests = [self.both()]
        while self.peek().lower() == "or":
            self.take()
            tests.append(self.both())
        return lambda facts: any(test(facts) for test in tests)

    def both(self) -> Test:
        tests = [self.single()]
        while self.peek().lower() == "and":
            self.take()
            tests.append(self.single())
        tests = _pair_tags(tests)
        return lambda facts: all(test(facts) for test in tests)

    def single(self) -> Test:
        first = self.take()
        if first == "(":
            inner = self.either()
            self.take(")")
            return inner
        word = first.lower()
        if word in ("substringof", "startswith"):
            return self.function(word)
        field = _field(first)
        operator = self.take().lower()
        if operator not in ("eq", "ne"):
            raise invalid_filter(f"the operator '{operator}' is not supported; use eq or ne")
        value = _text(self.take())
        equal = _Equals(field, value)
        return equal if operator == "eq" else lambda facts: not equal(facts)

    def function(self, word: str) -> Test:
        """`substringof('part', field)`, `startswith(field, 'prefix')`."""
        self.take("(")
        first, _, second = self.take(), self.take(","), self.take()
        self.take(")")
        if word == "substringof":
            part, field = _text(first), _field(second)
            return lambda facts: part in facts.get(field, "").lower()
        field, prefix = _field(first), _text(second)
        if field == "tagname":
            return lambda facts: any(name.startswith(f"tags/{prefix}") for name in facts)
        return lambda facts: facts.get(field, "").lower().startswith(prefix)


def parse_filter(text: str) -> Test:
    """A test of a resource's facts. Raises RequestInvalid with ARM's code for a filter that is not understood."""
    parser = _Parser(text, _TOKEN)
    if not parser.tokens:
        return lambda _: True
    if len(parser.tokens) > 200:
        raise invalid_filter("it has too many parts")
    test = parser.either()
    parser.end()
    return test


def _pair_tags(tests: list[Test]) -> list[Test]:
    """`tagName eq 'a' and tagValue eq 'b'` asks for one tag that is both; each alone asks for any tag."""
    names = [test for test in tests if isinstance(test, _Equals) and test.field == "tagname"]
    values = [test for test in tests if isinstance(test, _Equals) and test.field == "tagvalue"]
    if len(names) != 1 or len(values) != 1:
        return tests
    tag = _Equals(f"tags/{names[0].value}", values[0].value)
    return [tag, *(test for test in tests if test not in (names[0], values[0]))]


def _field(token: str) -> str:
    if token.lower() not in FIELDS:
        raise invalid_filter(f"'{token}' cannot be filtered by")
    return token.lower()


def _text(token: str) -> str:
    if not token.startswith("'"):
        raise invalid_filter(f"'{token}' is no text in quotes")
    return token[1:-1].replace("''", "'").lower()
