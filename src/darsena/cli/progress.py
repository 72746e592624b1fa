"""How long work is shown: as plain lines, or as JSON for programs. `live.py` shows it alive on a terminal."""

from __future__ import annotations

import json
from typing import Any, Protocol

from darsena.cli.terminal import harmless, has_colour, human_bytes, human_seconds, lines_of, say, styled, write_result


class Reporter(Protocol):
    """Told, in this order, of the packing, the sending, the waiting, the log and the end of one run."""

    def packed(self, entries: int, content_bytes: int, size_bytes: int) -> None: ...
    def sending(self, position: int, size_bytes: int) -> None:
        """Called often; `position` goes back when an attempt is repeated."""
        ...

    def sent(self, size_bytes: int, seconds: float) -> None: ...
    def scheduled(self, run_id: str) -> None: ...
    def waiting(self, why: str, waited_s: float) -> None:
        """Called about once a second while the run has written nothing; `why` often stays the same."""
        ...

    def line(self, text: str) -> None: ...
    def note(self, text: str) -> None: ...
    def ended(self, status: str) -> None:
        """The run has ended; the status is empty when following ended before it."""
        ...

    def made(self, facts: list[tuple[str, str]]) -> None:
        """What a build has made, as (title, text); a title may come several times."""
        ...

    def close(self) -> None:
        """Leave the screen as it was found, however the work ended. May be called again."""
        ...


class PlainReporter:
    """One line per event on standard error; the log goes to standard output when it is the result."""

    def __init__(self, *, log_is_result: bool = False) -> None:
        self._log_is_result = log_is_result
        self._last_wait = ""

    def packed(self, entries: int, content_bytes: int, size_bytes: int) -> None:
        say(packed_words(entries, content_bytes, size_bytes))

    def sending(self, position: int, size_bytes: int) -> None:
        pass

    def sent(self, size_bytes: int, seconds: float) -> None:
        say(f"sent {human_bytes(size_bytes)} in {human_seconds(seconds)}")

    def scheduled(self, run_id: str) -> None:
        say(f"queued as run {run_id}")

    def waiting(self, why: str, waited_s: float) -> None:
        if why != self._last_wait:
            self._last_wait = why
            say(why)

    def line(self, text: str) -> None:
        colours = has_colour(on_stderr=not self._log_is_result)
        shown = "\n".join(harmless(part, colours=colours) for part in lines_of(text))
        if self._log_is_result:
            write_result(shown + "\n")
        else:
            say(shown)

    def note(self, text: str) -> None:
        say(styled(text, "yellow"))

    def ended(self, status: str) -> None:
        pass

    def made(self, facts: list[tuple[str, str]]) -> None:
        say_facts(facts)

    def close(self) -> None:
        pass


def packed_words(entries: int, content_bytes: int, size_bytes: int) -> str:
    what = "1 entry" if entries == 1 else f"{entries} entries"
    return f"packed {what}, {human_bytes(content_bytes)}, into {human_bytes(size_bytes)}"


def say_facts(facts: list[tuple[str, str]]) -> None:
    for title, text in facts:
        say(f"{styled(f'{title:<8}', 'bold')}{text}")


class JsonReporter:
    """One JSON object per line on standard error, each with the name of its event."""

    def __init__(self) -> None:
        self._reported = -1

    def _write(self, event: str, **fields: Any) -> None:
        say(json.dumps({"event": event, **fields}))

    def packed(self, entries: int, content_bytes: int, size_bytes: int) -> None:
        self._write("packed", entries=entries, content_bytes=content_bytes, size_bytes=size_bytes)

    def sending(self, position: int, size_bytes: int) -> None:
        percent = position * 100 // max(size_bytes, 1)
        if percent != self._reported:
            self._reported = percent
            self._write("sending", position=position, size_bytes=size_bytes)

    def sent(self, size_bytes: int, seconds: float) -> None:
        self._write("sent", size_bytes=size_bytes, seconds=round(seconds, 3))

    def scheduled(self, run_id: str) -> None:
        self._write("scheduled", run_id=run_id)

    def waiting(self, why: str, waited_s: float) -> None:
        self._write("waiting", why=why, waited_s=waited_s)

    def line(self, text: str) -> None:
        self._write("log", line=text)

    def note(self, text: str) -> None:
        self._write("note", text=text)

    def ended(self, status: str) -> None:
        self._write("ended", status=status)

    def made(self, facts: list[tuple[str, str]]) -> None:
        self._write("made", facts=facts)

    def close(self) -> None:
        pass
