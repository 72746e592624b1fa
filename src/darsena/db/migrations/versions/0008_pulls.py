"""Pull counts, manifests that lost their last tag, what a registry's blobs take."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from darsena.db.tables import BYTEWISE

revision = "0008_pulls"
down_revision = "0007_tokens"

_COUNT_SIZES = """
INSERT INTO registry_size (registry_uid, size_bytes)
SELECT registry_uid, CAST(SUM(size) AS BIGINT) FROM blob GROUP BY registry_uid
"""


def upgrade() -> None:
    op.create_table(
        "pull_count",
        sa.Column("repository_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("reference", BYTEWISE, nullable=False),
        sa.Column("pulls", sa.BigInteger, nullable=False),
        sa.Column("last_pull_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "reference", name="pk_pull_count"),
    )
    op.create_table(
        "untagged",
        sa.Column("repository_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "digest", name="pk_untagged"),
    )
    op.create_index("ix_untagged_repository_id_since", "untagged", ["repository_id", "since", "digest"])
    op.create_table(
        "registry_size",
        sa.Column("registry_uid", sa.String(32), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("registry_uid", name="pk_registry_size"),
    )
    op.execute(_COUNT_SIZES)
