"""The room put together: everything that edges and the composition root use of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from darsena.core.ids import new_uid
from darsena.db import Database
from darsena.jobs.wake import Wake
from darsena.storage.port import Storage
from darsena.tasks.agents import AgentService
from darsena.tasks.base_images import BaseImages, ListRepositories
from darsena.tasks.blobs import BlobService
from darsena.tasks.ending import Credentials, RunEnder
from darsena.tasks.logs import RunLogs
from darsena.tasks.orders import Orders
from darsena.tasks.reaper import RunReaper
from darsena.tasks.retention import Retention
from darsena.tasks.service import RunService
from darsena.tasks.signing import Sealer, UrlSigner
from darsena.tasks.streams import Registries, Streams

SERVER_PREFIX: Final = "server:"
"""Begins the owner of runs that a server is ending; no agent's id may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """`reaper.run` and `retention.run` are loops of the worker; `retention.list_kinds` are jobs for its runner;
    `retention.forget_registry` is a hook of a registry's deletion."""

    runs: RunService
    ender: RunEnder
    agents: AgentService
    blobs: BlobService
    reaper: RunReaper
    retention: Retention


def make_tasks(
    db: Database,
    *,
    sealer: Sealer,
    storage: Storage,
    registries: Registries,
    credentials: Credentials,
    list_repositories: ListRepositories,
    blob_url: str,
    base_images: Mapping[str, str] | None = None,
    keep_runs_days: int = 30,
    pool_cpu: int | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Tasks:
    wake = Wake()
    server = f"{SERVER_PREFIX}{new_uid()}"
    streams = Streams(registries)
    logs = RunLogs(storage.logs)
    ender = RunEnder(db, logs=logs, credentials=credentials, streams=streams, wake=wake)
    images = BaseImages(base_images or {}, list_repositories)
    return Tasks(
        runs=RunService(db, sealer=sealer, ender=ender, wake=wake, server=server),
        ender=ender,
        agents=AgentService(
            db,
            orders=Orders(registries=registries, credentials=credentials, sealer=sealer, base_images=images),
            ender=ender,
            logs=logs,
            sources=storage.sources,
            streams=streams,
            wake=wake,
            server=server,
            pool_cpu=pool_cpu,
        ),
        blobs=BlobService(
            db,
            signer=UrlSigner(db, sealer),
            sources=storage.sources,
            logs=logs,
            base_url=blob_url.rstrip("/"),
        ),
        reaper=RunReaper(db, ender, server=server, monotonic=monotonic),
        retention=Retention(
            db,
            sources=storage.sources,
            logs=logs,
            streams=streams,
            credentials=credentials,
            wake=wake,
            drop_registry=storage.blobs.drop,
            keep_runs_days=keep_runs_days,
        ),
    )
