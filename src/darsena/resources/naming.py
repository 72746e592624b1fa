"""Login servers: which DNS label a registry gets, and which registry a host name means."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from darsena.core.errors import NameInvalid
from darsena.core.ids import new_uid
from darsena.core.names import RegistryName
from darsena.resources.model import DomainNameScope

_HASH_LENGTH = 16
_LABEL_LENGTH = 63
_LABEL = re.compile(r"[a-z0-9]{5,50}(?:-[a-z2-7]{16})?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginServers:
    """`domain` is what follows a login server's first dot, with the port when it is not 443."""

    domain: str
    tenant_id: str

    def render(self, label: str) -> str:
        return f"{label}.{self.domain}"

    def parse(self, host: str) -> str | None:
        """The label in lower case when `host` is a login server of this domain, with or without its port."""
        host = host.lower()
        label, dot, rest = host.partition(".")
        domain = self.domain.lower()
        if not dot or not _LABEL.match(label) or rest not in (domain, domain.partition(":")[0]):
            return None
        return label

    def make_label(self, name: RegistryName, scope: DomainNameScope, subscription_id: str, group: str) -> str:
        """The name itself, or with a hash of what the scope says may reuse the label. Raises NameInvalid."""
        if scope == "Unsecure":
            return name.key
        label = f"{name.key}-{_hash(name, scope, self.tenant_id, subscription_id, group)}"
        if len(label) > _LABEL_LENGTH:
            longest = _LABEL_LENGTH - _HASH_LENGTH - 1
            raise NameInvalid(
                name, f"with a generated domain name label a registry name has at most {longest} characters"
            )
        return label


def _hash(name: RegistryName, scope: DomainNameScope, tenant_id: str, subscription_id: str, group: str) -> str:
    parts = {
        "TenantReuse": (tenant_id,),
        "SubscriptionReuse": (tenant_id, subscription_id),
        "ResourceGroupReuse": (tenant_id, subscription_id, group.lower()),
        "NoReuse": (new_uid(),),
    }[scope]
    digest = hashlib.sha256("\n".join((name.key, *parts)).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:_HASH_LENGTH]
