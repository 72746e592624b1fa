"""Journeys of clients through sign-in to the data plane (ACR authentication, sections 1, 8, 9, 14)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from darsena.identity.model import NULL_GUID
from darsena.identity.roles import ACR_PULL, ACR_PUSH, OWNER
from identity.values import FACTS, OTHER, SCOPE, TENANT, basic, bearer, read_claims
from principals import Principals

from .conftest import Server

HOST = FACTS.login_server
CHALLENGE = f'Bearer realm="https://{HOST}/oauth2/token",service="{HOST}"'
TOKEN = f"/oauth2/token?service={HOST}"
REGISTRY = "https://containerregistry.azure.net"


async def get_token(server: Server, user: tuple[str, str] | None, *scopes: str, **kwargs: Any) -> Any:
    query = "".join(f"&scope={quote(scope)}" for scope in scopes)
    return await server("GET", TOKEN + query, authorization=basic(*user) if user else None, **kwargs)


async def test_docker_login_with_every_kind_of_secret(server: Server) -> None:
    """Also without a single right: the login succeeds, the pull fails later."""
    nobody, owner = await server.principal(), await server.principal(OWNER)
    run = await Principals(server.identity).create_run_credential(FACTS, "c" * 32, 600)
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


async def test_a_role_taken_away_counts_at_once(server: Server) -> None:
    made = await server.principal()
    held = await Principals(server.identity).assign_role(made.principal.object_id, ACR_PULL.id, SCOPE)
    user = (made.client_id, made.client_secret)
    answer = await get_token(server, user, "repository:a:pull,push")
    assert answer.access == {"repository:a": ["pull"]}
    token = bearer(answer.json["access_token"])
    assert (await server("GET", "/v2/a/tags/list", authorization=token)).status == 404
    await Principals(server.identity).remove_role(held)
    assert (await get_token(server, user, "repository:a:pull,push")).access == {}
    assert (await server("GET", "/v2/a/tags/list", authorization=token)).status == 401


async def test_az_acr_login(server: Server) -> None:
    """With tenant as az sends it, and the refresh token then is docker's password."""
    made = await server.principal(ACR_PUSH)
    answer = await server.exchange(await server.directory_token(made, REGISTRY), tenant=TENANT)
    assert answer.status == 200
    assert answer.json.keys() == {"refresh_token"}
    refresh = answer.json["refresh_token"]
    claims = read_claims(refresh)
    assert (claims["aud"], claims["tenant"], claims["grant_type"]) == (FACTS.login_server, TENANT, "refresh_token")
    assert claims["permissions"]["Actions"] == ["read", "write"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    assert float(answer.headers["x-ms-ratelimit-remaining-calls-per-second"]) > 100
    assert (await server("GET", "/v2/", authorization=basic(NULL_GUID, refresh))).status == 200
    fields = {"grant_type": "refresh_token", "refresh_token": refresh, "scope": "repository:a:pull,push"}
    assert (await server("POST", "/oauth2/token", form=fields)).access == {"repository:a": ["pull", "push"]}


async def test_a_disabled_principal_and_an_old_secret_are_refused(server: Server) -> None:
    made = await server.principal(OWNER)
    token = await server.directory_token(made)
    refresh = (await server.exchange(token)).json["refresh_token"]
    fresh = await Principals(server.identity).reset_secret(made.client_id)
    assert (await server.exchange(token)).status == 401
    assert (await server("GET", "/v2/", authorization=basic(NULL_GUID, refresh))).status == 401
    token = await server.directory_token(fresh)
    assert (await server.exchange(token)).status == 200
    await Principals(server.identity).disable(made.principal.object_id)
    assert (await server.exchange(token)).status == 401
    await Principals(server.identity).enable(made.principal.object_id)
    assert (await server.exchange(token)).status == 401, "tokens from before it was disabled stay void"


async def test_a_refresh_token_is_one_registrys(server: Server) -> None:
    made = await server.principal(ACR_PULL, SCOPE)
    refresh = await server.refresh_token(made)
    fields = {"grant_type": "refresh_token", "refresh_token": refresh}
    assert (await server("POST", "/oauth2/token", form=fields)).status == 200
    assert (await server("POST", "/oauth2/token", form=fields, host=OTHER.login_server)).status == 401
    remade = server.change(uid="f" * 32)
    assert remade.login_server == FACTS.login_server
    assert (await server("POST", "/oauth2/token", form=fields)).status == 401, "the same name, another registry"


async def test_every_answer_has_each_header_once(server: Server) -> None:
    admin = server.admin()
    refresh = await server.refresh_token(await server.principal(OWNER))
    fields = {"grant_type": "refresh_token", "refresh_token": refresh}
    answers = [
        await server("GET", "/v2/"),
        await get_token(server, admin),
        await get_token(server, (admin[0], "wrong")),
        await server("POST", "/oauth2/token", form=fields),
        await server("POST", "/oauth2/token", form={"grant_type": "x"}),
        await server("GET", "/v2/", authorization=basic(*admin)),
    ]
    for answer in answers:
        names = [name for name, _ in answer.header_list if name != "access-control-expose-headers"]
        assert len(names) == len(set(names))
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
