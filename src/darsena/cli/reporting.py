"""Which of the reporters shows long work."""

from __future__ import annotations

from enum import StrEnum

from darsena.cli.progress import JsonReporter, PlainReporter, Reporter
from darsena.cli.terminal import has_colour


class Progress(StrEnum):
    AUTO = "auto"
    PLAIN = "plain"
    JSON = "json"


def choose_reporter(progress: Progress, *, log_is_result: bool = False, live: bool = True) -> Reporter:
    """The live one only where a person looks, and only for builds: their log has steps to show."""
    if progress is Progress.JSON:
        return JsonReporter()
    if progress is Progress.AUTO and live and has_colour(on_stderr=True):
        from darsena.cli.live import LiveReporter  # rich is slow to import, and wanted only here

        return LiveReporter()
    return PlainReporter(log_is_result=log_is_result)
