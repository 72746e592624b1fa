"""Durable work: rows claimed under a lease with a fence. A job is idempotent and is simply run again after a crash."""

from darsena.jobs.model import Hopeless, Job, JobKind, JobStatus
from darsena.jobs.queue import enqueue
from darsena.jobs.runner import JobRunner

__all__ = ["Hopeless", "Job", "JobKind", "JobRunner", "JobStatus", "enqueue"]
