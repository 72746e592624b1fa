"""Repository tokens of a registry of which only the facts are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from darsena.db import Tx
from darsena.identity.model import RegistryFacts
from darsena.identity.room import IdentityRoom
from darsena.resources.model import Author, Properties, RegistryRow, SystemData
from darsena.resources.scope_maps import FindRegistry, ScopeMaps
from darsena.resources.tiers import SkuName
from darsena.resources.tokens import RepositoryTokens, TokenChange

from .values import FACTS, TENANT

AUTHOR = Author(name="owner", kind="User")


@dataclass
class TokensWorld:
    identity: IdentityRoom
    sku: SkuName = "Basic"

    def __post_init__(self) -> None:
        db, forget = self.identity.db, self.identity.holders.forget
        self.scope_maps = ScopeMaps(db, on_changed=forget)
        self.tokens = RepositoryTokens(db, self.identity.hasher, tenant_id=TENANT, on_changed=forget)

    def find(self, facts: RegistryFacts = FACTS) -> FindRegistry:
        """As ARM's edge finds the row."""
        row = RegistryRow(
            id=1,
            uid=facts.uid,
            group_id=1,
            subscription_id=facts.subscription_id,
            group=facts.resource_group,
            name=facts.name,
            label=facts.name.lower(),
            location=facts.region,
            sku=self.sku,
            tags={},
            properties=Properties(),
            system_data=SystemData(created_by=AUTHOR, created_at_us=1, modified_by=AUTHOR, modified_at_us=1),
            version=1,
        )

        def found(_tx: Tx) -> RegistryRow:
            return row

        return found

    async def allow(self, name: str, *actions: str, facts: RegistryFacts = FACTS) -> None:
        """The scope map `name` has these actions from now on."""
        await self.scope_maps.put(self.find(facts), name, description=None, actions=[*actions], author=AUTHOR)

    async def bind(self, name: str, scope_map: str, facts: RegistryFacts = FACTS) -> None:
        await self.tokens.put(self.find(facts), name, TokenChange(scope_map=scope_map), author=AUTHOR)

    async def change(
        self,
        name: str,
        *,
        enabled: bool | None = None,
        scope_map: str | None = None,
        keep: Sequence[str] | None = None,
        facts: RegistryFacts = FACTS,
    ) -> None:
        change = TokenChange(scope_map=scope_map, enabled=enabled, keep_passwords=keep)
        await self.tokens.patch(self.find(facts), name, change, author=AUTHOR)

    async def make_passwords(
        self, name: str, *slots: str, expires_at: int | None = None, facts: RegistryFacts = FACTS
    ) -> dict[str, str]:
        wanted = slots or ("password1", "password2")
        made = await self.tokens.generate(self.find(facts), name, wanted, expires_at=expires_at)
        return made.values

    async def make(self, name: str, *actions: str, facts: RegistryFacts = FACTS) -> str:
        """A token with a scope map of its own; its first password."""
        await self.allow(f"{name}-map", *actions, facts=facts)
        await self.bind(name, f"{name}-map", facts)
        return (await self.make_passwords(name, facts=facts))["password1"]
