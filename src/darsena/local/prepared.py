"""A note that the folder was prepared: who finds it true need not load what making certificates needs."""

from __future__ import annotations

import hashlib
import json
import time

from darsena.core.errors import StartFailure
from darsena.local.folder import Folder, write_private


def is_prepared(folder: Folder, order: str, *, now_s: float | None = None) -> bool:
    """Whether `prepare` has carried out this order, nothing that it looks at has changed, and nothing is due again."""
    try:
        note = json.loads(folder.prepared.read_bytes())
        return note["of"] == _digest(folder, order) and (time.time() if now_s is None else now_s) < note["until_s"]
    except (OSError, ValueError, LookupError, TypeError, StartFailure):
        return False


def note_prepared(folder: Folder, order: str, *, until_s: float) -> None:
    """Until then. Without room for the note the next start prepares again, which changes nothing."""
    try:
        write_private(folder.prepared, json.dumps({"of": _digest(folder, order), "until_s": until_s}) + "\n")
    except OSError:
        return


def _digest(folder: Folder, order: str) -> str:
    marker = folder.read_marker()
    names = [] if marker is None else marker.addresses.certificate_names
    parts = [order.encode(), json.dumps(names).encode()]
    parts += [path.read_bytes() for path in (folder.marker, folder.ca_file, folder.ca_key)]
    parts += [path.read_bytes() for path in (folder.certificate, folder.private_key, folder.agent_token)]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
