"""The `$filter` of the directory's lists: comparisons joined by `and`, as `az ad` writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from darsena.core.odata import FilterTokens, invalid_filter

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<punctuation>[(),:])|(?P<word>[A-Za-z][A-Za-z0-9/]*))", re.ASCII
)
FIELDS: Final = frozenset(
    {
        "displayname",
        "appid",
        "id",
        "userprincipalname",
        "serviceprincipalnames",
        "identifieruris",
        "mail",
        "accountenabled",
    }
)

Facts = Mapping[str, tuple[str, ...]]
"""The values of an object's fields, by lower-case names; a field that it lacks has none."""
Test = Callable[[Facts], bool]


class _Parser(FilterTokens):
    def conjunction(self) -> Test:
        tests = [self.comparison()]
        while self.peek().lower() == "and":
            self.take()
            tests.append(self.comparison())
        return lambda facts: all(test(facts) for test in tests)

    def comparison(self) -> Test:
        if self.peek().lower() == "startswith":
            return self.starts_with()
        field = self.take()
        if field.lower().endswith("/any"):
            return self.any_of(field[:-4])
        return self.equals(field)

    def equals(self, field: str) -> Test:
        self.take("eq")
        name, value = self.field(field), self.value()
        return lambda facts: any(fact.lower() == value for fact in facts.get(name, ()))

    def starts_with(self) -> Test:
        self.take()
        self.take("(")
        name = self.field(self.take())
        self.take(",")
        value = self.value()
        self.take(")")
        return lambda facts: any(fact.lower().startswith(value) for fact in facts.get(name, ()))

    def any_of(self, field: str) -> Test:
        self.take("(")
        variable = self.take()
        self.take(":")
        self.take(variable.lower())
        test = self.equals(field)
        self.take(")")
        return test

    def field(self, name: str) -> str:
        if name.lower() not in FIELDS:
            raise invalid_filter(f"'{name[:40]}' is no field that can be compared here")
        return name.lower()

    def value(self) -> str:
        """In lower case: names in a directory compare without it."""
        token = self.take()
        if token.startswith("'"):
            return token[1:-1].replace("''", "'").lower()
        if token.lower() in ("true", "false"):
            return token.lower()
        raise invalid_filter(f"'{token[:40]}' is not a text in single quotes")


def parse_graph_filter(text: str) -> Test:
    """Raises RequestInvalid. An empty text lets everything through."""
    if not text.strip():
        return lambda facts: True
    parser = _Parser(text, _TOKEN)
    test = parser.conjunction()
    parser.end()
    return test
