"""On SQLite, tags lie in the order of their key: one tree is gone through for each, where it was two."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from darsena.db.tables import BYTEWISE

revision = "0012_tag_rows"
down_revision = "0011_run_callers"

_LOCKS = ("read_enabled", "write_enabled", "delete_enabled", "list_enabled")
_COLUMNS = ", ".join(("repository_id", "name", "digest", "created_at", "updated_at", *_LOCKS))


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    op.drop_index("ix_tag_repository_id_digest", "tag")
    op.drop_index("ix_tag_repository_id_updated_at", "tag")
    op.rename_table("tag", "tag_before")
    op.create_table(
        "tag",
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("name", BYTEWISE, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        *[sa.Column(name, sa.Boolean, nullable=False) for name in _LOCKS],
        sa.PrimaryKeyConstraint("repository_id", "name", name="pk_tag"),
        sa.ForeignKeyConstraint(["repository_id"], ["repository.id"], name="fk_tag_repository_id"),
        sqlite_with_rowid=False,
    )
    op.execute(f"INSERT INTO tag ({_COLUMNS}) SELECT {_COLUMNS} FROM tag_before ORDER BY repository_id, name")  # noqa: S608
    op.drop_table("tag_before")
    op.create_index("ix_tag_repository_id_digest", "tag", ["repository_id", "digest", "name"])
    op.create_index("ix_tag_repository_id_updated_at", "tag", ["repository_id", "updated_at", "name"])
