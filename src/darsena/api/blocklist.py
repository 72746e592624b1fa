"""The XML of Put Block List, read without anything in XML that can hurt: no declarations, entities or nesting."""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from darsena.core.errors import RequestInvalid

MOST_BLOCKS = 50_000
_KINDS = frozenset({"Latest", "Uncommitted", "Committed"})


class _Reader:
    def __init__(self) -> None:
        self.blocks: list[str] = []
        self._path: list[str] = []
        self._text: list[str] = []

    def start(self, name: str, _attributes: Any) -> None:
        self._path.append(name)
        depth = len(self._path)
        if (depth == 1 and name != "BlockList") or (depth == 2 and name not in _KINDS) or depth > 2:
            raise _invalid(f"the element {name!r} does not belong there")
        self._text = []

    def end(self, _name: str) -> None:
        if len(self._path) == 2:
            self.blocks.append("".join(self._text).strip())
            if len(self.blocks) > MOST_BLOCKS:
                raise _invalid(f"it names more than {MOST_BLOCKS} blocks")
        self._path.pop()

    def characters(self, text: str) -> None:
        self._text.append(text)


def parse_block_list(body: bytes) -> list[str]:
    """The blocks' ids in order. Raises RequestInvalid."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: an encoding that cannot be read
        raise _invalid(str(error)) from None
    return reader.blocks


def _refuse_doctype(*_: Any) -> None:
    raise _invalid("it declares a document type")


def _invalid(why: str) -> RequestInvalid:
    return RequestInvalid(f"The block list is not valid XML of a BlockList: {why}.", code="InvalidXmlDocument")
