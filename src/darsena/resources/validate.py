"""Rules for single values that clients send: tags, network rules, days. Each returns the value in its stored form."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from darsena.core.errors import RequestInvalid
from darsena.resources.model import Tags

_TAG_FORBIDDEN = frozenset("<>%&\\?/")
_SUBNET = re.compile(
    r"/subscriptions/[0-9a-f-]{36}/resourcegroups/[^/]{1,90}/providers/microsoft\.(classic)?network/"
    r"virtualnetworks/[^/]{1,80}/subnets/[^/]{1,80}\Z",
    re.IGNORECASE,
)


def parse_tags(tags: Tags | None) -> Tags:
    """At most 50 tags; names of 1 to 512 characters, values of at most 256 (ARM's limits)."""
    tags = tags or {}
    if len(tags) > 50:
        message = f"A resource has at most 50 tags; {len(tags)} were given."
        raise RequestInvalid(message, "tags", code="TagsLimitExceeded")
    seen: set[str] = set()
    for name, value in tags.items():
        if not 1 <= len(name) <= 512 or len(value) > 256:
            raise RequestInvalid(
                f"The tag '{name[:80]}' is too long or has no name: a name has 1 to 512 characters, a value at most "
                "256.",
                "tags",
                code="InvalidTag",
            )
        if _TAG_FORBIDDEN & set(name) or not name.isprintable():
            raise RequestInvalid(
                f"The tag name '{name[:80]}' has one of the reserved characters < > % & \\ ? / or a control character.",
                "tags",
                code="InvalidTagNameCharacters",
            )
        if name.lower() in seen:
            raise RequestInvalid(
                f"The tag name '{name}' is there twice: tag names compare without case.", "tags", code="InvalidTag"
            )
        seen.add(name.lower())
    return tags


def parse_ip_rules(values: Iterable[str]) -> tuple[str, ...]:
    """IPv4 addresses or CIDR ranges, in their order, each once."""
    rules: dict[str, None] = {}
    for value in values:
        try:
            ipaddress.IPv4Network(value, strict=False)
        except ValueError as error:
            raise RequestInvalid(
                f"'{value[:80]}' is not an IPv4 address or an IPv4 range such as 16.17.18.0/24.",
                "properties.networkRuleSet.ipRules",
            ) from error
        rules[value] = None
    return tuple(rules)


def parse_vnet_rules(values: Iterable[str]) -> tuple[str, ...]:
    """ARM ids of subnets, in their order, each once."""
    rules: dict[str, str] = {}
    for value in values:
        if not _SUBNET.match(value):
            raise RequestInvalid(
                f"'{value[:200]}' is not the resource id of a subnet.", "properties.networkRuleSet.virtualNetworkRules"
            )
        rules.setdefault(value.lower(), value)
    return tuple(rules.values())


def parse_days(days: int, lowest: int, highest: int, target: str) -> int:
    if not lowest <= days <= highest:
        raise RequestInvalid(f"{days} is not a number of days from {lowest} to {highest}.", target)
    return days
