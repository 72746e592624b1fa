"""Who sends a request to a login server, and what they may do there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from darsena.core.errors import Unauthenticated
from darsena.db import Database
from darsena.identity.access import decide, restrict
from darsena.identity.audiences import Audiences
from darsena.identity.basic import BearerToken, parse_authorization
from darsena.identity.claims import AccessClaims, RefreshClaims
from darsena.identity.credentials import Credentials
from darsena.identity.holders import Holders, is_admissible
from darsena.identity.model import NULL_GUID, Caller, Grants, Holder, Identity, RegistryFacts, ScopeRequest
from darsena.identity.tokens import REFUSED, Tokens

__all__ = ["Authenticator", "Caller"]

_MAX_CACHED_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class _Accepted:
    caller: Caller
    holder: Holder
    facts_version: int
    until_us: int | None


class Authenticator:
    """A header that was accepted once is known by its bytes, until it expires or its holder or registry changes."""

    def __init__(
        self,
        db: Database,
        tokens: Tokens,
        credentials: Credentials,
        holders: Holders,
        audiences: Audiences,
        *,
        capacity: int = 4096,
    ) -> None:
        self._clock = db.clock
        self._tokens = tokens
        self._credentials = credentials
        self._holders = holders
        self._audiences = audiences
        self._capacity = capacity
        self._accepted: dict[tuple[str, bytes], _Accepted] = {}

    # --- data routes ------------------------------------------------------------------------------------------------

    def cached(self, facts: RegistryFacts, authorization: bytes) -> Caller | None:
        """The caller of a header that was accepted before and still holds. Synchronous; None: call `authenticate`.

        A holder is looked up at most once a second: disabled, revoked, or without its role, it is gone within that.
        """
        key = (facts.uid, authorization)
        known = self._accepted.get(key)
        if known is None:
            return None
        expired = known.until_us is not None and self._clock.now_us() >= known.until_us
        if (
            expired
            or known.facts_version != facts.version
            or self._holders.find(known.holder.principal.id) is not known.holder
        ):
            self._accepted.pop(key, None)
            return None
        return known.caller

    async def authenticate(self, facts: RegistryFacts, authorization: bytes | None, address: str = "") -> Caller:
        """Basic, or a Bearer access token. None gives the anonymous principal without grants.

        Raises Unauthenticated, or Throttled after too many wrong passwords from one address.
        """
        if authorization is None:
            return Caller(self._holders.anonymous.principal)
        known = self.cached(facts, authorization)
        if known is not None:
            return known
        parsed = parse_authorization(authorization)
        if isinstance(parsed, BearerToken):
            identity = self.open_access(facts, parsed.token)
        else:
            identity = await self.check_login(facts, parsed.username, parsed.password, address)
        return self._accept(facts, authorization, identity)

    # --- the token service ------------------------------------------------------------------------------------------

    def anonymous(self) -> Identity:
        return Identity(holder=self._holders.anonymous, credential="")

    async def check_login(self, facts: RegistryFacts, username: str, password: str, address: str) -> Identity:
        """A user name with its password, or the null GUID with a refresh or access token."""
        if username == NULL_GUID:
            try:
                return self.open_refresh(facts, password)
            except Unauthenticated:
                return self.open_access(facts, password)
        return await self._credentials.check_login(facts, username, password, address)

    def open_refresh(self, facts: RegistryFacts, token: str) -> Identity:
        """Raises Unauthenticated."""
        claims = self._tokens.open_refresh(facts, token)
        return self._identify(facts, self._holders.get_bearer(claims.darsena, claims.sub), claims)

    def open_access(self, facts: RegistryFacts, token: str) -> Identity:
        """Raises Unauthenticated. What is made from it has no more scopes and no longer life than the token has."""
        claims = self._tokens.open_access(facts, token)
        return self._identify(facts, self._holders.get_bearer(claims.darsena, claims.sub), claims)

    def open_directory(self, facts: RegistryFacts, token: str) -> Identity:
        """For the exchange: a directory token for registries, or for ARM while the registry's policy lets it in.

        Raises Unauthenticated.
        """
        audiences = self._audiences.registry | (self._audiences.arm if facts.arm_audience_allowed else frozenset[str]())
        claims = self._tokens.open_directory(token, audiences)
        holder = self._holders.get_bearer(claims.darsena, claims.sub)
        if not holder.principal.is_entra:
            raise Unauthenticated(REFUSED)
        return Identity(holder=holder, credential=claims.darsena.credential)

    def decide(self, facts: RegistryFacts, identity: Identity, requested: list[ScopeRequest] | None) -> Grants:
        """What this identity gets of the requested scopes; None: all that it has."""
        if identity.ceiling is None:
            return decide(identity.holder, facts, requested)
        limit = decide(identity.holder, facts, identity.ceiling)
        return limit if requested is None else restrict(limit, requested)

    def may_ask_for(self, facts: RegistryFacts, authorization: bytes | None, scope: ScopeRequest) -> bool:
        """Whether the owner of an access token would get this scope too, had they asked the token service for it.

        False for what is no access token: a password reaches as far as it can. Raises Unauthenticated.
        """
        parsed = None if authorization is None else parse_authorization(authorization)
        if not isinstance(parsed, BearerToken):
            return False
        claims = self._tokens.open_access(facts, parsed.token)
        holder = self._holders.get_bearer(claims.darsena, claims.sub)
        granted = decide(holder, facts, [scope])
        return not claims.darsena.narrowed and all(
            granted.allows(scope.type, scope.name, action) for action in scope.actions
        )

    # --- inside -----------------------------------------------------------------------------------------------------

    def _identify(self, facts: RegistryFacts, holder: Holder, claims: AccessClaims | RefreshClaims) -> Identity:
        if not is_admissible(holder, facts):
            raise Unauthenticated(REFUSED)
        return Identity(
            holder=holder,
            credential=claims.darsena.credential,
            ceiling=claims.list_scopes() if isinstance(claims, AccessClaims) else None,
            not_after_us=claims.exp * 1_000_000,
        )

    def _accept(self, facts: RegistryFacts, authorization: bytes, identity: Identity) -> Caller:
        caller = Caller(identity.principal, self.decide(facts, identity, None))
        holder = self._holders.find(identity.principal.id)
        if holder is None or holder != identity.holder or len(authorization) > _MAX_CACHED_BYTES:
            return caller  # changed while we looked: let the next request look again
        ends = [until for uid, until in identity.holder.credentials if uid == identity.credential]
        ends.append(identity.not_after_us)
        until_us = min((us for us in ends if us is not None), default=None)
        while len(self._accepted) >= self._capacity:
            self._accepted.pop(next(iter(self._accepted)))
        self._accepted[facts.uid, authorization] = _Accepted(caller, holder, facts.version, until_us)
        return caller
