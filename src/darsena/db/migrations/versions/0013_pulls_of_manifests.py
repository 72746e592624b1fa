"""Pulls are counted for what was pulled: a manifest. Those by tag are taken away."""

from __future__ import annotations

from alembic import op

revision = "0013_pulls_of_manifests"
down_revision = "0012_tag_rows"


def upgrade() -> None:
    op.execute("DELETE FROM pull_count WHERE reference <> '' AND reference NOT LIKE '%:%'")
