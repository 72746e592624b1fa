"""Secret values never leave the agent in a log: each is replaced by `***`, also in the forms that tools print it in."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

_PLAIN_MIN = 4
"""Shorter values would mask half the log: they are masked as whole words only."""


class Masker:
    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        self._forms = sorted((form.encode() for form in forms), key=len, reverse=True)
        words = [re.escape(form) for form in self._forms if len(form) >= _PLAIN_MIN]
        words += [rb"(?<!\w)" + re.escape(form) + rb"(?!\w)" for form in self._forms if len(form) < _PLAIN_MIN]
        self._pattern = re.compile(b"|".join(words)) if words else None

    def mask(self, data: bytes) -> bytes:
        return self._pattern.sub(b"***", data) if self._pattern else data

    def mask_text(self, text: str) -> str:
        return self.mask(text.encode()).decode(errors="replace")

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """What can be written now, masked; and the rest, which may be the beginning of a secret."""
        cut = len(data) - self._held(data)
        for match in self._pattern.finditer(data) if self._pattern else ():
            if match.start() < cut < match.end():
                cut = match.end()
        return self.mask(data[:cut]), data[cut:]

    def _held(self, data: bytes) -> int:
        longest = 0
        for form in self._forms:
            for size in range(min(len(form) - 1, len(data)), longest, -1):
                if data.endswith(form[:size]):
                    longest = size
                    break
        return longest


def _forms(secret: str) -> set[str]:
    """The value, each of its lines, and how it looks as base64, in a URL and quoted for a shell."""
    found: set[str] = set()
    for value in {secret, secret.strip(), *secret.splitlines()}:
        if not value.strip():
            continue
        found |= {value, quote(value, safe=""), quote_plus(value), shlex.quote(value)}
        encoded = base64.b64encode(value.encode()).decode()
        found |= {encoded, encoded.rstrip("="), base64.urlsafe_b64encode(value.encode()).decode()}
    return {form for form in found if "\n" not in form and (len(form) >= _PLAIN_MIN or form == secret)}
