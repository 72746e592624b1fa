"""`darsena activity`: what was changed on the control plane, by whom, when and from where."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated

import typer

from darsena.cli.exit_codes import UsageProblem
from darsena.cli.options import Group, Output, Query
from darsena.cli.output import Column, emit, key
from darsena.cli.session import open_session
from darsena.client.shapes import Object, as_object
from darsena.core.clock import parse_time, render_time

_AGO = re.compile(r"(\d{1,6})([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

COLUMNS = (
    Column("WHEN", lambda row: str(row.get("eventTimestamp") or "")[:19].replace("T", " ")),
    Column("WHO", lambda row: as_object(row.get("claims")).get("name") or row.get("caller")),
    Column("FROM", lambda row: as_object(row.get("httpRequest")).get("clientIpAddress") or ""),
    Column("WHAT", lambda row: as_object(row.get("properties")).get("event")),
    Column("ON", lambda row: _short(str(row.get("resourceId") or ""))),
    Column("REQUEST", key("correlationId")),
)


def register(app: typer.Typer) -> None:
    app.command("activity")(activity)


def activity(
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Not older: 30m, 2h, 7d, or 2026-01-31T12:00Z.")
    ] = None,
    resource_group: Group = None,
    most: Annotated[int, typer.Option("--max", min=1, max=100_000, help="At most so many.")] = 50,
    output: Output = None,
    query: Query = None,
) -> None:
    """Show the changes of groups, registries, roles and principals: who made them, when and from where.

    \b
    Example: darsena activity --since 7d
    Example: darsena activity -g shop -o json
    """
    filters: list[str] = []
    if since is not None:
        filters.append(f"eventTimestamp ge '{render_time(since_us(since, datetime.now(UTC)))}'")
    if resource_group is not None:
        quoted = resource_group.replace("'", "''")
        filters.append(f"resourceGroupName eq '{quoted}'")
    with open_session() as session:
        rows: list[Object] = list(islice(session.resources.list_activity(" and ".join(filters), most), most))
    emit(rows, output, query, COLUMNS)


def since_us(text: str, now: datetime) -> int:
    """A time, or how long ago. Raises UsageProblem."""
    ago = _AGO.match(text)
    try:
        if ago is not None:
            return int((now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).timestamp() * 1_000_000)
        return parse_time(text if re.search(r"(Z|[+-]\d\d:?\d\d)\Z", text) else f"{text}Z")
    except (ValueError, OverflowError):
        raise UsageProblem(
            f"{text!r} is neither a time nor how long ago", hint="write 30m, 2h, 7d or 2026-01-31T12:00Z"
        ) from None


def _short(resource_id: str) -> str:
    """Without the subscription, which is always the same."""
    parts = resource_id.split("/", 3)
    return parts[3] if len(parts) == 4 and parts[1] == "subscriptions" else resource_id
