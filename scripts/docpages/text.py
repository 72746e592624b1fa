"""Markdown of small things."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import darsena

SOURCE = Path(inspect.getfile(darsena)).parent


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *([cell(value) for value in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def codes(texts: Iterable[str]) -> str:
    return ", ".join(code(text) for text in texts)


def own_doc(cls: type) -> str:
    """The first paragraph of the class's own docstring, not one of a parent."""
    return inspect.cleandoc(cls.__dict__.get("__doc__") or "").partition("\n\n")[0].replace("\n", " ")


@functools.cache
def modules() -> Sequence[tuple[str, ast.Module]]:
    """(path below src/darsena, syntax tree) of every module, in order. Read once: it takes a second."""
    paths = sorted(SOURCE.rglob("*.py"))
    return [(path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text("utf-8"))) for path in paths]


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node


def constant(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def message(node: ast.AST | None) -> str:
    """The words of a literal text; what it puts in shows as `…`."""
    if isinstance(node, ast.JoinedStr):
        return "".join(constant(part) or "…" for part in node.values)
    if isinstance(node, ast.BinOp):
        return message(node.left) + message(node.right)
    return constant(node) or ""
