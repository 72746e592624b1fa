"""Reference pages that are made from the code, so that they cannot say anything else than it."""

from __future__ import annotations

from collections.abc import Callable

from docpages import commands, errors, events, log, settings, storage

NOTICE = "<!-- Made by scripts/generate_docs.py from the code: change the code, then run it again. -->\n"

PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/commands.md": commands.render,
    "docs/reference/exit-codes.md": commands.render_exit_codes,
    "docs/reference/settings.md": settings.render,
    "docs/reference/errors.md": errors.render,
    "docs/reference/events.md": events.render,
    "docs/reference/layout.md": storage.render,
    "docs/reference/log.md": log.render,
}
"""Path from the project's root to what its text must be."""


def render_all() -> dict[str, str]:
    return {path: NOTICE + render() for path, render in PAGES.items()}
