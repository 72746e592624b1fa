"""The one MetaData that every room's tables stand in, and column types that mean the same on both databases.

A table whose facts are journaled says so: `Table(..., info={"journaled": True})`. Writing to it in a transaction that
emits no event makes the commit raise (in tests and development).
"""

from __future__ import annotations

from sqlalchemy import MetaData, String

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BYTEWISE = String().with_variant(String(collation="C"), "postgresql")
"""Text that sorts by its bytes on both databases: names that lists page by."""
