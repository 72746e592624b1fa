"""What principals hold, at most a second old: how "disabled", "revoked" and "no longer has the role" take effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from darsena.core.errors import Unauthenticated
from darsena.db import Database
from darsena.identity import store
from darsena.identity.claims import Bearer
from darsena.identity.model import Holder, RegistryFacts, anonymous
from darsena.identity.tokens import REFUSED

TTL_US: Final = 1_000_000
_CAPACITY: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    holder: Holder | None
    at_us: int
    generation: int


class Holders:
    """One database look-up a second for each principal that is in use. An unchanged Holder stays the same object."""

    def __init__(self, db: Database, tenant_id: str) -> None:
        self._db = db
        self._tenant_id = tenant_id
        self._cache: dict[int, _Known] = {}
        self._generation = 0
        self.anonymous: Final = anonymous(tenant_id)

    def find(self, principal_id: int) -> Holder | None:
        """Synchronous; from memory while that is fresh."""
        if principal_id == 0:
            return self.anonymous
        known, now_us, generation = self._cache.get(principal_id), self._db.clock.now_us(), self._generation
        if known is not None and known.generation == generation and 0 <= now_us - known.at_us < TTL_US:
            return known.holder
        found = self._db.read_sync(store.find_holder, principal_id, self._tenant_id)
        if known is not None and known.holder == found:
            found = known.holder
        if known is None and len(self._cache) >= _CAPACITY:
            self._cache = {}
        self._cache[principal_id] = _Known(found, now_us, generation)
        return found

    def get_bearer(self, bearer: Bearer, object_id: str) -> Holder:
        """The holder that a token names, if the token still counts: nothing at its root was disabled, replaced,
        revoked or has expired since. Raises Unauthenticated."""
        holder = self.find(bearer.id)
        if holder is None or not holder.enabled:
            raise Unauthenticated(REFUSED)
        principal = holder.principal
        same = (principal.kind, principal.object_id, principal.version) == (bearer.kind, object_id, bearer.version)
        if not same or not holder.holds(bearer.credential, self._db.clock.now_us()):
            raise Unauthenticated(REFUSED)
        return holder

    def forget(self) -> None:
        """From any thread, after a change made here: it shows at once then, not within a second."""
        self._generation += 1


def is_admissible(holder: Holder, facts: RegistryFacts) -> bool:
    """Whether this holder may sign in to this registry at all; with how many rights is not asked here."""
    if not holder.enabled:
        return False
    match holder.principal.kind:
        case "admin":
            return facts.admin_enabled and holder.registry_uid == facts.uid
        case "run" | "token":
            return holder.registry_uid == facts.uid
        case _:
            return True
