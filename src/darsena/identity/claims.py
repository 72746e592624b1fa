"""What the tokens say. Unknown claims are ignored, a claim of the wrong type or value makes the token void."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from darsena.identity.model import ScopeRequest

RowId = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
"""What a database takes for a row's number. Those of run credentials are negative."""


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose token it is. `credential` is the uid of the secret at its root: without that secret the token is void."""

    kind: str
    id: RowId
    version: int
    credential: str


class RegistryBearer(Bearer, frozen=True, kw_only=True, omit_defaults=True):
    registry: str
    """The registry's uid: a registry made anew under the same name accepts nothing of the old one."""
    narrowed: bool = False
    """Of an access token that was made from another: with what it was made from no more is to be had."""


class AccessEntry(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    name: str
    actions: list[str]


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What every token says. Times are in seconds."""

    iat: int
    nbf: int
    exp: int
    iss: str
    aud: str
    sub: str


class RefreshClaims(Claims, frozen=True, kw_only=True):
    jti: str
    version: Literal["1.0"] = "1.0"
    grant_type: Literal["refresh_token"]
    tenant: str
    permissions: dict[str, list[str] | None]
    roles: list[str] = []
    aad_identity: str | msgspec.UnsetType = msgspec.UNSET
    """On registries in ABAC mode: by it acr-cli knows the mode."""
    darsena: RegistryBearer


class AccessClaims(Claims, frozen=True, kw_only=True):
    jti: str
    version: Literal["1.0"] = "1.0"
    grant_type: Literal["access_token"]
    access: list[AccessEntry]
    roles: list[str] = []
    darsena: RegistryBearer

    def list_scopes(self) -> tuple[ScopeRequest, ...]:
        return tuple(ScopeRequest(entry.type, entry.name, frozenset(entry.actions)) for entry in self.access)


class DirectoryClaims(Claims, frozen=True, kw_only=True):
    """`appid` is the service principal itself, or the program that a person signed in with."""

    ver: Literal["1.0"] = "1.0"
    tid: str
    oid: str
    appid: str
    appidacr: Literal["0", "1", "2"] = "1"
    idtyp: Literal["app", "user"] = "app"
    scp: str | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    upn: str | msgspec.UnsetType = msgspec.UNSET
    unique_name: str | msgspec.UnsetType = msgspec.UNSET
    uti: str
    darsena: Bearer


class IdClaims(Claims, frozen=True, kw_only=True):
    """Of an id_token: who signed in, told to the program. It opens nothing here: `aud` is no resource, and it names no
    bearer."""

    ver: Literal["1.0", "2.0"]
    tid: str
    oid: str
    name: str
    preferred_username: str
    upn: str
    unique_name: str
    nonce: str | msgspec.UnsetType = msgspec.UNSET
    uti: str
