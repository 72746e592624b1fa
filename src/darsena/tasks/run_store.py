"""SQL of runs: their facts. Who holds a run that has not ended stands in the queue."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, delete, insert, select, update

from darsena.db import Tx
from darsena.db.dialects import insert_ignore
from darsena.resources.model import Author, SystemData
from darsena.tasks.filter_store import make_where
from darsena.tasks.filters import Test
from darsena.tasks.model import (
    LOG_WORDS,
    Ending,
    ImageDescriptor,
    Run,
    RunPlatform,
    RunStatus,
)
from darsena.tasks.tables import run, run_counter

_without_request = [column for column in run.c if column.name != "request"]
_images = msgspec.json.Decoder(tuple[ImageDescriptor, ...])
_objects = msgspec.json.Decoder(tuple[dict[str, Any], ...])
_texts = msgspec.json.Decoder(tuple[str, ...])


def next_number(tx: Tx, registry_uid: str) -> int:
    """1 for a registry's first run; never given out twice."""
    advance = (
        update(run_counter)
        .where(run_counter.c.registry_uid == registry_uid)
        .values(last=run_counter.c.last + 1)
        .returning(run_counter.c.last)
    )
    number = tx.execute(advance).scalar()
    if number is None:
        tx.execute(insert_ignore(tx.dialect, run_counter, {"registry_uid": registry_uid, "last": 0}))
        number = tx.execute(advance).scalar_one()
    return int(number)


def insert_run(tx: Tx, values: Run, sealed_request: bytes) -> Run:
    """`values.id` is not used: the database gives it."""
    author = values.system_data.created_by
    row = {
        "uid": values.uid,
        "registry_uid": values.registry_uid,
        "number": values.number,
        "run_id": values.run_id,
        "status": values.status,
        "run_type": values.run_type,
        "task_name": values.task_name,
        "agent_pool_name": values.agent_pool_name,
        "os": values.platform.os,
        "architecture": values.platform.architecture,
        "variant": values.platform.variant,
        "cpu": values.cpu,
        "timeout_s": values.timeout_s,
        "is_archive_enabled": values.is_archive_enabled,
        "source_name": values.source_name,
        "request": sealed_request,
        "source_registry_auth": values.source_registry_auth,
        "custom_registries": msgspec.json.encode(values.custom_registries),
        "output_images": b"[]",
        "output_manifests": "",
        "dependencies": b"[]",
        "log_size": 0,
        "created_at": values.created_at_us,
        "updated_at": values.updated_at_us,
        "created_by": author.name,
        "created_by_kind": author.kind,
        "modified_by": author.name,
        "modified_by_kind": author.kind,
        "modified_at": values.system_data.modified_at_us,
    }
    return _run(tx.execute(insert(run).values(row).returning(*_without_request)).one())


def find_run(tx: Tx, registry_uid: str, run_id: str) -> Run | None:
    return _find(tx, (run.c.registry_uid == registry_uid) & (run.c.run_id == run_id))


def find_run_by_uid(tx: Tx, uid: str) -> Run | None:
    return _find(tx, run.c.uid == uid)


def get_request(tx: Tx, uid: str) -> bytes:
    """The sealed request of a run that is there."""
    return tx.execute(select(run.c.request).where(run.c.uid == uid)).scalar_one()


def list_runs(
    tx: Tx,
    registry_uid: str,
    *,
    test: Test | None = None,
    before: int | None = None,
    limit: int,
) -> list[Run]:
    """Newest first, with numbers below `before`."""
    statement = select(*_without_request).where(run.c.registry_uid == registry_uid)
    if test is not None:
        statement = statement.where(make_where(test))
    if before is not None:
        statement = statement.where(run.c.number < before)
    return [_run(row) for row in tx.execute(statement.order_by(run.c.number.desc()).limit(limit))]


def set_status(tx: Tx, uid: str, status: RunStatus) -> Run:
    """Of a run that has not ended. Its time starts when it is Running."""
    started_at = None if status == "Queued" else tx.now_us
    values = {"status": status, "updated_at": tx.now_us, "started_at": started_at}
    return _run(tx.execute(update(run).where(run.c.uid == uid).values(values).returning(*_without_request)).one())


def set_archive(tx: Tx, uid: str, is_archive_enabled: bool, author: Author) -> Run:
    values = {
        "is_archive_enabled": is_archive_enabled,
        "updated_at": tx.now_us,
        "modified_by": author.name,
        "modified_by_kind": author.kind,
        "modified_at": tx.now_us,
    }
    return _run(tx.execute(update(run).where(run.c.uid == uid).values(values).returning(*_without_request)).one())


def finish_run(tx: Tx, uid: str, ending: Ending, log_size: int) -> Run:
    values = {
        "status": ending.status,
        "error": ending.error,
        "output_images": msgspec.json.encode(ending.output_images),
        "output_manifests": ",".join(
            f"{image.repository}@{image.digest}" for image in ending.output_images if image.digest
        ),
        "dependencies": msgspec.json.encode(ending.dependencies),
        "log_size": log_size,
        "log_word": LOG_WORDS[ending.status],
        "finished_at": tx.now_us,
        "updated_at": tx.now_us,
    }
    return _run(tx.execute(update(run).where(run.c.uid == uid).values(values).returning(*_without_request)).one())


def list_expired(tx: Tx, before_us: int, limit: int) -> list[Run]:
    """Runs that ended before this time and are not kept for longer."""
    aged = (run.c.finished_at < before_us) & run.c.is_archive_enabled.is_(False)
    statement = select(*_without_request).where(aged).order_by(run.c.finished_at).limit(limit)
    return [_run(row) for row in tx.execute(statement)]


def delete_run(tx: Tx, uid: str) -> None:
    tx.execute(delete(run).where(run.c.uid == uid))


def delete_of_registry(tx: Tx, registry_uid: str) -> None:
    """Not the queue's rows: they go first."""
    tx.execute(delete(run).where(run.c.registry_uid == registry_uid))
    tx.execute(delete(run_counter).where(run_counter.c.registry_uid == registry_uid))


def _find(tx: Tx, where: ColumnElement[bool]) -> Run | None:
    row = tx.execute(select(*_without_request).where(where)).one_or_none()
    return None if row is None else _run(row)


def _run(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        uid=row.uid,
        registry_uid=row.registry_uid,
        number=row.number,
        run_id=row.run_id,
        status=row.status,
        run_type=row.run_type,
        task_name=row.task_name,
        agent_pool_name=row.agent_pool_name,
        platform=RunPlatform(os=row.os, architecture=row.architecture, variant=row.variant),
        cpu=row.cpu,
        timeout_s=row.timeout_s,
        is_archive_enabled=row.is_archive_enabled,
        source_name=row.source_name,
        source_registry_auth=row.source_registry_auth,
        custom_registries=_texts.decode(row.custom_registries),
        output_images=_images.decode(row.output_images),
        dependencies=_objects.decode(row.dependencies),
        error=row.error,
        log_size=row.log_size,
        log_word=row.log_word,
        created_at_us=row.created_at,
        started_at_us=row.started_at,
        finished_at_us=row.finished_at,
        updated_at_us=row.updated_at,
        system_data=SystemData(
            created_by=Author(name=row.created_by, kind=row.created_by_kind),
            created_at_us=row.created_at,
            modified_by=Author(name=row.modified_by, kind=row.modified_by_kind),
            modified_at_us=row.modified_at,
        ),
    )
