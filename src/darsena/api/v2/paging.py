"""`n` and `last` in, a relative Link out, in the form that `az` takes apart (ACR data plane, section 7)."""

from __future__ import annotations

from urllib.parse import quote

from darsena.api.http import Request, Response
from darsena.core.errors import RequestInvalid

DEFAULT_PAGE = 100
MAX_PAGE = 1000


def read_page(request: Request, *, default: int = DEFAULT_PAGE) -> tuple[int, str]:
    """(page size, exclusive lower bound). Raises RequestInvalid for an `n` that is no number."""
    query = request.query
    text, last = query.get("n", ""), query.get("last", "")
    if "\0" in last:  # PostgreSQL has no text with it
        raise RequestInvalid("`last` holds a NUL byte, which no name does")
    if not text:
        return default, last
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise RequestInvalid(f"n={text[:40]!r} is not a number of entries")
    return min(int(text), MAX_PAGE), last


def link_next(response: Response, request: Request, last: str | None, limit: int, **more: str) -> Response:
    """Add the Link to the next page, where there is one. The path stays as it was sent."""
    if last is None:
        return response
    query = "&".join(
        [
            f"last={quote(last, safe='')}",
            f"n={limit}",
            *(f"{key}={quote(value, safe='')}" for key, value in more.items()),
        ]
    )
    return response.header("link", f'<{request.raw_path}?{query}>; rel="next"')
