"""The directory on the control host (RFC 6749; what `az` asks of it)."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import RSAKey

from principals import Principals

from .conftest import CONTROL, TENANT, Server, basic

pytestmark = pytest.mark.parametrize("db", ["sqlite"], indirect=True)  # the stores' own tests run on both

ARM = f"https://{CONTROL}/"
ADFS = "/adfs/oauth2/token"
AZ = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
JWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
PATHS = [
    ADFS,
    f"/{TENANT}/oauth2/v2.0/token",
    f"/{TENANT.upper()}/oauth2/token",
    "/organizations/oauth2/v2.0/token",
    "/common/oauth2/v2.0/token",
]


def grant(server: Server, **changes: str | None) -> dict[str, str]:
    fields = {"grant_type": "client_credentials", "scope": f"{ARM}/.default", **server.client, **changes}
    return {name: value for name, value in fields.items() if value is not None}


@pytest.mark.parametrize("path", PATHS)
async def test_a_service_principal_gets_a_token(server: Server, path: str) -> None:
    answer = await server.post(CONTROL, path, grant(server))
    assert answer.status == 200
    assert answer.json.keys() == {"token_type", "expires_in", "ext_expires_in", "access_token"}
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 4500)
    assert answer.headers["cache-control"] == "no-store"
    claims = answer.claims
    assert (claims["aud"], claims["tid"], claims["appid"]) == (ARM, TENANT, server.owner.client_id)
    token = answer.json["access_token"]
    principal = await server.identity.arm.authenticate_arm(f"Bearer {token}".encode())
    assert principal.object_id == claims["oid"]


@pytest.mark.parametrize(
    ("scope", "audience"),
    [
        (f"{ARM}/.default", ARM),
        (f"{ARM}.default", ARM[:-1]),
        ("https://management.azure.com//.default", "https://management.azure.com/"),
        ("https://management.azure.com/.default", "https://management.azure.com"),
        ("https://management.core.windows.net//.default", "https://management.core.windows.net/"),
        ("https://containerregistry.azure.net/.default", "https://containerregistry.azure.net"),
        (f"{ARM}/.default openid profile offline_access", ARM),
    ],
)
async def test_the_audience_is_the_resource_as_asked_for(server: Server, scope: str, audience: str) -> None:
    assert (await server.post(CONTROL, ADFS, grant(server, scope=scope))).claims["aud"] == audience
    by_resource = await server.post(CONTROL, ADFS, grant(server, scope=None, resource=audience))
    assert by_resource.claims["aud"] == audience


async def test_the_client_may_be_named_in_a_header(server: Server) -> None:
    fields = {"grant_type": "client_credentials", "scope": f"{ARM}/.default"}
    header = basic(quote(server.owner.client_id), quote(server.owner.client_secret))
    assert (await server.post(CONTROL, ADFS, fields, [header])).status == 200
    same = {**fields, "client_id": server.owner.client_id}
    assert (await server.post(CONTROL, ADFS, same, [header])).status == 200
    answer = await server.post(CONTROL, ADFS, fields, [basic(server.owner.client_id, "wrong")])
    assert (answer.status, answer.json["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic ")
    for changed in ({**fields, **server.client}, {**fields, "client_id": "other"}):
        answer = await server.post(CONTROL, ADFS, changed, [header])
        assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    for value in (b"Basic !", b"Basic /w==", b"Basic eA=="):
        answer = await server.post(CONTROL, ADFS, fields, [(b"authorization", value)])
        assert (answer.status, answer.json["error"]) == (400, "invalid_request")


ROWS: list[tuple[dict[str, str | None], int, str, int]] = [
    ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
    ({"client_id": "00000000-0000-0000-0000-000000000000"}, 401, "invalid_client", 7000215),
    ({"client_id": "not a guid"}, 401, "invalid_client", 7000215),
    ({"client_id": AZ}, 401, "invalid_client", 700025),
    ({"client_id": AZ, "client_secret": None}, 400, "unauthorized_client", 7000216),
    ({"client_secret": None, "client_assertion": "x"}, 400, "invalid_request", 900144),
    ({"client_secret": None, "client_assertion": "x", "client_assertion_type": JWT}, 401, "invalid_client", 50027),
    ({"client_assertion": "x", "client_assertion_type": JWT}, 400, "invalid_request", 9002013),
    ({"client_secret": None}, 401, "invalid_client", 7000218),
    ({"client_id": None}, 400, "invalid_request", 900144),
    ({"grant_type": None}, 400, "invalid_request", 900144),
    ({"grant_type": "implicit"}, 400, "unsupported_grant_type", 70003),
    ({"grant_type": "password"}, 400, "invalid_request", 900144),
    ({"grant_type": "password", "username": "a", "password": "b"}, 400, "invalid_grant", 50126),
    ({"grant_type": "refresh_token"}, 400, "invalid_request", 900144),
    ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, "invalid_grant", 70000),
    ({"grant_type": "authorization_code"}, 400, "invalid_request", 900144),
    ({"grant_type": "authorization_code", "code": "x"}, 400, "invalid_grant", 70000),
    ({"grant_type": DEVICE}, 400, "invalid_request", 900144),
    ({"grant_type": DEVICE, "device_code": "x"}, 400, "bad_verification_code", 70018),
    ({"scope": None}, 400, "invalid_scope", 70011),
    ({"scope": "openid"}, 400, "invalid_scope", 70011),
    ({"scope": "https://graph.microsoft.com/.default"}, 400, "invalid_scope", 500011),
    ({"scope": f"{ARM}/.default https://containerregistry.azure.net/.default"}, 400, "invalid_scope", 70011),
    ({"scope": "https://localhost:8443.evil.example//.default"}, 400, "invalid_scope", 500011),
    ({"scope": f"{ARM}/.default\0"}, 400, "invalid_request", 9002013),
]


@pytest.mark.parametrize("path", PATHS[:2])
async def test_refusals_have_oauths_shape(server: Server, path: str) -> None:
    for changes, status, error, code in ROWS:
        answer = await server.post(CONTROL, path, grant(server, **changes))
        assert (answer.status, answer.json["error"], answer.json["error_codes"]) == (status, error, [code]), changes
        assert answer.json.keys() == {
            "error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id",
        }  # fmt: skip
        assert answer.json["error_description"].startswith(f"AADSTS{code}: ")
        assert answer.headers["cache-control"] == "no-store"
        assert server.owner.client_secret not in answer.content.decode()
    doubled = [*grant(server).items(), ("client_id", "another")]
    assert (await server.post(CONTROL, path, doubled)).json["error"] == "invalid_request"
    answer = await server.send("POST", CONTROL, path, b"a" * 100_000)
    assert (answer.status, answer.json["error"]) == (413, "invalid_request")


async def test_a_disabled_client_is_refused(server: Server) -> None:
    await Principals(server.identity).disable(server.owner.principal.object_id)
    answer = await server.post(CONTROL, ADFS, grant(server))
    assert (answer.status, answer.json["error"]) == (401, "invalid_client")


async def test_guessing_is_slowed(server: Server) -> None:
    wrong = grant(server, client_secret="guess")
    statuses = [(await server.post(CONTROL, ADFS, wrong)).status for _ in range(21)]
    assert statuses == [401] * 20 + [429]
    answer = await server.post(CONTROL, ADFS, wrong)
    assert (answer.json["error"], answer.headers["retry-after"]) == ("temporarily_unavailable", "60")
    assert (await server.post(CONTROL, ADFS, grant(server))).status == 200


async def test_other_tenants_are_not_here(server: Server) -> None:
    other = "00000000-0000-0000-0000-000000000001"
    for method, path in [
        ("POST", f"/{other}/oauth2/v2.0/token"),
        ("GET", f"/{other}/v2.0/.well-known/openid-configuration"),
        ("GET", f"/{other}/discovery/v2.0/keys"),
        ("GET", f"/adfs/{other}/v2.0/.well-known/openid-configuration"),
        ("GET", "/elsewhere.example.com/v2.0/.well-known/openid-configuration"),
    ]:
        answer = await server.send(method, CONTROL, path)
        assert (answer.status, answer.json["error"]) == (400, "invalid_request")


# --- discovery ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "base",
    [
        "/adfs",
        f"/{TENANT}/v2.0",
        f"/{TENANT}",
        "/organizations/v2.0",
        "/common/v2.0",
        "/localhost/v2.0",  # the tenant's domain
        "/adfs/localhost/v2.0",  # az, which puts the announced authority in front of --tenant
    ],
)
async def test_the_document_leads_to_keys_and_tokens(server: Server, base: str) -> None:
    answer = await server.send("GET", CONTROL, f"{base}/.well-known/openid-configuration")
    assert answer.status == 200
    document = answer.json
    for name in ("authorization_endpoint", "token_endpoint", "device_authorization_endpoint", "jwks_uri"):
        assert document[name].startswith(f"https://{CONTROL}/")
    token_path = urlsplit(document["token_endpoint"]).path
    token = await server.sign_in(path=token_path)
    keys = (await server.send("GET", CONTROL, urlsplit(document["jwks_uri"]).path)).json["keys"]
    found = jws.deserialize_compact(token, RSAKey.import_key(keys[0]), ["RS256"])
    assert f'"iss":"{document["issuer"]}"' in found.payload.decode()
    assert keys[0]["kid"] == found.headers()["kid"]
    assert "d" not in keys[0]


async def test_the_host_is_an_authority_of_its_own(server: Server) -> None:
    answer = await server.send("GET", CONTROL, "/common/discovery/instance?api-version=1.1&authorization_endpoint=x")
    document = urlsplit(answer.json["tenant_discovery_endpoint"]).path
    assert (await server.send("GET", CONTROL, document)).status == 200
    answer = await server.send("GET", CONTROL, "/common/userrealm/nobody@x.y?api-version=1.0")
    assert answer.json["account_type"] == "Managed"


async def test_an_error_names_the_request_that_it_answers(server: Server) -> None:
    sent = "0F0F0F0F-1111-4222-8333-444444444444"
    answer = await server.post(CONTROL, ADFS, {}, [(b"client-request-id", sent.encode())])
    assert answer.json["correlation_id"] == sent.lower()
    assert answer.headers["x-ms-request-id"] == answer.json["trace_id"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    changes=st.dictionaries(
        st.sampled_from(["grant_type", "scope", "client_id", "client_secret", "resource"]), st.text(max_size=20)
    ),
    noise=st.binary(max_size=30),
)
async def test_no_form_is_a_fault_of_ours(server: Server, changes: dict[str, str], noise: bytes) -> None:
    fields = {"grant_type": "client_credentials", "scope": f"{ARM}/.default", **changes}
    body = "&".join(f"{name}={quote(value)}" for name, value in fields.items()).encode() + b"&" + noise
    answer = await server.send("POST", CONTROL, ADFS, body)
    assert answer.status in (400, 401, 429)
    assert answer.json["error"]
