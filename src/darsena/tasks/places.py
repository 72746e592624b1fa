"""Why a run waits, and which runs no agent will ever take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from darsena.db import Tx
from darsena.jobs.lease import LEASE_S, lease_now_us
from darsena.tasks import agent_store, queue_store
from darsena.tasks.model import AgentRow, EndStatus, Held, QueuePlace

_LIVE_US = (LEASE_S + 30) * 1_000_000
"""An agent asks for work, or renews a lease, several times in this."""


@dataclass(frozen=True, slots=True)
class Refusal:
    status: EndStatus
    error: str


def list_live_agents(tx: Tx, pool: str, now_us: int) -> list[AgentRow]:
    return agent_store.list_agents(tx, pool=pool, seen_after_us=now_us - _LIVE_US)


def find_place(tx: Tx, uid: str, pool: str) -> QueuePlace | None:
    held = queue_store.find_held(tx, uid)
    if held is None or held.owner is not None:
        return None
    ahead = queue_store.count_before(tx, held, pool)
    return QueuePlace(position=ahead + 1, reason=_explain(tx, pool, ahead))


def _explain(tx: Tx, pool: str, ahead: int) -> str:
    now_us = lease_now_us(tx)
    agents = list_live_agents(tx, pool, now_us)
    if not agents:
        return "no build agent is connected"
    if ahead:
        return f"{ahead} {'run is' if ahead == 1 else 'runs are'} ahead of it"
    used, total = queue_store.cpu_held_in(tx, pool, now_us), sum(agent.cpu for agent in agents)
    if used:
        return f"running builds use {used} of {total} processors"
    return "it starts in a moment"


def find_refusal(agents: list[AgentRow], held: Held) -> Refusal | None:
    """How a waiting run must end because no live agent can do it; None while one can, or none is there to ask."""
    if not agents or any(held.platform in agent.platforms for agent in agents):
        return None
    if any(agent.platforms for agent in agents):
        return Refusal("Failed", f"platform {held.platform} needs emulation (binfmt) on the agent")
    return Refusal("Error", f"no container engine on the agent: {_faults(agents[0])}")


def _faults(agent: AgentRow) -> str:
    rows = agent.info.get("faults")
    faults = cast("list[Any]", rows) if isinstance(rows, list) else []
    texts = [f"{fault.get('text', '')}; {fault.get('fix', '')}".strip("; ") for fault in faults if _is_object(fault)]
    return " · ".join(text for text in texts if text) or "see `darsena doctor`"


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)
