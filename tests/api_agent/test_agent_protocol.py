"""The agent protocol as JSON over HTTP, row by row as the agent and the server agreed on it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from darsena.api.agent import BASE, LOG_CHUNK_BYTES, AgentEdge
from darsena.api.router import Router
from darsena.core.errors import Problem, RangeNotSatisfiable, RequestInvalid, RequestTooLarge, Unauthenticated
from darsena.tasks.errors import RunLost
from runs_world import AGENT, INFO, Answer, World, ask

TOKEN = "the-agent's-own-token"


class Agent:
    def __init__(self, world: World, token: str | None = TOKEN) -> None:
        self.world = world
        self.router = Router(AgentEdge(world.tasks.agents, TOKEN).routes)
        self.token = token

    async def __call__(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, stays: bool = True
    ) -> Answer:
        headers = {} if self.token is None else {"authorization": f"Bearer {self.token}"}
        content = raw if raw is not None else b"" if body is None else msgspec.json.encode(body)
        return await ask(self.router, method, f"{BASE}{path}", content, headers, stays=stays)

    async def claim(self, **more: Any) -> Answer:
        body = {"agent": AGENT, "pool": "default", "cpu": 2.0, "platforms": ["linux/amd64"], "wait_s": 0, **more}
        return await self("POST", "/claim", body)

    async def finish(self, order: Any, status: str = "Succeeded", **more: Any) -> Answer:
        body = {"agent": AGENT, "fence": order["fence"], "status": status, "error": None, **more}
        return await self("POST", f"/runs/{order['run_uid']}/finish", body)


@pytest.fixture
def agent(world: World) -> Agent:
    return Agent(world)


async def test_a_run_from_hello_to_finish(agent: Agent) -> None:
    world = agent.world
    hello = await agent("POST", "/hello", {"agent": AGENT, "info": INFO})
    assert (hello.status, hello.json) == (200, {"lease_s": 60})
    assert (await agent.claim()).status == 204
    name = await world.upload(content=b"the archive")
    run = await world.schedule(sourceLocation=name)
    claimed = await agent.claim()
    assert claimed.status == 200
    order = claimed.json
    assert (order["run_id"], order["fence"], order["source"]["kind"]) == (run.run_id, 1, "upload")
    path = f"/runs/{order['run_uid']}"
    source = await agent("GET", f"{path}/source?fence=1")
    assert (source.status, source.content, source.headers["content-length"]) == (200, b"the archive", "11")
    beat = await agent("POST", f"{path}/beat", {"agent": AGENT, "fence": 1, "status": "Running"})
    assert (beat.status, beat.json) == (200, {"cancel": False, "lease_s": 60})
    logged = await agent("POST", f"{path}/log?agent={AGENT}&fence=1&offset=0", raw=b"Step 1/1\r\n")
    assert (logged.status, logged.json) == (200, {"offset": 10})
    digest = "sha256:" + "a" * 64
    finished = await agent.finish(
        order,
        output_images=[{"registry": "reg10.azurecr.localhost:8443", "repository": "a", "tag": "v1", "digest": digest}],
        dependencies=[
            {"image": {"repository": "a"}, "runtime_dependency": None, "buildtime_dependencies": [], "git": None}
        ],
        log_size=10,
    )
    assert finished.status == 200
    ended = await world.get(run)
    assert (ended.status, ended.log_size, ended.output_images[0].digest) == ("Succeeded", 10, digest)
    assert ended.dependencies[0]["image"] == {"repository": "a"}


async def test_cancel_comes_with_the_beat(agent: Agent) -> None:
    await agent.world.hello()
    run = await agent.world.schedule()
    order = (await agent.claim()).json
    await agent.world.tasks.runs.cancel(run.registry_uid, run.run_id)
    path = f"/runs/{order['run_uid']}"
    beat = await agent("POST", f"{path}/beat", {"agent": AGENT, "fence": 1, "status": "Running", "wait_s": 20})
    assert beat.json["cancel"] is True
    assert (await agent.finish(order, "Canceled")).status == 200


async def test_a_long_poll_ends_with_the_client_and_claims_nothing(agent: Agent) -> None:
    await agent.world.hello()
    body = msgspec.json.encode({"agent": AGENT, "cpu": 2, "platforms": ["linux/amd64"], "wait_s": 20})
    answer = await asyncio.wait_for(agent("POST", "/claim", raw=body, stays=False), 10)
    assert answer.status == 204
    run = await agent.world.schedule()
    assert (await agent("POST", "/claim", raw=body, stays=False)).status == 204
    assert (await agent.world.get(run)).status == "Queued"


async def test_a_long_poll_is_answered_when_a_run_comes(agent: Agent) -> None:
    await agent.world.hello()
    waiting = asyncio.create_task(agent.claim(wait_s=20))
    run = await agent.world.schedule()
    answer = await asyncio.wait_for(waiting, 10)
    assert answer.json["run_id"] == run.run_id


async def test_only_the_agent_s_token_opens_the_door(agent: Agent) -> None:
    for token in (None, "", "x", TOKEN + "x", TOKEN[:-1], TOKEN.upper()):
        for route in agent.router.routes:
            path = route.pattern.removeprefix(BASE).replace("{run_uid}", "0" * 32)
            with pytest.raises(Unauthenticated):
                await Agent(agent.world, token)(route.method, path, {})


async def test_what_is_lost_is_409_for_every_write(agent: Agent) -> None:
    path = f"/runs/{'0' * 32}"
    body = {"agent": AGENT, "fence": 1, "status": "Succeeded"}
    for call in (
        agent("POST", f"{path}/beat", body),
        agent("POST", f"{path}/log?agent={AGENT}&fence=1&offset=0", raw=b"x"),
        agent("POST", f"{path}/finish", body),
        agent("GET", f"{path}/source?fence=1"),
    ):
        with pytest.raises(RunLost) as lost:
            await call
        assert lost.value.code == "RunLost"


async def test_bodies_are_bounded_and_checked(agent: Agent) -> None:
    await agent.world.hello()
    await agent.world.schedule()
    order = (await agent.claim()).json
    path = f"/runs/{order['run_uid']}"
    wrong: list[tuple[type[Problem], str, Any, bytes | None]] = [
        (RequestInvalid, "/hello", {"agent": "a b", "info": {}}, None),
        (RequestInvalid, "/hello", {"agent": "server:1", "info": {}}, None),
        (RequestInvalid, "/hello", {"info": {}}, None),
        (RequestInvalid, "/hello", None, b"{"),
        (RequestInvalid, "/hello", {"agent": AGENT, "info": {"cpu": 0}}, None),
        (RequestInvalid, "/claim", {"agent": AGENT, "cpu": -1}, None),
        (RequestInvalid, "/claim", {"agent": AGENT, "cpu": "many"}, None),
        (RequestInvalid, f"{path}/beat", {"agent": AGENT}, None),
        (RequestInvalid, f"{path}/beat", {"agent": AGENT, "fence": 2**63}, None),
        (RequestInvalid, f"{path}/log?agent={AGENT}&fence=1", None, b"x"),
        (RequestInvalid, f"{path}/log?agent={AGENT}&fence=x&offset=0", None, b"x"),
        (RequestInvalid, f"{path}/log?fence=1&offset=0", None, b"x"),
        (RangeNotSatisfiable, f"{path}/log?agent={AGENT}&fence=1&offset=5", None, b"x"),
        (RequestTooLarge, f"{path}/log?agent={AGENT}&fence=1&offset=0", None, bytes(LOG_CHUNK_BYTES + 1)),
        (RequestInvalid, f"{path}/finish", {"agent": AGENT, "fence": 1, "status": "Running"}, None),
        (RequestInvalid, f"{path}/finish", {"agent": AGENT, "fence": 1, "status": "succeeded"}, None),
    ]
    for condition, target, body, raw in wrong:
        with pytest.raises(condition):
            await agent("POST", target, body, raw=raw)
    assert (await agent.finish(order, "Failed", error="x" * 100_000)).status == 200
    run = await agent.world.tasks.runs.get(order["registry"]["uid"], order["run_id"])
    assert len(run.error or "") == 2000


async def test_a_nul_in_what_a_build_left_behind_ends_the_run_all_the_same(agent: Agent) -> None:
    """No database takes it everywhere: it is shown as what cannot be read."""
    world = agent.world
    info = {**INFO, "version": "1\0", "faults": [{"text": "a\0b", "fix": "\0"}]}
    assert (await agent("POST", "/hello", {"agent": AGENT, "info": info})).status == 200
    run = await world.schedule(sourceLocation=await world.upload(content=b"x"))
    order = (await agent.claim()).json
    left = {"image": {"repository": "a\0"}, "git": {"\0": ["\0"]}}
    finished = await agent.finish(order, "Failed", error="exit \0 1", dependencies=[left])
    assert finished.status == 200
    assert (await world.get(run)).error == "exit \ufffd 1"


@pytest.mark.parametrize(
    "body", [{"agent": "a\0b"}, {"agent": AGENT, "pool": "\0"}, {"agent": AGENT, "platforms": ["\0"]}]
)
async def test_a_nul_in_a_name_is_refused(agent: Agent, body: dict[str, Any]) -> None:
    with pytest.raises(RequestInvalid):
        await agent("POST", "/claim", body)
