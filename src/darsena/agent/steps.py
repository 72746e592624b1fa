"""Executing a plan's steps, one after another in file order, which is a valid order of the graph.

The first step that fails ends the run. Every line that the log shows of a step is written here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import PurePosixPath

from darsena.agent.log import Output
from darsena.agent.plan import HOME, WORKSPACE, BuildAction, CmdAction, Plan, PushAction, Step
from darsena.agent.prepare import PreparedBuild, StepContext, ensure_image, prepare_build, require_platform
from darsena.engine.port import BuildSpec, ContainerSpec, StepFault
from darsena.engine.references import parse_image

_PUSH_TRIES = 3


class StepFailure(Exception):
    """The run fails because of this step; the reason is as the log's trailer has it (`exit status 1`)."""

    def __init__(self, step_id: str, reason: str) -> None:
        super().__init__(f"failed to run step ID: {step_id}: {reason}")
        self.step_id = step_id
        self.reason = reason


class StepRunner:
    def __init__(self, context: StepContext, plan: Plan) -> None:
        self._context = context
        self._plan = plan
        self._log = context.log
        self._states: dict[str, str] = {step.id: "skipped" for step in plan.steps}
        self._elapsed: dict[str, float] = {}

    async def run(self) -> None:
        """Raises StepFailure after the closing lines of a failure, and whatever the engine raises."""
        try:
            for step in self._plan.steps:
                await self._run_step(step)
        except StepFailure:
            self._write_states()
            raise
        self._write_states()

    async def _run_step(self, step: Step) -> None:
        self._log.note(
            f"Executing step ID: {step.id}. Timeout(sec): {step.timeout_s:.0f}, "
            f"Working directory: '{step.working_directory}', Network: '{step.network or ''}'"
        )
        if step.start_delay_s:
            self._log.note(f"Waiting {step.start_delay_s:.0f} seconds before executing step ID: {step.id}")
            await asyncio.sleep(step.start_delay_s)
        started = time.monotonic()
        reason = await self._attempt(step)
        self._elapsed[step.id] = time.monotonic() - started
        self._states[step.id] = "failed" if reason else "successful"
        if reason and step.ignore_errors:
            self._log.note(
                f"Step ID: {step.id} encountered an error: {reason}, but is set to ignore errors. Continuing..."
            )
            self._states[step.id] = "successful"
        elif reason:
            raise StepFailure(step.id, reason)

    async def _attempt(self, step: Step) -> str | None:
        """None on success, else the reason. One clock over all attempts."""
        try:
            if isinstance(step.action, CmdAction):
                await self._prepare_image(step, step.action)
            async with asyncio.timeout(step.timeout_s):
                return await self._do(step)
        except TimeoutError:
            await self._context.engine.stop(self._context.scope, step.id, 0)
            return "timed out"
        except StepFault as e:
            self._log.note(str(e))
            return str(e)

    async def _do(self, step: Step) -> str | None:
        action = step.action
        if isinstance(action, PushAction):
            return await self._push(action)
        if isinstance(action, BuildAction):
            prepared = await prepare_build(self._context, step, action)
            return await self._repeat(step, lambda output: self._build(step, action, prepared, output))
        return await self._repeat(step, lambda output: self._run_container(step, action, output))

    async def _repeat(self, step: Step, attempt: Callable[[Output], Awaitable[int]]) -> str | None:
        """All rounds run even when one fails; each has its own retries."""
        reason: str | None = None
        for _ in range(step.repeat + 1):
            reason = await self._retry(step, attempt) or reason
        return reason

    async def _retry(self, step: Step, attempt: Callable[[Output], Awaitable[int]]) -> str | None:
        for left in range(step.retries, -1, -1):
            self._log.note(f"Launching container with name: {step.id}")
            output = self._log.output()
            code = await attempt(output)
            output.close()
            if code == 0:
                self._log.note(f"Successfully executed container: {step.id}")
                return None
            reason = f"exit status {code}"
            said = output.tail.decode(errors="replace")
            if step.retry_on_errors and not any(text in said for text in step.retry_on_errors):
                return reason
            if left:
                pause = f"waiting {step.retry_delay_s:.0f} seconds before retrying..."
                self._log.note(f"Container failed during run: {step.id}, {pause}")
                await asyncio.sleep(step.retry_delay_s)
            else:
                self._log.note(f"Container failed during run: {step.id}. No retries remaining.")
                return reason
        return None

    async def _prepare_image(self, step: Step, action: CmdAction) -> None:
        """Outside the step's clock. An image that an earlier step built is used as it is."""
        engine, scope = self._context.engine, self._context.scope
        platform = str(self._context.order.platform)
        if platform.startswith("windows"):
            raise StepFault("a cmd step on windows needs a Windows agent, which this server does not have")
        require_platform(platform, self._context.info.platforms)
        if action.pull:
            self._log.note("Step specified pull. Performing an explicit pull...")
            await engine.pull(scope, action.image, platform)
        else:
            await ensure_image(self._context, action.image, platform)

    async def _run_container(self, step: Step, action: CmdAction, output: Output) -> int:
        directory = str(PurePosixPath(WORKSPACE, step.working_directory or self._context.default_directory))
        spec = ContainerSpec(
            step_id=step.id,
            image=action.image,
            arguments=action.arguments,
            environment={"HOME": HOME, **step.environment},
            working_directory=directory if step.override_working_directory else None,
            entry_point=action.entry_point,
            user=step.user,
            network=step.network,
            volumes=((self._context.scope.workspace, WORKSPACE), (self._context.scope.home, HOME)),
            detach=action.detach,
            keep=step.keep,
            cpus=step.cpus,
        )
        return await self._context.engine.run(self._context.scope, spec, output)

    async def _build(self, step: Step, action: BuildAction, prepared: PreparedBuild, output: Output) -> int:
        spec = BuildSpec(
            step_id=step.id,
            context=prepared.context,
            dockerfile=prepared.dockerfile,
            tags=action.tags,
            platform=prepared.platform,
            arguments=action.arguments,
            secret_arguments=action.secret_arguments,
            labels=action.labels,
            target=action.target,
            no_cache=action.no_cache,
            network=(step.network or "default") if prepared.scan.runs else "none",
            options=action.options,
            environment=step.environment,
        )
        code = await self._context.engine.build(self._context.scope, spec, output)
        if code == 0:
            self._context.book.add_build(action.tags, prepared.scan, prepared.bases)
        return code

    async def _push(self, action: PushAction) -> str | None:
        for image in action.images:
            if await self._context.engine.find_image(self._context.scope, image) is None:
                self._log.note(f"An image does not exist locally with the tag: {image}")
                return "failed to push images successfully"
            if not await self._push_image(image):
                return "failed to push images successfully"
        return None

    async def _push_image(self, image: str) -> bool:
        for attempt in range(1, _PUSH_TRIES + 1):
            self._log.note(f"Pushing image: {image}, attempt {attempt}")
            output = self._log.output()
            try:
                digest = await self._context.engine.push(self._context.scope, image, output)
            except StepFault:
                output.close()
                if attempt < _PUSH_TRIES:
                    await asyncio.sleep(min(0.25 * 2**attempt, 5.0))
                continue
            output.close()
            reference = parse_image(image)
            self._log.line(f"{reference.tag}: digest: {digest}")
            self._log.note(f"Successfully pushed image: {image}")
            self._context.book.pushed[str(reference)] = digest
            return True
        if parse_image(image).registry == "docker.io":
            self._log.note(f"did you mean {self._context.order.registry.login_server}/{image}?")
        return False

    def _write_states(self) -> None:
        """In file order; digests are known only now, when pushes are over."""
        for step in self._plan.steps:
            elapsed = self._elapsed.get(step.id, 0.0)
            self._log.note(
                f"Step ID: {step.id} marked as {self._states[step.id]} (elapsed time in seconds: {elapsed:f})"
            )
            if isinstance(step.action, BuildAction) and self._states[step.id] == "successful":
                self._log.note(f"Populating digests for step ID: {step.id}...")
                self._log.note(f"Successfully populated digests for step ID: {step.id}")
