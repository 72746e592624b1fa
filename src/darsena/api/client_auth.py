"""Which program sends a token request, how it proves itself, and for which resource (RFC 6749, 2.3 and 3.3)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from darsena.api.forms import client_address, get_single
from darsena.api.http import Request
from darsena.api.oauth_errors import Refusal
from darsena.identity.assertions import JWT_BEARER, Assertions
from darsena.identity.clients import find_public_client
from darsena.identity.credentials import Credentials
from darsena.identity.model import Identity
from darsena.identity.refusals import SignInRefused
from darsena.identity.tokens import Proof

Fields = Sequence[tuple[str, str]]

RESERVED_SCOPES: Final = frozenset({"openid", "profile", "offline_access", "email"})
_SUFFIXES: Final = ("/.default", "/user_impersonation")
_WORD: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")
_LONGEST_SCOPE: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A program that signs people in; `identity` is its own, None for one that keeps no secret."""

    client_id: str
    identity: Identity | None
    proof: Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """`resource` is empty when only who signs in was asked for."""

    resource: str
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def granted(self) -> str:
        """What the answer repeats: clients keep a token under it."""
        return " ".join(word for word in self.words if word not in RESERVED_SCOPES) or self.text


class ClientAuthentication:
    def __init__(self, credentials: Credentials, assertions: Assertions) -> None:
        self._credentials = credentials
        self._assertions = assertions

    async def authenticate(self, request: Request, fields: Fields, audiences: Collection[str]) -> Client:
        """Raises Refusal, SignInRefused, Unauthenticated or Throttled."""
        client_id, secret = _read_secret(request, fields)
        assertion = get_single(fields, "client_assertion")
        if client_id is not None and (public := find_public_client(client_id)) is not None:
            if secret is not None or assertion is not None:
                raise Refusal("invalid_client", f"{public.name} keeps no secret: send none", code=700025, status=401)
            return Client(client_id=public.client_id, identity=None, proof="0")
        if assertion is not None:
            if secret is not None:
                raise Refusal("invalid_request", "send a client secret or an assertion, not both", code=9002013)
            if get_single(fields, "client_assertion_type") != JWT_BEARER:
                raise Refusal("invalid_request", f"client_assertion_type must be {JWT_BEARER}", code=900144)
            identity = await self._assertions.check(assertion, client_id, audiences)
            return _confidential(identity, "2")
        if client_id is None:
            raise missing("client_id")
        if not secret:
            raise SignInRefused(
                "client_secret_missing",
                "the request body must contain the following parameter: 'client_assertion' or 'client_secret'",
            )
        return _confidential(await self._credentials.check_client(client_id, secret, client_address(request)), "1")


def missing(name: str) -> Refusal:
    return Refusal("invalid_request", f"the request body must contain the following parameter: '{name}'", code=900144)


def read_scope(fields: Fields) -> Scope:
    """Of `scope=<resource>/.default …`, or `resource=<resource>` as older clients have it. Raises Refusal."""
    text = get_single(fields, "scope") or ""
    if len(text) > _LONGEST_SCOPE:
        raise _bad_scope(f"it is longer than {_LONGEST_SCOPE} characters")
    words = tuple(text.split())
    if not all(_WORD.match(word) for word in words):
        raise _bad_scope("it holds characters that no scope has")
    resource = get_single(fields, "resource")
    if resource:
        return Scope(
            resource=resource, words=(*(word for word in words if word in RESERVED_SCOPES), f"{resource}/.default")
        )
    resources = {_find_resource(word) for word in words if word not in RESERVED_SCOPES}
    if len(resources) > 1:
        raise _bad_scope(f"it names {len(resources)} resources, and a token is for one")
    return Scope(resource=next(iter(resources), ""), words=words)


def _find_resource(word: str) -> str:
    for suffix in _SUFFIXES:
        if word.endswith(suffix):
            return word.removesuffix(suffix)
    raise _bad_scope(f"{word[:200]!r} does not end in /.default, as in https://host//.default")


def _bad_scope(why: str) -> Refusal:
    return Refusal("invalid_scope", f"the scope is not valid: {why}", code=70011)


def _confidential(identity: Identity, proof: Proof) -> Client:
    return Client(client_id=identity.principal.client_id or "", identity=identity, proof=proof)


def _read_secret(request: Request, fields: Fields) -> tuple[str | None, str | None]:
    """(client id, secret) from the form, or from a Basic header whose halves are form-encoded (RFC 6749, 2.3.1)."""
    client_id, secret = get_single(fields, "client_id"), get_single(fields, "client_secret")
    scheme, _, value = request.header("authorization").partition(" ")
    if scheme.lower() == "basic":
        in_header = _decode_basic(value.strip())
        if secret is not None or (client_id is not None and client_id != in_header[0]):
            raise Refusal("invalid_request", "the client is named in the header and in the form: use one", code=9002013)
        return in_header
    return client_id or None, secret


def _decode_basic(value: str) -> tuple[str, str]:
    try:
        name, colon, secret = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        raise Refusal("invalid_request", "the Basic credentials are not base64 of UTF-8", code=9002013) from None
    if not colon:
        raise Refusal("invalid_request", "the Basic credentials hold no colon", code=9002013)
    return unquote_plus(name), unquote_plus(secret)
