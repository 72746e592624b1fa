"""People at the token endpoint: passwords, refresh tokens, device codes (RFC 6749, RFC 8628; what MSAL reads)."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from darsena.identity.sign_ins import DEVICE_S, GRACE_US, INTERVAL_S, REFRESH_S
from darsena.testing import FakeClock

from .conftest import CONTROL, TENANT, Answer, Server

ARM = f"https://{CONTROL}/"
ADFS = "/adfs/oauth2/token"
AAD = f"/{TENANT}/oauth2/v2.0/token"
AZ = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
POWERSHELL = "1950a258-227b-4e31-a9cf-717495945fc2"
NAME, PASSWORD = "Alice@example.com", "correct horse battery"
SCOPE = f"{ARM}/.default offline_access openid profile"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


async def post(server: Server, path: str = ADFS, **fields: str) -> Answer:
    return await server.post(CONTROL, path, {"client_id": AZ, "scope": SCOPE, "client_info": "1", **fields})


async def sign_in(server: Server, path: str = ADFS, **fields: str) -> Answer:
    if await server.identity.directory.find(NAME, ("user",)) is None:
        await server.identity.directory.create_user(NAME, PASSWORD, name="Alice A.")
    return await post(server, path, **{"grant_type": "password", "username": NAME, "password": PASSWORD, **fields})


async def refresh(server: Server, token: str, **fields: str) -> Answer:
    return await post(server, grant_type="refresh_token", refresh_token=token, **fields)


def read(token: str) -> dict[str, Any]:
    part = token.split(".")[1] if "." in token else token
    return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.parametrize("path", [ADFS, AAD, "/organizations/oauth2/v2.0/token"])
async def test_a_person_signs_in_with_a_password(server: Server, path: str) -> None:
    answer = await sign_in(server, path, username=NAME.upper())
    assert answer.status == 200, answer.content
    body, claims = answer.json, answer.claims
    assert body.keys() == {
        "token_type", "expires_in", "ext_expires_in", "access_token", "scope", "refresh_token", "id_token",
        "client_info",
    }  # fmt: skip
    assert (claims["aud"], claims["appid"], claims["idtyp"], claims["upn"]) == (ARM, AZ, "user", NAME.lower())
    assert body["scope"] == f"{ARM}/.default"
    id_claims = read(body["id_token"])
    assert (id_claims["aud"], id_claims["preferred_username"], id_claims["tid"]) == (AZ, NAME.lower(), TENANT)
    assert read(body["client_info"]) == {"uid": claims["oid"], "utid": TENANT}
    principal = await server.identity.arm.authenticate_arm(f"Bearer {body['access_token']}".encode())
    assert principal.kind == "user"


async def test_an_id_token_opens_nothing(server: Server) -> None:
    body = (await sign_in(server)).json
    for token in (body["id_token"], body["refresh_token"]):
        answer = await server.exchange("regone", {"grant_type": "access_token", "access_token": token})
        assert answer.status == 401


async def test_a_wrong_password_reads_like_an_unknown_name(server: Server) -> None:
    await sign_in(server)
    answers = [await sign_in(server, **fields) for fields in ({"password": "x" * 12}, {"username": "nobody"})]
    assert {(answer.status, answer.json["error"], answer.json["error_codes"][0]) for answer in answers} == {
        (400, "invalid_grant", 50126)
    }
    texts = {answer.json["error_description"].partition(" Trace ID")[0] for answer in answers}
    assert len(texts) == 1


async def test_guessing_is_slowed_for_that_name_and_address_only(server: Server) -> None:
    await sign_in(server)
    statuses = [(await sign_in(server, password="wrong password")).status for _ in range(21)]
    assert statuses == [400] * 20 + [429]
    assert (await sign_in(server)).status == 429  # the right one is not told from a guess
    form = b"&".join(
        f"{name}={value}".encode()
        for name, value in {
            "grant_type": "password", "client_id": AZ, "username": NAME, "password": PASSWORD.replace(" ", "+"),
        }.items()
    )  # fmt: skip
    answer = await server.send("POST", CONTROL, ADFS, form, address="10.0.0.2")
    assert answer.status == 200


async def test_one_sign_in_serves_every_resource(server: Server) -> None:
    first = (await sign_in(server)).json
    registry = "https://containerregistry.azure.net"
    answer = await refresh(server, first["refresh_token"], scope=f"{registry}/.default offline_access openid profile")
    assert answer.claims["aud"] == registry
    assert answer.claims["oid"] == read(first["access_token"])["oid"]
    exchanged = await server.exchange(
        "regone", {"grant_type": "access_token", "access_token": answer.json["access_token"]}
    )
    assert exchanged.status == 200
    again = await refresh(server, answer.json["refresh_token"], scope="openid")
    assert again.claims["aud"] == ARM  # of the sign-in, where the request names none


async def test_refresh_tokens_rotate_and_an_old_copy_ends_them(server: Server, clock: FakeClock) -> None:
    first = (await sign_in(server)).json["refresh_token"]
    second = (await refresh(server, first)).json["refresh_token"]
    assert second != first
    assert (await refresh(server, first)).json["refresh_token"] == second  # the answer may have been lost
    clock.advance(GRACE_US / 1_000_000 + 1)
    answer = await refresh(server, first)
    assert (answer.status, answer.json["error"], answer.json["error_codes"]) == (400, "invalid_grant", [50173])
    assert (await refresh(server, second)).json["error_codes"] == [50173]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
        lambda token: token.replace(".1.", ".2."),
        lambda token: "1." + "0" * 32 + token[34:],
        lambda token: token + "\n",
        lambda token: token.upper(),
        lambda token: "",
    ],
)
async def test_a_refresh_token_that_was_changed_is_refused(server: Server, spoil: Any) -> None:
    token = (await sign_in(server)).json["refresh_token"]
    assert (await refresh(server, spoil(token))).status == 400
    assert (await refresh(server, token)).status == 200


async def test_a_refresh_token_is_bound_to_its_client(server: Server) -> None:
    token = (await sign_in(server)).json["refresh_token"]
    assert (await refresh(server, token, client_id=POWERSHELL)).json["error"] == "invalid_grant"
    assert (await refresh(server, token, **server.client)).json["error"] == "invalid_grant"
    assert (await refresh(server, token)).status == 200


async def test_a_sign_in_ends_with_the_password_the_account_and_time(server: Server, clock: FakeClock) -> None:
    directory = server.identity.directory
    body = (await sign_in(server)).json
    await directory.set_password(NAME, "another long password")
    clock.advance(1)
    assert (await refresh(server, body["refresh_token"])).json["error"] == "invalid_grant"
    answer = await server.exchange("regone", {"grant_type": "access_token", "access_token": body["access_token"]})
    assert answer.status == 401
    body = (await sign_in(server, password="another long password")).json
    await directory.set_enabled(NAME, ("user",), False)
    assert (await sign_in(server, password="another long password")).status == 400
    await directory.set_enabled(NAME, ("user",), True)
    assert (await refresh(server, body["refresh_token"])).json["error_codes"] == [50173]
    token = (await sign_in(server, password="another long password")).json["refresh_token"]
    clock.advance(REFRESH_S + 1)
    assert (await refresh(server, token)).json["error_codes"] == [700082]
    token = (await sign_in(server, password="another long password")).json["refresh_token"]
    await directory.delete(NAME, ("user",))
    assert (await refresh(server, token)).status == 400


# --- device codes ---------------------------------------------------------------------------------------------------


async def start_device(server: Server, path: str = "/adfs/oauth2/devicecode", **fields: str) -> Answer:
    return await server.post(CONTROL, path, {"client_id": AZ, "scope": SCOPE, **fields})


async def poll(server: Server, code: str, **fields: str) -> Answer:
    return await post(server, grant_type=DEVICE, device_code=code, code=code, **fields)


async def test_a_device_waits_for_its_person(server: Server, clock: FakeClock) -> None:
    started = (await start_device(server)).json
    assert (started["expires_in"], started["interval"]) == (DEVICE_S, INTERVAL_S)
    assert started["user_code"] in started["message"]
    assert started["verification_uri"] == f"https://{CONTROL}/device"
    answer = await poll(server, started["device_code"])
    assert (answer.status, answer.json["error"]) == (400, "authorization_pending")
    assert (await poll(server, started["device_code"])).json["error"] == "slow_down"
    clock.advance(INTERVAL_S)
    assert (await poll(server, started["device_code"])).json["error"] == "authorization_pending"
    identity = await approve(server, started["user_code"])
    answer = await poll(server, started["device_code"])  # approved: however soon it is asked for
    assert answer.status == 200
    assert answer.claims["oid"] == identity
    assert (await refresh(server, answer.json["refresh_token"])).status == 200
    assert (await poll(server, started["device_code"])).json["error"] == "bad_verification_code"


async def approve(server: Server, user_code: str) -> str:
    await sign_in(server)
    identity = await server.identity.credentials.check_person(NAME, PASSWORD, "10.0.0.1")
    assert await server.identity.sign_ins.decide_device(user_code.replace("-", ""), identity)
    return identity.principal.object_id


async def test_a_device_code_ends(server: Server, clock: FakeClock) -> None:
    started = (await start_device(server)).json
    assert (await poll(server, started["device_code"], client_id=POWERSHELL)).json["error"] == "bad_verification_code"
    clock.advance(DEVICE_S)
    assert (await poll(server, started["device_code"])).json["error"] == "expired_token"
    assert not await server.identity.sign_ins.decide_device(started["user_code"].replace("-", ""), None)
    declined = (await start_device(server)).json
    assert await server.identity.sign_ins.decide_device(declined["user_code"].replace("-", ""), None)
    assert (await poll(server, declined["device_code"])).json["error"] == "authorization_declined"
    await server.identity.maintain()
    assert (await poll(server, started["device_code"])).json["error"] == "bad_verification_code"


async def test_device_codes_are_for_public_clients_and_known_resources(server: Server) -> None:
    for fields, error in [
        ({"client_id": server.owner.client_id}, "unauthorized_client"),
        ({"client_id": ""}, "invalid_request"),
        ({"scope": "https://graph.microsoft.com/.default"}, "invalid_scope"),
    ]:
        assert (await start_device(server, **fields)).json["error"] == error
    statuses = [(await start_device(server, f"/{TENANT}/oauth2/v2.0/devicecode")).status for _ in range(61)]
    assert statuses == [200] * 60 + [429]
