"""The token service of a login server (ACR authentication, sections 3, 4, 6, 7, 8)."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darsena.identity.roles import ACR_PULL
from darsena.testing import FakeClock
from identity.tokens_world import TokensWorld
from principals import Principals

from .conftest import FACTS, SUFFIX, Server, basic

NULL = "00000000-0000-0000-0000-000000000000"
PULL = "scope=repository:a/b:pull"
NAMES = ["scope", "service", "username", "password", "refresh_token", "access_token"]
ALL = {"pull", "push", "delete", "metadata_read", "metadata_write", "deleted_read", "deleted_restore"}


def check_challenge(answer: object, name: str = "regone") -> None:
    """A refusal as clients read it: no blank after a comma, the login server by name."""
    assert answer.status == 401  # type: ignore[attr-defined]
    assert answer.json["errors"][0]["code"] == "UNAUTHORIZED"  # type: ignore[attr-defined]
    expected = f'Bearer realm="https://{name}{SUFFIX}/oauth2/token",service="{name}{SUFFIX}"'
    assert answer.headers["www-authenticate"] == expected  # type: ignore[attr-defined]


async def test_the_answer_is_acrs(server: Server) -> None:
    answer = await server.get_token("regone", PULL, "regone", server.admin_password())
    assert answer.status == 200
    assert answer.json.keys() == {"access_token", "token", "expires_in"}
    assert answer.json["access_token"] == answer.json["token"]
    assert answer.json["expires_in"] == 4500
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-ms-ratelimit-remaining-calls-per-second"] == "166.65"
    assert answer.claims["aud"] == f"regone{SUFFIX}"


async def test_every_form_of_credential_gets_a_token(server: Server) -> None:
    """Section 7: on GET with Basic and as grant_type=password alike."""
    facts = FACTS[f"regone{SUFFIX}"]
    run, run_password = await Principals(server.identity).create_run_credential(facts, "c" * 32, 600)
    refresh = await server.refresh()
    access = (await server.get_token("regone", PULL, NULL, refresh)).json["access_token"]
    rows = [
        ("REGONE", server.admin_password(), ALL),
        (server.owner.client_id, server.owner.client_secret, ALL),
        (run, run_password, {"pull", "push", "metadata_read"}),
        (NULL, refresh, ALL),
        (NULL, access, {"pull"}),
    ]
    for user, password, expected in rows:
        by_get = await server.get_token("regone", "scope=repository:a/b:*", user, password)
        fields = {"grant_type": "password", "username": user, "password": password, "scope": "repository:a/b:*"}
        by_post = await server.post_token("regone", fields)
        for answer in (by_get, by_post):
            assert answer.status == 200
            assert answer.access == {"repository:a/b": expected}
        for other in (
            await server.get_token("regtwo", PULL, user, password),
            await server.post_token("regtwo", fields),
        ):
            if user != server.owner.client_id:
                check_challenge(other, "regtwo")
        check_challenge(await server.get_token("regone", PULL, user, password + "x"))


async def test_a_refresh_token_is_a_grant_of_its_own(server: Server) -> None:
    refresh = await server.refresh()
    fields = {"grant_type": "refresh_token", "service": f"regone{SUFFIX}", "refresh_token": refresh}
    docker_login = await server.post_token("regone", {**fields, "client_id": "docker", "access_type": "offline"})
    assert docker_login.status == 200
    assert docker_login.access == {}
    asked = await server.post_token("regone", {**fields, "scope": "registry:catalog:* repository:x:pull,push"})
    assert asked.access == {"registry:catalog": {"*"}, "repository:x": {"pull", "push"}}
    repeated = [*fields.items(), ("scope", "repository:x:pull"), ("scope", "repository:y:pull")]
    assert (await server.post_token("regone", repeated)).access.keys() == {"repository:x", "repository:y"}
    check_challenge(await server.post_token("regtwo", fields), "regtwo")
    access = asked.json["access_token"]
    for wrong in (access, await server.sign_in(), "", "x", f"{refresh}x"):
        check_challenge(await server.post_token("regone", {**fields, "refresh_token": wrong}))


async def test_scopes_come_in_every_form(server: Server) -> None:
    password = server.admin_password()
    two = "scope=repository:a:pull&scope=repository:b:pull,push"
    blanks = f"scope={quote('repository:a:pull repository:b:pull,push')}"
    plus = "scope=repository:a:pull+repository:b:pull,push"
    for query in (two, blanks, plus):
        answer = await server.get_token("regone", query, "regone", password)
        assert answer.access == {"repository:a": {"pull"}, "repository:b": {"pull", "push"}}
    docker = "account=regone&client_id=docker&offline_token=true&scope=repository:a:pull&scope=nonsense"
    assert (await server.get_token("regone", docker, "regone", password)).access == {"repository:a": {"pull"}}
    check_health = "scope=repository:a:pull,push,metadata_write,metadata_read,delete"
    first = (await server.get_token("regone", check_health, "regone", password)).claims["access"][0]
    assert first["actions"] == ["pull", "push", "delete", "metadata_read", "metadata_write"]


async def test_a_repository_token_gets_what_its_scope_map_says(server: Server) -> None:
    """Section 10: by GET and by POST, under its name in any case; no catalog; what is not held is left out."""
    facts, world = FACTS[f"regone{SUFFIX}"], TokensWorld(server.identity)
    actions = ["repositories/a/b/content/read", "repositories/a/b/content/write", "repositories/team/*/metadata/write"]
    password = await world.make("Ci-Pusher", *actions, facts=facts)
    query = (
        "scope=repository:a/b:pull,push,delete&scope=repository:team/x:delete,metadata_write"
        "&scope=registry:catalog:*%20repository:other:pull&scope=repository:*:*"
    )
    for name in ("Ci-Pusher", "ci-pusher", "CI-PUSHER"):
        answer = await server.get_token("regone", query, name, password)
        assert answer.access == {"repository:a/b": {"pull", "push"}, "repository:team/x": {"metadata_write", "untag"}}
        fields = {"grant_type": "password", "username": name, "password": password, "scope": "repository:a/b:*"}
        assert (await server.post_token("regone", fields)).access == {"repository:a/b": {"pull", "push"}}
    nothing = await server.get_token("regone", "scope=repository:other:pull", "ci-pusher", password)
    assert (nothing.status, nothing.access) == (200, {})
    check_challenge(await server.get_token("regtwo", query, "ci-pusher", password), "regtwo")
    check_challenge(await server.get_token("regone", query, "ci-pusher", f"{password}x"))


async def test_an_access_token_of_a_repository_token_as_a_password(server: Server, clock: FakeClock) -> None:
    """It gives no more than it has, and ends with the password that it was made from."""
    facts, world = FACTS[f"regone{SUFFIX}"], TokensWorld(server.identity)
    await world.make("puller", "repositories/*/content/read", facts=facts)
    until = clock.now_us() + 600 * 1_000_000
    password = (await world.make_passwords("puller", "password1", expires_at=until, facts=facts))["password1"]
    answer = await server.get_token("regone", PULL, "puller", password)
    assert answer.json["expires_in"] == 600
    access = answer.json["access_token"]
    again = await server.get_token("regone", "scope=repository:a/b:*&scope=repository:c:pull", NULL, access)
    assert again.access == {"repository:a/b": {"pull"}}
    clock.advance(600)
    check_challenge(await server.get_token("regone", PULL, NULL, access))
    check_challenge(await server.get_token("regone", PULL, "puller", password))


async def test_lack_of_rights_is_not_refused_here(server: Server) -> None:
    made = await Principals(server.identity).create_service_principal("nobody")
    answer = await server.get_token("regone", "scope=repository:a:pull,push", made.client_id, made.client_secret)
    assert (answer.status, answer.claims["access"]) == (200, [])
    await Principals(server.identity).assign_role(
        made.principal.object_id, ACR_PULL.id, FACTS[f"regone{SUFFIX}"].resource_id
    )
    answer = await server.get_token("regone", "scope=repository:a:pull,push", made.client_id, made.client_secret)
    assert answer.access == {"repository:a": {"pull"}}
    answer = await server.get_token("regtwo", "scope=repository:a:pull,push", made.client_id, made.client_secret)
    assert (answer.status, answer.claims["access"]) == (200, [])


async def test_without_credentials_one_is_anonymous(server: Server) -> None:
    """Section 8; the SDK's anonymous client posts grant_type=password without a user."""
    query = "scope=repository:a:pull,push,delete,metadata_read&scope=registry:catalog:*"
    empty = {"grant_type": "password", "username": "", "password": ""}
    for answer in (
        await server.get_token("public", query),
        await server.post_token("public", {"grant_type": "password", "scope": "repository:a:* registry:catalog:*"}),
        await server.post_token("public", {**empty, "scope": "repository:a:*"}),
    ):
        assert answer.status == 200
        assert answer.access == {"repository:a": {"pull", "metadata_read"}}
    assert (await server.send("POST", f"public{SUFFIX}", "/oauth2/token")).claims["access"] == []
    for answer in (
        await server.get_token("regone", query),
        await server.post_token("regone", {"grant_type": "password", "scope": "repository:a:delete"}),
    ):
        assert (answer.status, answer.claims["access"]) == (200, [])


async def test_wrong_credentials_are_refused_and_never_taken_as_anonymous(server: Server) -> None:
    server.admin_password("public")
    for user, password in [("public", "x"), ("public", ""), ("x", ""), ("", "x"), (NULL, ""), (NULL, "a.b.c")]:
        check_challenge(await server.get_token("public", PULL, user, password), "public")
        fields = {"grant_type": "password", "username": user, "password": password}
        check_challenge(await server.post_token("public", fields), "public")
    bearer = (b"authorization", f"Bearer {await server.refresh('public')}".encode())
    check_challenge(await server.send("GET", f"public{SUFFIX}", "/oauth2/token", b"", [bearer]), "public")
    check_challenge(await server.get_token("closed", PULL, "closed", server.admin_password("closed")), "closed")


async def test_basic_counts_on_post_where_the_form_has_no_user(server: Server) -> None:
    header = basic("regone", server.admin_password())
    body = b"grant_type=password&scope=repository%3Aa%3Apull"
    answer = await server.send("POST", f"regone{SUFFIX}", "/oauth2/token", body, [header])
    assert answer.access == {"repository:a": {"pull"}}


# --- exchange -------------------------------------------------------------------------------------------------------


async def test_directory_tokens_are_exchanged(server: Server) -> None:
    """Section 3."""
    for scope in ("https://containerregistry.azure.net/.default", "https://localhost:8443//.default"):
        token = await server.sign_in(scope)
        for extra in ({}, {"service": f"regone{SUFFIX}"}, {"tenant": "any.example.org"}, {"api-version": "2021-07-01"}):
            answer = await server.exchange("regone", {"grant_type": "access_token", "access_token": token, **extra})
            assert answer.status == 200
            assert answer.json.keys() == {"refresh_token"}
            assert answer.claims["grant_type"] == "refresh_token"
            assert answer.claims["exp"] - answer.claims["iat"] == 10800


async def test_arms_audience_is_taken_while_the_policy_says_so(server: Server) -> None:
    fields = {"grant_type": "access_token", "access_token": await server.sign_in()}
    check_challenge(await server.exchange("closed", fields), "closed")
    token = await server.sign_in("https://containerregistry.azure.net/.default")
    assert (await server.exchange("closed", {**fields, "access_token": token})).status == 200


async def test_nothing_else_is_exchanged(server: Server) -> None:
    refresh = await server.refresh()
    access = (await server.get_token("regone", PULL, NULL, refresh)).json["access_token"]
    for token in (refresh, access, server.owner.client_secret, server.admin_password(), "a.b.c"):
        check_challenge(await server.exchange("regone", {"grant_type": "access_token", "access_token": token}))


async def test_a_disabled_principal_gets_nothing_more(server: Server) -> None:
    arm, refresh = await server.sign_in(), await server.refresh()
    await Principals(server.identity).disable(server.owner.principal.object_id)
    check_challenge(await server.exchange("regone", {"grant_type": "access_token", "access_token": arm}))
    check_challenge(await server.post_token("regone", {"grant_type": "refresh_token", "refresh_token": refresh}))
    check_challenge(await server.get_token("regone", PULL, server.owner.client_id, server.owner.client_secret))


# --- malformed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/oauth2/token", "/oauth2/exchange"])
async def test_forms_that_make_no_sense_are_400(server: Server, path: str) -> None:
    bodies = [
        b"x",
        b"grant_type=",
        b"grant_type=client_credentials",
        b"grant_type=password&grant_type=refresh_token",
        b"\xff\xfe",
        b"grant_type=%ff",
        b"&".join(b"a=b" for _ in range(300)),
        b'{"grant_type": "password"}',
    ]
    for body in bodies:
        answer = await server.send("POST", f"regone{SUFFIX}", path, body)
        assert (answer.status, answer.json["errors"][0]["code"]) == (400, "UNSUPPORTED"), body[:40]
    answer = await server.send("POST", f"regone{SUFFIX}", path, b"a" * 200_000)
    assert answer.status == 413
    answer = await server.send("GET", f"regone{SUFFIX}", "/oauth2/token?" + "&".join(["a=b"] * 300))
    assert answer.status == 400
    answer = await server.send("PUT", f"regone{SUFFIX}", path)
    assert answer.status == 405


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
@given(
    path=st.sampled_from(["/oauth2/token", "/oauth2/exchange"]),
    fields=st.lists(
        st.tuples(
            st.sampled_from(
                ["grant_type", "scope", "service", "username", "password", "refresh_token", "access_token"]
            ),
            st.one_of(
                st.sampled_from(["password", "refresh_token", "access_token", "regone", NULL]), st.text(max_size=20)
            ),
        ),
        max_size=5,
    ),
    noise=st.binary(max_size=30),
)
async def test_no_form_is_a_fault_of_ours(
    server: Server, path: str, fields: list[tuple[str, str]], noise: bytes
) -> None:
    encoded = "&".join(f"{name}={quote(value)}" for name, value in fields).encode()
    for body in (encoded, encoded + b"&" + noise):
        answer = await server.send("POST", f"regone{SUFFIX}", path, body)
        assert answer.status in (200, 400, 401, 429)
        if answer.status == 200:
            assert answer.claims["access"] == []


async def test_guessing_is_answered_with_429(server: Server, clock: FakeClock) -> None:
    password = server.admin_password()
    statuses = [(await server.get_token("regone", "", "regone", f"guess{n}")).status for n in range(22)]
    assert statuses == [401] * 20 + [429] * 2
    answer = await server.get_token("regone", "", "regone", "guess")
    assert answer.json["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert answer.headers["retry-after"] == "60"
    assert (await server.get_token("regone", "", "regone", password)).status == 200
    clock.advance(61)
    assert (await server.get_token("regone", "", "regone", "guess")).status == 401
