"""Concurrent pushes of one digest, tag moves and deletions: whatever clients are told, one order explains all (R3)."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from darsena.testing.histories import NEVER, Operation, is_linearizable

from .world import World, digest_of, image, manifest_of

CONFIG = b'{"architecture":"amd64","os":"linux"}'
LAYER = b"layer"
IMAGES = [manifest_of(image(CONFIG, LAYER, annotations={"n": str(number)})) for number in range(4)]
BASE = "/v2/team/app"
CLIENTS = 6

Step = Callable[[Any, Operation], Iterable[Any]]


async def record(
    choices: list[tuple[str, Any, Callable[[], Awaitable[Any]]]], count: int, seed: int
) -> list[Operation]:
    """`CLIENTS` at a time do `count` of these, one after the other each; what they did and were told, and when."""
    moments, rng, history = itertools.count(), random.Random(seed), list[Operation]()
    plan = iter([rng.choice(choices) for _ in range(count)])

    async def client() -> None:
        for name, argument, act in plan:
            began = next(moments)
            result = await act()
            history.append(Operation(name, argument, result, began, next(moments)))

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return history


def tag_step(state: str | None, operation: Operation) -> Iterable[str | None]:
    """The digest that the tag names."""
    match operation.name, operation.result:
        case "put", 201:
            return [operation.argument]
        case "get", seen:
            return [state] if seen == state else []
        case "delete", 202:
            return [None] if state is not None else []
        case "delete", 404:
            return [state] if state is None else []
        case _:
            return []


@pytest.mark.parametrize("seed", range(3))
async def test_a_tag_that_is_moved_deleted_and_read(world: World, seed: int) -> None:
    await furnish(world)

    async def get() -> str | None:
        answer = await world.ask("GET", f"{BASE}/manifests/t")
        return answer.headers["docker-content-digest"] if answer.status == 200 else None

    def put(number: int) -> Callable[[], Awaitable[int]]:
        return lambda: status(world.push_manifest("team/app", "t", IMAGES[number]))

    choices: list[Any] = [("put", IMAGES[number].digest, put(number)) for number in range(4)]
    choices += [("get", None, get)] * 6
    choices += [("delete", None, lambda: status(world.ask("DELETE", f"{BASE}/manifests/t")))] * 2
    assert is_linearizable(await record(choices, 150, seed), None, tag_step)


def blob_step(state: bool, operation: Operation) -> Iterable[bool]:
    """Whether the repository has the blob."""
    match operation.name, operation.result:
        case "push", 201:
            return [True]
        case "mount", 201:
            return [True]
        case "head" | "delete", 200 | 202:
            return [operation.name == "head"] if state else []
        case "head" | "delete", 404:
            return [False] if not state else []
        case _:
            return []


@pytest.mark.parametrize("seed", range(3))
async def test_one_digest_that_is_pushed_mounted_deleted_and_asked_for(world: World, seed: int) -> None:
    content = b"one blob" * 1000
    digest = digest_of(content)
    await world.push_blob("team/source", content)
    target = f"{BASE}/blobs/{digest}"
    choices: list[Any] = [
        ("push", None, lambda: status(world.ask("POST", f"{BASE}/blobs/uploads/?digest={digest}", content))),
        ("mount", None, lambda: status(world.ask("POST", f"{BASE}/blobs/uploads/?mount={digest}&from=team/source"))),
        *[("head", None, lambda: status(world.ask("HEAD", target)))] * 3,
        ("delete", None, lambda: status(world.ask("DELETE", target))),
    ]
    assert is_linearizable(await record(choices, 150, seed), False, blob_step)


Images = frozenset[tuple[str, str]]
"""(tag, digest) of every tag, and ("", digest) of every manifest."""


def images_step(state: Images, operation: Operation) -> Iterable[Images]:
    """Two manifests under two tags: a manifest goes with its tags, a tag alone."""
    match operation.name, operation.argument, operation.result:
        case "put", (tag, digest), 201:
            return [frozenset({pair for pair in state if pair[0] != tag or not tag} | {(tag, digest), ("", digest)})]
        case "get", digest, 200 | 404 as found:
            return [state] if (("", digest) in state) == (found == 200) else []
        case "list", _, names:
            return [state] if {tag for tag, _ in state if tag} == set(names) else []
        case "delete", digest, 202 | 404 as found:
            there = ("", digest) in state
            return [frozenset(pair for pair in state if pair[1] != digest)] if there == (found == 202) else []
        case _:
            return []


@pytest.mark.parametrize("seed", range(3))
async def test_manifests_that_go_with_their_tags(world: World, seed: int) -> None:
    await furnish(world)

    async def list_tags() -> list[str]:
        return (await world.ask("GET", f"{BASE}/tags/list")).json["tags"]

    choices: list[Any] = [("list", None, list_tags)] * 3
    for manifest in IMAGES[:2]:
        target = f"{BASE}/manifests/{manifest.digest}"
        choices += [
            ("get", manifest.digest, lambda target=target: status(world.ask("GET", target))),
            ("delete", manifest.digest, lambda target=target: status(world.ask("DELETE", target))),
        ]
        for tag in ("", "a", "b"):
            act = lambda tag=tag, manifest=manifest: status(world.push_manifest("team/app", tag or None, manifest))  # noqa: E731
            choices.append(("put", (tag, manifest.digest), act))
    assert is_linearizable(await record(choices, 150, seed), frozenset(), images_step)


async def furnish(world: World) -> None:
    for content in (CONFIG, LAYER):
        await world.push_blob("team/app", content)


async def status(answer: Awaitable[Any]) -> int:
    return (await answer).status


# --- the checker itself -----------------------------------------------------------------------------------------------


def op(name: str, argument: Any, result: Any, began: float, ended: float) -> Operation:
    return Operation(name, argument, result, began, ended)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], True),
        ([op("put", "a", 201, 0, 1), op("get", None, "a", 2, 3)], True),
        ([op("put", "a", 201, 0, 1), op("get", None, None, 2, 3)], False),
        ([op("put", "a", 201, 0, 3), op("get", None, None, 1, 2)], True),
        ([op("put", "a", 201, 0, 9), op("get", None, "a", 1, 2), op("get", None, None, 3, 4)], False),
        ([op("put", "a", 201, 0, 9), op("put", "b", 201, 0, 9), op("get", None, "a", 10, 11)], True),
        ([op("put", "a", 201, 0, 1), op("put", "b", 201, 2, 3), op("get", None, "a", 4, 5)], False),
        ([op("delete", None, 202, 0, 1)], False),
        ([op("put", "a", 201, 0, 1), op("delete", None, 202, 2, 5), op("delete", None, 202, 3, 6)], False),
        ([op("put", "a", 201, 0, NEVER), op("get", None, "a", 5, 6)], True),
        ([op("put", "a", 201, 0, NEVER), op("get", None, None, 5, 6)], True),
        ([op("put", "a", 201, 5, NEVER), op("get", None, "a", 1, 2)], False),
    ],
)
def test_the_checker_tells_a_history_that_cannot_be(history: list[Operation], expected: bool) -> None:
    assert is_linearizable(history, None, tag_step) == expected
