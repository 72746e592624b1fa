"""One registry's host: which edge answers which path, and who may ask it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from darsena.api.acr_v1 import AcrRoutes
from darsena.api.http import Request, Response, Scope, Send
from darsena.api.limits import METHODS, Category, RateLimits
from darsena.api.problems import add_login_server_headers
from darsena.api.rate import RateMeter
from darsena.api.v2.access import Door
from darsena.api.v2.blobs import BlobRoutes
from darsena.api.v2.hot import HotPath
from darsena.api.v2.manifests import ManifestRoutes
from darsena.api.v2.network import Network
from darsena.api.v2.paths import Kind, Target, parse_acr, parse_v2
from darsena.api.v2.uploads import UploadRoutes
from darsena.core.errors import RouteUnknown, Unauthenticated
from darsena.identity.authenticator import Authenticator
from darsena.identity.model import Caller, RegistryFacts
from darsena.registry.model import Registry
from darsena.registry.service import RegistryService, to_registry

Handler = Callable[[Request, Registry, Target, Caller], Awaitable[Response]]


_GROWING: Final = frozenset({("uploads", "POST"), ("manifest", "PUT")})
"""What a registry over its storage limit refuses."""

DELETES_PER_MINUTE: Final = 1000
"""Of a registry, as its answers tell clients; nobody is refused."""


class LoginServerEdge:
    """`oauth2` answers `/oauth2/**`; `hot` is None where pulls take the ordinary path (PostgreSQL)."""

    def __init__(
        self,
        service: RegistryService,
        authenticator: Authenticator,
        oauth2: Callable[[Request], Awaitable[Response]],
        check_network: Callable[[str, str], None],
        hot: HotPath | None = None,
        limits: RateLimits | None = None,
        check_storage: Callable[[RegistryFacts], Awaitable[None]] | None = None,
    ) -> None:
        self._network = Network(check_network)
        self._door = Door(authenticator, self._network)
        self._oauth2 = oauth2
        self._hot = hot if limits is None else None  # where calls are counted, they take the ordinary path
        self._limits = limits
        self._check_storage = check_storage
        self._deletes = RateMeter(service.clock, DELETES_PER_MINUTE)
        manifests, blobs, uploads = ManifestRoutes(service), BlobRoutes(service), UploadRoutes(service)
        acr = AcrRoutes(service)
        self._handlers: dict[Kind, dict[str, Handler]] = {
            "base": {"GET": _base},
            "catalog": {"GET": manifests.catalog},
            "tags": {"GET": manifests.tags},
            "manifest": {"GET": manifests.get, "PUT": manifests.put, "DELETE": manifests.delete},
            "blob": {"GET": blobs.get, "DELETE": blobs.delete},
            "uploads": {"POST": uploads.begin},
            "upload": {
                "GET": uploads.status,
                "PATCH": uploads.append,
                "PUT": uploads.finish,
                "DELETE": uploads.cancel,
            },
            "referrers": {"GET": manifests.referrers},
            **acr.handlers,
        }

    async def fast(self, scope: Scope, send: Send, facts: RegistryFacts) -> bool:
        return self._hot is not None and await self._hot.answer(scope, send, facts)

    async def handle(self, request: Request, facts: RegistryFacts) -> Response:
        """Raises Problems; every answer that is none carries the login server's headers."""
        path = request.raw_path
        if path.startswith("/oauth2/"):
            return add_login_server_headers(await self._sign_in(request, facts), request)
        if path in ("/v2", "/v2/") or path.startswith("/v2/"):
            target = parse_v2(path)
        elif path.startswith("/acr/v1/"):
            target = parse_acr(path)
        else:
            raise RouteUnknown(f"there is nothing at {path}")
        caller = await self._admit(request, facts, target)
        if self._check_storage is not None and (target.kind, request.method) in _GROWING:
            await self._check_storage(facts)
        methods = self._handlers[target.kind]
        handler = methods.get(request.method) or methods["GET"]
        response = await handler(request, to_registry(facts), target, caller)
        if request.method == "DELETE":
            left = self._deletes.count(facts.uid)
            response.header("x-ms-ratelimit-remaining-calls-per-second", f"{left:.2f}")
        return add_login_server_headers(response, request)

    async def _sign_in(self, request: Request, facts: RegistryFacts) -> Response:
        refusal = self._network.admit(request, facts)
        if self._limits is not None:
            self._limits.take(facts, "oauth")
        try:
            return await self._oauth2(request)
        except Unauthenticated as refused:
            raise refusal or refused from refused

    async def _admit(self, request: Request, facts: RegistryFacts, target: Target) -> Caller:
        """Through the door; where rates are held, a call of the registry first and of the caller then."""
        limits, category = self._limits, METHODS.get(request.method)
        if limits is None or category is None:
            return await self._door.admit(request, facts, target)
        categories: tuple[Category, ...] = (category, "referrers") if target.kind == "referrers" else (category,)
        self._network.admit(request, facts)
        for one in categories:
            limits.take(facts, one)
        caller = await self._door.admit(request, facts, target)
        for one in categories:
            limits.take(facts, one, caller.principal.id)
        return caller


async def _base(_request: Request, _registry: Registry, _target: Target, _caller: Caller) -> Response:
    return Response(200, b"{}", content_type="application/json; charset=utf-8")
