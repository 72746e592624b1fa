"""`/oauth2/exchange` (ACR authentication, sections 3 and 6; the az client, section 3)."""

from __future__ import annotations

import pytest

from darsena.identity.model import NULL_GUID
from darsena.identity.roles import ACR_PULL, ACR_PUSH, OWNER
from identity.values import FACTS, OTHER, SCOPE, TENANT, basic, bearer, read_claims

from .conftest import Server

REGISTRY = "https://containerregistry.azure.net"
ARM = "https://localhost:8443/"
AZURE_ARM = "https://management.azure.com/"
CLASSIC = "https://management.core.windows.net/"


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


@pytest.mark.parametrize("resource", [REGISTRY, f"{REGISTRY}/", ARM, ARM[:-1], AZURE_ARM, CLASSIC])
@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
async def test_audiences(server: Server, resource: str) -> None:
    """ARM's only while the registry's policy `azureADAuthenticationAsArmPolicy` is enabled."""
    token = await server.directory_token(await server.principal(), resource)
    assert read_claims(token)["aud"] == resource
    assert (await server.exchange(token)).status == 200
    server.change(arm_audience_allowed=False)
    answer = await server.exchange(token)
    assert answer.status == (200 if resource.startswith(REGISTRY) else 401)


async def test_every_other_token_is_refused(server: Server) -> None:
    made = await server.principal(OWNER)
    directory = await server.directory_token(made)
    refresh = (await server.exchange(directory)).json["refresh_token"]
    access = (await server("GET", "/oauth2/token?scope=repository:a:pull")).json["access_token"]
    for token in (refresh, access, directory[:-3], directory + "x", "", "a.b.c", "x" * 40_000):
        answer = await server.exchange(token)
        assert answer.status in ((401,) if token else (400,))
        assert answer.code in ("UNAUTHORIZED", "UNSUPPORTED")
    # a directory token opens the exchange only
    assert (await server("GET", "/v2/", authorization=bearer(directory))).status == 401
    assert (await server("GET", "/v2/", authorization=bearer(refresh))).status == 401


async def test_a_disabled_principal_and_an_old_secret_are_refused(server: Server) -> None:
    made = await server.principal(OWNER)
    token = await server.directory_token(made)
    refresh = (await server.exchange(token)).json["refresh_token"]
    fresh = await server.identity.service.reset_secret(made.client_id)
    assert (await server.exchange(token)).status == 401
    assert (await server("GET", "/v2/", authorization=basic(NULL_GUID, refresh))).status == 401
    token = await server.directory_token(fresh)
    assert (await server.exchange(token)).status == 200
    await server.identity.service.disable(made.principal.object_id)
    assert (await server.exchange(token)).status == 401
    await server.identity.service.enable(made.principal.object_id)
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


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
async def test_malformed_requests(server: Server) -> None:
    token = await server.directory_token(await server.principal())
    for fields in [
        {},
        {"grant_type": "access_token"},
        {"access_token": token},
        {"grant_type": "refresh_token", "access_token": token},
        {"grant_type": "password", "access_token": token},
        [("grant_type", "access_token"), ("access_token", token), ("access_token", "other")],
    ]:
        answer = await server("POST", "/oauth2/exchange", form=fields)
        assert (answer.status, answer.code) == (400, "UNSUPPORTED"), fields
    answer = await server("POST", "/oauth2/exchange?api-version=2019-07-01", body=b"\xff")
    assert answer.status == 400
    answer = await server("POST", "/oauth2/exchange", body=b"access_token=" + b"a" * 200_000)
    assert answer.status == 413
