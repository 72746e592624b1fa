"""Real clients at once, and the server killed under them: what they were told is one history (promises R1, R3)."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from pushing import MANIFEST, Pusher, digest_of
from stand import Stand, standing, wait_until

from darsena.testing.histories import NEVER, Operation, is_linearizable

REGISTRY = "historyregistry"
CLIENTS = 6
ROUNDS = 60


@dataclass
class Clients:
    """Threads that share nothing but the server; a request without an answer may have been carried out or not."""

    stand: Stand
    images: list[bytes]
    history: list[Operation] = field(default_factory=list)

    def run(self, seed: int) -> None:
        rng = random.Random(seed)
        with self.stand.client(self.stand.login_server(REGISTRY)) as client:
            client.auth = tuple(self.stand.credentials.split(":"))  # type: ignore[assignment]
            for _ in range(ROUNDS):
                self.act(client, rng.choice(["get", "get", "get", "put", "put", "delete"]), rng)

    def act(self, client: httpx.Client, name: str, rng: random.Random) -> None:
        content = rng.choice(self.images)
        argument = digest_of(content) if name == "put" else None
        began = time.monotonic()
        try:
            result = self.ask(client, name, content)
        except httpx.HTTPError:
            if name != "get":
                self.history.append(Operation(name, argument, None, began, NEVER))
            wait_until(self.stand.health, "the server is there again")
        else:
            self.history.append(Operation(name, argument, result, began, time.monotonic()))

    def ask(self, client: httpx.Client, name: str, content: bytes) -> Any:
        target = "/v2/history/app/manifests/t"
        if name == "put":
            return client.put(target, content=content, headers={"content-type": MANIFEST}).status_code
        if name == "delete":
            return client.delete(target).status_code
        answer = client.get(target)
        assert answer.status_code in (200, 404)
        return answer.headers["docker-content-digest"] if answer.status_code == 200 else None


def step(state: str | None, operation: Operation) -> Iterable[str | None]:
    """The digest that the tag names."""
    match operation.name, operation.result:
        case "put", 201 | None:
            return [operation.argument]
        case "get", seen:
            return [state] if seen == state else []
        case "delete", 202:
            return [None] if state is not None else []
        case "delete", 404:
            return [state] if state is None else []
        case "delete", None:
            return [None]
        case _:
            return []


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with standing(tmp_path_factory.mktemp("histories"), "--no-build") as running:
        running.ok("group", "create", "-n", "tests")
        running.ok("create", "-g", "tests", "-n", REGISTRY, "--sku", "Premium")
        yield running


@pytest.mark.parametrize("kills", [0, 3])
def test_a_tag_under_many_clients(stand: Stand, kills: int) -> None:
    clients = Clients(stand, furnish(stand))
    threads = [threading.Thread(target=clients.run, args=(seed,)) for seed in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for number in range(kills):
        wait_until(lambda number=number: len(clients.history) >= 60 * (number + 1), "they are at work")
        os.kill(stand.worker_pid(), signal.SIGKILL)
        wait_until(stand.health, "the worker is back")
    for thread in threads:
        thread.join()
    assert len(clients.history) > CLIENTS * ROUNDS / 2
    assert is_linearizable(clients.history, None, step)
    stand.ok("fsck")


def furnish(stand: Stand) -> list[bytes]:
    """Four images with all that they reference, and no tag."""
    pusher = Pusher(stand, REGISTRY, "history/app")
    pusher.request("DELETE", "/v2/history/app/manifests/t")
    return [pusher.make_manifest(b"layer", {"n": str(number)}) for number in range(4)]


@pytest.mark.parametrize("whole", [False, True])
def test_a_push_is_resumed_after_the_server_was_killed(stand: Stand, whole: bool) -> None:
    """What a chunk's answer acknowledged is there, whether the worker died or everything."""
    pusher = Pusher(stand, REGISTRY, "history/resumed")
    content = random.Random(whole).randbytes(5_000_000)
    location = pusher.request("POST", "/v2/history/resumed/blobs/uploads/").headers["location"]
    sent = pusher.request("PATCH", location, content=content[:3_000_001])
    assert (sent.status_code, sent.headers["range"]) == (202, "0-3000000")
    if whole:
        stand.kill()
        stand.start("--no-build")
    else:
        os.kill(stand.worker_pid(), signal.SIGKILL)
        wait_until(stand.health, "the worker is back")
    asked = pusher.request("GET", location)
    assert (asked.status_code, asked.headers["range"]) == (204, "0-3000000")
    again = pusher.request("PATCH", location, content=content[:9], headers={"content-range": "0-8"})
    assert (again.status_code, again.headers["range"]) == (416, "0-3000000")
    rest = {"content-range": f"3000001-{len(content) - 1}"}
    assert pusher.request("PATCH", location, content=content[3_000_001:], headers=rest).status_code == 202
    digest = digest_of(content)
    assert pusher.request("PUT", f"{location}&digest={digest}").status_code == 201
    assert pusher.request("GET", f"/v2/history/resumed/blobs/{digest}").content == content
