"""Everything that must lie in the folder before the port is opened: marker, keys' folder, certificates.

Run as a process of its own, so that the supervisor stays small.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from darsena.core.errors import StartFailure
from darsena.local.addresses import Addresses, Scheme, parse_listen
from darsena.local.folder import DatabaseKind, Folder, Marker
from darsena.local.prepared import note_prepared
from darsena.local.tls import ensure_certificates, find_renewal


def prepare(
    root: Path,
    *,
    listen: str,
    domain: str,
    database: DatabaseKind = "sqlite",
    scheme: Scheme = "https",
    public_port: int | None = None,
) -> Marker:
    """Idempotent. `public_port` stands in names and links; None: the one that is listened on.

    Raises StartFailure when the folder was made for another domain, port, scheme or kind of database.
    """
    folder = Folder(root)
    host, port = parse_listen(listen)
    wanted = Addresses.choose(domain, public_port or port, scheme)
    marker = folder.read_marker()
    if marker is None:
        marker = folder.make(wanted, database)
    else:
        marker.check_database(database)
        _check_unchanged(marker, wanted, "--listen HOST:" if public_port is None else "server.public_port = ")
        if domain and wanted.control_host != marker.control_host:
            raise StartFailure(
                f"this data folder was made for the domain {marker.control_host!r}, which is part of every image "
                "reference: leave --domain out, or start with a new folder and copy the images"
            )
    folder.ensure_agent_token()
    extra = [] if host in ("0.0.0.0", "::", "127.0.0.1", "::1") else [host]  # noqa: S104 (compared, not bound)
    ensure_certificates(folder, marker.addresses.certificate_names, ["127.0.0.1", "::1", *extra])
    return marker


def _check_unchanged(marker: Marker, wanted: Addresses, option: str) -> None:
    if wanted.scheme != marker.scheme:
        right = "set server.tls to own or proxy" if marker.scheme == "https" else "start it with --plain-http"
        raise StartFailure(
            f"this data folder was made for {marker.scheme}, which stands in every link and token: {right}, or start "
            "with a new folder and copy the images"
        )
    if wanted.port != marker.port:
        raise StartFailure(
            f"this data folder was made for port {marker.port}, and the port is part of every image reference: "
            f"use {option}{marker.port}, or start with a new folder and copy the images"
        )


def main() -> int:
    """`python -m darsena.local.prepare '{"data":…,"listen":…,"domain":…}'`: exit 2 with the reason on stderr."""
    order = json.loads(sys.argv[1])
    data = Path(order.pop("data"))
    try:
        prepare(data, **order)
        note_prepared(Folder(data), sys.argv[1], until_s=find_renewal(Folder(data)).timestamp())
    except StartFailure as failure:
        print(failure.message, file=sys.stderr)  # noqa: T201
        return 2
    except OSError as error:
        print(f"the data folder cannot be made: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
