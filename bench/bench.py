"""Dársena beside Debian's docker-registry, in the same run, as ratios.

Both serve from the same disk to the same clients (wrk, curl, Python's own) over HTTP/1.1: over TLS with the same
certificate, and in plain. Dársena runs as users run it: a token on every request, bytes encrypted at rest. Rounds
alternate between the two; the median of five is taken. Absolute figures depend on the machine and what else it does:
read the ratios.

BENCH=row[,row] chooses rows; `bench.py --list` names them.
"""

from __future__ import annotations

import argparse
import os
import sys

import machine
from rows import ROWS
from stand import open_stand
from table import head


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name the rows, and do nothing")
    if parser.parse_args().list:
        for name, row in ROWS.items():
            print(f"{name:<10}{(row.__doc__ or '').splitlines()[0]}")
        return 0
    chosen = [name for name in os.environ.get("BENCH", "").split(",") if name] or list(ROWS)
    if unknown := [name for name in chosen if name not in ROWS]:
        raise SystemExit(f"there is no row {unknown[0]!r}: {', '.join(ROWS)}")
    missed: list[str] = []
    with open_stand() as stand:
        print(machine.describe(stand.folder), head(), sep="\n", flush=True)
        for name in chosen:
            for result in ROWS[name](stand):
                print(result.render(), flush=True)
                missed += [] if result.is_reached else [result.name]
        print(f"load at the end: {os.getloadavg()[0]:.1f}")
    print(f"not reached: {'; '.join(missed)}" if missed else "every goal is reached")
    return 0


if __name__ == "__main__":
    sys.exit(main())
