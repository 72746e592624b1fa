"""Credentials of task runs: made when a run starts, for its own registry only, dead when it ends or its time is up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from darsena.core.ids import new_secret, new_uid
from darsena.db import Tx
from darsena.identity import store
from darsena.identity.hashing import SecretHasher

USER_PREFIX: Final = "run."
"""With a dot, which no registry's and no token's name may hold."""


class RunCredentials:
    """Inside the caller's transaction. Never journaled."""

    def __init__(self, hasher: SecretHasher, *, on_changed: Callable[[], None]) -> None:
        self._hasher = hasher
        self._on_changed = on_changed

    def create(
        self, tx: Tx, registry_uid: str, run_uid: str, lifetime_s: int, *, caller: str | None = None
    ) -> tuple[str, str]:
        """(user name, password): pull, push and metadata_read on every repository of the registry. While it is in ABAC
        mode: what the caller, an object id, may do there; nothing without one. What the run had before stops."""
        secret = new_secret()
        store.put_run_credential(
            tx,
            run_uid,
            registry_uid,
            uid=new_uid(),
            hash_=self._hasher.hash(secret),
            expires_at=tx.now_us + lifetime_s * 1_000_000,
            caller=caller,
        )
        tx.after_commit(self._on_changed)
        return f"{USER_PREFIX}{run_uid}", secret

    def revoke(self, tx: Tx, run_uid: str) -> None:
        """It stops within a second, with every token made from it. Idempotent."""
        store.delete_run_credential(tx, run_uid)
        tx.after_commit(self._on_changed)

    def sweep(self, tx: Tx) -> int:
        """Remove the rows of expired ones; returns how many."""
        return store.delete_expired_run_credentials(tx)
