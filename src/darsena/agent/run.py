"""One run from its order to its end: source, plan, steps; and whatever happens, everything of it is gone afterwards."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from contextlib import suppress
from typing import Any, cast

import msgspec
import structlog

from darsena.agent.client import Refused, RunLost, ServerClient, ServerUnavailable
from darsena.agent.dependencies import DependencyBook, render_records
from darsena.agent.log import RunLog
from darsena.agent.masking import Masker
from darsena.agent.outcome import Outcome, StopReason, outcome_of_stop, render_trailer
from darsena.agent.plan import Plan, PlanFault
from darsena.agent.prepare import StepContext, locate
from darsena.agent.protocol import DockerBuildRequest, EncodedTaskRunRequest, RunOrder
from darsena.agent.quick import plan_quick_build
from darsena.agent.source import Source, SourceFault, SourceFetcher
from darsena.agent.steps import StepFailure, StepRunner
from darsena.agent.taskfile import plan_task
from darsena.agent.variables import Variables, merge_values, run_variables
from darsena.agent.yamltext import load
from darsena.core.clock import Clock
from darsena.engine.port import Engine, EngineFault, EngineInfo, Login, RunScope, RunSpec, StepFault

_log = structlog.get_logger(__name__)
_CLOSE_S = 60.0
_TEXT_MAX = 1024 * 1024


class RunExecution:
    """Executes an order; `stop` ends it early with a reason. `lost` means that nothing may be written any more."""

    def __init__(
        self,
        order: RunOrder,
        client: ServerClient,
        engine: Engine,
        info: EngineInfo,
        fetcher: SourceFetcher,
        clock: Clock,
    ) -> None:
        self.order = order
        self._client = client
        self._engine = engine
        self._info = info
        self._fetcher = fetcher
        self._masker = Masker(_secrets(order))
        self._log = RunLog(client, order, self._masker, clock)
        self._stopped: StopReason | None = None
        self._work: asyncio.Task[Outcome] | None = None
        self._started = time.monotonic()

    def stop(self, reason: StopReason) -> None:
        """Idempotent; the first reason counts, save that a lost run is lost."""
        first = self._stopped is None
        if first or reason == "lost":
            self._stopped = reason
        if first and self._work is not None:
            self._work.cancel()

    async def execute(self) -> None:
        """Returns when the run is over, reported (unless lost) and cleared away."""
        self._log.start()
        scope: list[RunScope] = []
        self._work = asyncio.create_task(self._do(scope))
        try:
            if self._stopped is not None:
                self._work.cancel()
            outcome = await self._wait(self._work)
        finally:
            await self._close(scope)
        if self._stopped == "lost":
            await self._log.stop()
            return
        with suppress(RunLost):
            await self._report(outcome)

    async def _wait(self, work: asyncio.Task[Outcome]) -> Outcome:
        """The run's clock runs here. A stop is told by its reason."""
        done, _ = await asyncio.wait({work}, timeout=self.order.timeout_s)
        if not done:
            self.stop("timeout")
            await asyncio.wait({work})
        if work.cancelled():
            return outcome_of_stop(self._stopped)
        return work.result()

    async def _do(self, scopes: list[RunScope]) -> Outcome:
        book = DependencyBook()
        try:
            scope = await self._engine.open(_run_spec(self.order))
            scopes.append(scope)
            source = await self._fetch(scope)
            plan = self._plan(scope, source)
            await self._prepare(scope, plan)
            context = StepContext(
                engine=self._engine,
                scope=scope,
                info=self._info,
                order=self.order,
                log=self._log,
                book=book,
                default_directory=source.folder,
            )
            await StepRunner(context, plan).run()
            await self._engine.settle(scope)
        except StepFailure as e:
            return Outcome(status="Failed", error=f"failed during run, err: {e.reason}", step=str(e), book=book)
        except (PlanFault, SourceFault, StepFault) as e:
            return Outcome(status="Failed", error=str(e), book=book)
        except EngineFault as e:
            return Outcome(status="Error", error=str(e), book=book)
        except Exception as e:
            _log.exception("run_execution_failed", run=self.order.run_id)
            return Outcome(status="Error", error=f"the agent failed: {type(e).__name__}", book=book)
        return Outcome(status="Succeeded", book=book, commit=source.commit)

    async def _fetch(self, scope: RunScope) -> Source:
        if self.order.source.kind == "none":
            return Source()
        self._log.note("Downloading source code...")
        output = self._log.output()
        source = await self._fetcher.fetch(self.order, scope, output)
        output.close()
        self._log.note("Finished downloading source code")
        return source

    def _plan(self, scope: RunScope, source: Source) -> Plan:
        request = self.order.request
        run = run_variables(self.order, _volume(self.order), source.commit, source.branch)

        def read(path: str) -> str:
            return _read_file(scope, source.folder, path)

        if isinstance(request, DockerBuildRequest):
            return plan_quick_build(request, self.order, Variables(run=run))
        if isinstance(request, EncodedTaskRunRequest):
            text = _decode(request.encoded_task_content, "encodedTaskContent")
            values = _decode(request.encoded_values_content or "", "encodedValuesContent")
        else:
            text = read(request.task_file_path)
            values = read(request.values_file_path) if request.values_file_path else ""
        loaded: object = load(values, "values") if values.strip() else {}
        if not isinstance(loaded, dict):
            raise PlanFault("failed to deserialize values: they are not a map")
        merged = merge_values(cast("dict[str, Any]", loaded), request.values)
        return plan_task(text, Variables(run=run, values=merged), read)

    async def _prepare(self, scope: RunScope, plan: Plan) -> None:
        """Networks, volumes and logins, in the words that the service's logs have for them."""
        if plan.aliases_on:
            self._log.note(
                "Alias support enabled for version >= 1.1.0, please see"
                " https://aka.ms/acr/tasks/task-aliases for more information."
            )
        for text in plan.warnings:
            self._log.note(f"WARNING: {text}")
        self._log.note(f"Using {_volume(self.order)} as the home volume")
        members = tuple(step.id for step in plan.steps)
        for network in plan.networks:
            self._log.note(f"Creating Docker network: {network.name}, driver: '{network.driver}'")
            await self._engine.create_network(scope, network.name, members)
            self._log.note(f"Successfully set up Docker network: {network.name}")
        self._log.note("Setting up Docker configuration...")
        self._log.note("Successfully set up Docker configuration")
        for login in scope.spec.logins:
            self._log.note(f"Logging in to registry: {login.host}")
            self._log.note(f"Successfully logged into {login.host}")

    async def _close(self, scopes: list[RunScope]) -> None:
        for scope in scopes:
            try:
                async with asyncio.timeout(_CLOSE_S):
                    await self._engine.close(scope)
            except Exception:
                _log.exception("run_not_cleared_away", run=self.order.run_id)

    async def _report(self, outcome: Outcome) -> None:
        """The log's end, then the run's. Raises RunLost."""
        error = self._masker.mask_text(outcome.error) if outcome.error else None
        records = outcome.book.records(outcome.commit) if outcome.status == "Succeeded" else []
        if records:
            self._log.note("The following dependencies were found:")
            self._log.note("")
            self._log.line(render_records(records))
        self._log.trailer("\n" + render_trailer(self.order.run_id, outcome, error, time.monotonic() - self._started))
        complete = await self._log.finish(self.order.lease_s)
        if not complete:
            _log.error("run_log_incomplete", run=self.order.run_id)
        finish = msgspec.structs.replace(
            self._client.new_finish(self.order),
            status=outcome.status,
            error=error,
            output_images=outcome.book.output_images(),
            dependencies=records,
            log_size=self._log.size,
        )
        deadline = time.monotonic() + self.order.lease_s
        while time.monotonic() < deadline and self._stopped != "lost":
            try:
                await self._client.finish(self.order, finish)
            except ServerUnavailable:
                await asyncio.sleep(0.5)
                continue
            except Refused as e:
                _log.error("run_finish_refused", run=self.order.run_id, reason=str(e))
            return


def _run_spec(order: RunOrder) -> RunSpec:
    own = order.registry.login_server
    credentials = ({own: order.credential} if order.credential else {}) | order.custom_registries
    return RunSpec(
        run_uid=order.run_uid,
        registry_uid=order.registry.uid,
        cpu=order.cpu,
        logins=tuple(
            Login(host=host, username=credential.username, password=credential.password)
            for host, credential in credentials.items()
        ),
        base_images=order.base_images,
    )


def _secrets(order: RunOrder) -> set[str]:
    found = set(order.secrets)
    for credential in (order.credential, *order.custom_registries.values()):
        if credential:
            found |= {credential.password, f"{credential.username}:{credential.password}"}
    if order.source.token:
        found.add(order.source.token)
    given = order.request.arguments if isinstance(order.request, DockerBuildRequest) else order.request.values
    found |= {argument.value for argument in given or () if argument.is_secret and argument.value}
    return {secret for secret in found if secret}


def _volume(order: RunOrder) -> str:
    uid = order.run_uid
    return f"acb_vol_{uid[:8]}-{uid[8:12]}-{uid[12:16]}-{uid[16:20]}-{uid[20:]}"


def _decode(text: str, what: str) -> str:
    try:
        return base64.b64decode(text, validate=False).decode()
    except (binascii.Error, UnicodeDecodeError) as e:
        raise PlanFault(f"failed to deserialize task and validate: {what} is not base64 of a text") from e


def _read_file(scope: RunScope, folder: str, name: str) -> str:
    path = locate(scope.workspace, folder, name)
    if not path.is_file():
        raise PlanFault(f"failed to open {name}: it is not in the source")
    if path.stat().st_size > _TEXT_MAX:
        raise PlanFault(f"failed to open {name}: it is larger than 1 MiB")
    return path.read_text(errors="replace")
