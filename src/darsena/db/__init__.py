"""The database: one `Database`, one `Tx` per use case, SQLite and PostgreSQL alike. Knows no domain."""

from darsena.db.database import Database, Tx, set_caller
from darsena.db.prepared import Prepared
from darsena.db.tables import BYTEWISE, metadata

__all__ = ["BYTEWISE", "Database", "Prepared", "Tx", "metadata", "set_caller"]
