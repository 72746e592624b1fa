"""A run's credential passes network rules where the registry lets its tasks, and nobody else does by that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from darsena.api.oauth2 import OAuth2Edge
from darsena.api.router import Router
from darsena.api.v2.login_server import LoginServerEdge
from darsena.core.errors import NetworkDenied
from darsena.identity.roles import OWNER
from darsena.registry.service import RegistryService
from darsena.testing.memory_storage import MemoryStorage
from identity.values import FACTS, basic, bearer
from principals import Principals

from .conftest import Answer, Server

LOCAL, FAR, INSIDE = "127.0.0.1", "203.0.113.9", "10.1.1.1"
TOKEN = f"/oauth2/token?service={FACTS.login_server}&scope=repository:a:pull,push"
TAGS = "/v2/a/tags/list"


@pytest.fixture
def closed(server: Server) -> Server:
    """Only one address is let in."""

    def check(_host: str, address: str) -> None:
        if address != INSIDE:
            raise NetworkDenied(f"client with IP '{address}' is not allowed access.")

    identity = server.identity
    login_server = LoginServerEdge(
        RegistryService(server.db, MemoryStorage(server.clock), identity.keyring),
        identity.authenticator,
        Router(OAuth2Edge(identity.authenticator, identity.tokens, server.clock).routes).dispatch,
        check,
    )
    server.edge = replace(server.edge, login_server=login_server)
    return server


async def sign_in(server: Server, user: tuple[str, str], address: str) -> Answer:
    return await server("GET", TOKEN, authorization=basic(*user), address=address)


async def make_run(server: Server) -> tuple[str, str]:
    return await Principals(server.identity).create_run_credential(FACTS, "c" * 32, 600)


@pytest.mark.parametrize("address", [LOCAL, FAR])
async def test_by_default_runs_are_kept_out_like_all(closed: Server, address: str) -> None:
    run = await make_run(closed)
    for authorization in (None, basic(*run)):
        for target in ("/v2/", TAGS, TOKEN):
            answer = await closed("GET", target, authorization=authorization, address=address)
            assert (answer.status, answer.code) == (403, "DENIED")
    assert (await sign_in(closed, run, INSIDE)).status == 200


async def test_where_tasks_pass_a_run_does_as_its_client_asks(closed: Server) -> None:
    closed.change(tasks_bypass=True)
    run = await make_run(closed)
    for target in ("/v2/", TAGS):
        asked = await closed("GET", target, address=LOCAL)
        assert asked.status == 401
        assert "www-authenticate" in asked.headers
    answer = await sign_in(closed, run, LOCAL)
    assert answer.access == {"repository:a": ["pull", "push"]}
    for authorization in (bearer(answer.json["access_token"]), basic(*run)):
        for address in (LOCAL, FAR):
            assert (await closed("GET", "/v2/", authorization=authorization, address=address)).status == 200
            assert (await closed("GET", TAGS, authorization=authorization, address=address)).code == "NAME_UNKNOWN"


async def test_nobody_else_passes_with_them(closed: Server) -> None:
    closed.change(tasks_bypass=True, anonymous_pull=True)
    owner, run = await closed.principal(OWNER), await make_run(closed)
    inside = (await sign_in(closed, (owner.client_id, owner.client_secret), INSIDE)).json["access_token"]
    anonymous = (await closed("GET", TOKEN, address=INSIDE)).json["access_token"]
    for authorization in (
        basic(owner.client_id, owner.client_secret),
        basic(*closed.admin()),
        basic(run[0], "wrong"),
        bearer(inside),
        bearer(anonymous),
        bearer("nonsense"),
        b"Basic !",
        b"Digest x",
    ):
        for address in (LOCAL, FAR):
            for target in ("/v2/", TAGS, TOKEN):
                answer = await closed("GET", target, authorization=authorization, address=address)
                assert (answer.status, answer.code) == (403, "DENIED"), (authorization, target)
    for target in ("/v2/", TAGS, TOKEN):
        assert (await closed("GET", target, address=FAR)).status == 403
    assert (await closed("GET", TOKEN, address=LOCAL)).status == 403
    assert (await closed("POST", "/oauth2/token", form={"grant_type": "password"}, address=LOCAL)).status == 403


async def test_an_ended_run_passes_no_more(closed: Server) -> None:
    closed.change(tasks_bypass=True)
    run = await make_run(closed)
    token = (await sign_in(closed, run, LOCAL)).json["access_token"]
    closed.db.transact_sync(closed.identity.runs.revoke, "c" * 32)
    closed.clock.advance(2)
    assert (await sign_in(closed, run, LOCAL)).status == 403
    for authorization in (basic(*run), bearer(token)):
        assert (await closed("GET", TAGS, authorization=authorization, address=LOCAL)).status == 403
