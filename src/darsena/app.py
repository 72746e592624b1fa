"""The composition root: the one place that knows every room. Granian's worker calls `create` and serves it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog

from darsena import __version__
from darsena.api.admin import list_admin_routes
from darsena.api.agent import AgentEdge
from darsena.api.arm.activity import list_activity_routes
from darsena.api.arm.children import list_child_routes
from darsena.api.arm.edge import ArmEdge
from darsena.api.arm.roles import list_role_routes
from darsena.api.arm.scope_maps import list_scope_map_routes
from darsena.api.arm.tokens import list_token_routes
from darsena.api.arm_runs import RunsEdge
from darsena.api.blob import BlobEdge
from darsena.api.directory import DirectoryEdge
from darsena.api.directory_admin import list_directory_routes
from darsena.api.edge import Edge, Hosts
from darsena.api.graph import list_graph_routes
from darsena.api.http import Receive, Request, Response, Scope, Send, json_response
from darsena.api.limits import RateLimits
from darsena.api.oauth2 import OAuth2Edge
from darsena.api.openapi import make_document
from darsena.api.router import Route, Router
from darsena.api.v2.hot import HotPath
from darsena.api.v2.login_server import LoginServerEdge
from darsena.core.errors import Problem, StartFailure
from darsena.jobs.runner import JobRunner
from darsena.jobs.wake import pause
from darsena.journal.trimming import trim_all
from darsena.local import logs
from darsena.local.memory import give_back, keep_some
from darsena.local.owner import ensure_owner_file
from darsena.local.rooms import Rooms, open_rooms
from darsena.local.trust import keep_names, make_trust
from darsena.local.worker_words import ENDS_SOON, tell_failure, tell_ready
from darsena.registry.hot_lookup import HotLookup
from darsena.usage import StorageLimit

_log: structlog.stdlib.BoundLogger = structlog.get_logger("darsena.app")

_HOUR_S = 3600.0
_NAMES_S = 1.0


def create() -> Application:
    """Granian's factory: opens the folder that `DARSENA_WORKER` names. A failure goes to the supervisor's pipe."""
    order = json.loads(os.environ["DARSENA_WORKER"])
    try:
        rooms = open_rooms(Path(order["data"]), order["flags"])
    except StartFailure as failure:
        tell_failure(failure.message)
        sys.exit(1)
    logs.configure(rooms.settings.log)
    rooms.db.on_log_lost = _begin_anew
    keep_some()
    return Application(rooms)


def _begin_anew() -> None:
    """What was answered is safe in the database, and the supervisor starts another worker, with a log of its own."""
    _log.critical("database_log_removed")
    os._exit(1)


class Application:
    """An ASGI application: requests go to the edge, the lifespan starts and ends the background loops."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self.edge = make_edge(rooms)
        self._stop = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.edge(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.start()
                except (Problem, OSError) as error:
                    tell_failure(error.message if isinstance(error, Problem) else f"the data folder: {error}")
                    await send({"type": "lifespan.startup.failed"})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def start(self) -> None:
        rooms = self._rooms
        asyncio.get_running_loop().add_signal_handler(ENDS_SOON, rooms.tasks.agents.stop_waiting)
        if await ensure_owner_file(rooms.identity.owner, rooms.folder, rooms.marker, rooms.stamp):
            _log.info("owner_file_written", path=str(rooms.folder.owner))
        for name, loop in list_loops(rooms).items():
            self._loops.append(asyncio.create_task(_keep_running(name, loop, self._stop), name=name))
        tell_ready()

    async def stop(self) -> None:
        self._stop.set()
        if self._loops:
            _, pending = await asyncio.wait(self._loops, timeout=5)
            for task in pending:
                task.cancel()
        await self._rooms.storage.close()
        self._rooms.db.close()


Loop = Callable[[asyncio.Event], Awaitable[None]]


def list_loops(rooms: Rooms) -> dict[str, Loop]:
    """The worker's background loops by name; each runs until the event is set."""

    async def maintain(stop: asyncio.Event) -> None:
        while not stop.is_set():
            await rooms.identity.maintain()
            await rooms.registry.uploading.expire()
            await trim_all(rooms.db)
            await _sleep(stop, _HOUR_S)

    async def names(stop: asyncio.Event) -> None:
        """A new registry is a new name: where `darsena trust` was run, what it wrote is kept up to date."""
        trust = make_trust(rooms.marker.addresses, rooms.folder.ca_file, rooms.stamp.uid)
        known: list[str] = []
        while not stop.is_set():
            seen = rooms.resources.changed.generation
            found = await _list_labels(rooms)
            if found != known:
                for line in await asyncio.to_thread(keep_names, trust, found):
                    _log.info("names_kept", change=line)
                known = found
            await pause(stop, _NAMES_S, rooms.resources.changed, seen)

    tasks = rooms.tasks
    return {
        "names": names,
        "memory": give_back,
        "maintain": maintain,
        "reaper": tasks.reaper.run,
        "retention": tasks.retention.run,
        "jobs": JobRunner(rooms.db, tasks.retention.list_kinds()).run,
        "usage": rooms.usage.run,
        "gc": rooms.maintenance.gc.run,
        "pulls": rooms.registry.pulls.run,
        "untagged": rooms.retention.run,
    }


async def _list_labels(rooms: Rooms) -> list[str]:
    """The first label of every login server."""
    labels: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await rooms.resources.list_registries(rooms.stamp.subscription_id, after=after, limit=500)
        labels += [row.label for row in page.items]
        after = page.next_key
    return labels


async def _keep_running(name: str, loop: Loop, stop: asyncio.Event) -> None:
    """A loop that fails is logged and begun again, a little later each time that it fails soon."""
    pause_s = 1.0
    while not stop.is_set():
        begun = asyncio.get_running_loop().time()
        try:
            await loop(stop)
        except Exception as error:
            lasted_s = asyncio.get_running_loop().time() - begun
            pause_s = 1.0 if lasted_s > 60 else min(pause_s * 2, 60.0)
            if isinstance(error, Problem):
                _log.warning("loop_interrupted", loop=name, again_in_s=pause_s, error=error.message)
            else:
                _log.exception("loop_failed", loop=name, again_in_s=pause_s)
            await _sleep(stop, pause_s)


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def make_edge(rooms: Rooms) -> Edge:
    addresses, lookup = rooms.marker.addresses, rooms.resources.lookup
    oauth2 = OAuth2Edge(rooms.identity.authenticator, rooms.identity.tokens, rooms.db.clock)
    login_server = LoginServerEdge(
        rooms.registry,
        rooms.identity.authenticator,
        Router(oauth2.routes).dispatch,
        lookup.check_network,
        _make_hot_path(rooms),
        RateLimits(rooms.db.clock) if rooms.settings.limits.rates else None,
        StorageLimit(rooms.db).check,
    )
    names = {addresses.control_host, "localhost", "127.0.0.1", "[::1]"}
    return Edge(
        hosts=Hosts(
            control=frozenset(f"{name}{addresses.port_suffix}" for name in names),
            blob=frozenset({f"{addresses.blob_host}{addresses.port_suffix}"}),
            login_server_suffix=addresses.login_server_suffix,
            control_name=f"{addresses.control_host}{addresses.port_suffix}",
            scheme=addresses.scheme,
        ),
        find_registry=lookup.find_by_host,
        login_server=login_server,
        control=_make_control(rooms),
        blob=Router(BlobEdge(rooms.tasks.blobs).routes).dispatch,
        log_requests=rooms.settings.log.requests,
    )


def _make_hot_path(rooms: Rooms) -> HotPath | None:
    if not rooms.db.is_sqlite:
        return None
    lookup = HotLookup(rooms.folder.database, rooms.keyring)
    return HotPath(
        lookup,
        rooms.storage.blobs,
        rooms.identity.authenticator,
        rooms.resources.lookup.check_network,
        rooms.registry.pulls.count,
    )


def _make_control(rooms: Rooms) -> Callable[[Request], Awaitable[Response]]:
    identity, addresses = rooms.identity, rooms.marker.addresses
    directory = DirectoryEdge(identity, tenant_id=rooms.stamp.tenant_id, control_url=addresses.control_url)
    arm = ArmEdge(
        resources=rooms.resources,
        gate=identity.arm,
        control_url=addresses.control_url,
        tenant_id=rooms.stamp.tenant_id,
        subscription_id=rooms.stamp.subscription_id,
    )
    runs = RunsEdge(arm.context, rooms.tasks.runs, rooms.tasks.blobs)
    agent = AgentEdge(rooms.tasks.agents, rooms.folder.agent_token.read_text("utf-8").strip())
    routes = [*directory.routes, *arm.routes, *runs.routes, *list_child_routes(arm.context), *agent.routes]
    routes += list_admin_routes(arm.context, rooms.maintenance)
    routes += [*list_role_routes(arm.context, identity.roles), *list_activity_routes(arm.context)]
    routes += list_directory_routes(arm.context, identity.directory)
    routes += list_graph_routes(arm.context, identity.directory)
    routes += list_scope_map_routes(arm.context, rooms.scope_maps)
    routes += list_token_routes(arm.context, rooms.tokens)
    document = make_document(routes, title="Dársena", server_url=addresses.control_url)
    return Router([*routes, *_own_routes(document)], ignore_case=True).dispatch


def _own_routes(document: dict[str, Any]) -> list[Route]:
    async def health(_request: Request) -> Response:
        return json_response({"status": "ok", "version": __version__})

    async def openapi(_request: Request) -> Response:
        return json_response(document)

    return [
        Route(method="GET", pattern="/healthz", handler=health, summary="Whether the server answers", secured=False),
        Route(method="GET", pattern="/openapi.json", handler=openapi, summary="This document", secured=False),
    ]
