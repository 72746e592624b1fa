"""Results in the form that was asked for: a table on a terminal, JSON elsewhere, and JMESPath before either."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from darsena.cli.exit_codes import UsageProblem
from darsena.cli.terminal import harmless, styled, write_result
from darsena.client.shapes import Object


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    TSV = "tsv"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a command's own table. `value` gives a text, a number, a truth or None."""

    title: str
    value: Callable[[Object], Any]


def key(name: str) -> Callable[[Object], Any]:
    return lambda row: row.get(name)


def chosen(output: Format | None) -> Format:
    if output is not None:
        return output
    return Format.TABLE if sys.stdout.isatty() else Format.JSON


def emit(value: Any, output: Format | None, query: str | None, columns: Sequence[Column] = ()) -> None:
    """Print `value` on standard output, None as nothing. `columns` shape the table unless a query changed the value."""
    if query is not None:
        value = _queried(value, query)
        columns = ()
    if value is None:
        return
    text = _RENDERERS[chosen(output)](value, columns)
    if text:
        write_result(text)


def _queried(value: Any, query: str) -> Any:
    import jmespath  # wanted by few commands, so not at start
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.search(query, value)
    except JMESPathError as error:
        raise UsageProblem(
            f"the query {query!r} is no valid JMESPath: {error}", hint="see https://jmespath.org"
        ) from error


def _json(value: Any, columns: Sequence[Column]) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=not _writes_unicode()) + "\n"


def _yaml(value: Any, columns: Sequence[Column]) -> str:
    import yaml  # slow to import, and seldom the form that is wanted

    return yaml.safe_dump(value, allow_unicode=_writes_unicode(), default_flow_style=False).removesuffix("...\n")


def _writes_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _tsv(value: Any, columns: Sequence[Column]) -> str:
    """As az does: a line per item, its scalar values in order, a nested list as its length."""
    rows = cast("list[Any]", value) if isinstance(value, list) else [value]
    return "".join(_tsv_row(row) + "\n" for row in rows)


def _tsv_row(row: Any) -> str:
    if isinstance(row, dict):
        row = list(cast("Object", row).values())
    if isinstance(row, list):
        return "\t".join(_tsv_cell(item) for item in cast("list[Any]", row))
    return str(row).lower() if isinstance(row, bool) else _tsv_cell(row)


def _tsv_cell(value: Any) -> str:
    if isinstance(value, list):
        return str(len(cast("list[Any]", value)))
    if isinstance(value, dict):
        return ""
    return str(value)


def _table(value: Any, columns: Sequence[Column]) -> str:
    rows = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not rows:
        return ""
    if columns and all(isinstance(row, dict) for row in rows):
        return _grid([column.title for column in columns], [[column.value(row) for column in columns] for row in rows])
    if all(isinstance(row, dict) for row in rows):
        objects = cast("list[Object]", rows)
        names = list(dict.fromkeys(name for row in objects for name, item in row.items() if _is_scalar(item)))
        return _grid([_title(name) for name in names], [[row.get(name) for name in names] for row in objects])
    if all(isinstance(row, list) for row in rows):
        lists = cast("list[list[Any]]", rows)
        width = max(len(row) for row in lists)
        return _grid([f"Column{number + 1}" for number in range(width)], lists)
    return _grid(["Result"], [[row] for row in rows])


def _title(name: str) -> str:
    return name[:1].upper() + name[1:]


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _grid(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = [[_cell(value) for value in row] + [""] * (len(titles) - len(row)) for row in rows]
    widths = [max(_width(title), *(_width(row[at]) for row in cells)) for at, title in enumerate(titles)]
    head = styled(_line(titles, widths), "bold", on_stderr=False)
    rule = _line(["-" * width for width in widths], widths)
    return "\n".join([head, rule, *(_line(row, widths) for row in cells)]) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True)
    return " ".join(harmless(str(value)).split())


def _width(text: str) -> int:
    """Columns on a screen: East Asian wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


_RENDERERS: dict[Format, Callable[[Any, Sequence[Column]], str]] = {
    Format.TABLE: _table,
    Format.JSON: _json,
    Format.YAML: _yaml,
    Format.TSV: _tsv,
    Format.NONE: lambda value, columns: "",
}
