"""One line per fact: JSON in production, readable on a terminal. Secrets never reach it."""

from __future__ import annotations

import functools
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog

from darsena.settings import LogSettings

_SECRET_KEYS = ("password", "secret", "token", "authorization", "credential", "sas", "signature")
_SECRET_TEXT = re.compile(
    r"(?i)(bearer\s+|basic\s+|sig=|access_token=|refresh_token=|password=|client_secret=)[^\s&\"']+|"
    r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"
)

_MAY_HOLD_SECRET = re.compile(r"[\s=]|eyJ")
"""What every text that `_SECRET_TEXT` finds has, and few others: the long search is for these."""


_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What would move a terminal's cursor, colour it or turn what follows around. Lines and tabs are left."""


def mask(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values under telling keys, and tokens or signatures inside any text; escape what a terminal obeys."""
    for key, value in event.items():
        if _is_secret(key):
            event[key] = "***"
        elif isinstance(value, str):
            if _MAY_HOLD_SECRET.search(value):
                value = event[key] = _SECRET_TEXT.sub(lambda match: (match[1] or "") + "***", value)
            if not value.isprintable():
                event[key] = _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", value)
    return event


@functools.lru_cache(1024)
def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET_KEYS)


def _to_json(event: Any, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode("utf-8", "replace")


def configure(settings: LogSettings) -> None:
    """For this process, to stderr. The standard library's records take the same way."""
    text = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if text else structlog.processors.JSONRenderer(_to_json)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            mask,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format='{"event":"library","message":"%(message)s"}')
