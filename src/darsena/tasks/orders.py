"""What an agent gets to know of a run that it claimed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from darsena.core.errors import ResourceUnknown
from darsena.db import Tx
from darsena.identity.model import RegistryFacts
from darsena.jobs.lease import LEASE_S
from darsena.tasks import run_store
from darsena.tasks.base_images import BaseImages
from darsena.tasks.ending import Credentials
from darsena.tasks.locations import parse_location
from darsena.tasks.model import Held, Run
from darsena.tasks.requests import REQUEST_KIND, list_secrets
from darsena.tasks.signing import Sealer
from darsena.tasks.streams import Registries

CREDENTIAL_MARGIN_S = 600
"""The run's credential outlives the run's time by this, unless the run ends sooner."""


class Login(msgspec.Struct, frozen=True, kw_only=True):
    username: str
    password: str


class OrderRegistry(msgspec.Struct, frozen=True, kw_only=True):
    uid: str
    name: str
    login_server: str


class OrderPlatform(msgspec.Struct, frozen=True, kw_only=True):
    os: str
    architecture: str
    variant: str | None


class OrderSource(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    """none, upload, git or tarball."""
    location: str
    token: str | None


class RunOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Secrets included: it goes to the agent that holds the run and nowhere else."""

    run_uid: str
    run_id: str
    fence: int
    lease_s: int
    timeout_s: int
    cpu: int
    created_at: int
    registry: OrderRegistry
    credential: Login | None
    custom_registries: dict[str, Login]
    platform: OrderPlatform
    source: OrderSource
    request: dict[str, Any]
    base_images: dict[str, str]
    secrets: list[str]
    task_name: str | None


class Orders:
    def __init__(
        self, *, registries: Registries, credentials: Credentials, sealer: Sealer, base_images: BaseImages
    ) -> None:
        self._registries = registries
        self._credentials = credentials
        self._sealer = sealer
        self._base_images = base_images

    def make(self, tx: Tx, held: Held) -> RunOrder:
        """With a fresh credential. Raises ResourceUnknown when the registry is gone, ContentCorrupt."""
        run = run_store.find_run_by_uid(tx, held.uid)
        row = self._registries.find_registry_by_uid(tx, held.registry_uid)
        if run is None or row is None:
            raise ResourceUnknown("the run's registry was deleted")
        facts = self._registries.facts(row)
        sealed = run_store.get_request(tx, run.uid)
        plain = self._sealer.unseal(run.registry_uid, REQUEST_KIND, run.uid, sealed)
        request = msgspec.json.decode(plain, type=dict[str, Any])
        credential = self._make_credential(tx, facts, run, request)
        logins = _logins(request)
        secrets = [*list_secrets(request), *([credential.password] if credential else [])]
        return _order(
            run,
            held,
            facts,
            request=request,
            credential=credential,
            custom_registries=logins,
            base_images=self._base_images.resolve(tx, facts),
            secrets=secrets,
        )

    def _make_credential(self, tx: Tx, facts: RegistryFacts, run: Run, request: Mapping[str, Any]) -> Login | None:
        """None without a login, and in a registry that gives access by repository: there a run has its caller's, where
        it was told so, and none by default."""
        source = request["credentials"]["sourceRegistry"]
        caller: str | None = source.get("caller")
        if source["loginMode"] == "None" or (facts.abac and caller is None):
            return None
        lifetime_s = run.timeout_s + CREDENTIAL_MARGIN_S
        username, password = self._credentials.create(tx, facts.uid, run.uid, lifetime_s, caller=caller)
        return Login(username=username, password=password)


def _logins(request: Mapping[str, Any]) -> dict[str, Login]:
    registries: dict[str, dict[str, str]] = request["credentials"]["customRegistries"]
    return {host: Login(username=login["username"], password=login["password"]) for host, login in registries.items()}


def _order(
    run: Run,
    held: Held,
    facts: RegistryFacts,
    *,
    request: dict[str, Any],
    credential: Login | None,
    custom_registries: dict[str, Login],
    base_images: dict[str, str],
    secrets: list[str],
) -> RunOrder:
    location = parse_location(request["sourceLocation"])
    return RunOrder(
        run_uid=run.uid,
        run_id=run.run_id,
        fence=held.fence,
        lease_s=LEASE_S,
        timeout_s=run.timeout_s,
        cpu=held.cpu,
        created_at=run.created_at_us,
        registry=OrderRegistry(uid=facts.uid, name=facts.name, login_server=facts.login_server),
        credential=credential,
        custom_registries=custom_registries,
        platform=OrderPlatform(
            os=run.platform.os, architecture=run.platform.architecture, variant=run.platform.variant
        ),
        source=OrderSource(kind=location.kind, location=location.text, token=None),
        request=request,
        base_images=base_images,
        secrets=secrets,
        task_name=run.task_name,
    )
