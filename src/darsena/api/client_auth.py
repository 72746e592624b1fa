"""What a token request of the directory says: which client, for which resource (RFC 6749, sections 2.3 and 4.4)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from urllib.parse import unquote_plus

from darsena.api.forms import get_single
from darsena.api.http import Request


class Refusal(Exception):
    """Answered as OAuth has it."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


def read_client(request: Request, fields: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """(client id, secret) from the form, or from a Basic header whose halves are form-encoded (RFC 6749, 2.3.1)."""
    client_id, secret = get_single(fields, "client_id"), get_single(fields, "client_secret")
    scheme, _, value = request.header("authorization").partition(" ")
    if scheme.lower() == "basic":
        in_header = _decode_basic(value.strip())
        if secret is not None or (client_id is not None and client_id != in_header[0]):
            raise Refusal("invalid_request", "the client is named in the header and in the form: use one")
        return in_header
    if secret is None and get_single(fields, "client_assertion") is not None:
        raise Refusal("invalid_client", "certificates are not supported here: sign in with a client secret", 401)
    if not client_id or not secret:
        raise Refusal("invalid_request", "the fields client_id and client_secret are needed")
    return client_id, secret


def _decode_basic(value: str) -> tuple[str, str]:
    try:
        name, colon, secret = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        raise Refusal("invalid_request", "the Basic credentials are not base64 of UTF-8") from None
    if not colon:
        raise Refusal("invalid_request", "the Basic credentials hold no colon")
    return unquote_plus(name), unquote_plus(secret)


def read_resource(fields: Sequence[tuple[str, str]]) -> str:
    """Of `scope=<resource>/.default`, or `resource=<resource>` as older clients have it."""
    resource = get_single(fields, "resource")
    if resource:
        return resource
    scopes = [part for part in (get_single(fields, "scope") or "").split() if part.endswith("/.default")]
    if len(scopes) != 1:
        raise Refusal("invalid_scope", "the field scope must hold one resource, as in https://host//.default")
    return scopes[0].removesuffix("/.default")
