"""A registry's row as the facts that identity and the data plane work with."""

from __future__ import annotations

from darsena.identity.model import RegistryFacts
from darsena.resources.model import RegistryRow
from darsena.resources.naming import LoginServers


def to_facts(row: RegistryRow, login_servers: LoginServers) -> RegistryFacts:
    """What identity and the data plane need to know of a registry."""
    return RegistryFacts(
        uid=row.uid,
        name=row.name,
        login_server=login_servers.render(row.label),
        subscription_id=row.subscription_id,
        resource_group=row.group,
        resource_id=row.resource_id,
        region=row.location,
        admin_enabled=row.properties.admin_user_enabled,
        anonymous_pull=row.properties.anonymous_pull_enabled,
        arm_audience_allowed=row.properties.arm_audience,
        abac=row.properties.abac,
        tier=row.sku,
        storage_limit_bytes=row.tier.storage_limit_bytes,
        quarantine=row.properties.quarantine,
        tasks_bypass=row.properties.tasks_bypass and row.properties.trusted_services_bypass,
        version=row.version,
    )
