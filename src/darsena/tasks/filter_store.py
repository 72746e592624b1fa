"""From a filter's tests to SQL."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_

from darsena.tasks.filters import FIELDS, Both, Compare, Contains, Either, Test
from darsena.tasks.tables import run

_COLUMNS: dict[str, ColumnElement[Any]] = {
    "runid": run.c.run_id,
    "runtype": run.c.run_type,
    "status": run.c.status,
    "createtime": run.c.created_at,
    "finishtime": run.c.finished_at,
    "outputimagemanifests": run.c.output_manifests,
    "isarchiveenabled": run.c.is_archive_enabled,
    "taskname": run.c.task_name,
    "agentpoolname": run.c.agent_pool_name,
}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def make_where(test: Test) -> ColumnElement[bool]:
    match test:
        case Both(tests):
            return and_(*(make_where(inner) for inner in tests))
        case Either(tests):
            return or_(*(make_where(inner) for inner in tests))
        case Contains(field, part):
            return _contains(field, part)
        case Compare(field, name, value):
            return _compare(field, name, value)


def _contains(field: str, part: str) -> ColumnElement[bool]:
    """LIKE has a case of its own on each database, and wildcards; removing the part and comparing has neither."""
    column, part = _prepare(field, part)
    return func.replace(column, part, "") != column if part else column.is_not(None)


def _compare(field: str, name: str, value: Any) -> ColumnElement[bool]:
    column = _COLUMNS[field]
    if value is None:
        return column.is_(None) if name == "eq" else column.is_not(None)
    if isinstance(value, str):
        column, value = _prepare(field, value)
    found: ColumnElement[bool] = _OPERATORS[name](column, value)
    return or_(found, column.is_(None)) if name == "ne" else found


def _prepare(field: str, value: str) -> tuple[ColumnElement[Any], str]:
    column = _COLUMNS[field]
    return (func.lower(column), value.lower()) if FIELDS[field] == "word" else (column, value)
