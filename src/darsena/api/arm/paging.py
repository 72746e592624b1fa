"""Pages of a list: `$top`, an opaque `$skipToken`, and the absolute link to the next page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote, urlencode

from darsena.api.http import Request
from darsena.core.errors import RequestInvalid
from darsena.resources.model import Page

T = TypeVar("T")

PAGE = 100
MOST = 1000


@dataclass(frozen=True, slots=True)
class Window:
    """What part of a list is asked for."""

    after: str
    top: int


def parse_window(request: Request) -> Window:
    """Raises RequestInvalid. Names of query options compare without case."""
    query = {name.lower(): value for name, value in request.query_list}
    return Window(after=_read_token(query.get("$skiptoken", "")), top=_read_top(query.get("$top", "")))


def make_next_link(request: Request, base_url: str, next_key: str | None) -> str | None:
    """The same request, further on."""
    if next_key is None:
        return None
    token = base64.urlsafe_b64encode(next_key.encode()).decode().rstrip("=")
    kept = [(name, value) for name, value in request.query_list if name.lower() != "$skiptoken"]
    query = urlencode([*kept, ("$skipToken", token)], quote_via=quote, safe="$")
    return f"{base_url}{request.raw_path}?{query}"


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list that is read in pages and of which a caller sees what `keep` lets through."""

    fetch: Callable[[str, int], Awaitable[Page[T]]]
    """(after, limit) → page."""
    key: Callable[[T], str]
    keep: Callable[[T], Awaitable[bool]]

    async def read(self, window: Window) -> Page[T]:
        """Exactly `window.top` items while there are so many, however few of a stored page are kept."""
        kept: list[T] = []
        after: str | None = window.after
        while after is not None:
            page = await self.fetch(after, PAGE)
            for item in page.items:
                if not await self.keep(item):
                    continue
                if len(kept) == window.top:
                    return Page(items=kept, next_key=self.key(kept[-1]))
                kept.append(item)
            after = page.next_key
        return Page(items=kept, next_key=None)


def _read_token(text: str) -> str:
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        key = "\0"
    if "\0" in key:
        raise RequestInvalid("The $skipToken is not one that was given out here.", "$skipToken")
    return key


def _read_top(text: str) -> int:
    if not text:
        return PAGE
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise RequestInvalid(f"The value '{text[:40]}' of $top is not a positive number.", "$top")
    return min(int(text), MOST)
