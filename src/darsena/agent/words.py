"""Words as a POSIX shell splits them, without a shell: quotes, backslashes, variables of the step's environment."""

from __future__ import annotations

import re
from collections.abc import Mapping

from darsena.agent.plan import PlanFault

_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_OPERATORS = "|&;<>()`"
_HINT = "shell operators run inside the container only: write sh -c '…'"


def split_words(text: str, environment: Mapping[str, str]) -> list[str]:
    """Raise PlanFault for an unquoted operator or an open quote. An unknown variable is empty."""
    words: list[str] = []
    word: str | None = None
    index = 0
    while index < len(text):
        character = text[index]
        if character.isspace():
            if word is not None:
                words.append(word)
                word = None
            index += 1
            continue
        piece, index = _read_piece(text, index, environment)
        # An unquoted variable that is empty makes no word of its own.
        if piece or word is not None or character != "$":
            word = (word or "") + piece
    if word is not None:
        words.append(word)
    return words


def _read_piece(text: str, index: int, environment: Mapping[str, str]) -> tuple[str, int]:
    character = text[index]
    if character == "'":
        end = text.find("'", index + 1)
        if end < 0:
            raise PlanFault(f"a single quote is not closed in: {text}")
        return text[index + 1 : end], end + 1
    if character == '"':
        return _read_double(text, index + 1, environment)
    if character == "\\":
        following = text[index + 1 : index + 2]
        return ("" if following == "\n" else following), index + 2
    if character == "$":
        return _read_variable(text, index, environment)
    if character in _OPERATORS:
        raise PlanFault(f"{character!r} in {text!r}: {_HINT}")
    return character, index + 1


def _read_double(text: str, index: int, environment: Mapping[str, str]) -> tuple[str, int]:
    found = ""
    while index < len(text):
        character = text[index]
        if character == '"':
            return found, index + 1
        if character == "\\" and text[index + 1 : index + 2] in tuple('"\\$`\n'):
            found += "" if text[index + 1] == "\n" else text[index + 1]
            index += 2
        elif character == "$":
            piece, index = _read_variable(text, index, environment)
            found += piece
        elif character == "`":
            raise PlanFault(f"'`' in {text!r}: {_HINT}")
        else:
            found += character
            index += 1
    raise PlanFault(f"a double quote is not closed in: {text}")


def _read_variable(text: str, index: int, environment: Mapping[str, str]) -> tuple[str, int]:
    if text.startswith("$(", index):
        raise PlanFault(f"'$(' in {text!r}: {_HINT}")
    match = _VARIABLE.match(text, index)
    if match is None:
        return "$", index + 1
    return environment.get(match[1] or match[2], ""), match.end()
