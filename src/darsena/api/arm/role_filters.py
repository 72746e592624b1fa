"""The `$filter` of role assignments and of role definitions: the few forms that the service knows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from darsena.core.odata import FilterTokens, invalid_filter
from darsena.identity.roles import Role

_TOKEN = re.compile(r"\s*(?:'(?:[^']|'')*'|[()]|[A-Za-z]+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentFilter:
    at_scope: bool = False
    """Nothing from below the scope."""
    object_id: str | None = None


def parse_assignment_filter(text: str) -> AssignmentFilter:
    """`atScope()`, `assignedTo('…')`, `principalId eq '…'`, joined by `and`. Raises RequestInvalid."""
    at_scope, people = False, set[str]()
    tokens = FilterTokens(text, _TOKEN)
    while tokens.peek():
        word = tokens.take().lower()
        if word == "atscope":
            _take_parentheses(tokens)
            at_scope = True
        elif word == "assignedto":
            tokens.take("(")
            people.add(_text(tokens.take()))
            tokens.take(")")
        elif word == "principalid":
            tokens.take("eq")
            people.add(_text(tokens.take()))
        else:
            raise invalid_filter("use atScope(), assignedTo('{object id}') or principalId eq '{object id}'")
        _take_and(tokens)
    if len(people) > 1:
        return AssignmentFilter(at_scope=at_scope, object_id="")  # nobody is two
    return AssignmentFilter(at_scope=at_scope, object_id=next(iter(people), None))


def parse_definition_filter(text: str) -> Callable[[Role], bool]:
    """`roleName eq '…'`, `type eq '…'`, `atScopeAndBelow()`, joined by `and`. Raises RequestInvalid."""
    tests: list[Callable[[Role], bool]] = []
    tokens = FilterTokens(text, _TOKEN)
    while tokens.peek():
        word = tokens.take().lower()
        if word in ("atscopeandbelow", "atscope"):
            _take_parentheses(tokens)
        elif word in ("rolename", "type"):
            tokens.take("eq")
            tests.append(_equals(word, _text(tokens.take())))
        else:
            raise invalid_filter("use roleName eq '{name}', type eq 'BuiltInRole' or atScopeAndBelow()")
        _take_and(tokens)
    return lambda role: all(test(role) for test in tests)


def _equals(word: str, value: str) -> Callable[[Role], bool]:
    if word == "type":
        return lambda _role: value == "builtinrole"
    return lambda role: role.name.lower() == value


def _take_parentheses(tokens: FilterTokens) -> None:
    tokens.take("(")
    tokens.take(")")


def _take_and(tokens: FilterTokens) -> None:
    """Between two parts stands an `and`, and after it a part."""
    if tokens.peek():
        tokens.take("and")
        if not tokens.peek():
            raise invalid_filter("it ends in 'and'")


def _text(token: str) -> str:
    if not token.startswith("'"):
        raise invalid_filter(f"'{token}' is no text in quotes")
    return token[1:-1].replace("''", "'").lower()
