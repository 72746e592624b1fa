"""The supervisor's process: `darsena serve` itself, or `python -m darsena.local.serve ORDER` in its place."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from darsena.core.errors import StartFailure
from darsena.local import allocator
from darsena.local.order import Order


def run(order: Order) -> int:
    """Serve until a signal; returns the exit code."""
    os.umask(0o077)  # whatever is made in the data folder is its owner's only
    os.environ.setdefault(allocator.VARIABLE, allocator.VALUE)
    from darsena.local.supervisor import serve  # with the HTTP server, whose allocator reads the variable now

    try:
        return serve(order.data, order.flags)
    except StartFailure as failure:
        print(f"error: {failure.message}", file=sys.stderr)  # noqa: T201
        return 2


def main() -> int:
    order = json.loads(sys.argv[1])
    return run(Order(data=Path(order["data"]), flags=order["flags"]))


if __name__ == "__main__":
    sys.exit(main())
