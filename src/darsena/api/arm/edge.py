"""All ARM routes of this version, in one place."""

from __future__ import annotations

from darsena.api.arm import (
    groups,
    identities,
    metadata,
    operations,
    providers,
    registries,
    resource_list,
    subscriptions,
    tags,
)
from darsena.api.arm.context import ArmContext, ArmGate
from darsena.api.router import Route
from darsena.resources.service import ResourceService


class ArmEdge:
    """`control_url` is `https://host[:port]` without a slash at its end."""

    def __init__(
        self,
        *,
        resources: ResourceService,
        gate: ArmGate,
        control_url: str,
        tenant_id: str,
        subscription_id: str,
        display_name: str = "Darsena",
    ) -> None:
        self.context = ArmContext(
            resources=resources,
            gate=gate,
            control_url=control_url.rstrip("/"),
            tenant_id=tenant_id,
            subscription_id=subscription_id,
            display_name=display_name,
        )
        rooms = (metadata, subscriptions, providers, groups, resource_list, registries, identities, operations, tags)
        self.routes: list[Route] = [route for room in rooms for route in room.list_routes(self.context)]
