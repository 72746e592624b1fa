"""Tokens: made here, and opened here for exactly one purpose each.

Whoever opens a token says which kind is meant; that fixes key set, algorithm, type, issuer and audience, of which
nothing is ever taken from the token. No leeway: all clocks are one.

| kind | keys | audience | lives |
|---|---|---|---|
| refresh | registry | login server | 3 h |
| access | registry | login server | 75 min |
| directory | directory | a resource | 75 min |
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from typing import Any, Final, Literal, TypeVar

import msgspec

from darsena.core.errors import Unauthenticated
from darsena.core.ids import new_guid
from darsena.db import Database
from darsena.identity.claims import (
    AccessClaims,
    AccessEntry,
    Bearer,
    Claims,
    DirectoryClaims,
    IdClaims,
    RefreshClaims,
    RegistryBearer,
)
from darsena.identity.model import Grants, Identity, RegistryFacts
from darsena.identity.scopes import DELETE, DELETED_READ, DELETED_RESTORE, PULL, PUSH, REPOSITORY, sort_actions
from darsena.identity.signing import SigningKeys, Use

Proof = Literal["0", "1", "2"]
"""How a client proved itself: not at all, by a secret, by a certificate."""

REFRESH_S: Final = 3 * 3600
ACCESS_S: Final = 75 * 60
DIRECTORY_S: Final = 75 * 60
ISSUER: Final = "Azure Container Registry"
MAX_TOKEN_BYTES: Final = 32 * 1024
REFUSED: Final = "the token is not valid here or has expired; sign in again"

_ALGORITHM: Final = "RS256"
_FORM: Final = re.compile(r"[A-Za-z0-9_-]{1,1024}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{1,1024}\Z")
_PERMISSIONS: Final = {
    "read": PULL,
    "write": PUSH,
    "delete": DELETE,
    "deleted/read": DELETED_READ,
    "deleted/restore/action": DELETED_RESTORE,
}


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: Literal["RS256"]
    typ: Literal["JWT"]
    kid: str


C = TypeVar("C", bound=Claims)


class Tokens:
    """`control_url` has no slash at its end; it is part of the directory's issuer."""

    def __init__(self, db: Database, keys: SigningKeys, *, tenant_id: str, control_url: str) -> None:
        self._clock = db.clock
        self._keys = keys
        self._tenant_id = tenant_id
        self.adfs_issuer: Final = f"{control_url}/adfs"
        self.aad_issuer: Final = f"{control_url}/{tenant_id}/v2.0"

    # --- making -----------------------------------------------------------------------------------------------------

    async def issue_refresh(self, facts: RegistryFacts, identity: Identity, grants: Grants) -> str:
        """`grants` is all that the identity may do in the registry; it is only told, not carried."""
        now_s, exp = self._lifetime(identity, REFRESH_S)
        claims = RefreshClaims(
            jti=new_guid(),
            sub=identity.principal.object_id,
            iat=now_s,
            nbf=now_s,
            exp=exp,
            iss=ISSUER,
            aud=facts.login_server,
            grant_type="refresh_token",
            tenant=self._tenant_id,
            permissions={"Actions": _list_permissions(grants), "NotActions": None},
            aad_identity=identity.principal.object_id if facts.abac else msgspec.UNSET,
            darsena=_registry_bearer(facts, identity),
        )
        return await self._sign("registry", claims)

    async def issue_access(self, facts: RegistryFacts, identity: Identity, grants: Grants) -> tuple[str, int]:
        """The token and its seconds to live."""
        now_s, exp = self._lifetime(identity, ACCESS_S)
        entries = [
            AccessEntry(type=entry.type, name=entry.name, actions=sort_actions(entry.actions))
            for entry in grants.entries
        ]
        claims = AccessClaims(
            jti=new_guid(),
            sub=identity.principal.object_id,
            iat=now_s,
            nbf=now_s,
            exp=exp,
            iss=ISSUER,
            aud=facts.login_server,
            grant_type="access_token",
            access=entries,
            darsena=_registry_bearer(facts, identity),
        )
        return await self._sign("registry", claims), exp - now_s

    async def issue_directory(
        self, identity: Identity, audience: str, issuer: str, client_id: str | None = None, *, proof: Proof = "1"
    ) -> tuple[str, int]:
        """For one resource; the token and its seconds to live. A person's names the program they use."""
        now_s, exp = self._lifetime(identity, DIRECTORY_S)
        principal = identity.principal
        claims = DirectoryClaims(
            sub=principal.object_id,
            iat=now_s,
            nbf=now_s,
            exp=exp,
            iss=issuer,
            aud=audience,
            tid=self._tenant_id,
            oid=principal.object_id,
            appid=client_id or principal.client_id or "",
            appidacr=proof,
            **_user_claims(identity),
            uti=new_guid(),
            darsena=Bearer(
                kind=principal.kind, id=principal.id, version=principal.version, credential=identity.credential
            ),
        )
        return await self._sign("directory", claims), exp - now_s

    async def issue_id(self, identity: Identity, client_id: str, issuer: str, nonce: str | None = None) -> str:
        """Who signed in, for the program with this client id. No credential: it opens nothing."""
        now_s, exp = self._lifetime(identity, DIRECTORY_S)
        principal = identity.principal
        user_name = principal.user_name or principal.name
        claims = IdClaims(
            sub=principal.object_id,
            iat=now_s,
            nbf=now_s,
            exp=exp,
            iss=issuer,
            aud=client_id,
            ver="2.0" if issuer == self.aad_issuer else "1.0",
            tid=self._tenant_id,
            oid=principal.object_id,
            name=principal.name,
            preferred_username=user_name,
            upn=user_name,
            unique_name=user_name,
            nonce=msgspec.UNSET if nonce is None else nonce,
            uti=new_guid(),
        )
        return await self._sign("directory", claims)

    # --- opening ----------------------------------------------------------------------------------------------------

    def open_refresh(self, facts: RegistryFacts, token: str) -> RefreshClaims:
        """Raises Unauthenticated, as do the others."""
        claims = self._open("registry", token, RefreshClaims, {ISSUER}, {facts.login_server})
        if claims.darsena.registry != facts.uid or claims.tenant != self._tenant_id:
            raise Unauthenticated(REFUSED)
        return claims

    def open_access(self, facts: RegistryFacts, token: str) -> AccessClaims:
        claims = self._open("registry", token, AccessClaims, {ISSUER}, {facts.login_server})
        if claims.darsena.registry != facts.uid:
            raise Unauthenticated(REFUSED)
        return claims

    def open_directory(self, token: str, audiences: Collection[str]) -> DirectoryClaims:
        issuers = {self.adfs_issuer, self.aad_issuer}
        claims = self._open("directory", token, DirectoryClaims, issuers, audiences)
        if claims.tid != self._tenant_id or claims.oid != claims.sub:
            raise Unauthenticated(REFUSED)
        return claims

    # --- inside -----------------------------------------------------------------------------------------------------

    def _lifetime(self, identity: Identity, lifetime_s: int) -> tuple[int, int]:
        """(now, end) in seconds: no token outlives the secret, or the access token, that it was made from."""
        now_s = self._clock.now_us() // 1_000_000
        ends = [now_s + lifetime_s]
        limits = [until for uid, until in identity.holder.credentials if uid == identity.credential]
        if identity.ceiling is not None:
            limits.append(identity.not_after_us)
        ends.extend(us // 1_000_000 for us in limits if us is not None)
        return now_s, min(ends)

    async def _sign(self, use: Use, claims: msgspec.Struct) -> str:
        from joserfc import jws  # see SigningKeys.load

        kid, key = await self._keys.get_signer(use)
        header: dict[str, Any] = {"alg": _ALGORITHM, "typ": "JWT", "kid": kid}
        payload = msgspec.json.encode(claims)
        return await asyncio.to_thread(jws.serialize_compact, header, payload, key, [_ALGORITHM])

    def _open(self, use: Use, token: str, type_: type[C], issuers: Collection[str], audiences: Collection[str]) -> C:
        try:
            claims = msgspec.json.decode(self._verify(use, token), type=type_)
        except msgspec.MsgspecError:
            raise Unauthenticated(REFUSED) from None
        now_s = self._clock.now_us() // 1_000_000
        if claims.iss not in issuers or claims.aud not in audiences or not claims.nbf <= now_s < claims.exp:
            raise Unauthenticated(REFUSED)
        return claims

    def _verify(self, use: Use, token: str) -> bytes:
        """The payload, once the signature of one of the use's own keys is found good."""
        if len(token) > MAX_TOKEN_BYTES or not _FORM.match(token):
            raise Unauthenticated(REFUSED)
        from joserfc import jws
        from joserfc.errors import JoseError

        try:
            header = msgspec.convert(jws.extract_compact(token.encode()).headers(), _Header)
            key = self._keys.find_public(use, header.kid)
            if key is None:
                raise Unauthenticated(REFUSED)
            return jws.deserialize_compact(token, key, [_ALGORITHM]).payload
        except (JoseError, msgspec.ValidationError, ValueError, RecursionError):
            raise Unauthenticated(REFUSED) from None


def _registry_bearer(facts: RegistryFacts, identity: Identity) -> RegistryBearer:
    principal = identity.principal
    return RegistryBearer(
        kind=principal.kind,
        id=principal.id,
        version=principal.version,
        credential=identity.credential,
        registry=facts.uid,
        narrowed=identity.ceiling is not None,
    )


def _user_claims(identity: Identity) -> dict[str, Any]:
    principal = identity.principal
    if principal.kind != "user":
        return {}
    user_name = principal.user_name or principal.name
    claims = {"scp": "user_impersonation", "name": principal.name, "upn": user_name, "unique_name": user_name}
    return {"idtyp": "user", **claims}


def _list_permissions(grants: Grants) -> list[str]:
    return [name for name, action in _PERMISSIONS.items() if grants.allows(REPOSITORY, "*", action)]
