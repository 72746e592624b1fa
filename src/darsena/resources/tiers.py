"""The service tiers: what each includes, allows and refuses. The one table that limits and `listUsages` come from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

SkuName = Literal["Basic", "Standard", "Premium"]

GIB = 1024**3
TIB = 1024**4
UNLIMITED = -1


class Feature(StrEnum):
    """What a tier may lack. The value is how a refusal names it."""

    ANONYMOUS_PULL = "anonymous pull"
    NETWORK_RULES = "network rules"
    PRIVATE_ACCESS = "disabling public network access"
    DATA_ENDPOINTS = "dedicated data endpoints"
    DUAL_STACK = "dual stack endpoints"
    REGIONAL_ENDPOINTS = "regional endpoints"
    GEO_REPLICATION = "geo-replication"
    CUSTOMER_KEYS = "customer-managed keys"
    CONTENT_TRUST = "content trust"
    RETENTION = "the retention policy"
    EXPORT_POLICY = "disabling export"
    CONNECTED_REGISTRIES = "connected registries"
    AGENT_POOLS = "agent pools"
    PRIVATE_LINK = "private endpoints"
    TRANSFER = "transfer pipelines"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLimit:
    """One row of `listUsages`. A limit of -1 means that there is none."""

    name: str
    limit: int
    unit: Literal["Bytes", "Count"] = "Count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    name: SkuName
    storage_limit_bytes: int
    """Beyond it pushes are refused; the included storage (usage `Size`) only matters to a bill."""
    usages: tuple[UsageLimit, ...]
    features: frozenset[Feature]

    def get_limit(self, usage: str) -> int:
        """0 for what the tier does not list: it allows none."""
        return next((row.limit for row in self.usages if row.name == usage), 0)


def _usages(included_gib: int, webhooks: int, tokens: int, *premium: UsageLimit) -> tuple[UsageLimit, ...]:
    return (
        UsageLimit(name="Size", limit=included_gib * GIB, unit="Bytes"),
        UsageLimit(name="Webhooks", limit=webhooks),
        *premium,
        UsageLimit(name="ScopeMaps", limit=tokens),
        UsageLimit(name="Tokens", limit=tokens),
    )


_PREMIUM_ONLY = (
    UsageLimit(name="Geo-replications", limit=UNLIMITED),
    UsageLimit(name="IPRules", limit=200),
    UsageLimit(name="VNetRules", limit=100),
    UsageLimit(name="PrivateEndpointConnections", limit=200),
)

TIERS: dict[SkuName, Tier] = {
    "Basic": Tier(name="Basic", storage_limit_bytes=40 * TIB, usages=_usages(10, 2, 100), features=frozenset()),
    "Standard": Tier(
        name="Standard",
        storage_limit_bytes=40 * TIB,
        usages=_usages(100, 10, 500),
        features=frozenset({Feature.ANONYMOUS_PULL}),
    ),
    "Premium": Tier(
        name="Premium",
        storage_limit_bytes=100 * TIB,
        usages=_usages(500, 500, 50_000, *_PREMIUM_ONLY),
        features=frozenset(Feature),
    ),
}
