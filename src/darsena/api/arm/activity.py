"""The activity log, on the path where `az monitor activity-log list` reads it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from darsena.api.arm.context import ArmContext, Call, make_route
from darsena.api.arm.paging import Listing, make_next_link, parse_window
from darsena.api.arm.views import ListView, View
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.clock import parse_time, render_time
from darsena.core.errors import RequestInvalid
from darsena.core.odata import FilterTokens, invalid_filter
from darsena.resources.activity import Activity
from darsena.resources.ids import subscription_path

PATH = "/subscriptions/{subscription}/providers/Microsoft.Insights/eventtypes/management/values"
_TOKEN = re.compile(r"\s*(?:'(?:[^']|'')*'|[A-Za-z0-9:.+-]+|,)", re.ASCII)
_SEQ_DIGITS = 19


class NamedView(View, frozen=True, kw_only=True):
    value: str
    localized_value: str


class AuthorizationView(View, frozen=True, kw_only=True):
    action: str
    scope: str


class HttpRequestView(View, frozen=True, kw_only=True):
    client_ip_address: str
    client_request_id: str


class ActivityView(View, frozen=True, kw_only=True):
    id: str
    event_data_id: str
    event_timestamp: str
    submission_timestamp: str
    operation_name: NamedView
    status: NamedView
    event_name: NamedView
    category: NamedView
    resource_provider_name: NamedView
    resource_type: NamedView
    resource_id: str
    resource_group_name: str | None = None
    authorization: AuthorizationView
    caller: str
    claims: dict[str, str]
    http_request: HttpRequestView | None = None
    channels: str
    level: str
    correlation_id: str
    operation_id: str
    subscription_id: str
    tenant_id: str
    properties: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    since_us: int = 0
    tests: list[Callable[[Activity], bool]] = field(default_factory=list[Callable[[Activity], bool]])

    def __call__(self, activity: Activity) -> bool:
        return all(test(activity) for test in self.tests)


def list_activity_routes(context: ArmContext) -> list[Route]:
    return [
        make_route(
            context,
            "GET",
            PATH,
            _list,
            summary="What was changed, by whom, when and from where",
            action="Microsoft.Insights/eventtypes/values/read",
            response=ListView[ActivityView],
            tag="Activity",
        )
    ]


async def _list(call: Call) -> Response:
    """The newest first."""
    window = parse_window(call.request)
    wanted = parse_activity_filter(call.query_option("$filter"))
    if window.after and not (window.after.isascii() and window.after.isdigit() and len(window.after) < _SEQ_DIGITS):
        raise RequestInvalid("The $skipToken is not one that was given out here.", "$skipToken")

    async def keep(activity: Activity) -> bool:
        return wanted(activity)

    listing = Listing(
        fetch=lambda after, limit: call.context.resources.list_activity(
            call.subscription_id, before=int(after) if after else None, since_us=wanted.since_us, limit=limit
        ),
        key=lambda activity: str(activity.seq),
        keep=keep,
    )
    page = await listing.read(window)
    link = make_next_link(call.request, call.base_url, page.next_key)
    return call.answer(ListView(value=[_view(call, activity) for activity in page.items], next_link=link))


def parse_activity_filter(text: str) -> _Wanted:
    """Comparisons joined by `and`: of `eventTimestamp` (ge, gt, le, lt), and by `eq` of the rest. Raises
    RequestInvalid."""
    since_us = 0
    tests: list[Callable[[Activity], bool]] = []
    tokens = FilterTokens(text, _TOKEN)
    while tokens.peek():
        name, operator = tokens.take(), tokens.take().lower()
        value = tokens.take()
        value = value[1:-1].replace("''", "'") if value.startswith("'") else value
        if name.lower() == "eventtimestamp":
            at_us = _time(value)
            if operator in ("ge", "gt"):
                since_us = max(since_us, at_us + (operator == "gt"))
            else:
                tests.append(_before(at_us, operator))
        else:
            tests.append(_equals(name, operator, value.lower()))
        if tokens.peek():
            tokens.take("and")
    return _Wanted(since_us=since_us, tests=tests)


_FIELDS: dict[str, Callable[[Activity], str]] = {
    "correlationid": lambda activity: activity.request_id,
    "resourcegroupname": lambda activity: activity.group or "",
    "resourceid": lambda activity: activity.resource_id,
    "resourceuri": lambda activity: activity.resource_id,
    "resourceprovider": lambda activity: activity.resource_type.partition("/")[0],
    "resourcetype": lambda activity: activity.resource_type,
    "operations": lambda activity: activity.operation,
    "operationname": lambda activity: activity.operation,
    "caller": lambda activity: activity.caller,
    "status": lambda _activity: "succeeded",
    "levels": lambda _activity: "informational",
    "category": lambda _activity: "administrative",
}
_IGNORED = frozenset({"eventchannels"})


def _equals(name: str, operator: str, value: str) -> Callable[[Activity], bool]:
    if name.lower() in _IGNORED:
        return lambda _activity: True
    read = _FIELDS.get(name.lower())
    if read is None or operator != "eq":
        raise invalid_filter(f"'{name} {operator}' cannot be filtered by")
    return lambda activity: read(activity).lower() == value


def _before(at_us: int, operator: str) -> Callable[[Activity], bool]:
    if operator == "le":
        return lambda activity: activity.at_us <= at_us
    if operator == "lt":
        return lambda activity: activity.at_us < at_us
    raise invalid_filter("eventTimestamp is compared by ge, gt, le or lt")


def _time(text: str) -> int:
    """Without an offset it is UTC."""
    try:
        return parse_time(text if re.search(r"(Z|[+-]\d\d:?\d\d)\Z", text) else f"{text}Z")
    except (ValueError, OverflowError, OSError):
        raise invalid_filter(f"'{text}' is no time such as 2026-01-31T12:00:00Z") from None


def _view(call: Call, activity: Activity) -> ActivityView:
    event_id = f"{activity.request_id or 'system'}.{activity.seq}"
    claims = {"name": activity.caller_name, "kind": activity.actor.partition(":")[0]}
    address = activity.address
    base = activity.resource_id or subscription_path(call.subscription_id)
    return ActivityView(
        id=f"{base}/events/{event_id}",
        event_data_id=event_id,
        event_timestamp=render_time(activity.at_us),
        submission_timestamp=render_time(activity.at_us),
        operation_name=_named(activity.operation),
        status=_named("Succeeded"),
        event_name=NamedView(value="EndRequest", localized_value="End request"),
        category=_named("Administrative"),
        resource_provider_name=_named(activity.resource_type.partition("/")[0]),
        resource_type=_named(activity.resource_type),
        resource_id=activity.resource_id,
        resource_group_name=activity.group,
        authorization=AuthorizationView(action=activity.operation, scope=activity.resource_id),
        caller=activity.caller,
        claims=claims,
        http_request=HttpRequestView(client_ip_address=address, client_request_id=activity.request_id)
        if address
        else None,
        channels="Operation",
        level="Informational",
        correlation_id=activity.request_id,
        operation_id=activity.request_id,
        subscription_id=call.subscription_id,
        tenant_id=call.context.tenant_id,
        properties={"event": activity.kind, **{name: _text(value) for name, value in activity.details.items()}},
    )


def _text(value: Any) -> str:
    """Clients read a map of texts: what is none stands there as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _named(value: str) -> NamedView:
    return NamedView(value=value, localized_value=value)
