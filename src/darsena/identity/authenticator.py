"""Who sends a request to a login server. SIGNATURES PUBLISHED FIRST; bodies follow."""

from __future__ import annotations

from darsena.identity.model import Caller, RegistryFacts

__all__ = ["Authenticator", "Caller"]


class Authenticator:
    def cached(self, facts: RegistryFacts, authorization: bytes) -> Caller | None:
        """The caller of a header that was accepted before and still holds. Synchronous; None: call `authenticate`."""
        raise NotImplementedError

    async def authenticate(self, facts: RegistryFacts, authorization: bytes | None, address: str = "") -> Caller:
        """Basic, or a Bearer access token. None gives the anonymous principal without grants.

        Raises Unauthenticated, or Throttled after too many wrong passwords from one address.
        """
        raise NotImplementedError
