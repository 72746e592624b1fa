"""Resource groups and registries as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Literal, TypedDict, TypeVar

from darsena.resources import ids
from darsena.resources.tiers import TIERS, SkuName, Tier

T = TypeVar("T")
Tags = dict[str, str]
DomainNameScope = Literal["Unsecure", "TenantReuse", "SubscriptionReuse", "ResourceGroupReuse", "NoReuse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who made or changed a resource, as `systemData` names them."""

    name: str
    kind: Literal["User", "Application", "ManagedIdentity", "Key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemData:
    created_by: Author
    created_at_us: int
    modified_by: Author
    modified_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A resource group. `name` keeps the case it was created with."""

    id: int
    subscription_id: str
    name: str
    location: str
    tags: Tags
    managed_by: str | None = None

    @property
    def resource_id(self) -> str:
        return ids.group_path(self.subscription_id, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignedIdentity:
    """A user-assigned identity as a registry has it. It stays written here when the identity itself is deleted."""

    resource_id: str
    object_id: str
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryIdentity:
    """`system_object_id` is the principal's that lives and dies with the registry."""

    system_object_id: str | None = None
    assigned: tuple[AssignedIdentity, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityChange:
    """What a request says of a registry's identities. `assigned` maps ARM ids to whether they are to be there."""

    system: bool
    assigned: dict[str, bool]
    replaces: bool
    """Whether assigned identities that are not named go (PUT) or stay (PATCH)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserIdentity:
    """A user-assigned managed identity, as a resource. `object_id` is its principal's."""

    id: int
    group_id: int
    subscription_id: str
    group: str
    name: str
    location: str
    tags: Tags
    object_id: str
    client_id: str
    system_data: SystemData

    @property
    def resource_id(self) -> str:
        return ids.identity_path(self.subscription_id, self.group, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """Everything of a registry that a client may set, with ACR's defaults. Stored as JSON: additions need a default."""

    admin_user_enabled: bool = False
    anonymous_pull_enabled: bool = False
    public_network_access: bool = True
    network_default_allow: bool = True
    ip_rules: tuple[str, ...] = ()
    """IPv4 addresses or CIDR ranges that are let in."""
    vnet_rules: tuple[str, ...] = ()
    """ARM ids of subnets."""
    trusted_services_bypass: bool = True
    tasks_bypass: bool = False
    data_endpoint_enabled: bool = False
    regional_endpoints: bool = False
    dual_stack: bool = False
    zone_redundancy: bool = False
    metadata_search: bool = False
    writable_cache: bool = False
    abac: bool = False
    domain_name_scope: DomainNameScope = "Unsecure"
    customer_key: bool = False
    quarantine: bool = False
    content_trust: bool = False
    retention: bool = False
    retention_days: int = 7
    retention_updated_us: int = 0
    retention_enabled_us: int = 0
    """When it was switched on, while it is; what lost its tag before is none of its business."""
    export: bool = True
    arm_audience: bool = True
    soft_delete: bool = False
    soft_delete_days: int = 7
    soft_delete_updated_us: int = 0
    identity: RegistryIdentity = RegistryIdentity()


class PropertiesChange(TypedDict, total=False):
    """Fields of Properties that a request names; an absent one keeps its value (PATCH) or its default (PUT)."""

    admin_user_enabled: bool
    anonymous_pull_enabled: bool
    public_network_access: bool
    network_default_allow: bool
    ip_rules: tuple[str, ...]
    vnet_rules: tuple[str, ...]
    trusted_services_bypass: bool
    tasks_bypass: bool
    data_endpoint_enabled: bool
    regional_endpoints: bool
    dual_stack: bool
    zone_redundancy: bool
    metadata_search: bool
    writable_cache: bool
    abac: bool
    domain_name_scope: DomainNameScope
    customer_key: bool
    quarantine: bool
    content_trust: bool
    retention: bool
    retention_days: int
    export: bool
    arm_audience: bool
    soft_delete: bool
    soft_delete_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryRow:
    """A registry. `name` keeps the case it was created with; `label` is its login server's first DNS label."""

    id: int
    uid: str
    """Names the registry for ever: never used again, whatever becomes of the name."""
    group_id: int
    subscription_id: str
    group: str
    name: str
    label: str
    location: str
    sku: SkuName
    tags: Tags
    properties: Properties
    system_data: SystemData
    version: int
    """Grows with every change."""

    @property
    def resource_id(self) -> str:
        return ids.registry_path(self.subscription_id, self.group, self.name)

    @property
    def tier(self) -> Tier:
        return TIERS[self.sku]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryPut:
    """A whole registry as a PUT describes it."""

    location: str
    sku: SkuName
    tags: Tags = field(default_factory=dict[str, str])
    properties: PropertiesChange = field(default_factory=lambda: PropertiesChange())
    identity: IdentityChange | None = None
    """None keeps what is there, as ARM does for every provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryPatch:
    """What a PATCH changes; None keeps."""

    sku: SkuName | None = None
    tags: Tags | None = None
    properties: PropertiesChange = field(default_factory=lambda: PropertiesChange())
    identity: IdentityChange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    name: str
    limit: int
    current: int
    unit: Literal["Bytes", "Count"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NameAvailability:
    available: bool
    reason: Literal["AlreadyExists", "Invalid"] | None = None
    message: str | None = None
    login_server: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A long operation that a client may poll, also after what it worked on is gone."""

    id: str
    subscription_id: str
    status: Literal["Running", "Succeeded", "Failed"]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """`next_key` is what to list after; None at the end."""

    items: list[T]
    next_key: str | None
