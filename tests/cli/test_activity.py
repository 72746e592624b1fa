"""`darsena activity`: what is asked and what is printed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cli.conftest import Darsena
from cli.fake_server import SUBSCRIPTION, FakeServer
from darsena.cli.activity import since_us
from darsena.cli.exit_codes import UsageProblem

ROW = {
    "eventTimestamp": "2026-01-31T12:00:00.1234560Z",
    "caller": "33333333-3333-3333-3333-333333333333",
    "claims": {"name": "owner", "kind": "service_principal"},
    "httpRequest": {"clientIpAddress": "192.0.2.7"},
    "properties": {"event": "registry.updated"},
    "resourceId": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers/x/registries/contoso",
    "correlationId": "r1",
}
SYSTEM = {
    "eventTimestamp": "2026-01-31T11:00:00.0000000Z",
    "caller": "system",
    "properties": {"event": "role.assigned"},
}


def test_a_table_says_when_who_where_and_what(darsena: Darsena, server: FakeServer) -> None:
    server.state.activity = [ROW, SYSTEM]
    shown = darsena("activity", "-o", "table")
    assert shown.code == 0
    assert "2026-01-31 12:00:00  owner   192.0.2.7  registry.updated" in shown.out
    assert "resourceGroups/shop/providers/x/registries/contoso" in shown.out
    assert SUBSCRIPTION not in shown.out
    assert server.state.activity_asked[0]["$top"] == "50"


def test_what_is_asked(darsena: Darsena, server: FakeServer) -> None:
    server.state.activity = [ROW, SYSTEM]
    assert darsena("activity", "--since", "2026-01-31T12:00Z", "-g", "o'neill", "--max", "1").json == [ROW]
    (asked,) = server.state.activity_asked
    assert asked["$filter"] == ("eventTimestamp ge '2026-01-31T12:00:00.0000000Z' and resourceGroupName eq 'o''neill'")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", "2026-01-31T11:59:30"),
        ("90m", "2026-01-31T10:30:00"),
        ("2h", "2026-01-31T10:00:00"),
        ("7d", "2026-01-24T12:00:00"),
        ("1w", "2026-01-24T12:00:00"),
        ("2026-01-30", "2026-01-30T00:00:00"),
        ("2026-01-30T10:00+02:00", "2026-01-30T08:00:00"),
    ],
)
def test_since(text: str, expected: str) -> None:
    at_us = since_us(text, datetime(2026, 1, 31, 12, tzinfo=UTC))
    assert datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat()[:19] == expected


@pytest.mark.parametrize("text", ["", "soon", "5", "5y", "999999w", "2026-13-01"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageProblem):
        since_us(text, datetime(2026, 1, 31, 12, tzinfo=UTC))
