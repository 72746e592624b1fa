"""Well-known base images that this server has a copy of, so that builds find them without the internet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from darsena.db import Tx
from darsena.identity.model import RegistryFacts

WELL_KNOWN: Final = "mcr.microsoft.com"

ListRepositories = Callable[[Tx, str, int], Sequence[str]]
"""(tx, the registry's uid, at most so many) → names of its repositories."""

MOST = 1000


class BaseImages:
    """What the settings name, and in addition each repository of the run's own registry under the well-known name."""

    def __init__(self, configured: Mapping[str, str], list_repositories: ListRepositories) -> None:
        self._configured = dict(configured)
        self._list_repositories = list_repositories

    def resolve(self, tx: Tx, facts: RegistryFacts) -> dict[str, str]:
        """Image repository → `login server/repository` here. The run's credential holds for its own registry only."""
        own = {
            f"{WELL_KNOWN}/{name}": f"{facts.login_server}/{name}"
            for name in self._list_repositories(tx, facts.uid, MOST)
        }
        return own | self._configured
