"""What every ARM request goes through: ids, who asks, the subscription, the api-version, whether they may."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from darsena.api.forms import client_address
from darsena.api.http import Headers, Request, Response, json_response
from darsena.api.problems import arm_response
from darsena.api.router import Route
from darsena.core.errors import AccessDenied, ChildUnknown, Problem, RequestInvalid, ResourceUnknown, Unauthenticated
from darsena.core.ids import new_guid
from darsena.db import set_caller
from darsena.identity.model import Principal
from darsena.resources.ids import group_path, identity_path, parse_subscription, registry_path, subscription_path
from darsena.resources.model import Author
from darsena.resources.service import ResourceService

_GUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")
_KINDS: dict[str, Literal["User", "Application", "ManagedIdentity", "Key"]] = {
    "user": "User",
    "service_principal": "Application",
    "managed_identity": "ManagedIdentity",
}


class ArmGate(Protocol):
    """Identity, as far as ARM asks it."""

    async def authenticate_arm(self, authorization: bytes | None) -> Principal:
        """Raises Unauthenticated."""
        ...

    async def authorize_arm(self, principal: Principal, action: str, scope: str) -> None:
        """Raises AccessDenied."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmContext:
    """What ARM's handlers share. `control_url` has no slash at its end."""

    resources: ResourceService
    gate: ArmGate
    control_url: str
    tenant_id: str
    subscription_id: str
    display_name: str = "Darsena"


@dataclass(slots=True, kw_only=True)
class Call:
    """One request that has been let in."""

    context: ArmContext
    request: Request
    request_id: str
    principal: Principal | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])

    @property
    def base_url(self) -> str:
        """Scheme, host and port that the client used: links point there."""
        return f"{self.request.scheme}://{self.request.host}" if self.request.host else self.context.control_url

    @property
    def api_version(self) -> str:
        return find_api_version(self.request)

    @property
    def scope(self) -> str:
        """The ARM id that the path is about, with names as the path has them."""
        return _scope(self)

    def query_option(self, name: str) -> str:
        """Of the query; names compare without case. Empty when it is absent."""
        return next((value for key, value in self.request.query_list if key.lower() == name.lower()), "")

    @property
    def address(self) -> str:
        """Of the client as the server sees it; empty when it cannot tell."""
        return client_address(self.request)

    @property
    def subscription_id(self) -> str:
        return self.context.subscription_id

    @property
    def group(self) -> str:
        return self.request.params["group"]

    @property
    def registry(self) -> str:
        return self.request.params["registry"]

    @property
    def author(self) -> Author:
        """The caller as `systemData` names it."""
        if self.principal is None:
            return Author(name="", kind="Key")
        kind = _KINDS.get(self.principal.kind, "Key")
        name = self.principal.client_id if kind == "Application" else self.principal.name
        return Author(name=name or self.principal.object_id, kind=kind)

    async def may(self, action: str, scope: str) -> bool:
        if self.principal is None:
            return False
        try:
            await self.context.gate.authorize_arm(self.principal, action, scope)
        except AccessDenied:
            return False
        return True

    def answer(self, view: Any, status: int = 200, headers: Headers = ()) -> Response:
        return json_response(view, status, headers)


Handler = Callable[[Call], Awaitable[Response]]


def make_route(
    context: ArmContext,
    method: str,
    pattern: str,
    handler: Handler,
    *,
    summary: str,
    action: str | None = None,
    request: type[Any] | None = None,
    response: Any = None,
    tag: str = "",
    secured: bool = True,
    versioned: bool = True,
) -> Route:
    """A row of the route table. `action` is what the caller must be allowed on the path's scope; None: any caller
    who is signed in."""

    async def handle(raw: Request) -> Response:
        call = Call(context=context, request=raw, request_id=raw.correlation_id or new_guid())
        try:
            if secured:
                await _admit(call, action)
            if versioned and not call.api_version:
                raise RequestInvalid(
                    "The api-version query parameter (?api-version=) is required for all requests.",
                    code="MissingApiVersionParameter",
                )
            response = await handler(call)
        except Problem as problem:
            response = _refuse(call, problem)
        return _identify(call, response)

    return Route(
        method=method,
        pattern=pattern,
        handler=handle,
        summary=summary,
        request=request,
        response=response,
        tag=tag,
        secured=secured,
    )


def find_api_version(request: Request) -> str:
    """Empty when there is none. Any version is accepted: the answer is the superset that clients read."""
    return next((value for name, value in request.query_list if name.lower() == "api-version"), "")


async def _admit(call: Call, action: str | None) -> None:
    """Authentication, then the subscription, then rights: who may not see a thing does not learn if it is there."""
    principal = await call.context.gate.authenticate_arm(call.request.headers.get(b"authorization"))
    call.principal = principal
    set_caller(principal.actor, call.request_id, call.address)
    _check_names(call.request)
    if "subscription" in call.request.params:
        _check_subscription(call)
    if action is not None:
        await call.context.gate.authorize_arm(principal, action, _scope(call))


def _check_names(request: Request) -> None:
    """A slash that came encoded would make one segment look like several in the scope that rights are asked for."""
    for name, value in request.params.items():
        if "/" in value:
            raise RequestInvalid(f"The name '{value[:80]}' has a slash in it.", name)


def _check_subscription(call: Call) -> None:
    subscription = parse_subscription(call.request.params["subscription"])
    if subscription != call.context.subscription_id.lower():
        raise ResourceUnknown(f"The subscription '{subscription}' could not be found.", code="SubscriptionNotFound")


def _scope(call: Call) -> str:
    """The ARM id that the path is about; below the tenant for paths without a subscription."""
    params = call.request.params
    if "registry" in params:
        return registry_path(call.subscription_id, params["group"], params["registry"])
    if "identity" in params:
        return identity_path(call.subscription_id, params["group"], params["identity"])
    if "group" in params:
        return group_path(call.subscription_id, params["group"])
    return subscription_path(call.subscription_id) if "subscription" in params else "/"


def _refuse(call: Call, problem: Problem) -> Response:
    response = arm_response(problem)
    if isinstance(problem, Unauthenticated):
        response.header(
            "www-authenticate",
            f'Bearer authorization_uri="{call.base_url}/adfs", error="invalid_token", '
            'error_description="The access token is missing, invalid or expired."',
        )
    if isinstance(problem, ResourceUnknown) and not isinstance(problem, ChildUnknown):
        response.header("x-ms-failure-cause", "gateway")
    return response


def _identify(call: Call, response: Response) -> Response:
    """The headers by which support finds a request, on every answer."""
    correlation = call.request.header("x-ms-correlation-request-id")
    response.header("x-ms-request-id", call.request_id)
    response.header("x-ms-correlation-request-id", correlation if _GUID.match(correlation) else call.request_id)
    if call.request.header("x-ms-return-client-request-id").lower() == "true":
        client_id = call.request.header("x-ms-client-request-id")
        if _GUID.match(client_id):
            response.header("x-ms-client-request-id", client_id)
    if not any(name == b"cache-control" for name, _ in response.headers):
        response.header("cache-control", "no-cache")
    response.header("x-content-type-options", "nosniff")
    return response
