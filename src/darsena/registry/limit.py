"""The tier's limit, held where a blob is added: counted in the same transaction, so that nothing slips past it."""

from __future__ import annotations

from darsena.core.errors import QuotaExceeded
from darsena.db import Tx
from darsena.registry.model import Registry
from darsena.registry.store import totals


def take_room(tx: Tx, registry: Registry, size: int) -> None:
    """Count a blob that is new in the registry. Raises QuotaExceeded when its tier has no room for it."""
    total = totals.change(tx, registry.uid, size)
    limit = registry.storage_limit_bytes
    if 0 < limit < total:
        raise QuotaExceeded(
            f"The registry would hold {total} bytes; its SKU has a limit of {limit}. Delete what is not needed, or "
            "choose a higher SKU."
        )
