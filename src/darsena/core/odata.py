"""The tokens of an OData `$filter`, taken one after another: what its grammars here have in common."""

from __future__ import annotations

import re

from darsena.core.errors import RequestInvalid

LONGEST_FILTER = 4096


class FilterTokens:
    """A cursor over the tokens that `pattern` finds. Raises RequestInvalid for a text it cannot read to its end."""

    def __init__(self, text: str, pattern: re.Pattern[str]) -> None:
        if len(text) > LONGEST_FILTER:
            raise invalid_filter(f"it is longer than {LONGEST_FILTER} characters")
        self.tokens: list[str] = []
        self._next = 0
        text = text.rstrip()
        index = 0
        while index < len(text):
            match = pattern.match(text, index)
            if match is None:
                raise invalid_filter(f"it cannot be read from '{text[index : index + 40]}' on")
            self.tokens.append(match.group().strip())
            index = match.end()

    def peek(self) -> str:
        """The next token; empty at the end."""
        return self.tokens[self._next] if self._next < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        """The next token, which must be `expected` (without case) where that is given. Raises RequestInvalid."""
        token = self.peek()
        if not token or (expected is not None and token.lower() != expected):
            raise invalid_filter(f"'{expected or 'an expression'}' was expected before '{token or 'the end'}'")
        self._next += 1
        return token

    def end(self) -> None:
        """Raises RequestInvalid when a token is left."""
        if self.peek():
            raise invalid_filter(f"'{self.peek()}' was not expected")


def invalid_filter(why: str) -> RequestInvalid:
    return RequestInvalid(f"Invalid $filter in the query string: {why}.", "$filter", code="InvalidFilterInQueryString")
