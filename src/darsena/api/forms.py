"""Form fields and Basic headers as OAuth 2.0 reads them (RFC 6749, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

from darsena.api.http import Request
from darsena.core.errors import RequestInvalid


def get_single(pairs: Sequence[tuple[str, str]], name: str) -> str | None:
    """The field's value, None when it is absent. Raises RequestInvalid when it comes with several values."""
    values = {value for key, value in pairs if key == name}
    if len(values) > 1:
        raise RequestInvalid(f"the field {name!r} is given more than once", name)
    return next(iter(values), None)


def client_address(request: Request) -> str:
    """Of the peer as the server sees it; empty when it cannot tell."""
    client = request.scope.get("client")
    return str(client[0]) if client else ""
