"""A build as it looks on a terminal: a bar while the context is sent, then steps with their times, alive."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from darsena.cli.build_log import BuildLog, Step
from darsena.cli.progress import packed_words, say_facts
from darsena.cli.terminal import harmless, human_bytes, human_seconds, lines_of

_TAIL_LINES = 6
_SUCCEEDED = "Succeeded"


class LiveReporter:
    """Everything on standard error. A step that ends is printed for good; the one that runs shows its last lines, and
    the whole of them when it failed.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._started = clock()
        self._wait = ""
        self._log = BuildLog(self, clock)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._live: Live | None = None

    # --- sending ------------------------------------------------------------------------------------------------------

    def packed(self, entries: int, content_bytes: int, size_bytes: int) -> None:
        self._print(Text(f" => {packed_words(entries, content_bytes, size_bytes)}"))
        self._bar = Progress(
            TextColumn(" => sending the context"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("send", total=size_bytes)
        self._bar.start()

    def sending(self, position: int, size_bytes: int) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=position)

    def sent(self, size_bytes: int, seconds: float) -> None:
        self._stop_bar()
        self._finished(f"sent {human_bytes(size_bytes)}", seconds)

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    # --- running ------------------------------------------------------------------------------------------------------

    def scheduled(self, run_id: str) -> None:
        self._print(Text(f" => queued as run {run_id}"))
        self._live = Live(self, console=self._console, refresh_per_second=8, transient=True)
        self._live.start()

    def waiting(self, why: str, waited_s: float) -> None:
        self._wait = f"{why} for {human_seconds(waited_s)}" if waited_s >= 1 else why

    def line(self, text: str) -> None:
        self._wait = ""
        for part in lines_of(text):
            self._log.feed(harmless(part))

    def note(self, text: str) -> None:
        self._print(Text(f" => {text}", style="yellow"))

    def ended(self, status: str) -> None:
        self._log.close(failed=status not in ("", _SUCCEEDED))
        self.close()

    def made(self, facts: list[tuple[str, str]]) -> None:
        say_facts(facts)

    def close(self) -> None:
        self._stop_bar()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What stands below the finished steps just now."""
        now = self._clock()
        yield Text(f"[+] Building {human_seconds(now - self._started)}", style="bold cyan")
        step = self._log.current
        if step is None:
            if self._wait:
                yield Text(f" => {self._wait}", style="dim")
            return
        yield _row(f" => {step.title}", human_seconds(now - step.started), options.max_width)
        for line in list(step.lines)[-_TAIL_LINES:]:
            yield Text(f" => => {line}"[: options.max_width], style="dim", no_wrap=True)

    def loose_line(self, line: str) -> None:
        self._print(Text(f" => {line}", style="dim"))

    def step_ended(self, step: Step, seconds: float) -> None:
        if step.is_cached:
            self._print(Text(f" => CACHED {step.title}", style="green"))
        elif step.has_failed:
            self._print(_row(f" => ERROR {step.title}", human_seconds(seconds), self._console.width, "bold red"))
            for line in step.lines:
                self._print(Text(f" => => {line}"))
        else:
            self._finished(step.title, seconds)

    def _finished(self, title: str, seconds: float) -> None:
        self._print(_row(f" => {title}", human_seconds(seconds), self._console.width))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)


def _row(left: str, right: str, width: int, style: str = "") -> Text:
    """`left` cut to fit, `right` at the right edge."""
    room = max(width - len(right) - 2, 10)
    shown = left if len(left) <= room else left[: room - 1] + "…"
    return Text(f"{shown:<{room}} {right}", style=style, no_wrap=True)
