"""Request rates by tier (tiers, section 3): token buckets per registry and category, and per identity."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from darsena.api.limits import PER_MINUTE, TEXT, Category, RateLimits
from darsena.api.oauth2 import OAuth2Edge
from darsena.api.router import Router
from darsena.api.v2.login_server import LoginServerEdge
from darsena.core.errors import Throttled
from darsena.identity.roles import OWNER
from darsena.registry.service import RegistryService
from darsena.testing import FakeClock
from darsena.testing.memory_storage import MemoryStorage
from darsena.usage import StorageLimit, Totals
from darsena.usage.limit import LIMITS
from darsena.usage.store import put as put_totals
from identity.values import FACTS, OTHER, basic

from .conftest import Answer, Server

SMALL: dict[str, dict[Category, tuple[int, int]]] = {
    "Basic": {"read": (6, 4), "write": (2, 1), "delete": (2, 1), "referrers": (2, 2), "oauth": (3, 0)},
    "Premium": {"read": (60, 40), "write": (20, 10), "delete": (20, 10), "referrers": (20, 20), "oauth": (30, 0)},
}


def count(limits: RateLimits, category: Category, principal: int | None = None, facts: Any = FACTS) -> int:
    """How many calls pass now."""
    passed = 0
    while True:
        try:
            limits.take(facts, category, principal)
        except Throttled:
            return passed
        passed += 1


@pytest.mark.parametrize("tier", ["Basic", "Standard", "Premium"])
def test_each_tier_and_category_passes_its_number(tier: str) -> None:
    facts, limits = replace(FACTS, tier=tier), RateLimits(FakeClock())
    expected = {
        "Basic": {"read": 10_000, "write": 2_000, "delete": 1_000, "referrers": 500, "oauth": 10_000},
        "Premium": {"read": 20_000, "write": 4_000, "delete": 4_000, "referrers": 2_000, "oauth": 20_000},
    }["Premium" if tier == "Premium" else "Basic"]
    assert {category: count(limits, category, facts=facts) for category in PER_MINUTE[tier]} == expected
    assert count(limits, "read", 7, facts) == expected["read"] // 2


def test_buckets_refill_continuously_and_say_when() -> None:
    clock = FakeClock()
    limits = RateLimits(clock, SMALL)
    assert count(limits, "read") == 6
    with pytest.raises(Throttled) as refused:
        limits.take(FACTS, "read")
    assert (refused.value.retry_after_s, refused.value.message) == (10, TEXT)
    clock.advance(4)
    with pytest.raises(Throttled) as refused:
        limits.take(FACTS, "read")
    assert refused.value.retry_after_s == 6
    clock.advance(26)
    assert count(limits, "read") == 3
    clock.advance(3600)
    assert count(limits, "read") == 6


def test_registries_and_identities_have_buckets_of_their_own() -> None:
    limits = RateLimits(FakeClock(), SMALL)
    assert count(limits, "read", 1) == count(limits, "read", 2) == 4
    assert count(limits, "read") == count(limits, "read", facts=OTHER) == 6


def rebuild(server: Server, **more: Any) -> Server:
    """The same server with limits."""
    identity, clock = server.identity, server.clock
    login_server = LoginServerEdge(
        RegistryService(server.db, MemoryStorage(clock), identity.keyring),
        identity.authenticator,
        Router(OAuth2Edge(identity.authenticator, identity.tokens, clock).routes).dispatch,
        lambda _host, _address: None,
        **more,
    )
    server.edge = replace(server.edge, login_server=login_server)
    return server


@pytest.fixture
def limited(server: Server) -> Server:
    return rebuild(server, limits=RateLimits(server.clock, SMALL))


def check_refused(answer: Answer) -> None:
    assert answer.status == 429
    assert answer.json == {"errors": [{"code": "TOOMANYREQUESTS", "message": TEXT, "detail": {}}]}
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"


async def test_an_identity_over_its_rate_is_told_when_to_come_back(limited: Server, clock: FakeClock) -> None:
    first, second = await limited.principal(OWNER), await limited.principal(OWNER)
    header = basic(first.client_id, first.client_secret)
    answers = [await limited("GET", "/v2/", authorization=header) for _ in range(5)]
    assert [answer.status for answer in answers] == [200] * 4 + [429]
    check_refused(answers[-1])
    other = await limited("GET", "/v2/", authorization=basic(second.client_id, second.client_secret))
    assert other.status == 200
    clock.advance(int(answers[-1].headers["retry-after"]))
    assert (await limited("GET", "/v2/", authorization=header)).status == 200


async def test_the_whole_registry_has_a_rate(limited: Server) -> None:
    answers = [await limited("GET", "/v2/") for _ in range(7)]
    assert [answer.status for answer in answers] == [401] * 6 + [429]
    assert (await limited("GET", "/v2/", host=OTHER.login_server)).status == 401
    header = basic(*limited.admin())
    deleted = [await limited("DELETE", "/acr/v1/team/app", authorization=header) for _ in range(2)]
    assert [answer.status for answer in deleted] == [404, 429]


async def test_token_requests_have_a_rate_of_their_own(limited: Server) -> None:
    answers = [await limited("GET", "/oauth2/token") for _ in range(4)]
    assert [answer.status for answer in answers] == [200] * 3 + [429]
    check_refused(answers[-1])
    limited.change(tier="Premium")
    assert (await limited("GET", "/v2/")).status == 401


async def test_referrers_count_twice(limited: Server) -> None:
    header = basic(*limited.admin())
    target = f"/v2/team/app/referrers/sha256:{'a' * 64}"
    answers = [await limited("GET", target, authorization=header) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    left = [await limited("GET", "/v2/", authorization=header) for _ in range(4)]
    assert [answer.status for answer in left] == [200, 200, 429, 429]


async def test_nobody_is_refused_while_rates_are_off(server: Server) -> None:
    header = basic(*server.admin())
    assert {(await server("GET", "/v2/", authorization=header)).status for _ in range(20)} == {200}


async def test_a_full_registry_takes_no_more_and_gives_what_it_has(server: Server, clock: FakeClock) -> None:
    """tiers, section 4: 405 on push."""
    rebuild(server, check_storage=StorageLimit(server.db, {"Basic": 100, "Premium": 1000}).check)
    header = basic(*server.admin())

    async def push() -> list[int]:
        begun = await server("POST", "/v2/team/app/blobs/uploads/", authorization=header)
        put = await server("PUT", "/v2/team/app/manifests/v1", body=b"{}", authorization=header)
        if begun.status == 405:
            assert begun.code == put.code == "REGISTRY_DISALLOWED_OPERATION"
            assert "aka.ms/acr/faq" in begun.json["errors"][0]["message"]
        return [begun.status, put.status]

    def hold(size: int) -> None:
        server.db.transact_sync(put_totals, FACTS.uid, Totals(size_bytes=size))
        clock.advance(2)

    hold(99)
    assert await push() == [202, 400]
    hold(100)
    assert await push() == [405, 405]
    assert (await server("GET", "/v2/team/app/tags/list", authorization=header)).status in (200, 404)
    assert (await server("DELETE", "/acr/v1/team/other", authorization=header)).status == 404
    other = await server(
        "POST", "/v2/a/blobs/uploads/", authorization=basic(*server.admin(OTHER)), host=OTHER.login_server
    )
    assert other.status == 202
    server.change(tier="Premium")
    assert await push() == [202, 400]


def test_each_tier_has_its_storage_limit() -> None:
    tib = 1024**4
    assert {"Basic": 40 * tib, "Standard": 40 * tib, "Premium": 100 * tib} == LIMITS
