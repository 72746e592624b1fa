"""Every room opened on one data folder, for the server and for commands that work on a stopped one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darsena import settings
from darsena.core.errors import StartFailure
from darsena.db import Database, Tx
from darsena.db.migrate import create as create_schema
from darsena.db.migrate import current_revision, migrate
from darsena.db.stamp import Stamp, ensure_stamp
from darsena.db.starting import explained
from darsena.identity.room import IdentityRoom, make_identity
from darsena.identity.token_store import count_scope_maps, count_tokens
from darsena.journal import append
from darsena.local.folder import Folder, Marker
from darsena.registry.deleting import drop_registry
from darsena.registry.fsck import Fsck
from darsena.registry.gc import GarbageCollector
from darsena.registry.maintenance import Maintenance
from darsena.registry.model import Registry
from darsena.registry.retention import Policy, Retention
from darsena.registry.service import RegistryService, list_repository_names, to_registry
from darsena.registry.store import totals
from darsena.resources.model import RegistryRow
from darsena.resources.naming import LoginServers
from darsena.resources.registries import Hook
from darsena.resources.scope_maps import ScopeMaps
from darsena.resources.service import ResourceService
from darsena.resources.tokens import RepositoryTokens
from darsena.settings import Settings
from darsena.storage.ground import Ground
from darsena.storage.keyfile import RootKeyFile
from darsena.storage.keyring import Keyring, has_keys
from darsena.storage.layout import Layout
from darsena.storage.local import LocalStorage
from darsena.tasks.room import Tasks, make_tasks
from darsena.usage import UsageReader, count_size

HOME_REGION = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    settings: Settings
    folder: Folder
    marker: Marker
    stamp: Stamp
    db: Database
    keyring: Keyring
    storage: LocalStorage
    identity: IdentityRoom
    registry: RegistryService
    resources: ResourceService
    scope_maps: ScopeMaps
    tokens: RepositoryTokens
    tasks: Tasks
    usage: UsageReader
    maintenance: Maintenance
    retention: Retention


def open_rooms(data: Path, flags: dict[str, Any]) -> Rooms:
    """Blocking. Raises StartFailure, saying what to do."""
    with explained(Folder(data).database):
        return _open_rooms(data, flags)


def _open_rooms(data: Path, flags: dict[str, Any]) -> Rooms:
    folder = Folder(data)
    chosen = settings.from_environment(data, flags)
    marker = folder.read_marker()
    if marker is None:
        raise StartFailure(f"{data} is no data folder yet: start `darsena serve` on it once")
    marker.check_database(chosen.database.kind)
    db = _open_database(folder, chosen)
    stamp = db.transact_sync(ensure_stamp, marker.stamp_uid, HOME_REGION)
    keyring = Keyring(_open_root_key(folder, db), db.read_sync)
    _check_stored(folder, db)
    storage = LocalStorage(data, keyring)
    identity = make_identity(
        db,
        keyring,
        tenant_id=stamp.tenant_id,
        subscription_id=stamp.subscription_id,
        control_url=marker.addresses.control_url,
    )
    identity.start()
    # What hangs on a registry goes with it; the rooms that know are made after the one that deletes.
    on_deleted: list[Hook] = [drop_registry]
    resources = ResourceService(
        db,
        login_servers=LoginServers(domain=marker.addresses.login_server_suffix[1:], tenant_id=stamp.tenant_id),
        keys=keyring,
        passwords=identity.passwords,
        principals=identity.managed,
        on_registry_deleted=(lambda tx, uid: _call_all(on_deleted, tx, uid),),
        on_scope_deleted=(identity.roles.forget_scope,),
        counters={"Size": count_size, "ScopeMaps": count_scope_maps, "Tokens": count_tokens},
    )
    tasks = make_tasks(
        db,
        sealer=keyring,
        storage=storage,
        registries=resources,
        credentials=identity.runs,
        list_repositories=list_repository_names,
        blob_url=marker.addresses.blob_url,
        base_images=chosen.tasks.base_images,
        keep_runs_days=chosen.tasks.keep_runs_days,
        pool_cpu=chosen.build.cpu or None,
    )
    usage = UsageReader(db, lambda tx, uid: resources.find_registry_by_uid(tx, uid) is not None)
    on_deleted += [tasks.retention.forget_registry, usage.forget_registry]
    registry = RegistryService(db, storage, keyring)
    return Rooms(
        settings=chosen,
        folder=folder,
        marker=marker,
        stamp=stamp,
        db=db,
        keyring=keyring,
        storage=storage,
        identity=identity,
        registry=registry,
        resources=resources,
        scope_maps=ScopeMaps(db, on_changed=identity.holders.forget),
        tokens=RepositoryTokens(db, identity.hasher, tenant_id=stamp.tenant_id, on_changed=identity.holders.forget),
        tasks=tasks,
        usage=usage,
        maintenance=_make_maintenance(chosen, db, storage, keyring, resources, stamp),
        retention=_make_retention(db, registry, resources, stamp),
    )


def _make_maintenance(
    chosen: Settings, db: Database, storage: LocalStorage, keyring: Keyring, resources: ResourceService, stamp: Stamp
) -> Maintenance:
    async def list_registries() -> list[Registry]:
        return [to_registry(resources.facts(row)) for row in await _list_rows(resources, stamp)]

    return Maintenance(
        db=db,
        gc=GarbageCollector(db, storage, list_registries, grace_s=chosen.gc.grace_s, interval_s=chosen.gc.interval_s),
        fsck=Fsck(db, storage, keyring, storage.registries),
        list_registries=list_registries,
    )


def _make_retention(db: Database, registry: RegistryService, resources: ResourceService, stamp: Stamp) -> Retention:
    async def list_policies() -> list[Policy]:
        return [
            Policy(
                registry=to_registry(resources.facts(row)),
                since_us=row.properties.retention_enabled_us,
                keep_us=row.properties.retention_days * 86_400 * 1_000_000,
            )
            for row in await _list_rows(resources, stamp)
            if row.properties.retention
        ]

    return Retention(db, registry.deleting, list_policies)


async def _list_rows(resources: ResourceService, stamp: Stamp) -> list[RegistryRow]:
    found: list[RegistryRow] = []
    after: str | None = ""
    while after is not None:
        page = await resources.list_registries(stamp.subscription_id, after=after, limit=1000)
        found += page.items
        after = page.next_key
    return found


def _call_all(hooks: Sequence[Hook], tx: Tx, registry_uid: str) -> None:
    for hook in hooks:
        hook(tx, registry_uid)


def _open_database(folder: Folder, chosen: Settings) -> Database:
    """The database at the newest schema."""
    url = chosen.database.url or f"sqlite:///{folder.database}"
    if not chosen.database.url and not _has_content(folder.database):
        _check_new(folder, f"{folder.database} is missing or empty")
    check = bool(os.environ.get("DARSENA_CHECK_JOURNAL"))
    db = Database(url, before_commit=append, check_journal=check)
    revision = current_revision(db.engine)
    if revision is None:
        _check_new(folder, "the database is empty")
    if revision is not None or not create_schema(db.engine):
        migrate(db.engine, sqlite_file=folder.database if db.is_sqlite else None)
    if db.is_sqlite:
        folder.database.chmod(0o600)
    return db


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _check_new(folder: Folder, lost: str) -> None:
    """The root key is made after the schema: where it is, there was a database. An empty one would hide its loss."""
    if folder.root_key.exists():
        raise StartFailure(
            f"{lost}, and {folder.root} has content that it described: put the database back from your backup, or "
            "start with a new folder"
        )


def _check_stored(folder: Folder, db: Database) -> None:
    """An empty folder in the place of a disk that is not mounted would hide what is stored, and take what is pushed."""
    layout = Layout(folder.root)
    if Ground(layout.registries).is_marked:
        return
    lost = [uid for uid in db.read_sync(totals.list_used) if not layout.registry(uid).is_dir()]
    if lost:
        raise StartFailure(
            f"{layout.registries} does not hold what the database says is stored: mount its disk, or put it back from "
            f"your backup; to start without that content, make the folder {layout.registry(lost[0])}"
        )


def _open_root_key(folder: Folder, db: Database) -> RootKeyFile:
    """Made while nothing is sealed yet (also after a crash that left the schema alone): later a missing key is a loss
    that nobody may paper over."""
    path = folder.root_key
    return RootKeyFile.load(path) if path.exists() or db.read_sync(has_keys) else RootKeyFile.create(path)
