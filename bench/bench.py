"""Pull rates of Dársena beside Debian's docker-registry, in the same run, as ratios.

Both serve TLS with the same certificate from the same disk to the same client (wrk, 32 connections). Dársena runs as
users run it: tokens checked on every request, bytes encrypted at rest. Rounds alternate; the median of each is taken.
Absolute figures depend on the machine and its load: read the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from peers import Target, running_darsena, running_docker_registry


@dataclass(frozen=True)
class Row:
    name: str
    path: str
    wanted: float
    """The ratio that we mean to keep."""


def main() -> int:
    options = read_options()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="darsena-bench-")))
        darsena, peer = start(stack, folder)
        blob = darsena.push_image("bench/small", "v1", layer=b"\x5a" * 65536)
        assert peer.push_image("bench/small", "v1", layer=b"\x5a" * 65536) == blob
        rows = [
            Row("manifest by tag", "/v2/bench/small/manifests/v1", 10.0),
            Row("64 KiB blob", f"/v2/bench/small/blobs/{blob}", 10.0),
        ]
        print(f"{'':<18}{'Dársena/s':>12}{'docker-registry/s':>20}{'ratio':>9}{'wanted':>9}")
        for row in rows:
            ours, theirs = measure(darsena, peer, row.path, options)
            ratio = statistics.median(ours) / statistics.median(theirs)
            print(
                f"{row.name:<18}{statistics.median(ours):>12,.0f}{statistics.median(theirs):>20,.0f}"
                f"{ratio:>8.1f}x{row.wanted:>8.1f}x",
                flush=True,
            )
    return 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    return parser.parse_args()


def start(stack: contextlib.ExitStack, folder: Path) -> tuple[Target, Target]:
    print("starting Dársena and docker-registry …", file=sys.stderr)
    darsena = stack.enter_context(running_darsena(folder / "darsena"))
    peer = stack.enter_context(running_docker_registry(folder / "peer", darsena.certificate, darsena.private_key))
    return darsena, peer


def measure(darsena: Target, peer: Target, path: str, options: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Requests a second of each, one figure a round."""
    ours: list[float] = []
    theirs: list[float] = []
    for round_ in range(options.rounds):
        pair = [(darsena, ours), (peer, theirs)]
        for target, figures in pair if round_ % 2 == 0 else reversed(pair):
            figures.append(wrk(target, path, options))
    return ours, theirs


def wrk(target: Target, path: str, options: argparse.Namespace) -> float:
    done = subprocess.run(
        ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", *headers(target), target.url + path],
        capture_output=True,
        text=True,
        check=True,
        timeout=options.seconds + 30,
    )
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if failed or not rate:
        raise SystemExit(f"{target.name} did not answer every request with success:\n{done.stdout}")
    return float(rate[1])


def headers(target: Target) -> Iterator[str]:
    accept = "application/vnd.oci.image.manifest.v1+json"
    for name, value in {"Host": target.host, "Accept": accept, **target.headers("bench/small", "pull")}.items():
        yield from ("-H", f"{name}: {value}")


if __name__ == "__main__":
    sys.exit(main())
