"""Conditions of a read (RFC 9110, section 13.1): what the client holds already is not sent again."""

from __future__ import annotations

import re

from darsena.api.http import Request
from darsena.core.digest import Digest

_TAG = re.compile(r'\s*(?:W/)?"([^"]*)"\s*(?:,|\Z)')


def is_known(request: Request, digest: Digest) -> bool:
    """Whether `If-None-Match` names the digest: one tag, a list of them, or `*`; weak ones count (section 13.1.2)."""
    header = request.header("if-none-match").strip()
    if header == "*":
        return True
    at, text = 0, str(digest)
    while (match := _TAG.match(header, at)) is not None:
        if match[1] == text:
            return True
        at = match.end()
    return False
