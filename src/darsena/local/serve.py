"""`python -m darsena.local.serve ORDER`: the supervisor's own process, started by `darsena serve`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from darsena.core.errors import StartFailure
from darsena.local.supervisor import serve


def main() -> int:
    os.umask(0o077)  # whatever is made in the data folder is its owner's only
    order = json.loads(sys.argv[1])
    try:
        return serve(Path(order["data"]), order["flags"])
    except StartFailure as failure:
        print(f"error: {failure.message}", file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    sys.exit(main())
