"""The append-only journal: one stream per (registry, region) and per subscription, dense `seq`, written in the
transaction of the fact itself. Knows core and db; knows no domain."""

from darsena.journal.events import EventBody, registry_stream, subscription_stream
from darsena.journal.log import Entry, append, list_entries, list_newest

__all__ = ["Entry", "EventBody", "append", "list_entries", "list_newest", "registry_stream", "subscription_stream"]
