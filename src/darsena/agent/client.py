"""The server as the agent sees it: claim, source, beat, log, finish. Knows nothing of what a run does."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx
import msgspec

from darsena.agent.protocol import (
    Beat,
    BeatAnswer,
    Claim,
    EngineMessage,
    Finish,
    Hello,
    LogAnswer,
    OrderHead,
    RunOrder,
)
from darsena.agent.settings import AgentSettings

T = TypeVar("T")

_BASE = "/darsena/v1/agent"
_CLAIM_WAIT_S = 20
_JSON = {"Content-Type": "application/json"}


class RunLost(Exception):
    """The server gave the run to nobody or to another: end it, write nothing more."""


class ServerUnavailable(Exception):
    """No usable answer now; the same call may succeed later."""


class Refused(Exception):
    """The server understood and said no; asking again will not help."""


class ServerClient:
    def __init__(self, settings: AgentSettings, agent: str) -> None:
        self._agent = agent
        self._pool = settings.pool
        context = ssl.create_default_context(cafile=str(settings.ca_file))
        name = settings.server_name.partition(":")[0]
        self._extensions = {"sni_hostname": name}
        self._http = httpx.AsyncClient(
            base_url=settings.server,
            verify=context,
            trust_env=False,
            timeout=httpx.Timeout(15.0, connect=5.0),
            headers={"Host": settings.server_name, "Authorization": f"Bearer {settings.token}"},
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def hello(self, info: EngineMessage, runs: list[str], dead: list[str]) -> None:
        await self._post("/hello", msgspec.json.encode(Hello(agent=self._agent, info=info, runs=runs, dead=dead)))

    async def claim(self, cpu: float, platforms: list[str]) -> RunOrder | None:
        """Waits at the server for up to 20 s; None when there is nothing to do."""
        body = Claim(agent=self._agent, pool=self._pool, cpu=cpu, platforms=platforms, wait_s=_CLAIM_WAIT_S)
        answer = await self._post("/claim", msgspec.json.encode(body), timeout_s=_CLAIM_WAIT_S + 15)
        if answer.status_code == 204:
            return None
        try:
            return msgspec.json.decode(answer.content, type=RunOrder)
        except msgspec.DecodeError as e:
            head = _decode(answer, OrderHead)
            error = f"this agent cannot execute the run's request: {e}"
            await self.finish(head, msgspec.structs.replace(self.new_finish(head), error=error))
            return None

    async def beat(self, order: RunOrder) -> BeatAnswer:
        body = Beat(agent=self._agent, fence=order.fence, status="Running")
        answer = await self._post(f"/runs/{order.run_uid}/beat", msgspec.json.encode(body))
        return _decode(answer, BeatAnswer)

    async def append_log(self, order: RunOrder, offset: int, data: bytes) -> int:
        """The log's size at the server after it."""
        query = {"agent": self._agent, "fence": str(order.fence), "offset": str(offset)}
        path = f"/runs/{order.run_uid}/log"
        headers = {"Content-Type": "application/octet-stream"}
        answer = await self._post(path, data, query=query, headers=headers, timeout_s=30)
        return _decode(answer, LogAnswer).offset

    async def finish(self, order: RunOrder | OrderHead, finish: Finish) -> None:
        await self._post(f"/runs/{order.run_uid}/finish", msgspec.json.encode(finish), timeout_s=30)

    def new_finish(self, order: RunOrder | OrderHead) -> Finish:
        """An empty one of this agent, for `msgspec.structs.replace`."""
        return Finish(
            agent=self._agent,
            fence=order.fence,
            status="Error",
            error=None,
            output_images=[],
            dependencies=[],
            log_size=0,
        )

    @asynccontextmanager
    async def source(self, order: RunOrder) -> AsyncGenerator[AsyncIterator[bytes]]:
        """The uploaded archive as it comes."""
        path, query = f"{_BASE}/runs/{order.run_uid}/source", {"fence": str(order.fence), "agent": self._agent}
        try:
            async with self._http.stream("GET", path, params=query, extensions=self._extensions) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    _raise_for(answer)
                yield answer.aiter_bytes(65536)
        except httpx.TransportError as e:
            raise ServerUnavailable(str(e) or type(e).__name__) from e

    async def _post(
        self,
        path: str,
        body: bytes,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 15.0,
    ) -> httpx.Response:
        try:
            answer = await self._http.post(
                _BASE + path,
                content=body,
                params=query,
                headers=headers or _JSON,
                timeout=httpx.Timeout(timeout_s, connect=5.0),
                extensions=self._extensions,
            )
        except httpx.TransportError as e:
            raise ServerUnavailable(str(e) or type(e).__name__) from e
        if answer.status_code not in (200, 204):
            _raise_for(answer)
        return answer


def _raise_for(answer: httpx.Response) -> None:
    reason = f"{answer.status_code} {answer.text[:300]}"
    if answer.status_code in (409, 404):
        raise RunLost(reason)
    if answer.status_code >= 500 or answer.status_code == 429:
        raise ServerUnavailable(reason)
    raise Refused(reason)


def _decode(answer: httpx.Response, type_: type[T]) -> T:
    """Raises ServerUnavailable for what is no answer of this server's: something else stands in between."""
    try:
        return msgspec.json.decode(answer.content, type=type_)
    except msgspec.DecodeError as e:
        raise ServerUnavailable(f"an answer that is not the server's: {e}") from e
