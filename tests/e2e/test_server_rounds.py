"""50 rounds of kill -9 under concurrent load, and SIGTERM under the same load (promises R1, R2)."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest
import server_rounds
from server_rounds import REGISTRY, Client, check_server
from stand import standing, wait_until

from oracles import descendants

ROUNDS, PARTS = 50, 2
DRAIN_S = 5


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_under_load(tmp_path: Path, part: int) -> None:
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"part {part}, seed {seed}")
    counts = server_rounds.play_all(tmp_path, seed, ROUNDS // PARTS, 0)
    print(dict(counts))
    assert counts["rounds"] == ROUNDS // PARTS
    assert counts["killed at a failpoint"] > 1
    assert counts["acknowledged"] > 5 * ROUNDS // PARTS


@pytest.mark.timeout(300)
def test_sigterm_under_load(tmp_path: Path) -> None:
    """It exits with 0 within its time, what was acknowledged is there, and no process is left."""
    with standing(tmp_path, "--no-build", environment={"DARSENA_SERVER__DRAIN_S": str(DRAIN_S)}) as stand:
        stand.ok("group", "create", "-n", "tests")
        stand.ok("create", "-g", "tests", "-n", REGISTRY, "--sku", "Basic")
        clients = [Client(stand, f"load/r{number}", random.Random(number)) for number in range(4)]
        for _ in range(3):
            stop = threading.Event()
            threads = [threading.Thread(target=client.work, args=(stop,)) for client in clients]
            for thread in threads:
                thread.start()
            time.sleep(1)
            assert stand.process is not None
            family = [stand.process.pid, *descendants(stand.process.pid)]
            begun = time.monotonic()
            assert stand.stop() == 0
            assert time.monotonic() - begun < DRAIN_S + 10
            for thread in threads:
                thread.join()
            wait_until(
                lambda family=family: not [pid for pid in family if Path(f"/proc/{pid}").exists()], "all have gone"
            )
            stand.start("--no-build")
            check_server(stand, clients)
        assert sum(client.acknowledged for client in clients) > 20
