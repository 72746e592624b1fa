"""One registry's host: which edge answers which path, and who may ask it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from darsena.api.acr_v1 import AcrRoutes
from darsena.api.http import Request, Response, Scope, Send
from darsena.api.problems import add_login_server_headers
from darsena.api.rate import RateMeter
from darsena.api.v2.access import Door, address_of
from darsena.api.v2.blobs import BlobRoutes
from darsena.api.v2.hot import HotPath
from darsena.api.v2.manifests import ManifestRoutes
from darsena.api.v2.paths import Kind, Target, parse_acr, parse_v2
from darsena.api.v2.uploads import UploadRoutes
from darsena.core.errors import RouteUnknown
from darsena.identity.authenticator import Authenticator
from darsena.identity.model import Caller, RegistryFacts
from darsena.registry.model import Registry
from darsena.registry.service import RegistryService, to_registry

Handler = Callable[[Request, Registry, Target, Caller], Awaitable[Response]]


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
    ) -> None:
        self._door = Door(authenticator, check_network)
        self._oauth2 = oauth2
        self._check_network = check_network
        self._hot = hot
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
            self._check_network(facts.login_server, address_of(request))
            response = await self._oauth2(request)
            return add_login_server_headers(response, request)
        if path in ("/v2", "/v2/") or path.startswith("/v2/"):
            target = parse_v2(path)
        elif path.startswith("/acr/v1/"):
            target = parse_acr(path)
        else:
            raise RouteUnknown(f"there is nothing at {path}")
        caller = await self._door.admit(request, facts, target)
        methods = self._handlers[target.kind]
        handler = methods.get(request.method) or methods["GET"]
        response = await handler(request, to_registry(facts), target, caller)
        if request.method == "DELETE":
            left = self._deletes.count(facts.uid)
            response.header("x-ms-ratelimit-remaining-calls-per-second", f"{left:.2f}")
        return add_login_server_headers(response, request)


async def _base(_request: Request, _registry: Registry, _target: Target, _caller: Caller) -> Response:
    return Response(200, b"{}", content_type="application/json; charset=utf-8")
