"""What hangs on a registry, its group or an identity and this version does not have: there are none, none can be made.

Listed empty, 404 one by one, 400 with the reason on creation, 204 on deletion; so are operations that would need it.
Nothing is accepted and then not done.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from darsena.api.arm.context import ArmContext, Call, Handler, make_route
from darsena.api.arm.groups import ACTION as GROUPS
from darsena.api.arm.groups import ONE as GROUP
from darsena.api.arm.identities import ONE as IDENTITY
from darsena.api.arm.registries import ONE as REGISTRY
from darsena.api.arm.views import ListView
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.errors import ChildUnknown, NotImplementedHere
from darsena.resources.gates import check_feature
from darsena.resources.ids import IDENTITY_TYPE, REGISTRY_TYPE
from darsena.resources.tiers import Feature

Document = dict[str, Any]
SUBSCRIPTION = "/subscriptions/{subscription}"
_PARAMETER = re.compile(r"/\{\w+\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    path: str
    name: str
    """Of one, for people."""
    instead: str
    """What to do without it."""
    tag: str
    feature: Feature | None = None
    """Where only some tiers have it, lower ones refuse it in ACR's own words."""
    actions: tuple[str, ...] = ()
    """POST actions on one of it."""
    trials: tuple[str, ...] = ()
    """POST actions that tell what making one would do: refused as making one is."""
    owners: tuple[str, ...] = (REGISTRY,)
    """The paths that it hangs on."""
    owner_type: str = REGISTRY_TYPE
    has_update: bool = True
    """Whether PATCH updates one of it."""

    @property
    def action(self) -> str:
        """What the verbs of its actions follow."""
        if self.path.startswith("providers/"):
            return self.path.removeprefix("providers/")
        return f"{self.owner_type}/{_PARAMETER.sub('', self.path)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A POST that this version does not carry out."""

    path: str
    action: str
    summary: str
    name: str
    """How a sentence about it begins."""
    instead: str
    tag: str = "Not in this version"


COLLECTIONS = (
    Collection(
        path="tasks",
        name="task",
        tag="Tasks",
        actions=("listDetails",),
        instead="start runs by scheduleRun with a DockerBuildRequest, an EncodedTaskRunRequest or a FileTaskRunRequest",
    ),
    Collection(
        path="taskRuns",
        name="task run",
        tag="Tasks",
        actions=("listDetails",),
        instead="start runs by scheduleRun",
    ),
    Collection(
        path="agentPools",
        name="agent pool",
        tag="Tasks",
        feature=Feature.AGENT_POOLS,
        actions=("listQueueStatus",),
        instead="runs go to the build agent that belongs to this server",
    ),
    Collection(
        path="replications",
        name="replication",
        tag="Replications",
        feature=Feature.GEO_REPLICATION,
        instead="there is one region, and any location's label is accepted for it",
    ),
    Collection(
        path="webhooks",
        name="webhook",
        tag="Webhooks",
        actions=("ping", "getCallbackConfig", "listEvents"),
        instead="ask the registry's lists for what is new",
    ),
    Collection(
        path="cacheRules",
        name="cache rule",
        tag="Artifact cache",
        instead="copy images into the registry with skopeo or oras",
    ),
    Collection(
        path="credentialSets",
        name="credential set",
        tag="Artifact cache",
        instead="copy images into the registry with skopeo or oras",
    ),
    Collection(
        path="connectedRegistries",
        name="connected registry",
        tag="Connected registries",
        feature=Feature.CONNECTED_REGISTRIES,
        actions=("deactivate", "resync"),
        instead="run a second server where the images are needed",
    ),
    Collection(
        path="privateEndpointConnections",
        name="private endpoint connection",
        tag="Private endpoints",
        feature=Feature.PRIVATE_LINK,
        instead="use IP rules, or listen on a private address",
    ),
    Collection(
        path="exportPipelines",
        name="export pipeline",
        tag="Transfer",
        feature=Feature.TRANSFER,
        instead="copy images with skopeo or oras",
    ),
    Collection(
        path="importPipelines",
        name="import pipeline",
        tag="Transfer",
        feature=Feature.TRANSFER,
        instead="copy images with skopeo or oras",
    ),
    Collection(
        path="pipelineRuns",
        name="pipeline run",
        tag="Transfer",
        feature=Feature.TRANSFER,
        instead="copy images with skopeo or oras",
    ),
    Collection(
        path="packages/{kind}/archives",
        name="archive",
        tag="Archives",
        instead="push packages as OCI artifacts",
    ),
    Collection(
        path="packages/{kind}/archives/{archive}/versions",
        name="archive version",
        tag="Archives",
        instead="push packages as OCI artifacts",
    ),
    Collection(
        path="providers/Microsoft.Insights/diagnosticSettings",
        name="diagnostic setting",
        tag="Diagnostics",
        instead="read the server's log, or the activity that `darsena activity` shows",
    ),
)
OF_ARM = (
    Collection(
        path="providers/Microsoft.Authorization/locks",
        name="lock",
        tag="Not in this version",
        owners=(SUBSCRIPTION, GROUP, REGISTRY),
        has_update=False,
        instead="give the roles that may delete to few, and lock images by their attributes",
    ),
    Collection(
        path="providers/Microsoft.Resources/deployments",
        name="template deployment",
        tag="Not in this version",
        owners=(SUBSCRIPTION, GROUP),
        has_update=False,
        actions=("cancel", "exportTemplate"),
        trials=("validate", "whatIf"),
        instead="create groups and registries one by one",
    ),
    Collection(
        path="providers/Microsoft.Authorization/denyAssignments",
        name="deny assignment",
        tag="Not in this version",
        owners=(SUBSCRIPTION, GROUP, REGISTRY),
        has_update=False,
        instead="assign roles to those who may, and to nobody else",
    ),
    Collection(
        path="federatedIdentityCredentials",
        name="federated identity credential",
        tag="Not in this version",
        owners=(IDENTITY,),
        owner_type=IDENTITY_TYPE,
        has_update=False,
        instead="use a service principal with a secret or a certificate",
    ),
)
OPERATIONS = (
    Operation(
        path=f"{REGISTRY}/importImage",
        action=f"{REGISTRY_TYPE}/importImage/action",
        summary="Import an image",
        name="Import is",
        instead="copy images into the registry with skopeo or oras",
        tag="Registries",
    ),
    Operation(
        path=f"{GROUP}/moveResources",
        action=f"{GROUPS}/moveResources/action",
        summary="Move resources to another group",
        name="Moving resources is",
        instead="create them in the other group and copy what they hold",
    ),
    Operation(
        path=f"{GROUP}/validateMoveResources",
        action=f"{GROUPS}/validateMoveResources/action",
        summary="Whether resources can be moved to another group",
        name="Moving resources is",
        instead="create them in the other group and copy what they hold",
    ),
    Operation(
        path=f"{GROUP}/exportTemplate",
        action=f"{GROUPS}/exportTemplate/action",
        summary="A template of a group's resources",
        name="Templates are",
        instead="read the group's resources one by one",
    ),
)


def list_child_routes(context: ArmContext) -> list[Route]:
    routes = [
        route
        for collection in (*COLLECTIONS, *OF_ARM)
        for owner in collection.owners
        for route in _routes(context, owner, collection)
    ]
    listed = ListView[Document]
    return [
        *routes,
        make_route(context, "GET", f"{REGISTRY}/privateLinkResources", _list,
                   summary="What private endpoints could reach",
                   action=f"{REGISTRY_TYPE}/privateLinkResources/read", response=listed, tag="Private endpoints"),
        make_route(context, "GET", f"{REGISTRY}/privateLinkResources/{{child}}", _get,
                   summary="One of what private endpoints could reach",
                   action=f"{REGISTRY_TYPE}/privateLinkResources/read", tag="Private endpoints"),
        *(_refusal(context, operation) for operation in OPERATIONS),
    ]  # fmt: skip


def _refusal(context: ArmContext, operation: Operation) -> Route:
    async def refuse(call: Call) -> Response:
        """The body must be an object, and there must be what it is asked of."""
        await call.request.json(Document)
        await _check_owner(call)
        raise NotImplementedHere(f"{operation.name} not in this version: {operation.instead}.")

    return make_route(context, "POST", operation.path, refuse, summary=operation.summary, action=operation.action,
                      request=Document, tag=operation.tag)  # fmt: skip


def _routes(context: ArmContext, owner: str, collection: Collection) -> list[Route]:
    base, name = f"{owner}/{collection.path}", collection.name
    one = f"{base}/{{child}}"

    async def put(call: Call) -> Response:
        """The body must be an object, whatever becomes of it."""
        await call.request.json(Document)
        if collection.feature is None:
            await _check_owner(call)
        else:
            registry = await call.context.resources.read_registry(call.subscription_id, call.group, call.registry)
            check_feature(registry.tier, collection.feature)
        raise NotImplementedHere(f"{_many(name)} are not in this version: {collection.instead}.")

    def route(method: str, pattern: str, handler: Handler, summary: str, verb: str, response: Any = None) -> Route:
        return make_route(
            context,
            method,
            pattern,
            handler,
            summary=summary,
            action=f"{collection.action}/{verb}",
            request=Document if handler is put or method == "PATCH" else None,
            response=response,
            tag=collection.tag,
        )

    return [
        route("GET", base, _list, f"Every {name}", "read", ListView[Document]),
        route("GET", one, _get, f"One {name}", "read"),
        route("PUT", one, put, f"Create one {name}: not in this version", "write"),
        *([route("PATCH", one, _get, f"Update one {name}", "write")] if collection.has_update else []),
        route("DELETE", one, _delete, f"Delete one {name}", "delete"),
        *(
            route("POST", f"{one}/{verb}", _get, f"{verb} of one {name}", f"{verb}/action")
            for verb in collection.actions
        ),
        *(
            route("POST", f"{one}/{verb}", put, f"{verb} of one {name}: not in this version", f"{verb}/action")
            for verb in collection.trials
        ),
    ]


async def _list(call: Call) -> Response:
    await _check_owner(call)
    return call.answer(ListView[Document](value=[]))


async def _delete(call: Call) -> Response:
    """What is not there is gone."""
    await _check_owner(call)
    return Response(204)


async def _get(call: Call) -> Response:
    await _check_owner(call)
    raise ChildUnknown(call.request.params["child"])


async def _check_owner(call: Call) -> None:
    """Raises ResourceUnknown."""
    params, resources = call.request.params, call.context.resources
    if "identity" in params:
        await resources.get_identity(call.subscription_id, call.group, params["identity"])
    else:
        await resources.check_scope(call.subscription_id, params.get("group"), params.get("registry"))


def _many(name: str) -> str:
    plural = f"{name[:-1]}ies" if name.endswith("ry") else f"{name}s"
    return plural[0].upper() + plural[1:]
