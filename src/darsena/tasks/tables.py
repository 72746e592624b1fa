"""run, run_queue, run_counter; source; agent; url_key.

A run's facts stand in `run` and are journaled. What changes without being a fact (owner, lease, fence) stands in
`run_queue`, which holds a row for each run that has not ended and for no other.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from darsena.db import BYTEWISE, metadata

_ID = BigInteger().with_variant(Integer, "sqlite")

run = Table(
    "run",
    metadata,
    Column("id", _ID, Identity(), primary_key=True),
    Column("uid", String(32), nullable=False),
    Column("registry_uid", String(32), nullable=False),
    Column("number", BigInteger, nullable=False),  # rises with time within the registry
    Column("run_id", BYTEWISE, nullable=False),
    Column("status", String, nullable=False),
    Column("run_type", String, nullable=False),
    Column("task_name", String),
    Column("agent_pool_name", String),
    Column("os", String, nullable=False),
    Column("architecture", String, nullable=False),
    Column("variant", String),
    Column("cpu", Integer, nullable=False),
    Column("timeout_s", Integer, nullable=False),
    Column("is_archive_enabled", Boolean, nullable=False),
    Column("source_name", String),  # of an uploaded source
    Column("request", LargeBinary, nullable=False),  # sealed: it may hold secrets
    Column("source_registry_auth", String),
    Column("custom_registries", LargeBinary, nullable=False),
    Column("output_images", LargeBinary, nullable=False),
    Column("output_manifests", String, nullable=False),  # repo@digest,repo@digest: what filters search
    Column("dependencies", LargeBinary, nullable=False),
    Column("error", String),
    Column("log_size", BigInteger, nullable=False),
    Column("log_word", String),  # set with the end: the log is complete
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("updated_at", BigInteger, nullable=False),
    Column("created_by", String, nullable=False),
    Column("created_by_kind", String, nullable=False),
    Column("modified_by", String, nullable=False),
    Column("modified_by_kind", String, nullable=False),
    Column("modified_at", BigInteger, nullable=False),
    UniqueConstraint("uid"),
    UniqueConstraint("registry_uid", "number"),
    UniqueConstraint("registry_uid", "run_id"),
    Index(None, "finished_at"),
    info={"journaled": True},
)

run_queue = Table(
    "run_queue",
    metadata,
    Column("id", _ID, ForeignKey("run.id"), primary_key=True, autoincrement=False),
    Column("uid", String(32), nullable=False),
    Column("registry_uid", String(32), nullable=False),
    Column("pool", String, nullable=False),
    Column("prio", Integer, nullable=False),
    Column("platform", String, nullable=False),
    Column("cpu", Integer, nullable=False),  # asked for; once it is claimed, what it holds
    Column("source_name", String),
    Column("queued_at", BigInteger, nullable=False),
    Column("owner", String),  # an agent, or the server that is ending it; none while it waits
    Column("lease_until", BigInteger),
    Column("attempt", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("deadline", BigInteger),  # after it the server ends the run if its agent has not
    Column("end_status", String),  # the server is ending it, with this
    Column("end_error", String),
    UniqueConstraint("uid"),
    Index(None, "pool", "prio", "id"),
    Index(None, "registry_uid"),
)

run_counter = Table(
    "run_counter",
    metadata,
    Column("registry_uid", String(32), primary_key=True),
    Column("last", BigInteger, nullable=False),
)

source = Table(
    "source",
    metadata,
    Column("registry_uid", String(32), primary_key=True),
    Column("name", BYTEWISE, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("written_at", BigInteger),  # none until it is there
    Column("used_at", BigInteger, nullable=False),  # last written, or last used by a run
    Column("staged_bytes", BigInteger, nullable=False),
    Column("is_claimed", Boolean, nullable=False),  # a run uses it: nobody writes it any more
    Index(None, "used_at"),
)

agent = Table(
    "agent",
    metadata,
    Column("id", String, primary_key=True),
    Column("pool", String, nullable=False),
    Column("cpu", Integer, nullable=False),
    Column("platforms", LargeBinary, nullable=False),
    Column("info", LargeBinary, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)

url_key = Table(
    "url_key",
    metadata,
    Column("kid", String(32), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
