"""What may be set together: the tier's gates, and rules between properties. Pure functions from value to value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from darsena.core.errors import NotImplementedHere, QuotaExceeded, RequestInvalid
from darsena.resources.model import Properties, PropertiesChange
from darsena.resources.tiers import Feature, Tier

_DEFAULTS = Properties()
_SETTABLE = (*PropertiesChange.__annotations__, "identity")
_TIERS_LINK = "For more information on SKU tiers, please visit https://aka.ms/acr/tiers."


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A property that must have its default value where the tier lacks the feature."""

    field: str
    feature: Feature
    target: str
    """The property's path on the wire."""
    code: str = "BadRequest"


GATES = (
    Gate(field="anonymous_pull_enabled", feature=Feature.ANONYMOUS_PULL, target="anonymousPullEnabled"),
    Gate(
        field="public_network_access",
        feature=Feature.PRIVATE_ACCESS,
        target="publicNetworkAccess",
        code="DisablingPublicNetworkAccessNotSupported",
    ),
    Gate(field="network_default_allow", feature=Feature.NETWORK_RULES, target="networkRuleSet.defaultAction"),
    Gate(field="ip_rules", feature=Feature.NETWORK_RULES, target="networkRuleSet.ipRules"),
    Gate(field="vnet_rules", feature=Feature.NETWORK_RULES, target="networkRuleSet.virtualNetworkRules"),
    Gate(field="data_endpoint_enabled", feature=Feature.DATA_ENDPOINTS, target="dataEndpointEnabled"),
    Gate(field="dual_stack", feature=Feature.DUAL_STACK, target="endpointProtocol"),
    Gate(field="regional_endpoints", feature=Feature.REGIONAL_ENDPOINTS, target="regionalEndpoints"),
    Gate(field="customer_key", feature=Feature.CUSTOMER_KEYS, target="encryption.status"),
    Gate(field="content_trust", feature=Feature.CONTENT_TRUST, target="policies.trustPolicy.status"),
    Gate(field="retention", feature=Feature.RETENTION, target="policies.retentionPolicy.status"),
    Gate(field="export", feature=Feature.EXPORT_POLICY, target="policies.exportPolicy.status"),
)


def merge(base: Properties, change: PropertiesChange, tier: Tier, now_us: int) -> Properties:
    """`base` with the change applied, as the tier allows it. Raises RequestInvalid, QuotaExceeded, NotImplementedHere.

    What `base` has and the tier lacks is switched off first (a change to a lower tier); what the change itself asks
    for and the tier lacks is refused.
    """
    merged = replace(switch_off(base, tier), **_stamp(change, now_us))
    _check_tier(merged, tier)
    _check_together(merged)
    return merged


def switch_off(properties: Properties, tier: Tier) -> Properties:
    """The same registry with every feature off that the tier lacks, and soft delete, which none has here."""
    off: dict[str, Any] = {
        gate.field: getattr(_DEFAULTS, gate.field) for gate in GATES if gate.feature not in tier.features
    }
    return replace(properties, soft_delete=False, **off)


def list_changed(before: Properties, after: Properties) -> list[str]:
    """Of what clients may set. The times that are noted beside it say nothing that the change does not."""
    return [name for name in _SETTABLE if getattr(before, name) != getattr(after, name)]


def _stamp(change: PropertiesChange, now_us: int) -> dict[str, Any]:
    """A policy that a request names is updated now, also when it says what was so before (as the service does)."""
    stamped: dict[str, Any] = dict(change)
    if "retention" in change or "retention_days" in change:
        stamped["retention_updated_us"] = now_us
    if "soft_delete" in change or "soft_delete_days" in change:
        stamped["soft_delete_updated_us"] = now_us
    return stamped


def _check_tier(properties: Properties, tier: Tier) -> None:
    for gate in GATES:
        if gate.feature not in tier.features and getattr(properties, gate.field) != getattr(_DEFAULTS, gate.field):
            check_feature(tier, gate.feature, f"properties.{gate.target}", code=gate.code)
    for usage, count in (("IPRules", len(properties.ip_rules)), ("VNetRules", len(properties.vnet_rules))):
        check_limit(tier, usage, count)


def check_feature(tier: Tier, feature: Feature, target: str | None = None, *, code: str = "BadRequest") -> None:
    """Raise RequestInvalid when the tier lacks the feature."""
    if feature in tier.features:
        return
    what = feature.value[0].upper() + feature.value[1:]
    verb = "are" if what.endswith("s") and not what.endswith("ss") else "is"
    raise RequestInvalid(f"{what} {verb} not supported for the SKU {tier.name}. {_TIERS_LINK}", target, code=code)


def check_limit(tier: Tier, usage: str, count: int) -> None:
    """Raise QuotaExceeded when `count` things are more than the tier allows."""
    limit = tier.get_limit(usage)
    if 0 <= limit < count:
        raise QuotaExceeded(
            f"Quota exceeded for resource type {usage} for the registry SKU {tier.name}. Learn more about different "
            "SKU quotas and upgrade process: https://docs.microsoft.com/en-us/azure/container-registry/container-registry-skus"
        )


def _check_together(properties: Properties) -> None:
    if properties.customer_key:
        raise NotImplementedHere(
            "Customer-managed keys are not in this version. Every registry is encrypted with a data key of its own, "
            "wrapped by the server's root key; leave 'encryption' out or set its status to 'disabled'."
        )
    if not properties.export and properties.public_network_access:
        raise RequestInvalid(
            "Export can only be disabled while public network access is disabled: "
            "set 'publicNetworkAccess' to 'Disabled' as well.",
            "properties.policies.exportPolicy.status",
        )
    if properties.soft_delete and properties.retention:
        raise RequestInvalid(
            "The soft delete policy and the retention policy cannot be enabled together.",
            "properties.policies.softDeletePolicy.status",
        )
    if properties.soft_delete:
        raise NotImplementedHere(
            "Soft delete is not in this version: what is deleted is gone. Leave 'softDeletePolicy' disabled, and lock "
            "what must stay ('deleteEnabled': false)."
        )
    if properties.dual_stack and not properties.data_endpoint_enabled:
        raise RequestInvalid(
            "The endpoint protocol 'IPv4AndIPv6' needs dedicated data endpoints: set 'dataEndpointEnabled' to true.",
            "properties.endpointProtocol",
        )
