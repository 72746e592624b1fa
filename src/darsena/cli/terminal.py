"""The two streams: results go to standard output, talk to standard error; colours only where a person sees them."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable
from typing import IO, AnyStr

import typer

from darsena.cli.exit_codes import FAILED, UsageProblem

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|.)?", re.DOTALL
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")


class PipeClosed(Exception):
    """Whoever read the output has stopped. No OSError: the library below would end the process for one."""


def say(text: str) -> None:
    """A line of talk. Raise PipeClosed when nobody reads it any more."""
    _write(sys.stderr, text + "\n")


def say_aside(text: str) -> None:
    """Talk that may be overlooked."""
    say(styled(text, "dim"))


def write_result(text: str) -> None:
    """Put `text` on standard output at once. Raise PipeClosed when nobody reads it any more."""
    _write(sys.stdout, text)


def write_raw(content: bytes) -> None:
    """As write_result, byte for byte."""
    _write(sys.stdout.buffer, content)


def _write(stream: IO[AnyStr], content: AnyStr) -> None:
    try:
        stream.write(content)
        stream.flush()
    except BrokenPipeError as error:
        raise PipeClosed from error


def is_interactive() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def has_colour(*, on_stderr: bool) -> bool:
    stream = sys.stderr if on_stderr else sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, *styles: str, on_stderr: bool = True) -> str:
    """`text` in the styles where colours are shown, and as it is elsewhere."""
    if not has_colour(on_stderr=on_stderr):
        return text
    return f"\x1b[{';'.join(_STYLES[style] for style in styles)}m{text}\x1b[0m"


def harmless(text: str, *, colours: bool = False) -> str:
    """`text` from a run or a server without anything that moves a cursor, sets a title or hides what follows."""
    if colours:
        kept = _COLOUR.findall(text)
        if kept:
            parts = _COLOUR.split(text)
            plain = [harmless(part) for part in parts]
            return "".join(part + colour for part, colour in zip(plain, [*kept, "\x1b[0m"], strict=True))
    return _CONTROL.sub("", _SEQUENCE.sub("", text))


def lines_of(text: str) -> Iterable[str]:
    """A line of a run's log as lines for a screen: a lone carriage return begins a new one, so that nothing is lost."""
    return [part for part in text.split("\r") if part] or [""]


def confirm(question: str, *, yes: bool) -> None:
    """Return when the person agrees, or has by --yes. Raise Exit when not, UsageProblem when nobody can be asked."""
    if yes:
        return
    if not is_interactive():
        raise UsageProblem(
            f"{question} This needs a confirmation, and there is no terminal to ask at", hint="add --yes"
        )
    if not ask(question):
        say("nothing was changed")
        raise typer.Exit(FAILED)


def ask(question: str) -> bool:
    """The answer, no by default. A Ctrl-C at the question goes through as KeyboardInterrupt."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer:
        say("")
    return answer.strip().lower() in ("y", "yes", "s", "sí", "si")


def ask_text(what: str, *, secret: bool = False) -> str:
    """A line typed by the person. Raise UsageProblem when nobody can be asked, or nothing was typed."""
    if not is_interactive():
        raise UsageProblem(f"{what} is missing, and there is no terminal to ask at")
    answer = str(typer.prompt(what, hide_input=secret, err=True, default="", show_default=False)).strip()
    if not answer:
        raise UsageProblem(f"{what} is missing")
    return answer


def human_bytes(size: float) -> str:
    """`12.3 MB`: decimal units, as disks and networks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def human_seconds(seconds: float) -> str:
    """`5s`, `1m2s`, `1h0m0s`, and tenths below ten seconds."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


class Stopwatch:
    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started
