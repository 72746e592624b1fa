"""What each registry holds. A view that follows the journal, so it may lag."""

from darsena.usage.limit import StorageLimit
from darsena.usage.reader import UsageReader
from darsena.usage.store import Totals, count_size, find_totals

__all__ = ["StorageLimit", "Totals", "UsageReader", "count_size", "find_totals"]
