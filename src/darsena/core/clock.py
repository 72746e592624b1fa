"""Time is injected: code asks a Clock, never the system."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    def now_us(self) -> int:
        """Microseconds since 1970 in UTC."""
        ...


class SystemClock:
    def now_us(self) -> int:
        return time.time_ns() // 1000


def render_time(at_us: int) -> str:
    """`2021-04-14T17:14:05.1234567Z`: seven fractional digits, as ACR writes times."""
    seconds, micros = divmod(at_us, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{micros:06d}0Z"


def render_time_offset(at_us: int) -> str:
    """`2021-04-14T17:14:05.1234567+00:00`: the form that runs and systemData use."""
    return render_time(at_us)[:-1] + "+00:00"


def render_log_time(at_us: int) -> str:
    """`2021/04/14 17:14:05`: the time stamp of a run log's own lines."""
    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y/%m/%d %H:%M:%S}"


def render_http_date(at_us: int) -> str:
    """`Wed, 14 Apr 2021 17:14:05 GMT` (RFC 9110, section 5.6.7)."""
    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%a, %d %b %Y %H:%M:%S} GMT"


def parse_time(text: str) -> int:
    """RFC 3339 in, microseconds out, to the last one; without a zone it is UTC. ValueError for anything else, also for
    what no year 1 to 9999 of UTC holds."""
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from error
    return (at - _EPOCH) // timedelta(microseconds=1)
