"""Bodies that ARM requests may have. Unknown and read-only members are ignored; null means absent; a wrong type is
refused by the decoder. Enum values compare without case, so they stand here as strings."""

from __future__ import annotations

from typing import Any

import msgspec


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Wire names in camel case."""


class GroupBody(Body, frozen=True, kw_only=True):
    location: str | None = None
    tags: dict[str, str] | None = None
    managed_by: str | None = None


class TagsPropertiesBody(Body, frozen=True, kw_only=True):
    tags: dict[str, str] | None = None


class TagsBody(Body, frozen=True, kw_only=True):
    properties: TagsPropertiesBody | None = None


class TagsPatchBody(Body, frozen=True, kw_only=True):
    operation: str | None = None
    properties: TagsPropertiesBody | None = None


class SkuBody(Body, frozen=True, kw_only=True):
    name: str | None = None


class StatusBody(Body, frozen=True, kw_only=True):
    status: str | None = None


class TrustPolicyBody(Body, frozen=True, kw_only=True):
    type: str | None = None
    status: str | None = None


class RetentionPolicyBody(Body, frozen=True, kw_only=True):
    days: int | None = None
    status: str | None = None


class SoftDeletePolicyBody(Body, frozen=True, kw_only=True):
    retention_days: int | None = None
    status: str | None = None


class PoliciesBody(Body, frozen=True, kw_only=True):
    quarantine_policy: StatusBody | None = None
    trust_policy: TrustPolicyBody | None = None
    retention_policy: RetentionPolicyBody | None = None
    export_policy: StatusBody | None = None
    arm_policy: StatusBody | None = msgspec.field(default=None, name="azureADAuthenticationAsArmPolicy")
    soft_delete_policy: SoftDeletePolicyBody | None = None


class VirtualNetworkRuleBody(Body, frozen=True, kw_only=True):
    """The subnet has another name since the version 2026-09-01-preview, which az 2.91 speaks."""

    action: str | None = None
    id: str | None = None
    virtual_network_subnet_resource_id: str | None = None

    @property
    def subnet(self) -> str | None:
        return self.virtual_network_subnet_resource_id or self.id


class IpRuleBody(Body, frozen=True, kw_only=True):
    action: str | None = None
    value: str | None = None


class NetworkRuleSetBody(Body, frozen=True, kw_only=True):
    default_action: str | None = None
    virtual_network_rules: list[VirtualNetworkRuleBody] | None = None
    ip_rules: list[IpRuleBody] | None = None


class EncryptionBody(Body, frozen=True, kw_only=True):
    status: str | None = None
    key_vault_properties: dict[str, Any] | None = None


class IdentityBody(Body, frozen=True, kw_only=True):
    type: str | None = None
    user_assigned_identities: dict[str, Any] | None = None


class IdentityResourceBody(Body, frozen=True, kw_only=True):
    """Of a user-assigned identity; whatever else it says is the server's to say."""

    location: str | None = None
    tags: dict[str, str] | None = None


class RegistryPropertiesBody(Body, frozen=True, kw_only=True):
    admin_user_enabled: bool | None = None
    anonymous_pull_enabled: bool | None = None
    network_rule_set: NetworkRuleSetBody | None = None
    policies: PoliciesBody | None = None
    encryption: EncryptionBody | None = None
    data_endpoint_enabled: bool | None = None
    regional_endpoints: str | None = None
    endpoint_protocol: str | None = None
    public_network_access: str | None = None
    network_rule_bypass_options: str | None = None
    network_rule_bypass_allowed_for_tasks: bool | None = None
    zone_redundancy: str | None = None
    metadata_search: str | None = None
    auto_generated_domain_name_label_scope: str | None = None
    role_assignment_mode: str | None = None
    writable_cache_repos: str | None = None


class RegistryBody(Body, frozen=True, kw_only=True):
    """Of a PUT and of a PATCH alike."""

    location: str | None = None
    tags: dict[str, str] | None = None
    sku: SkuBody | None = None
    identity: IdentityBody | None = None
    properties: RegistryPropertiesBody | None = None


class CheckNameBody(Body, frozen=True, kw_only=True):
    name: str | None = None
    type: str | None = None
    resource_group_name: str | None = None
    auto_generated_domain_name_label_scope: str | None = None


class RegenerateCredentialBody(Body, frozen=True, kw_only=True):
    name: str | None = None
