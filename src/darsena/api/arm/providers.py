"""Resource providers: which types there are, in which versions, and which operations a role can name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from darsena.api.arm import views
from darsena.api.arm.context import ArmContext, Call, make_route
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.errors import NotImplementedHere, ResourceUnknown
from darsena.resources.ids import subscription_path
from darsena.resources.locations import REGIONS

TAG = "Providers"


def _spell(name: str) -> str:
    """`scopeMaps` as `Scope maps`."""
    words = re.sub(r"([A-Z])", r" \1", name).lower()
    return words[0].upper() + words[1:]


REGISTRY_VERSIONS = (
    "2026-09-01-preview", "2026-03-01-preview", "2026-01-01-preview", "2025-11-01", "2025-05-01-preview", "2025-04-01",
    "2025-03-01-preview", "2024-11-01-preview", "2023-11-01-preview", "2023-08-01-preview", "2023-07-01",
    "2023-06-01-preview", "2023-01-01-preview", "2022-12-01", "2022-02-01-preview", "2021-12-01-preview", "2021-09-01",
    "2021-08-01-preview", "2021-06-01-preview", "2020-11-01-preview", "2019-12-01-preview", "2019-05-01", "2017-10-01",
    "2017-03-01",
)  # fmt: skip
"""Named for clients that choose from them; any other is accepted too."""
TASKS_VERSIONS = ("2025-03-01-preview", "2019-06-01-preview", "2019-04-01", "2018-09-01")
_GROUP_VERSIONS = ("2024-11-01", "2022-09-01", "2021-04-01", "2020-06-01", "2019-10-01", "2018-05-01")

_ROLE_VERSIONS = ("2022-04-01", "2020-04-01-preview", "2018-01-01-preview", "2015-07-01")
_CHILDREN = (
    "replications", "webhooks", "scopeMaps", "tokens", "cacheRules", "credentialSets", "connectedRegistries",
    "privateEndpointConnections", "exportPipelines", "importPipelines", "pipelineRuns",
)  # fmt: skip

_TYPES: dict[str, dict[str, Sequence[str]]] = {
    "Microsoft.ContainerRegistry": {
        "registries": REGISTRY_VERSIONS,
        "registries/runs": TASKS_VERSIONS,
        "registries/tasks": TASKS_VERSIONS,
        "registries/taskRuns": TASKS_VERSIONS,
        "registries/agentPools": TASKS_VERSIONS,
        "registries/scheduleRun": TASKS_VERSIONS,
        "registries/listBuildSourceUploadUrl": TASKS_VERSIONS,
        "registries/listCredentials": REGISTRY_VERSIONS,
        "registries/regenerateCredential": REGISTRY_VERSIONS,
        "registries/listUsages": REGISTRY_VERSIONS,
        "registries/generateCredentials": REGISTRY_VERSIONS,
        "registries/importImage": REGISTRY_VERSIONS,
        "registries/privateLinkResources": REGISTRY_VERSIONS,
        **{f"registries/{name}": REGISTRY_VERSIONS for name in _CHILDREN},
        "checkNameAvailability": REGISTRY_VERSIONS,
        "operations": REGISTRY_VERSIONS,
        "locations/operationResults": REGISTRY_VERSIONS,
    },
    "Microsoft.Authorization": {
        "roleAssignments": _ROLE_VERSIONS,
        "roleDefinitions": _ROLE_VERSIONS,
    },
    "Microsoft.Insights": {
        "eventtypes/values": ("2015-04-01",),
    },
    "Microsoft.ManagedIdentity": {
        "userAssignedIdentities": ("2024-11-30", "2023-01-31", "2022-01-31-preview", "2018-11-30"),
    },
    "Microsoft.Resources": {
        "tenants": _GROUP_VERSIONS,
        "subscriptions": _GROUP_VERSIONS,
        "subscriptions/locations": _GROUP_VERSIONS,
        "subscriptions/providers": _GROUP_VERSIONS,
        "subscriptions/operationresults": _GROUP_VERSIONS,
        "resourceGroups": _GROUP_VERSIONS,
        "subscriptions/resourceGroups": _GROUP_VERSIONS,
        "resources": _GROUP_VERSIONS,
        "subscriptions/resources": _GROUP_VERSIONS,
    },
}
_TAGGED = frozenset({"registries", "userAssignedIdentities", "resourceGroups", "subscriptions/resourceGroups"})

_RESOURCES = (
    ("tasks", "Tasks"),
    ("taskRuns", "Task runs"),
    ("agentPools", "Agent pools"),
    *((name, _spell(name)) for name in _CHILDREN),
)
"""(type below a registry, how people call many of it)"""
_ACTIONS: tuple[tuple[str, str, str, bool], ...] = (
    ("register/action", "", "Registers the subscription for the container registry resource provider", False),
    ("unregister/action", "", "Unregisters the subscription for the container registry resource provider", False),
    ("checkNameAvailability/read", "", "Checks whether a container registry name is available", False),
    ("operations/read", "Operations", "Lists the operations of the container registry resource provider", False),
    ("locations/operationResults/read", "Locations", "Gets the result of an asynchronous operation", False),
    ("registries/read", "Container Registries", "Gets or lists container registries", False),
    ("registries/write", "Container Registries", "Creates or updates a container registry", False),
    ("registries/delete", "Container Registries", "Deletes a container registry", False),
    ("registries/listCredentials/action", "Container Registries", "Lists the admin user's credentials", False),
    ("registries/regenerateCredential/action", "Container Registries", "Regenerates an admin credential", False),
    ("registries/generateCredentials/action", "Container Registries", "Generates a token's passwords", False),
    ("registries/importImage/action", "Container Registries", "Imports an image", False),
    ("registries/privateLinkResources/read", "Container Registries", "Lists what private endpoints reach", False),
    ("registries/listUsages/read", "Container Registries", "Lists the quota usages of a registry", False),
    ("registries/operationStatuses/read", "Container Registries", "Gets the status of an operation", False),
    ("registries/listBuildSourceUploadUrl/action", "Container Registries", "Gets the URL to upload a source", False),
    ("registries/scheduleRun/action", "Container Registries", "Schedules a run", False),
    ("registries/runs/read", "Runs", "Gets or lists runs", False),
    ("registries/runs/write", "Runs", "Updates a run", False),
    ("registries/runs/listLogSasUrl/action", "Runs", "Gets the URL of a run's log", False),
    ("registries/runs/cancel/action", "Runs", "Cancels a run", False),
    *(
        (f"registries/{kind}/{verb}", resource, f"{text} {resource.lower()}", False)
        for kind, resource in _RESOURCES
        for verb, text in (("read", "Gets or lists"), ("write", "Creates or updates"), ("delete", "Deletes"))
    ),
    ("registries/tasks/listDetails/action", "Tasks", "Shows a task with its secrets", False),
    ("registries/taskRuns/listDetails/action", "Task runs", "Shows a task run with its secrets", False),
    ("registries/agentPools/listQueueStatus/action", "Agent pools", "Shows how long an agent pool's queue is", False),
    ("registries/webhooks/ping/action", "Webhooks", "Sends a webhook a ping", False),
    ("registries/webhooks/getCallbackConfig/action", "Webhooks", "Shows where a webhook sends events", False),
    ("registries/webhooks/listEvents/action", "Webhooks", "Lists what a webhook sent", False),
    ("registries/connectedRegistries/deactivate/action", "Connected registries", "Deactivates one", False),
    ("registries/connectedRegistries/resync/action", "Connected registries", "Synchronizes one anew", False),
    ("registries/pull/read", "Container Registries", "Pulls content", False),
    ("registries/push/write", "Container Registries", "Pushes content", False),
    ("registries/artifacts/delete", "Container Registries", "Deletes artifacts", False),
    ("registries/metadata/read", "Container Registries", "Reads the metadata of repositories", False),
    ("registries/metadata/write", "Container Registries", "Writes the metadata of repositories", False),
    ("registries/catalog/read", "Container Registries", "Lists repositories", True),
    ("registries/repositories/content/read", "Repositories", "Reads the content of a repository", True),
    ("registries/repositories/content/write", "Repositories", "Writes the content of a repository", True),
    ("registries/repositories/content/delete", "Repositories", "Deletes the content of a repository", True),
    ("registries/repositories/metadata/read", "Repositories", "Reads the metadata of a repository", True),
    ("registries/repositories/metadata/write", "Repositories", "Writes the metadata of a repository", True),
)
"""(action below the provider, resource, description, whether it is a data action)"""


def list_routes(context: ArmContext) -> list[Route]:
    base = "/subscriptions/{subscription}/providers"
    return [
        make_route(context, "GET", base, _list, summary="Resource providers",
                   response=views.ListView[views.ProviderView], tag=TAG),
        make_route(context, "GET", f"{base}/{{namespace}}", _get, summary="A resource provider",
                   response=views.ProviderView, tag=TAG),
        make_route(context, "GET", f"{base}/{{namespace}}/resourceTypes", _list_types,
                   summary="A provider's resource types", response=views.ListView[views.ResourceTypeView], tag=TAG),
        make_route(context, "POST", f"{base}/{{namespace}}/register", _get, summary="Register a resource provider",
                   action="Microsoft.ContainerRegistry/register/action", response=views.ProviderView, tag=TAG),
        make_route(context, "POST", f"{base}/{{namespace}}/unregister", _refuse_unregister,
                   summary="Unregister a resource provider: not in this version",
                   action="Microsoft.ContainerRegistry/unregister/action", tag=TAG),
        make_route(context, "GET", "/providers", _list, summary="Resource providers of the tenant",
                   response=views.ListView[views.ProviderView], tag=TAG),
        make_route(context, "GET", "/providers/{namespace}", _get, summary="A resource provider of the tenant",
                   response=views.ProviderView, tag=TAG),
        make_route(context, "GET", "/providers/Microsoft.ContainerRegistry/operations", _operations,
                   summary="Operations of the registry provider", response=views.ListView[views.OperationView],
                   tag=TAG),
    ]  # fmt: skip


def list_operations() -> list[views.OperationView]:
    return [
        views.OperationView(
            name=f"Microsoft.ContainerRegistry/{name}",
            is_data_action=is_data_action,
            display=views.OperationDisplayView(
                provider="Microsoft Container Registry", resource=resource, operation=text, description=f"{text}."
            ),
            origin="user,system",
        )
        for name, resource, text, is_data_action in _ACTIONS
    ]


async def _list(call: Call) -> Response:
    return call.answer(views.ListView(value=[_view(call, namespace) for namespace in _TYPES]))


async def _get(call: Call) -> Response:
    """Every provider is registered from the start, so registering answers the same."""
    return call.answer(_view(call, _find(call)))


async def _list_types(call: Call) -> Response:
    return call.answer(views.ListView(value=_type_views(_find(call))))


async def _refuse_unregister(call: Call) -> Response:
    raise NotImplementedHere(
        f"Unregistering is not in this version: '{_find(call)}' is there from the start and stays."
    )


def _find(call: Call) -> str:
    """Raises ResourceUnknown."""
    wanted = call.request.params["namespace"]
    for namespace in _TYPES:
        if namespace.lower() == wanted.lower():
            return namespace
    raise ResourceUnknown(f"The resource namespace '{wanted[:80]}' is invalid.", code="InvalidResourceNamespace")


async def _operations(call: Call) -> Response:
    return call.answer(views.ListView(value=list_operations()))


def _view(call: Call, namespace: str) -> views.ProviderView:
    owner = subscription_path(call.subscription_id) if "subscription" in call.request.params else ""
    return views.ProviderView(
        id=f"{owner}/providers/{namespace}",
        namespace=namespace,
        registration_state="Registered",
        registration_policy="RegistrationRequired",
        resource_types=_type_views(namespace),
    )


def _type_views(namespace: str) -> list[views.ResourceTypeView]:
    locations = [region.display_name for region in REGIONS]
    return [
        views.ResourceTypeView(
            resource_type=name,
            locations=locations,
            api_versions=list(versions),
            default_api_version=next(version for version in versions if not version.endswith("-preview")),
            capabilities="SupportsTags, SupportsLocation" if name in _TAGGED else "None",
        )
        for name, versions in _TYPES[namespace].items()
    ]
