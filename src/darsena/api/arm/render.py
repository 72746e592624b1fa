"""From the domain's values to ARM's views."""

from __future__ import annotations

from collections.abc import Mapping

from darsena.api.arm import views
from darsena.core.clock import render_time, render_time_offset
from darsena.resources.ids import GROUP_TYPE, IDENTITY_TYPE, REGISTRY_TYPE
from darsena.resources.model import Group, Properties, RegistryRow, SystemData, Usage, UserIdentity
from darsena.resources.naming import LoginServers

SUCCEEDED = "Succeeded"
"""The provisioning state of everything here: changes are made in the request's own transaction."""


def group_view(group: Group) -> views.GroupView:
    return views.GroupView(
        id=group.resource_id,
        name=group.name,
        type=GROUP_TYPE,
        location=group.location,
        tags=group.tags or None,
        properties=views.ProvisioningView(provisioning_state=SUCCEEDED),
        managed_by=group.managed_by,
    )


def registry_view(row: RegistryRow, login_servers: LoginServers) -> views.RegistryView:
    return views.RegistryView(
        sku=views.SkuView(name=row.sku, tier=row.sku),
        type=REGISTRY_TYPE,
        id=row.resource_id,
        name=row.name,
        location=row.location,
        tags=row.tags,
        identity=_identity(row, login_servers.tenant_id),
        system_data=system_data_view(row.system_data),
        properties=_properties(row, login_servers),
    )


def user_identity_view(row: UserIdentity, tenant_id: str) -> views.UserIdentityView:
    return views.UserIdentityView(
        id=row.resource_id,
        name=row.name,
        type=IDENTITY_TYPE,
        location=row.location,
        tags=row.tags,
        system_data=system_data_view(row.system_data),
        properties=views.UserIdentityPropertiesView(
            tenant_id=tenant_id, principal_id=row.object_id, client_id=row.client_id
        ),
    )


def _identity(row: RegistryRow, tenant_id: str) -> views.IdentityView | None:
    """None without any, as the service leaves it out."""
    identity = row.properties.identity
    if identity.system_object_id is None and not identity.assigned:
        return None
    kinds = ["SystemAssigned"] if identity.system_object_id else []
    kinds += ["UserAssigned"] if identity.assigned else []
    assigned = {
        found.resource_id: views.AssignedIdentityView(principal_id=found.object_id, client_id=found.client_id)
        for found in identity.assigned
    }
    return views.IdentityView(
        type=", ".join(kinds),
        principal_id=identity.system_object_id,
        tenant_id=tenant_id if identity.system_object_id else None,
        user_assigned_identities=assigned or None,
    )


def identity_resource_view(row: UserIdentity, expand: frozenset[str]) -> views.ResourceView:
    return views.ResourceView(
        id=row.resource_id,
        name=row.name,
        type=IDENTITY_TYPE,
        location=row.location,
        tags=row.tags,
        system_data=system_data_view(row.system_data),
        created_time=render_time(row.system_data.created_at_us) if "createdtime" in expand else None,
        changed_time=render_time(row.system_data.modified_at_us) if "changedtime" in expand else None,
        provisioning_state=SUCCEEDED if "provisioningstate" in expand else None,
    )


def resource_view(row: RegistryRow, expand: frozenset[str], tenant_id: str) -> views.ResourceView:
    """`expand` holds ARM's lower-case names: createdtime, changedtime, provisioningstate."""
    return views.ResourceView(
        id=row.resource_id,
        name=row.name,
        type=REGISTRY_TYPE,
        location=row.location,
        sku=views.SkuView(name=row.sku, tier=row.sku),
        tags=row.tags,
        identity=_identity(row, tenant_id),
        system_data=system_data_view(row.system_data),
        created_time=render_time(row.system_data.created_at_us) if "createdtime" in expand else None,
        changed_time=render_time(row.system_data.modified_at_us) if "changedtime" in expand else None,
        provisioning_state=SUCCEEDED if "provisioningstate" in expand else None,
    )


def credentials_view(row: RegistryRow, passwords: Mapping[str, str]) -> views.CredentialsView:
    return views.CredentialsView(
        username=row.name,
        passwords=[views.PasswordView(name=name, value=passwords[name]) for name in ("password", "password2")],
    )


def usage_view(usage: Usage) -> views.UsageView:
    return views.UsageView(name=usage.name, limit=usage.limit, current_value=usage.current, unit=usage.unit)


def system_data_view(data: SystemData) -> views.SystemDataView:
    return views.SystemDataView(
        created_by=data.created_by.name,
        created_by_type=data.created_by.kind,
        created_at=render_time_offset(data.created_at_us),
        last_modified_by=data.modified_by.name,
        last_modified_by_type=data.modified_by.kind,
        last_modified_at=render_time_offset(data.modified_at_us),
    )


def _properties(row: RegistryRow, login_servers: LoginServers) -> views.RegistryPropertiesView:
    values = row.properties
    return views.RegistryPropertiesView(
        login_server=login_servers.render(row.label),
        creation_date=render_time(row.system_data.created_at_us),
        provisioning_state=SUCCEEDED,
        admin_user_enabled=values.admin_user_enabled,
        network_rule_set=_network_rule_set(values) if row.sku == "Premium" else None,
        policies=_policies(values),
        encryption=views.StatusView(status=_status(values.customer_key)),
        data_endpoint_enabled=values.data_endpoint_enabled,
        data_endpoint_host_names=_host_names(row, login_servers, "data") if values.data_endpoint_enabled else [],
        regional_endpoints=_enabled(values.regional_endpoints),
        regional_endpoint_host_names=_host_names(row, login_servers, "geo") if values.regional_endpoints else [],
        endpoint_protocol="IPv4AndIPv6" if values.dual_stack else "IPv4",
        private_endpoint_connections=[],
        public_network_access=_enabled(values.public_network_access),
        network_rule_bypass_options="AzureServices" if values.trusted_services_bypass else "None",
        network_rule_bypass_allowed_for_tasks=values.tasks_bypass,
        zone_redundancy=_enabled(values.zone_redundancy),
        anonymous_pull_enabled=values.anonymous_pull_enabled,
        metadata_search=_enabled(values.metadata_search),
        auto_generated_domain_name_label_scope=values.domain_name_scope,
        role_assignment_mode="AbacRepositoryPermissions" if values.abac else "LegacyRegistryPermissions",
        writable_cache_repos=_enabled(values.writable_cache),
    )


def _policies(values: Properties) -> views.PoliciesView:
    return views.PoliciesView(
        quarantine_policy=views.StatusView(status=_status(values.quarantine)),
        trust_policy=views.TrustPolicyView(type="Notary", status=_status(values.content_trust)),
        retention_policy=views.RetentionPolicyView(
            days=values.retention_days,
            last_updated_time=render_time_offset(values.retention_updated_us),
            status=_status(values.retention),
        ),
        export_policy=views.StatusView(status=_status(values.export)),
        arm_policy=views.StatusView(status=_status(values.arm_audience)),
        soft_delete_policy=views.SoftDeletePolicyView(
            retention_days=values.soft_delete_days,
            last_updated_time=render_time_offset(values.soft_delete_updated_us),
            status=_status(values.soft_delete),
        ),
    )


def _network_rule_set(values: Properties) -> views.NetworkRuleSetView:
    return views.NetworkRuleSetView(
        default_action="Allow" if values.network_default_allow else "Deny",
        virtual_network_rules=[
            views.VirtualNetworkRuleView(action="Allow", id=rule, virtual_network_subnet_resource_id=rule)
            for rule in values.vnet_rules
        ],
        ip_rules=[views.IpRuleView(action="Allow", value=rule) for rule in values.ip_rules],
    )


def _host_names(row: RegistryRow, login_servers: LoginServers, kind: str) -> list[str]:
    """`<registry>.<region>.data.<domain>` and the like."""
    return [f"{row.label}.{row.location}.{kind}.{login_servers.domain}"]


def _enabled(value: bool) -> str:
    return "Enabled" if value else "Disabled"


def _status(value: bool) -> str:
    """Policies spell the same in lower case."""
    return "enabled" if value else "disabled"
