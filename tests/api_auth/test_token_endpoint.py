"""`/oauth2/token` (ACR authentication, sections 1, 4, 5, 7, 8, 14)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darsena.identity.model import NULL_GUID
from darsena.identity.roles import ACR_PULL, ACR_PUSH, OWNER
from darsena.identity.tokens import ACCESS_S
from identity.values import FACTS, OTHER, SCOPE, UID, basic, bearer, read_claims

from .conftest import Server

HOST = FACTS.login_server
CHALLENGE = f'Bearer realm="https://{HOST}/oauth2/token",service="{HOST}"'
TOKEN = f"/oauth2/token?service={HOST}"
ALL = ["pull", "push", "delete", "metadata_read", "metadata_write", "deleted_read", "deleted_restore"]


async def get_token(server: Server, user: tuple[str, str] | None, *scopes: str, **kwargs: Any) -> Any:
    query = "".join(f"&scope={quote(scope)}" for scope in scopes)
    return await server("GET", TOKEN + query, authorization=basic(*user) if user else None, **kwargs)


async def test_docker_login_with_every_kind_of_secret(server: Server) -> None:
    """Also without a single right: the login succeeds, the pull fails later."""
    nobody, owner = await server.principal(), await server.principal(OWNER)
    run = await server.identity.service.create_run_credential(FACTS, "c" * 32, 600)
    refresh = await server.refresh_token(owner)
    access = (await get_token(server, server.admin(), "repository:a:pull")).json["access_token"]
    for user in [
        server.admin(),
        (server.admin()[0].upper(), server.admin()[1]),
        (owner.client_id, owner.client_secret),
        (nobody.client_id.upper(), nobody.client_secret),
        run,
        (NULL_GUID, refresh),
        (NULL_GUID, access),
    ]:
        challenged = await server("GET", "/v2/")
        assert (challenged.status, challenged.headers["www-authenticate"]) == (401, CHALLENGE)
        assert challenged.code == "UNAUTHORIZED"
        answer = await get_token(server, user)
        assert answer.access == {}
        assert (await server("GET", "/v2/", authorization=bearer(answer.json["access_token"]))).status == 200
        assert (await server("GET", "/v2/", authorization=basic(*user))).status == 200


async def test_the_answer_is_what_clients_read(server: Server) -> None:
    answer = await get_token(server, server.admin(), "repository:a:pull")
    token = answer.json["access_token"]
    assert answer.json == {"access_token": token, "token": token, "expires_in": ACCESS_S}
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    assert answer.headers["cache-control"] == "no-store"
    assert "," not in answer.headers["x-ms-correlation-request-id"]
    assert answer.headers["x-ms-ratelimit-remaining-calls-per-second"] == "166.65"
    claims = read_claims(token)
    assert (claims["aud"], claims["darsena"]["registry"]) == (HOST, UID)
    assert (await get_token(server, None)).headers["x-ms-ratelimit-remaining-calls-per-second"] == "166.63"


async def test_scopes_in_every_spelling(server: Server) -> None:
    admin = server.admin()
    rows: list[tuple[list[str], dict[str, list[str]]]] = [
        ([], {}),
        (["repository:hello-world:pull"], {"repository:hello-world": ["pull"]}),
        (["repository:a/b:pull,push"], {"repository:a/b": ["pull", "push"]}),
        (
            ["repository:a:pull", "repository:b:push,pull"],
            {"repository:a": ["pull"], "repository:b": ["pull", "push"]},
        ),
        (
            ["repository:a:pull registry:catalog:*"],
            {"repository:a": ["pull"], "registry:catalog": ["*"]},
        ),
        (["registry:catalog:* repository:*:*"], {"registry:catalog": ["*"], "repository:*": ALL}),
        (["registry:deleted_catalog:*"], {"registry:deleted_catalog": ["*"]}),
        (["repository:a:metadata_write,metadata_read"], {"repository:a": ["metadata_read", "metadata_write"]}),
        (
            ["repository:a:pull,push,metadata_write,metadata_read,delete"],
            {"repository:a": ["pull", "push", "delete", "metadata_read", "metadata_write"]},
        ),
        (["repository:a:deleted_read,deleted_restore"], {"repository:a": ["deleted_read", "deleted_restore"]}),
        (["artifact-repository:c:*"], {"artifact-repository:c": ["pull", "push", "delete"]}),
        (["nonsense", "planet:earth:*", "repository:a:fly", "repository:a", ""], {}),
    ]
    for scopes, expected in rows:
        assert (await get_token(server, admin, *scopes)).access == expected
        fields = [("grant_type", "password"), ("username", admin[0]), ("password", admin[1])]
        fields += [("scope", scope) for scope in scopes]
        assert (await server("POST", "/oauth2/token", form=fields)).access == expected


async def test_post_grants(server: Server) -> None:
    owner = await server.principal(ACR_PUSH)
    refresh, admin = await server.refresh_token(owner), server.admin()
    scope = {"service": HOST, "scope": "repository:a:pull,delete"}
    rows: list[tuple[dict[str, str], list[str] | None]] = [
        ({"grant_type": "refresh_token", "refresh_token": refresh}, ["pull", "untag"]),
        ({"grant_type": "password", "username": admin[0], "password": admin[1]}, ["pull", "delete"]),
        (
            {"grant_type": "password", "username": owner.client_id, "password": owner.client_secret},
            ["pull", "untag"],
        ),
        (
            {
                "grant_type": "password",
                "username": NULL_GUID,
                "password": refresh,
                "access_type": "offline",
                "client_id": "docker",
            },
            ["pull", "untag"],
        ),
        ({"grant_type": "password"}, None),
        ({"grant_type": "password", "username": "", "password": ""}, None),
    ]
    for fields, expected in rows:
        answer = await server("POST", "/oauth2/token", form=fields | scope)
        assert answer.access == ({"repository:a": expected} if expected else {})
        assert (await server("POST", "/oauth2/token", form=fields)).access == {}


async def test_anonymous_is_answered_and_gets_what_the_registry_allows(server: Server) -> None:
    scopes = ["repository:a:*", "registry:catalog:*"]
    assert (await get_token(server, None, *scopes)).access == {}
    token = (await get_token(server, None, *scopes)).json["access_token"]
    server.change(anonymous_pull=True)
    answer = await get_token(server, None, *scopes)
    assert answer.access == {"repository:a": ["pull", "metadata_read"]}
    assert (await server("GET", "/v2/")).status == 401
    assert (await server("GET", "/v2/", authorization=bearer(answer.json["access_token"]))).status == 200
    # what was granted as nothing stays nothing, and what is turned off is off for issued tokens too
    listing = "/v2/a/tags/list"
    assert (await server("GET", listing, authorization=bearer(token))).status == 401
    assert (await server("GET", listing, authorization=bearer(answer.json["access_token"]))).status == 404
    server.change(anonymous_pull=False)
    assert (await server("GET", listing, authorization=bearer(answer.json["access_token"]))).status == 401


async def test_wrong_credentials_are_refused_and_never_downgraded(server: Server) -> None:
    server.change(anonymous_pull=True)
    name, password = server.admin()
    other = server.admin(OTHER)
    owner = await server.principal(OWNER)
    disabled = await server.principal(OWNER)
    await server.identity.service.disable(disabled.principal.object_id)
    directory = await server.directory_token(owner)
    refresh = await server.refresh_token(owner)
    elsewhere = await server("POST", "/oauth2/token", form={"grant_type": "password"}, host=OTHER.login_server)
    for user in [
        (name, "wrong"),
        (name, ""),
        ("", password),
        other,
        (name, other[1]),
        (owner.client_id, ""),
        (disabled.client_id, disabled.client_secret),
        (owner.principal.object_id, owner.client_secret),
        (NULL_GUID, ""),
        (NULL_GUID, directory),
        (NULL_GUID, elsewhere.json["access_token"]),
        (name, refresh),
        ("é\0", "x"),
    ]:
        answers = [
            await get_token(server, user, "repository:a:pull"),
            await server("GET", "/v2/", authorization=basic(*user)),
        ]
        if user != ("", ""):
            fields = {"grant_type": "password", "username": user[0], "password": user[1]}
            answers.append(await server("POST", "/oauth2/token", form=fields))
        for answer in answers:
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED"), user
            assert answer.headers["www-authenticate"] == CHALLENGE
    for token in (directory, refresh[:-4], "", "x", (await get_token(server, (name, password))).json["access_token"]):
        answer = await server("POST", "/oauth2/token", form={"grant_type": "refresh_token", "refresh_token": token})
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("method", "target", "authorization", "body", "status"),
    [
        ("GET", TOKEN, b"Bearer x.y.z", b"", 401),
        ("GET", TOKEN, b"Basic", b"", 401),
        ("GET", TOKEN, b"Basic !!!", b"", 401),
        ("GET", TOKEN, b"Basic bm9jb2xvbg==", b"", 401),
        ("GET", TOKEN, b"Digest x", b"", 401),
        ("GET", TOKEN, b"", b"", 401),
        ("GET", TOKEN, b"Basic " + b"A" * 50_000, b"", 401),
        ("POST", "/oauth2/token", None, b"grant_type=client_credentials", 400),
        ("POST", "/oauth2/token", None, b"grant_type=password&grant_type=refresh_token", 400),
        ("POST", "/oauth2/token", None, b"username=a&password=b", 400),
        ("POST", "/oauth2/token", None, b"grant_type=password&username=a&username=b", 400),
        ("POST", "/oauth2/token", None, b'{"grant_type":"password"}', 400),
        ("POST", "/oauth2/token", None, b"grant_type=password&username=%ff", 400),
        ("POST", "/oauth2/token", None, b"grant_type=password&scope=\xff\xfe", 400),
        ("POST", "/oauth2/token", None, b"&".join(b"a=%d" % n for n in range(300)), 400),
        ("POST", "/oauth2/token", None, b"grant_type=password&x=" + b"a" * 200_000, 413),
        ("GET", "/oauth2/token?" + "&".join(f"scope={n}" for n in range(300)), None, b"", 400),
        ("PUT", "/oauth2/token", None, b"", 405),
        ("GET", "/oauth2/exchange", None, b"", 405),
        ("GET", "/oauth2/", None, b"", 404),
        ("GET", "/oauth2/tokens", None, b"", 404),
        ("GET", "/oauth2/token?scope=%ff%00", None, b"", 200),
        ("POST", "/oauth2/token", None, b"", 200),
    ],
)
@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
async def test_malformed_requests(
    server: Server, method: str, target: str, authorization: bytes | None, body: bytes, status: int
) -> None:
    answer = await server(method, target, body=body, authorization=authorization)
    assert answer.status == status, answer.content
    assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_guessing_is_slowed_down_and_the_owner_comes_in(server: Server) -> None:
    name, password = server.admin()
    for _ in range(20):
        assert (await get_token(server, (name, "guess"))).status == 401
    answer = await server("GET", "/v2/", authorization=basic(name, "guess"))
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "TOOMANYREQUESTS", "60")
    assert (await get_token(server, (name, "guess"))).status == 429
    assert (await get_token(server, (name, password))).status == 200
    assert (await get_token(server, (name, "guess"), address="10.0.0.2")).status == 401


async def test_a_role_taken_away_counts_at_once(server: Server) -> None:
    made = await server.principal()
    held = await server.identity.service.assign_role(made.principal.object_id, ACR_PULL.id, SCOPE)
    user = (made.client_id, made.client_secret)
    answer = await get_token(server, user, "repository:a:pull,push")
    assert answer.access == {"repository:a": ["pull"]}
    token = bearer(answer.json["access_token"])
    assert (await server("GET", "/v2/a/tags/list", authorization=token)).status == 404
    await server.identity.service.remove_role(held.id)
    assert (await get_token(server, user, "repository:a:pull,push")).access == {}
    assert (await server("GET", "/v2/a/tags/list", authorization=token)).status == 401


text = st.text(max_size=40) | st.sampled_from(["password", "refresh_token", "myregistry", NULL_GUID, "repository:a:*"])
names = st.sampled_from(["grant_type", "username", "password", "scope", "service", "refresh_token", "x"])
schemes = st.sampled_from([b"Basic ", b"Bearer ", b"basic", b"", b"Negotiate "])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    form=st.lists(st.tuples(names, text), max_size=6),
    raw=st.none() | st.binary(max_size=80),
    header=st.none() | st.builds(lambda scheme, rest: scheme + rest, schemes, st.binary(max_size=60)),
)
@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
async def test_whatever_is_sent_gets_an_orderly_answer(
    server: Server, form: list[tuple[str, str]], raw: bytes | None, header: bytes | None
) -> None:
    form = [(name, value.encode("utf-8", "replace").decode()) for name, value in form]
    query = "&".join(f"{name}={quote(value)}" for name, value in form)
    answers = [
        await server("GET", f"/oauth2/token?{query}", authorization=header),
        await server("GET", "/v2/", authorization=header),
    ]
    for path in ("/oauth2/token", "/oauth2/exchange"):
        if raw is None:
            answers.append(await server("POST", path, form=form, authorization=header))
        else:
            answers.append(await server("POST", path, body=raw, authorization=header))
    for answer in answers:
        assert answer.status in (200, 400, 401, 429), answer.content
        assert answer.status == 200 or answer.code in ("UNAUTHORIZED", "UNSUPPORTED", "TOOMANYREQUESTS")
