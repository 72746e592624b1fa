"""A folder on its way to the server: packed, told of, and sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from darsena.cli.progress import Reporter
from darsena.cli.terminal import Stopwatch
from darsena.client.context import LocalContext
from darsena.client.pack import pack

if TYPE_CHECKING:
    from darsena.client.runs import Runs
    from darsena.client.session import Session


def send_context(session: Session, runs: Runs, context: LocalContext, reporter: Reporter) -> str:
    """The name under which the server knows what was sent."""

    def skipped(path: str, why: str) -> None:
        reporter.note(f"left out {path}: {why}")

    with pack(context.entries(skipped), context.extra) as packed:
        reporter.packed(packed.entries, packed.content_bytes, packed.size_bytes)
        url, name = runs.upload_url()
        watch = Stopwatch()
        session.upload(
            url, packed.file, packed.size_bytes, lambda position: reporter.sending(position, packed.size_bytes)
        )
        reporter.sent(packed.size_bytes, watch.seconds)
    return name
