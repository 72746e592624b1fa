"""Control-plane activity and whatever the control plane adds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_activity"
down_revision = "0009_directory"


def upgrade() -> None:
    op.add_column("journal", sa.Column("address", sa.String))
    op.add_column("role_assignment", sa.Column("updated_by", sa.String))
    op.add_column("role_assignment", sa.Column("updated_at", sa.BigInteger))
