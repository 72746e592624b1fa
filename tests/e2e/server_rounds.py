"""The whole server under concurrent load, killed with SIGKILL, started again on the same folder and held to account.

`python tests/e2e/server_rounds.py --rounds 200`, or `make torture`: the long form of test_server_rounds.py. Half of the
rounds end at a random moment, half with a failpoint that the worker dies at first. The seed is printed.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from pushing import CONFIG, LAYER, MANIFEST, digest_of  # noqa: E402
from stand import Stand, standing, wait_until  # noqa: E402

from faults.ledger import Op, Shelf  # noqa: E402
from faults.scenario import list_points  # noqa: E402
from oracles import Footprint  # noqa: E402

REGISTRY = "roundsregistry"
CLIENTS = 4
WORK_S = 1.2
"""Of load in a round, at most."""
_CONFIG = b'{"architecture": "amd64", "os": "linux"}'
_NOT_BY_PUSHES = ("gc.", "remove.", "sweep.", "log.", "expire.", "delete.before_unlink", "delete.after_unlink")


def make_manifest(layer: bytes, number: int) -> bytes:
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest_of(_CONFIG), "size": len(_CONFIG)},
            "layers": [{"mediaType": LAYER, "digest": digest_of(layer), "size": len(layer)}],
            "annotations": {"number": str(number)},
        }
    ).encode()


@dataclass
class Client:
    """One client of one repository: what it was told, and the one thing that it was not told the end of."""

    stand: Stand
    name: str
    chance: random.Random
    shelf: Shelf = field(default_factory=Shelf)
    pending: Op | None = None
    acknowledged: int = 0
    refused: list[str] = field(default_factory=list[str])

    def work(self, stop: threading.Event) -> None:
        """Until the server dies."""
        owner = self.stand.owner
        with self.stand.client(self.stand.login_server(REGISTRY), timeout=20) as http:
            http.auth = (owner["client_id"], owner["client_secret"])
            try:
                while not stop.is_set():
                    self._step(http)
            except httpx.TransportError:
                return

    def _step(self, http: httpx.Client) -> None:
        kind = self.chance.choices(["push", "retag", "untag", "delete"], [5, 3, 1, 1])[0]
        if kind == "push" or not self.shelf.manifests:
            self._push(http)
        elif kind == "retag":
            digest = self.chance.choice(list(self.shelf.manifests))
            self._put(http, self.shelf.manifests[digest]["content"], self._tag())
        elif kind == "untag" and self.shelf.tags:
            tag = self.chance.choice(list(self.shelf.tags))
            self._do(http, {"do": "untag", "tag": tag}, "DELETE", f"manifests/{tag}", 202)
        elif kind == "delete":
            digest = self.chance.choice(list(self.shelf.manifests))
            self._do(http, {"do": "delete", "digest": digest}, "DELETE", f"manifests/{digest}", 202)

    def _push(self, http: httpx.Client) -> None:
        layer = self.chance.randbytes(self.chance.choice([10, 3000, 1_100_000]))
        for content in (_CONFIG, layer):
            self._push_blob(http, content)
        self._put(http, make_manifest(layer, self.chance.randrange(1 << 30)).decode(), self._tag())

    def _push_blob(self, http: httpx.Client, content: bytes) -> None:
        begun = self._ask(http, "POST", "blobs/uploads/", 202)
        place = begun.headers["location"]
        if self.chance.random() < 0.4:
            half = len(content) // 2
            patched = self._request(http, "PATCH", place, 202, content=content[:half])
            place, content_left = patched.headers["location"], content[half:]
        else:
            content_left = content
        self._request(http, "PUT", f"{place}&digest={digest_of(content)}", 201, content=content_left)

    def _put(self, http: httpx.Client, content: str, tag: str) -> None:
        digest = digest_of(content.encode())
        op = {"do": "push", "digest": digest, "tag": tag, "children": [], "subject": None, "content": content}
        self._do(http, op, "PUT", f"manifests/{tag}", 201, content=content.encode(), headers={"content-type": MANIFEST})

    def _tag(self) -> str:
        return f"v{self.chance.randrange(5)}"

    def _do(self, http: httpx.Client, op: Op, method: str, path: str, status: int, **options: Any) -> None:
        self.pending = op
        self._ask(http, method, path, status, **options)
        self.shelf.apply(op)
        self.pending = None
        self.acknowledged += 1

    def _ask(self, http: httpx.Client, method: str, path: str, status: int, **options: Any) -> httpx.Response:
        return self._request(http, method, f"/v2/{self.name}/{path}", status, **options)

    def _request(self, http: httpx.Client, method: str, path: str, status: int, **options: Any) -> httpx.Response:
        answer = http.request(method, path, **options)
        if answer.status_code != status:  # told at the end: an exception in a thread would be lost
            self.refused.append(f"{method} {path}: {answer.status_code} {answer.text}")
            raise httpx.TransportError("refused")
        return answer

    # --- held to account --------------------------------------------------------------------------------------------

    def check(self, http: httpx.Client) -> None:
        """Rows are as acknowledged, or as with the thing in doubt done; every byte is served and right."""
        assert self.refused == []
        found = self._read_rows()
        if found != (self.shelf.tags, sorted(self.shelf.manifests)):
            assert self.pending is not None, (self.name, found, self.shelf)
            self.shelf = copy.deepcopy(self.shelf)
            self.shelf.apply(self.pending)
            assert found == (self.shelf.tags, sorted(self.shelf.manifests)), (self.name, self.pending, found)
        self.pending = None
        for tag, digest in self.shelf.tags.items():
            answer = http.get(f"/v2/{self.name}/manifests/{tag}", headers={"accept": MANIFEST})
            assert (answer.status_code, answer.text) == (200, self.shelf.manifests[digest]["content"])
            layer = answer.json()["layers"][0]
            blob = http.get(f"/v2/{self.name}/blobs/{layer['digest']}")
            assert (blob.status_code, digest_of(blob.content)) == (200, layer["digest"])

    def _read_rows(self) -> tuple[dict[str, str], list[str]]:
        of = f"JOIN repository r ON r.id = repository_id WHERE r.name = '{self.name}'"
        tags = self.stand.rows(f"SELECT t.name, t.digest FROM tag t {of}")
        manifests = self.stand.rows(f"SELECT m.digest FROM manifest m {of}")
        return {name: _text(digest) for name, digest in tags}, sorted(_text(digest) for (digest,) in manifests)


def _text(stored: bytes) -> str:
    return f"sha256:{stored[1:].hex()}"


def check_server(stand: Stand, clients: list[Client]) -> None:
    """fsck by the running server, then every client's own history."""
    owner = stand.owner
    with stand.client(stand.login_server(REGISTRY)) as http:
        http.auth = (owner["client_id"], owner["client_secret"])
        for client in clients:
            client.check(http)
    verdict = stand.fsck()
    assert verdict in ("clean", "garbage"), verdict


def play_round(stand: Stand, clients: list[Client], chance: random.Random, counts: Counter[str]) -> None:
    """Load, SIGKILL, start, check."""
    stop = threading.Event()
    threads = [threading.Thread(target=client.work, args=(stop,)) for client in clients]
    for thread in threads:
        thread.start()
    point = Path(stand.environment["DARSENA_FAILPOINT"][1:])
    if chance.random() < 0.5:
        point.write_text(chance.choice([name for name in list_points() if not name.startswith(_NOT_BY_PUSHES)]))
        deadline = time.monotonic() + WORK_S
        while point.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        counts["killed at a failpoint"] += not point.exists()
        point.unlink(missing_ok=True)
    else:
        time.sleep(chance.uniform(0.05, WORK_S))
    stand.kill()
    stop.set()
    for thread in threads:
        thread.join()
    stand.start("--no-build")
    check_server(stand, clients)
    counts["rounds"] += 1


def play_all(folder: Path, seed: int, rounds: int, seconds: float) -> Counter[str]:
    chance, counts, begun = random.Random(seed), Counter[str](), time.monotonic()
    environment = {"DARSENA_FAILPOINT": f"@{folder / 'point'}", "DARSENA_LOG__REQUESTS": "none"}
    with standing(folder, "--no-build", environment=environment) as stand:
        stand.ok("group", "create", "-n", "tests")
        stand.ok("create", "-g", "tests", "-n", REGISTRY, "--sku", "Premium")
        clients = [Client(stand, f"load/r{number}", random.Random(chance.random())) for number in range(CLIENTS)]
        check_server(stand, clients)
        base = Footprint.of(stand.process.pid)  # type: ignore[union-attr]
        while counts["rounds"] < rounds or time.monotonic() - begun < seconds:
            play_round(stand, clients, chance, counts)
        wait_until(lambda: Footprint.of(stand.process.pid).is_back_at(base), "it is as small as it was")  # type: ignore[union-attr]
        assert stand.stop() == 0
    counts["acknowledged"] = sum(client.acknowledged for client in clients)
    return counts


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=None, help="a new one, which is kept; otherwise a temporary one")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="darsena-rounds-") as name:
        folder = chosen.folder or Path(name)
        folder.mkdir(exist_ok=True)
        counts = play_all(folder, chosen.seed, chosen.rounds, chosen.seconds)
    print(json.dumps({"seed": chosen.seed, **counts}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
