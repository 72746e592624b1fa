"""Who asks ARM, and whether they may."""

from __future__ import annotations

from darsena.core.errors import AccessDenied, Unauthenticated
from darsena.identity.access import arm_allows
from darsena.identity.audiences import Audiences
from darsena.identity.basic import BearerToken, parse_authorization
from darsena.identity.holders import Holders
from darsena.identity.model import Principal
from darsena.identity.tokens import Tokens


class ArmGate:
    def __init__(self, tokens: Tokens, holders: Holders, audiences: Audiences) -> None:
        self._tokens = tokens
        self._holders = holders
        self._audiences = audiences

    async def authenticate_arm(self, authorization: bytes | None) -> Principal:
        """The bearer of a directory token for ARM. Raises Unauthenticated for everything else."""
        if authorization is None:
            raise Unauthenticated("Authentication failed. The 'Authorization' header is missing.")
        parsed = parse_authorization(authorization)
        if not isinstance(parsed, BearerToken):
            raise Unauthenticated("Authentication failed. The 'Authorization' header must be a Bearer token.")
        claims = self._tokens.open_directory(parsed.token, self._audiences.arm)
        return self._holders.get_bearer(claims.darsena, claims.sub).principal

    async def authorize_arm(self, principal: Principal, action: str, scope: str) -> None:
        """Raises AccessDenied unless a role held at this ARM id, or above it, has the action."""
        holder = self._holders.find(principal.id)
        if holder is None or not holder.enabled or not arm_allows(holder.assignments, action, scope):
            raise AccessDenied(
                f"The client '{principal.client_id or principal.name}' with object id '{principal.object_id}' does not "
                f"have authorization to perform action '{action}' over scope '{scope}' or the scope is invalid. "
                "If access was recently granted, please refresh your credentials."
            )
