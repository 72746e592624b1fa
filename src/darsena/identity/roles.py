"""The built-in roles with Azure's own ids, and which actions each allows.

`actions` are control-plane actions, which in legacy permission mode also
carry rights on images; `data_actions` count in ABAC mode only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_ACR: Final = "Microsoft.ContainerRegistry/registries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    id: str
    name: str
    description: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        return _matches_any(self.actions, action) and not _matches_any(self.not_actions, action)

    def allows_data(self, action: str) -> bool:
        return _matches_any(self.data_actions, action)


_REPOSITORY_READ = (f"{_ACR}/repositories/content/read", f"{_ACR}/repositories/metadata/read")
_REPOSITORY_WRITE = (f"{_ACR}/repositories/content/write", f"{_ACR}/repositories/metadata/write")
_REPOSITORY_DELETE = (f"{_ACR}/repositories/content/delete", f"{_ACR}/repositories/metadata/delete")
_CONFIGURED = ("replications", "webhooks", "scopeMaps", "tokens", "connectedRegistries", "privateEndpointConnections")
_CONFIGURATION_READ = (
    f"{_ACR}/read",
    f"{_ACR}/listUsages/read",
    f"{_ACR}/listPolicies/read",
    f"{_ACR}/operationStatuses/read",
    f"{_ACR}/privateLinkResources/read",
    *(f"{_ACR}/{kind}/{verb}" for kind in _CONFIGURED for verb in ("read", "operationStatuses/read")),
    f"{_ACR}/webhooks/getCallbackConfig/action",
    f"{_ACR}/webhooks/listEvents/action",
    "Microsoft.ContainerRegistry/checkNameAvailability/read",
    "Microsoft.ContainerRegistry/locations/operationResults/read",
    "Microsoft.Authorization/*/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
)

OWNER: Final = Role(
    id="8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    name="Owner",
    description="Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
    actions=("*",),
)
CONTRIBUTOR: Final = Role(
    id="b24988ac-6180-42a0-ab88-20f7382dd24c",
    name="Contributor",
    description="Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC.",
    actions=("*",),
    not_actions=(
        "Microsoft.Authorization/*/Delete",
        "Microsoft.Authorization/*/Write",
        "Microsoft.Authorization/elevateAccess/Action",
    ),
)
READER: Final = Role(
    id="acdd72a7-3385-48ef-bd42-f606fba81ae7",
    name="Reader",
    description="View all resources, but does not allow you to make any changes.",
    actions=("*/read",),
)
ACR_PULL: Final = Role(
    id="7f951dda-4ed3-4680-a7ca-43fe172d538d",
    name="AcrPull",
    description="acr pull",
    actions=(f"{_ACR}/pull/read",),
)
ACR_PUSH: Final = Role(
    id="8311e382-0749-4cb8-b61a-304f252e45ec",
    name="AcrPush",
    description="acr push",
    actions=(f"{_ACR}/pull/read", f"{_ACR}/push/write"),
)
ACR_DELETE: Final = Role(
    id="c2f4ef07-c644-48eb-af81-4b1b4947fb11",
    name="AcrDelete",
    description="acr delete",
    actions=(f"{_ACR}/artifacts/delete",),
)
ACR_IMAGE_SIGNER: Final = Role(
    id="6cef56e8-d556-48e5-a04f-b8e64114680f",
    name="AcrImageSigner",
    description="acr image signer",
    actions=(f"{_ACR}/sign/write",),
    data_actions=(f"{_ACR}/trustedCollections/write",),
)
ACR_QUARANTINE_READER: Final = Role(
    id="cdda3590-29a3-44f6-95f2-9f980659eb04",
    name="AcrQuarantineReader",
    description="acr quarantine data reader",
    actions=(f"{_ACR}/quarantine/read",),
    data_actions=(f"{_ACR}/quarantinedArtifacts/read",),
)
ACR_QUARANTINE_WRITER: Final = Role(
    id="c8d4ff99-41c3-41a8-9f60-21dfdad59608",
    name="AcrQuarantineWriter",
    description="acr quarantine data writer",
    actions=(f"{_ACR}/quarantine/read", f"{_ACR}/quarantine/write"),
    data_actions=(f"{_ACR}/quarantinedArtifacts/read", f"{_ACR}/quarantinedArtifacts/write"),
)
USER_ACCESS_ADMINISTRATOR: Final = Role(
    id="18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
    name="User Access Administrator",
    description="Lets you manage user access to Azure resources.",
    actions=("*/read", "Microsoft.Authorization/*"),
)
RBAC_ADMINISTRATOR: Final = Role(
    id="f58310d9-a9f6-439a-9e8d-f62e7b41a168",
    name="Role Based Access Control Administrator",
    description="Manage access to Azure resources by assigning roles using Azure RBAC.",
    actions=(
        "Microsoft.Authorization/roleAssignments/write",
        "Microsoft.Authorization/roleAssignments/delete",
        "*/read",
    ),
)
REPOSITORY_READER: Final = Role(
    id="b93aa761-3e63-49ed-ac28-beffa264f7ac",
    name="Container Registry Repository Reader",
    description="Allows for read access to Azure Container Registry repositories, but not for listing them.",
    data_actions=_REPOSITORY_READ,
)
REPOSITORY_WRITER: Final = Role(
    id="2a1e307c-b015-4ebd-883e-5b7698a07328",
    name="Container Registry Repository Writer",
    description="Allows for read and write access to Azure Container Registry repositories, but not for listing them.",
    data_actions=(*_REPOSITORY_READ, *_REPOSITORY_WRITE),
)
REPOSITORY_CONTRIBUTOR: Final = Role(
    id="2efddaa5-3f1f-4df3-97df-af3f13818f4c",
    name="Container Registry Repository Contributor",
    description="Allows for read, write, and delete access to Azure Container Registry repositories, "
    "but not for listing them.",
    data_actions=(*_REPOSITORY_READ, *_REPOSITORY_WRITE, *_REPOSITORY_DELETE),
)
REPOSITORY_CATALOG_LISTER: Final = Role(
    id="bfdb9389-c9a5-478a-bb2f-ba9ca092c3c7",
    name="Container Registry Repository Catalog Lister",
    description="Allows for listing all repositories in an Azure Container Registry.",
    data_actions=(f"{_ACR}/catalog/read",),
)
TASKS_CONTRIBUTOR: Final = Role(
    id="fb382eab-e894-4461-af04-94435c366c3f",
    name="Container Registry Tasks Contributor",
    description="Lets you configure, list, start and cancel tasks, runs, quick builds and agent pools of a container "
    "registry. What tasks may do to images, so may whoever holds this role.",
    actions=(
        f"{_ACR}/read",
        f"{_ACR}/listBuildSourceUploadUrl/action",
        f"{_ACR}/scheduleRun/action",
        f"{_ACR}/operationStatuses/read",
        f"{_ACR}/runs/*",
        f"{_ACR}/tasks/*",
        f"{_ACR}/taskRuns/*",
        f"{_ACR}/agentPools/*",
        "Microsoft.ContainerRegistry/locations/operationResults/read",
    ),
)
DATA_IMPORTER: Final = Role(
    id="577a9874-89fd-4f24-9dbd-b5034d0ad23a",
    name="Container Registry Data Importer and Data Reader",
    description="Lets you import images into a container registry, list its repositories and pull from it.",
    actions=(f"{_ACR}/importImage/action", f"{_ACR}/pull/read", f"{_ACR}/read"),
)
CONFIGURATION_READER: Final = Role(
    id="69b07be0-09bf-439a-b9a6-e73de851bd59",
    name="Container Registry Configuration Reader and Data Access Configuration Reader",
    description="Lets you see container registries and their configuration, admin credentials, tokens and scope maps "
    "included, and none of their contents.",
    actions=(*_CONFIGURATION_READ, f"{_ACR}/listCredentials/action"),
)
CONFIGURATION_ADMINISTRATOR: Final = Role(
    id="3bc748fc-213d-45c1-8d91-9da5725539b9",
    name="Container Registry Contributor and Data Access Configuration Administrator",
    description="Lets you manage container registries and their configuration, admin credentials, tokens and scope "
    "maps included, and see none of their contents.",
    actions=(
        *_CONFIGURATION_READ,
        f"{_ACR}/write",
        f"{_ACR}/delete",
        f"{_ACR}/listCredentials/action",
        f"{_ACR}/regenerateCredential/action",
        f"{_ACR}/generateCredentials/action",
        *(f"{_ACR}/{kind}/{verb}" for kind in _CONFIGURED for verb in ("write", "delete")),
        f"{_ACR}/connectedRegistries/deactivate/action",
        f"{_ACR}/webhooks/ping/action",
    ),
)
CREDENTIAL_SET_ADMINISTRATOR: Final = Role(
    id="f094fb07-0703-4400-ad6a-e16dd8000e14",
    name="Container Registry Credential Set Administrator",
    description="Lets you manage the credential sets of a container registry.",
    actions=tuple(f"{_ACR}/credentialSets/{verb}" for verb in ("read", "write", "delete", "operationStatuses/read")),
)
CREDENTIAL_SET_READER: Final = Role(
    id="29093635-9924-4f2c-913b-650a12949526",
    name="Container Registry Credential Set Reader",
    description="Lets you see the credential sets of a container registry.",
    actions=(f"{_ACR}/credentialSets/read",),
)
TRANSFER_PIPELINE_CONTRIBUTOR: Final = Role(
    id="bf94e731-3a51-4a7c-8c54-a1ab9971dfc1",
    name="Container Registry Transfer Pipeline Contributor",
    description="Lets you transfer artifacts by export and import pipelines, without pushing or pulling.",
    actions=(
        *(
            f"{_ACR}/{kind}/{verb}"
            for kind in ("exportPipelines", "importPipelines", "pipelineRuns")
            for verb in ("read", "write", "delete")
        ),
        f"{_ACR}/pipelineRuns/operationStatuses/read",
    ),
)

BUILT_IN: Final[tuple[Role, ...]] = (
    OWNER,
    CONTRIBUTOR,
    READER,
    ACR_PULL,
    ACR_PUSH,
    ACR_DELETE,
    ACR_IMAGE_SIGNER,
    ACR_QUARANTINE_READER,
    ACR_QUARANTINE_WRITER,
    USER_ACCESS_ADMINISTRATOR,
    RBAC_ADMINISTRATOR,
    REPOSITORY_READER,
    REPOSITORY_WRITER,
    REPOSITORY_CONTRIBUTOR,
    REPOSITORY_CATALOG_LISTER,
    TASKS_CONTRIBUTOR,
    DATA_IMPORTER,
    CONFIGURATION_READER,
    CONFIGURATION_ADMINISTRATOR,
    CREDENTIAL_SET_ADMINISTRATOR,
    CREDENTIAL_SET_READER,
    TRANSFER_PIPELINE_CONTRIBUTOR,
)
_BY_ID: Final = {role.id: role for role in BUILT_IN}


def find_role(role_definition_id: str) -> Role | None:
    """By GUID, or by an ARM id that ends in it."""
    return _BY_ID.get(role_definition_id.rpartition("/")[2].lower())


def _matches_any(patterns: Sequence[str], action: str) -> bool:
    return any(matches_action(pattern, action) for pattern in patterns)


@lru_cache(maxsize=4096)
def matches_action(pattern: str, action: str) -> bool:
    """`*` stands for any text, also an empty one; case does not count."""
    first, *rest = pattern.lower().split("*")
    text = action.lower()
    if not rest:
        return text == first
    if not text.startswith(first):
        return False
    position = len(first)
    for piece in rest[:-1]:
        found = text.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return len(text) - len(rest[-1]) >= position and text.endswith(rest[-1])
