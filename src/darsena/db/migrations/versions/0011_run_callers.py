"""Runs with their caller's rights."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_run_callers"
down_revision = "0010_activity"


def upgrade() -> None:
    op.add_column("run_credential", sa.Column("caller", sa.String(36)))
