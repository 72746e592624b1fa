"""What people do with runs: schedule, look, list, cancel, keep."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from darsena.core.errors import Conflict, NotImplementedHere, RequestInvalid, ResourceUnknown, Throttled
from darsena.core.failpoints import failpoint
from darsena.core.ids import base36, new_uid
from darsena.db import Database, Tx
from darsena.identity.model import RegistryFacts
from darsena.jobs.lease import LEASE_S, lease_now_us
from darsena.jobs.wake import Wake
from darsena.journal import registry_stream
from darsena.resources.model import Author, SystemData
from darsena.tasks import queue_store, run_store, source_store
from darsena.tasks.ending import RunEnder
from darsena.tasks.events import RunQueued, RunUpdated
from darsena.tasks.filters import Test
from darsena.tasks.model import DEFAULT_POOL, Ending, Held, QueuePlace, Run
from darsena.tasks.places import find_place
from darsena.tasks.requests import CALLER, REQUEST_KIND, RunRequest
from darsena.tasks.signing import Sealer

MOST_UNFINISHED = 1000
"""Runs of one registry that wait or run at the same time; more are refused."""
CANCEL_PATIENCE_S = 60
"""How long an agent may take to end a canceled run before the server does."""

_RUN_ID = re.compile(r"[a-z0-9]{3,40}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """`next_before` is what to list before; None at the end."""

    runs: Sequence[Run]
    next_before: int | None


class RunService:
    def __init__(self, db: Database, *, sealer: Sealer, ender: RunEnder, wake: Wake, server: str) -> None:
        self._db = db
        self._sealer = sealer
        self._ender = ender
        self._wake = wake
        self._server = server

    async def schedule(self, facts: RegistryFacts, request: RunRequest, author: Author, caller: str = "") -> Run:
        """Queue a run; `caller` is the object id of who asks for it. Raises RequestInvalid for a source that was not
        uploaded, Throttled for too many runs, NotImplementedHere for an identity that would count and that no run can
        have."""
        _check_identity(facts, request)
        uid = new_uid()
        stored = msgspec.json.encode(request.store_for(caller))
        sealed = self._sealer.seal(facts.uid, REQUEST_KIND, uid, stored)
        run = await self._db.transact(self._insert, facts, request, author, uid, sealed)
        failpoint("run.scheduled")
        return run

    def _insert(
        self, tx: Tx, facts: RegistryFacts, request: RunRequest, author: Author, uid: str, sealed: bytes
    ) -> Run:
        if queue_store.count_of_registry(tx, facts.uid) >= MOST_UNFINISHED:
            raise Throttled(f"{MOST_UNFINISHED} runs of this registry are waiting or running; try again later.", 30)
        source_name = request.source.text if request.source.kind == "upload" else None
        if source_name is not None and not source_store.claim_source(tx, facts.uid, source_name):
            raise RequestInvalid(
                f"The source '{source_name}' is not there: upload it to the address that listBuildSourceUploadUrl "
                "gives, then schedule the run.",
                "sourceLocation",
            )
        number = run_store.next_number(tx, facts.uid)
        values = _new_run(tx, facts, request, author, uid=uid, number=number, source_name=source_name)
        run = run_store.insert_run(tx, values, sealed)
        queue_store.insert_held(tx, run, DEFAULT_POOL)
        event = RunQueued(run_uid=uid, run_id=run.run_id, run_type=run.run_type, platform=str(run.platform))
        tx.emit(registry_stream(facts.uid, facts.region), event)
        tx.after_commit(self._wake.notify)
        return run

    async def get(self, registry_uid: str, run_id: str) -> Run:
        """Raises ResourceUnknown."""
        return await self._db.read(get_run, registry_uid, run_id)

    async def find_place(self, run: Run) -> QueuePlace | None:
        """None when it does not wait."""
        if run.status != "Queued":
            return None
        return await self._db.read(find_place, run.uid, run.agent_pool_name or DEFAULT_POOL)

    async def list(self, registry_uid: str, *, test: Test | None, before: int | None, limit: int) -> RunPage:
        """Newest first."""

        def read(tx: Tx) -> list[Run]:
            return run_store.list_runs(tx, registry_uid, test=test, before=before, limit=limit + 1)

        runs = await self._db.read(read)
        more = len(runs) > limit
        return RunPage(runs=runs[:limit], next_before=runs[limit - 1].number if more else None)

    async def set_archive(self, facts: RegistryFacts, run_id: str, is_archive_enabled: bool, author: Author) -> Run:
        """Keep the run and its log for longer than others, or no longer. Raises ResourceUnknown."""

        def write(tx: Tx) -> Run:
            before = get_run(tx, facts.uid, run_id)
            run = run_store.set_archive(tx, before.uid, is_archive_enabled, author)
            event = RunUpdated(
                run_uid=run.uid,
                run_id=run.run_id,
                was_archive_enabled=before.is_archive_enabled,
                is_archive_enabled=is_archive_enabled,
            )
            tx.emit(registry_stream(facts.uid, facts.region), event)
            return run

        return await self._db.transact(write)

    async def cancel(self, registry_uid: str, run_id: str) -> None:
        """A run that waits is Canceled when this returns; one that an agent holds is ended by the agent.

        Raises ResourceUnknown; Conflict when it has ended already.
        """
        run = await self.get(registry_uid, run_id)
        taken = await self._db.transact(self._take_or_flag, run)
        if taken is not None:
            await self._ender.end_taken(taken)

    def _take_or_flag(self, tx: Tx, run: Run) -> Held | None:
        now_us = lease_now_us(tx)
        lease_until_us = now_us + LEASE_S * 1_000_000
        ending = Ending(status="Canceled")
        taken = queue_store.take_waiting(tx, run.uid, ending, owner=self._server, lease_until_us=lease_until_us)
        if taken is not None:
            return taken
        if queue_store.request_cancel(tx, run.uid, now_us + CANCEL_PATIENCE_S * 1_000_000):
            tx.after_commit(self._wake.notify)
            return None
        held = queue_store.find_held(tx, run.uid)
        if held is not None and held.end_status == "Canceled":
            return None  # another cancel is ending it at this moment
        status = get_run(tx, run.registry_uid, run.run_id).status
        raise Conflict(f"The run '{run.run_id}' cannot be canceled: it has ended, with status '{status}'.")


def _check_identity(facts: RegistryFacts, request: RunRequest) -> None:
    """Where access is given by repository only an identity gives a run any; elsewhere one has no effect."""
    if facts.abac and request.source_identity not in (None, CALLER):
        raise NotImplementedHere(
            f"The login of a run to its own registry as '{request.source_identity[:80]}' is not in this version, and "
            f"this registry gives access by repository: give '{CALLER}' as the identity, with the caller's repository "
            f"roles, or name a repository token for '{facts.login_server}' in 'credentials.customRegistries'."
        )


def get_run(tx: Tx, registry_uid: str, run_id: str) -> Run:
    """By its id in any case. Raises ResourceUnknown."""
    key = run_id.lower()
    run = run_store.find_run(tx, registry_uid, key) if _RUN_ID.match(key) else None
    if run is None:
        raise ResourceUnknown(f"The run '{run_id[:80]}' could not be found.")
    return run


def make_run_id(registry_uid: str, number: int) -> str:
    """Two letters that are the registry's own, and its counter: `ca1`, `ca2`, … `caz`, `ca10`."""
    return f"c{chr(ord('a') + int(registry_uid[:8], 16) % 26)}{base36(number)}"


def _new_run(
    tx: Tx,
    facts: RegistryFacts,
    request: RunRequest,
    author: Author,
    *,
    uid: str,
    number: int,
    source_name: str | None,
) -> Run:
    return Run(
        id=0,
        uid=uid,
        registry_uid=facts.uid,
        number=number,
        run_id=make_run_id(facts.uid, number),
        status="Queued",
        run_type="QuickRun",
        task_name=None,
        agent_pool_name=None,
        platform=request.platform,
        cpu=request.cpu,
        timeout_s=request.timeout_s,
        is_archive_enabled=request.is_archive_enabled,
        source_name=source_name,
        source_registry_auth=request.source_registry_auth,
        custom_registries=request.custom_registries,
        output_images=(),
        dependencies=(),
        error=None,
        log_size=0,
        log_word=None,
        created_at_us=tx.now_us,
        started_at_us=None,
        finished_at_us=None,
        updated_at_us=tx.now_us,
        system_data=SystemData(
            created_by=author, created_at_us=tx.now_us, modified_by=author, modified_at_us=tx.now_us
        ),
    )
