"""Runs and their queue, build sources, agents, keys of signed URLs; usage."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from darsena.db.tables import BYTEWISE

revision = "0005_tasks"
down_revision = "0004_registry"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _runs()
    _queue()
    op.create_table(
        "source",
        sa.Column("registry_uid", sa.String(32), nullable=False),
        sa.Column("name", BYTEWISE, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("written_at", sa.BigInteger, nullable=True),
        sa.Column("used_at", sa.BigInteger, nullable=False),
        sa.Column("staged_bytes", sa.BigInteger, nullable=False),
        sa.Column("is_claimed", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("registry_uid", "name", name="pk_source"),
    )
    op.create_index("ix_source_used_at", "source", ["used_at"])
    op.create_table(
        "agent",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("pool", sa.String, nullable=False),
        sa.Column("cpu", sa.Integer, nullable=False),
        sa.Column("platforms", sa.LargeBinary, nullable=False),
        sa.Column("info", sa.LargeBinary, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agent"),
    )
    op.create_table(
        "url_key",
        sa.Column("kid", sa.String(32), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("kid", name="pk_url_key"),
    )
    op.create_table(
        "usage",
        sa.Column("registry_uid", sa.String(32), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("blobs", sa.BigInteger, nullable=False),
        sa.Column("manifests", sa.BigInteger, nullable=False),
        sa.Column("repositories", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("registry_uid", name="pk_usage"),
    )


def _runs() -> None:
    op.create_table(
        "run",
        sa.Column("id", _ID, sa.Identity(), nullable=False),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("registry_uid", sa.String(32), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("run_id", BYTEWISE, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("run_type", sa.String, nullable=False),
        sa.Column("task_name", sa.String, nullable=True),
        sa.Column("agent_pool_name", sa.String, nullable=True),
        sa.Column("os", sa.String, nullable=False),
        sa.Column("architecture", sa.String, nullable=False),
        sa.Column("variant", sa.String, nullable=True),
        sa.Column("cpu", sa.Integer, nullable=False),
        sa.Column("timeout_s", sa.Integer, nullable=False),
        sa.Column("is_archive_enabled", sa.Boolean, nullable=False),
        sa.Column("source_name", sa.String, nullable=True),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("source_registry_auth", sa.String, nullable=True),
        sa.Column("custom_registries", sa.LargeBinary, nullable=False),
        sa.Column("output_images", sa.LargeBinary, nullable=False),
        sa.Column("output_manifests", sa.String, nullable=False),
        sa.Column("dependencies", sa.LargeBinary, nullable=False),
        sa.Column("error", sa.String, nullable=True),
        sa.Column("log_size", sa.BigInteger, nullable=False),
        sa.Column("log_word", sa.String, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=True),
        sa.Column("finished_at", sa.BigInteger, nullable=True),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.String, nullable=False),
        sa.Column("created_by_kind", sa.String, nullable=False),
        sa.Column("modified_by", sa.String, nullable=False),
        sa.Column("modified_by_kind", sa.String, nullable=False),
        sa.Column("modified_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        sa.UniqueConstraint("uid", name="uq_run_uid"),
        sa.UniqueConstraint("registry_uid", "number", name="uq_run_registry_uid_number"),
        sa.UniqueConstraint("registry_uid", "run_id", name="uq_run_registry_uid_run_id"),
    )
    op.create_index("ix_run_finished_at", "run", ["finished_at"])


def _queue() -> None:
    op.create_table(
        "run_queue",
        sa.Column("id", _ID, nullable=False, autoincrement=False),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("registry_uid", sa.String(32), nullable=False),
        sa.Column("pool", sa.String, nullable=False),
        sa.Column("prio", sa.Integer, nullable=False),
        sa.Column("platform", sa.String, nullable=False),
        sa.Column("cpu", sa.Integer, nullable=False),
        sa.Column("source_name", sa.String, nullable=True),
        sa.Column("queued_at", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String, nullable=True),
        sa.Column("lease_until", sa.BigInteger, nullable=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("deadline", sa.BigInteger, nullable=True),
        sa.Column("end_status", sa.String, nullable=True),
        sa.Column("end_error", sa.String, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_run_queue"),
        sa.ForeignKeyConstraint(["id"], ["run.id"], name="fk_run_queue_id"),
        sa.UniqueConstraint("uid", name="uq_run_queue_uid"),
    )
    op.create_index("ix_run_queue_pool_prio_id", "run_queue", ["pool", "prio", "id"])
    op.create_index("ix_run_queue_registry_uid", "run_queue", ["registry_uid"])
    op.create_table(
        "run_counter",
        sa.Column("registry_uid", sa.String(32), nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("registry_uid", name="pk_run_counter"),
    )
