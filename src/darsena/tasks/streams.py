"""Which registry, and which stream of the journal, a run belongs to."""

from __future__ import annotations

from typing import Protocol

from darsena.db import Tx
from darsena.identity.model import RegistryFacts
from darsena.journal import registry_stream
from darsena.resources.model import RegistryRow


class Registries(Protocol):
    """The control plane, as far as runs ask it."""

    def find_registry_by_uid(self, tx: Tx, uid: str) -> RegistryRow | None: ...
    def facts(self, row: RegistryRow) -> RegistryFacts: ...


class Streams:
    def __init__(self, registries: Registries) -> None:
        self._registries = registries

    def find(self, tx: Tx, registry_uid: str) -> str:
        """A registry that was deleted meanwhile has a stream still, so that its last facts are told."""
        row = self._registries.find_registry_by_uid(tx, registry_uid)
        return registry_stream(registry_uid, "" if row is None else self._registries.facts(row).region)
