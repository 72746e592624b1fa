"""Following a run to its end: why it waits, its log as it grows, and what a Ctrl-C means meanwhile."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from darsena.cli.dependencies import BaseImage, DependencyReader
from darsena.cli.progress import PlainReporter, Reporter
from darsena.cli.terminal import ask, is_interactive, say
from darsena.client.errors import CallRefused, ClientProblem
from darsena.client.run_requests import FINISHED, status_of, status_of_log
from darsena.client.shapes import Object, properties
from darsena.core.clock import parse_time

if TYPE_CHECKING:
    from darsena.client.runs import Runs
    from darsena.client.session import Session

_SETTLE_POLLS = 20


class Interrupted(Exception):
    """The person pressed Ctrl-C, and has been told what goes on without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    run: Object
    bases: list[BaseImage]

    @property
    def status(self) -> str:
        return status_of(self.run)


def watch(session: Session, runs: Runs, run_id: str, registry: str, reporter: Reporter) -> Ended:
    """The run as it is after its end. Raise Interrupted on Ctrl-C."""
    dependencies = DependencyReader()

    def idle(size: int) -> None:
        if size == 0:
            with contextlib.suppress(ClientProblem):
                _report_waiting(runs.get(run_id), reporter)

    def lost(why: str) -> None:
        reporter.note(f"the server is away ({why}); the run goes on, trying again")

    follower = session.follow(runs, run_id, idle=idle, lost=lost)
    status = ""
    is_interrupted = False
    try:
        for line in follower.lines():
            dependencies.feed(line)
            reporter.line(line)
        status = status_of_log(follower.word)
    except KeyboardInterrupt:
        is_interrupted = True
    except ClientProblem as problem:
        follow = f"the run goes on without you; follow it with `darsena logs -r {registry} {run_id}`"
        problem.hint = f"{problem.hint} {follow}" if problem.hint else follow
        raise
    finally:
        reporter.ended(status)
    if is_interrupted:
        _interrupted(runs, run_id, registry)
        raise Interrupted
    return Ended(run=_settled(runs, run_id), bases=dependencies.bases)


def follow_log(session: Session, runs: Runs, run_id: str, registry: str) -> str:
    """Print the log on standard output to its end; the status that it tells. Raise Interrupted on Ctrl-C."""
    reporter = PlainReporter(log_is_result=True)

    def lost(why: str) -> None:
        reporter.note(f"the server is away ({why}); trying again")

    follower = session.follow(runs, run_id, idle=lambda size: None, lost=lost)
    try:
        for line in follower.lines():
            reporter.line(line)
    except KeyboardInterrupt:
        say("")
        say(f"the run {run_id} of {registry} goes on")
        raise Interrupted from None
    return status_of_log(follower.word)


def wait_quietly(runs: Runs, run_id: str, registry: str, reporter: Reporter) -> Object:
    """The run after its end, without its log. Raise Interrupted on Ctrl-C."""
    try:
        while status_of(run := runs.get(run_id)) not in FINISHED:
            _report_waiting(run, reporter)
            time.sleep(1.0)
    except KeyboardInterrupt:
        reporter.ended("")
        _interrupted(runs, run_id, registry)
        raise Interrupted from None
    reporter.ended(status_of(run))
    return run


def _settled(runs: Runs, run_id: str) -> Object:
    """The log ends in the moment when the run does; a replica of the server may tell of it a little later."""
    for _ in range(_SETTLE_POLLS):
        run = runs.get(run_id)
        if status_of(run) in FINISHED:
            return run
        time.sleep(0.25)
    return runs.get(run_id)


def _report_waiting(run: Object, reporter: Reporter) -> None:
    """Position, reason and since when, as far as the server tells."""
    facts = properties(run)
    try:
        since_s = parse_time(str(facts.get("createTime"))) / 1_000_000
    except ValueError:
        since_s = time.time()
    status = status_of(run)
    if status == "Queued":
        position, reason = facts.get("queuePosition"), facts.get("queueReason")
        why = "queued" + (f" at position {position}" if position else "") + (f": {reason}" if reason else "")
        reporter.waiting(why, round(max(time.time() - since_s, 0.0)))
    elif status not in FINISHED:
        reporter.waiting("running" if status == "Running" else "starting", round(max(time.time() - since_s, 0.0)))


def _interrupted(runs: Runs, run_id: str, registry: str) -> None:
    """Offer to cancel where a person can answer; elsewhere leave the run alone, and say how to go on."""
    say("")
    try:
        if is_interactive() and ask(f"Cancel the run {run_id}?"):
            runs.cancel(run_id)
            say(f"the run {run_id} is being canceled")
            return
    except KeyboardInterrupt:
        say("")
    except CallRefused as error:
        if error.status != 409:
            raise
        say(f"the run {run_id} has ended already")
        return
    say(f"the run {run_id} goes on")
    say(f"  follow it   darsena logs -r {registry} {run_id}")
    say(f"  cancel it   darsena cancel-run -r {registry} {run_id}")
