"""What ARM answers look like. Optional members are left out while they are None; no others have a default."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class View(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Wire names in camel case."""


class ListView(View, Generic[T], frozen=True, kw_only=True):
    value: list[T]
    next_link: str | None = None


class ErrorBody(View, frozen=True, kw_only=True):
    code: str
    message: str
    target: str | None = None
    details: list[Any] | None = None


class ErrorView(View, frozen=True, kw_only=True):
    error: ErrorBody


class OperationStatusView(View, frozen=True, kw_only=True):
    """What a poll of a long operation answers."""

    status: str
    id: str | None = None
    name: str | None = None
    error: ErrorBody | None = None


# --- tenants, subscriptions, providers --------------------------------------------------------------------------


class TenantView(View, frozen=True, kw_only=True):
    id: str
    tenant_id: str
    display_name: str
    default_domain: str
    tenant_category: str
    domains: list[str]


class SubscriptionPoliciesView(View, frozen=True, kw_only=True):
    location_placement_id: str
    quota_id: str
    spending_limit: str


class SubscriptionView(View, frozen=True, kw_only=True):
    id: str
    authorization_source: str
    managed_by_tenants: list[dict[str, str]]
    subscription_id: str
    tenant_id: str
    display_name: str
    state: str
    subscription_policies: SubscriptionPoliciesView


class CountView(View, frozen=True, kw_only=True):
    type: str
    value: int


class SubscriptionListView(View, frozen=True, kw_only=True):
    value: list[SubscriptionView]
    count: CountView


class PairedRegionView(View, frozen=True, kw_only=True):
    name: str
    id: str


class LocationMetadataView(View, frozen=True, kw_only=True):
    region_type: str
    region_category: str
    geography_group: str
    paired_region: list[PairedRegionView]


class LocationView(View, frozen=True, kw_only=True):
    id: str
    name: str
    type: str
    display_name: str
    regional_display_name: str
    metadata: LocationMetadataView


class ResourceTypeView(View, frozen=True, kw_only=True):
    resource_type: str
    locations: list[str]
    api_versions: list[str]
    default_api_version: str
    capabilities: str


class ProviderView(View, frozen=True, kw_only=True):
    id: str
    namespace: str
    registration_state: str
    registration_policy: str
    resource_types: list[ResourceTypeView]


class OperationDisplayView(View, frozen=True, kw_only=True):
    provider: str
    resource: str
    operation: str
    description: str


class OperationView(View, frozen=True, kw_only=True):
    name: str
    is_data_action: bool
    display: OperationDisplayView
    origin: str


# --- groups and resources ---------------------------------------------------------------------------------------


class ProvisioningView(View, frozen=True, kw_only=True):
    provisioning_state: str


class TagsPropertiesView(View, frozen=True, kw_only=True):
    tags: dict[str, str]


class TagsView(View, frozen=True, kw_only=True):
    id: str
    name: str
    type: str
    properties: TagsPropertiesView


class TagCountView(View, frozen=True, kw_only=True):
    type: str
    value: int


class TagValueView(View, frozen=True, kw_only=True):
    id: str
    tag_value: str
    count: TagCountView


class TagNameView(View, frozen=True, kw_only=True):
    id: str
    tag_name: str
    count: TagCountView
    values: list[TagValueView]


class GroupView(View, frozen=True, kw_only=True):
    id: str
    name: str
    type: str
    location: str
    properties: ProvisioningView
    tags: dict[str, str] | None = None
    """Left out of an answer while there are none."""
    managed_by: str | None = None


class SkuView(View, frozen=True, kw_only=True):
    name: str
    tier: str


class SystemDataView(View, frozen=True, kw_only=True):
    created_by: str
    created_by_type: str
    created_at: str
    last_modified_by: str
    last_modified_by_type: str
    last_modified_at: str


class AssignedIdentityView(View, frozen=True, kw_only=True):
    principal_id: str
    client_id: str


class IdentityView(View, frozen=True, kw_only=True):
    """The identities that a resource has; the first two of the one that is its own."""

    type: str
    principal_id: str | None = None
    tenant_id: str | None = None
    user_assigned_identities: dict[str, AssignedIdentityView] | None = None


class ResourceView(View, frozen=True, kw_only=True):
    """A resource as lists across types show it. The times and the state come with `$expand`."""

    id: str
    name: str
    type: str
    location: str
    sku: SkuView | None = None
    tags: dict[str, str]
    identity: IdentityView | None = None
    system_data: SystemDataView
    created_time: str | None = None
    changed_time: str | None = None
    provisioning_state: str | None = None


# --- registries -------------------------------------------------------------------------------------------------


class StatusView(View, frozen=True, kw_only=True):
    status: str


class TrustPolicyView(View, frozen=True, kw_only=True):
    type: str
    status: str


class RetentionPolicyView(View, frozen=True, kw_only=True):
    days: int
    last_updated_time: str
    status: str


class SoftDeletePolicyView(View, frozen=True, kw_only=True):
    retention_days: int
    last_updated_time: str
    status: str


class PoliciesView(View, frozen=True, kw_only=True):
    quarantine_policy: StatusView
    trust_policy: TrustPolicyView
    retention_policy: RetentionPolicyView
    export_policy: StatusView
    arm_policy: StatusView = msgspec.field(name="azureADAuthenticationAsArmPolicy")
    soft_delete_policy: SoftDeletePolicyView


class VirtualNetworkRuleView(View, frozen=True, kw_only=True):
    """The subnet stands under the name that the newest clients read and under the one that all others do."""

    action: str
    id: str
    virtual_network_subnet_resource_id: str


class IpRuleView(View, frozen=True, kw_only=True):
    action: str
    value: str


class NetworkRuleSetView(View, frozen=True, kw_only=True):
    default_action: str
    virtual_network_rules: list[VirtualNetworkRuleView]
    ip_rules: list[IpRuleView]


class RegistryPropertiesView(View, frozen=True, kw_only=True):
    login_server: str
    creation_date: str
    provisioning_state: str
    admin_user_enabled: bool
    network_rule_set: NetworkRuleSetView | None = None
    """Premium only."""
    policies: PoliciesView
    encryption: StatusView
    data_endpoint_enabled: bool
    data_endpoint_host_names: list[str]
    regional_endpoints: str
    regional_endpoint_host_names: list[str]
    endpoint_protocol: str
    private_endpoint_connections: list[dict[str, Any]]
    public_network_access: str
    network_rule_bypass_options: str
    network_rule_bypass_allowed_for_tasks: bool
    zone_redundancy: str
    anonymous_pull_enabled: bool
    metadata_search: str
    auto_generated_domain_name_label_scope: str
    role_assignment_mode: str
    writable_cache_repos: str


class RegistryView(View, frozen=True, kw_only=True):
    sku: SkuView
    type: str
    id: str
    name: str
    location: str
    tags: dict[str, str]
    identity: IdentityView | None = None
    system_data: SystemDataView
    properties: RegistryPropertiesView


class UserIdentityPropertiesView(View, frozen=True, kw_only=True):
    tenant_id: str
    principal_id: str
    client_id: str


class UserIdentityView(View, frozen=True, kw_only=True):
    """A user-assigned managed identity."""

    id: str
    name: str
    type: str
    location: str
    tags: dict[str, str]
    system_data: SystemDataView
    properties: UserIdentityPropertiesView


class PasswordView(View, frozen=True, kw_only=True):
    name: str
    value: str


class CredentialsView(View, frozen=True, kw_only=True):
    username: str
    passwords: list[PasswordView]


class UsageView(View, frozen=True, kw_only=True):
    name: str
    limit: int
    current_value: int
    unit: str


class UsageListView(View, frozen=True, kw_only=True):
    value: list[UsageView]


class NameAvailabilityView(View, frozen=True, kw_only=True):
    name_available: bool
    reason: str | None = None
    message: str | None = None
    available_login_server_name: str | None = None
