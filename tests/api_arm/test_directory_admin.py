"""The directory's administration, by `darsena user` and `darsena sp`, and as Microsoft Graph shows it to `az ad`."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from darsena.api.arm import ArmEdge
from darsena.api.directory_admin import list_directory_routes
from darsena.api.graph import list_graph_routes
from darsena.core.errors import Unauthenticated
from darsena.db import Tx
from darsena.identity.roles import CONTRIBUTOR, READER, USER_ACCESS_ADMINISTRATOR
from darsena.journal import list_entries, subscription_stream
from darsena.testing import FakeClock

from .conftest import ROLES, SUBSCRIPTION, TENANT, Arm, People

USERS = "/darsena/v1/admin/users"
PROGRAMS = "/darsena/v1/admin/service-principals"
S = f"/subscriptions/{SUBSCRIPTION}"
PASSWORD = "correct horse battery"
NOBODY = "00000000-0000-0000-0000-000000000009"


@pytest.fixture
def directory(edge: ArmEdge, people: People) -> Arm:
    known = people.identity.directory
    edge.routes += [*list_directory_routes(edge.context, known), *list_graph_routes(edge.context, known)]
    return Arm(edge, people, version=None)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def make_certificate(key: rsa.RSAPrivateKey, clock: FakeClock) -> x509.Certificate:
    now = datetime.fromtimestamp(clock.now_us() / 1_000_000, UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ci")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    return builder.not_valid_after(now + timedelta(days=30)).sign(key, hashes.SHA256())


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


async def may_sign_in(arm: Arm, client_id: str, secret: str) -> bool:
    try:
        await arm.people.identity.credentials.check_client(client_id, secret, "10.0.0.1")
    except Unauthenticated:
        return False
    return True


async def knows_password(arm: Arm, name: str, password: str) -> bool:
    try:
        await arm.people.identity.credentials.check_person(name, password, "10.0.0.1")
    except Unauthenticated:
        return False
    return True


def kinds(arm: Arm) -> list[str]:
    def read(tx: Tx) -> list[str]:
        return [entry.kind for entry in list_entries(tx, subscription_stream(SUBSCRIPTION), after=0)]

    return arm.people.identity.db.read_sync(read)


# --- people ---------------------------------------------------------------------------------------------------------


async def test_a_user_is_made_shown_and_deleted(directory: Arm) -> None:
    body = {"userName": "Ana@Example.com", "displayName": "Ana", "roles": [{"role": "reader"}]}
    answer = await directory("POST", USERS, body)
    assert answer.status == 201
    made = answer.json
    assert (made["userName"], made["displayName"], made["enabled"]) == ("ana@example.com", "Ana", True)
    assert made["roles"] == [{"role": "Reader", "scope": S}]
    assert await knows_password(directory, "ANA@example.com", made["password"])
    for name in ("ana@example.com", "ANA@EXAMPLE.COM", made["id"]):
        shown = (await directory("GET", f"{USERS}/{quote(name)}")).json
        assert shown == {name: value for name, value in made.items() if name != "password"}
    listed = (await directory("GET", USERS)).json["value"]
    assert [row["userName"] for row in listed] == ["ana@example.com"]
    assert (await directory("DELETE", f"{USERS}/ana@example.com")).status == 204
    assert (await directory("GET", f"{USERS}/ana@example.com")).status == 404
    assert not await knows_password(directory, "ana@example.com", made["password"])
    assert kinds(directory)[-3:] == ["principal.created", "role.assigned", "principal.deleted"]


async def test_a_password_is_changed_and_a_user_disabled(directory: Arm) -> None:
    await directory("POST", USERS, {"userName": "ana", "password": PASSWORD})
    changed = (await directory("POST", f"{USERS}/ana/password", {"password": "another long one"})).json
    assert "password" not in changed
    assert not await knows_password(directory, "ana", PASSWORD)
    made = (await directory("POST", f"{USERS}/ana/password", {})).json["password"]
    assert await knows_password(directory, "ana", made)
    assert (await directory("PATCH", f"{USERS}/ana", {"enabled": False})).json["enabled"] is False
    assert not await knows_password(directory, "ana", made)
    assert (await directory("PATCH", f"{USERS}/ana", {"enabled": True})).json["enabled"] is True
    assert await knows_password(directory, "ana", made)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (USERS, {}, 400, "InvalidRequestContent"),
        (USERS, {"userName": ""}, 400, "InvalidRequestContent"),
        (USERS, {"userName": "a b"}, 400, "InvalidParameter"),
        (USERS, {"userName": "a/b"}, 400, "InvalidParameter"),
        (USERS, {"userName": NOBODY}, 400, "InvalidParameter"),
        (USERS, {"userName": "a" * 114}, 400, "InvalidParameter"),
        (USERS, {"userName": "<script>"}, 400, "InvalidParameter"),
        (USERS, {"userName": "ana", "password": "short"}, 400, "InvalidRequestContent"),
        (USERS, {"userName": "ana", "password": ""}, 400, "InvalidRequestContent"),
        (USERS, {"userName": "ana", "displayName": "a\nb"}, 400, "InvalidParameter"),
        (USERS, {"userName": "ana", "roles": [{"role": "King"}]}, 400, "RoleDefinitionDoesNotExist"),
        (USERS, {"userName": "ana", "roles": [{"role": "Owner", "scope": "/"}]}, 400, "InvalidRequestContent"),
        (USERS, {"userName": "ana", "roles": [{"role": "Owner", "scope": f"{S}/resourceGroups/no"}]}, 404,
         "ResourceGroupNotFound"),
        (USERS, {"userName": "ana", "roles": [{"role": "Owner", "scope": f"/subscriptions/{NOBODY}"}]}, 404,
         "SubscriptionNotFound"),
        (f"{USERS}/nobody/password", {"password": PASSWORD}, 404, "ResourceNotFound"),
        (PROGRAMS, {}, 400, "InvalidRequestContent"),
        (PROGRAMS, {"displayName": "a", "secretLifetimeSeconds": 0}, 400, "InvalidRequestContent"),
        (PROGRAMS, {"displayName": "a", "secretLifetimeSeconds": 10**12}, 400, "InvalidRequestContent"),
        (PROGRAMS, {"displayName": "a", "certificates": ["x"]}, 400, "InvalidRequestContent"),
        (PROGRAMS, {"displayName": "a", "redirectUris": ["javascript:1"]}, 400, "InvalidRequestContent"),
        (PROGRAMS, {"displayName": "a", "redirectUris": ["http://example.com"]}, 400, "InvalidRequestContent"),
        (f"{PROGRAMS}/{NOBODY}/secret", {}, 404, "ResourceNotFound"),
    ],
)  # fmt: skip
async def test_what_cannot_be_made_leaves_nothing(directory: Arm, path: str, body: Any, status: int, code: str) -> None:
    before = len((await directory("GET", PROGRAMS)).json["value"])
    answer = await directory("POST", path, body)
    assert (answer.status, answer.error["code"]) == (status, code), answer.content
    assert (await directory("GET", USERS)).json["value"] == []
    assert len((await directory("GET", PROGRAMS)).json["value"]) == before


async def test_a_user_name_is_there_once(directory: Arm) -> None:
    await directory("POST", USERS, {"userName": "ana"})
    assert (await directory("POST", USERS, {"userName": "ANA"})).status == 409


# --- service principals ---------------------------------------------------------------------------------------------


async def test_a_service_principal_is_made_and_renewed(directory: Arm, clock: FakeClock) -> None:
    answer = await directory("POST", PROGRAMS, {"displayName": "ci", "secretLifetimeSeconds": 3600})
    made = answer.json
    assert (answer.status, made["tenant"], answer.headers["cache-control"]) == (201, TENANT, "no-store")
    client, secret = made["appId"], made["password"]
    assert await may_sign_in(directory, client, secret)
    shown = (await directory("GET", f"{PROGRAMS}/{client}")).json
    assert "password" not in shown
    assert [row["name"] for row in shown["secrets"]] == ["secret"]
    renewed = (await directory("POST", f"{PROGRAMS}/{client.upper()}/secret", {})).json["password"]
    assert not await may_sign_in(directory, client, secret)
    clock.advance(3700)
    assert await may_sign_in(directory, client, renewed)
    await directory("PATCH", f"{PROGRAMS}/{client}", {"enabled": False})
    assert not await may_sign_in(directory, client, renewed)
    assert (await directory("DELETE", f"{PROGRAMS}/{client}")).status == 204
    assert (await directory("DELETE", f"{PROGRAMS}/{client}")).status == 404


async def test_certificates_come_and_go(directory: Arm, key: rsa.RSAPrivateKey, clock: FakeClock) -> None:
    certificate = make_certificate(key, clock)
    thumbprint = certificate.fingerprint(hashes.SHA1()).hex().upper()
    made = (await directory("POST", PROGRAMS, {"displayName": "ci", "certificates": [pem(certificate)]})).json
    assert "password" not in made
    assert [row["thumbprint"] for row in made["certificates"]] == [thumbprint]
    path = f"{PROGRAMS}/{made['appId']}/certificates"
    again = await directory("POST", path, {"certificate": pem(certificate)})
    assert [row["thumbprint"] for row in again.json["certificates"]] == [thumbprint]
    assert (await directory("DELETE", f"{path}/{thumbprint.lower()}")).status == 204
    assert (await directory("DELETE", f"{path}/{thumbprint}")).status == 404
    assert kinds(directory)[-2:] == ["certificate.added", "certificate.removed"]


async def test_redirect_uris_are_set_as_a_whole(directory: Arm) -> None:
    made = (await directory("POST", PROGRAMS, {"displayName": "web"})).json
    path = f"{PROGRAMS}/{made['appId']}/redirectUris"
    uris = ["https://app.example.com/cb", "http://localhost/cb"]
    assert (await directory("PUT", path, {"redirectUris": uris})).json["redirectUris"] == sorted(uris)
    assert (await directory("PUT", path, {"redirectUris": []})).json["redirectUris"] == []


async def test_the_last_owner_stays(directory: Arm) -> None:
    await directory("GET", "/v1.0/me")
    owner = directory.people.principals["owner"]
    for answer in (
        await directory("DELETE", f"{PROGRAMS}/{owner.client_id}"),
        await directory("PATCH", f"{PROGRAMS}/{owner.object_id}", {"enabled": False}),
        await directory("DELETE", f"/v1.0/applications/{owner.client_id}"),
    ):
        assert (answer.status, answer.error["code"]) == (409, "LastOwner")
    await directory("POST", USERS, {"userName": "second", "roles": [{"role": "Owner"}]})
    assert (await directory("DELETE", f"{PROGRAMS}/{owner.client_id}")).status == 204


async def test_lists_come_in_pages(directory: Arm) -> None:
    for number in range(5):
        await directory("POST", USERS, {"userName": f"user{number}", "displayName": f"Name {number % 2}"})
    for path, name in ((USERS, "nextLink"), ("/v1.0/users", "@odata.nextLink")):
        found: list[str] = []
        target: str | None = f"{path}?$top=2"
        while target:
            page = (await directory("GET", target)).json
            found += [row.get("userName") or row["userPrincipalName"] for row in page["value"]]
            target = page.get(name) and page[name].removeprefix("https://localhost:8443")
        assert found == [f"user{number}" for number in range(5)]
    assert (await directory("GET", f"{USERS}?$top=0")).status == 400
    assert (await directory("GET", f"{USERS}?$skipToken=!!")).status == 400


# --- who may --------------------------------------------------------------------------------------------------------


async def test_only_who_gives_roles_changes_the_directory(directory: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROLES, "contributor", [(CONTRIBUTOR, S)])
    monkeypatch.setitem(ROLES, "access", [(USER_ACCESS_ADMINISTRATOR, S)])
    monkeypatch.setitem(ROLES, "group reader", [(READER, f"{S}/resourceGroups/rg1")])
    await directory("POST", USERS, {"userName": "ana"})
    reads = [
        ("GET", USERS),
        ("GET", f"{USERS}/ana"),
        ("GET", "/v1.0/users"),
        ("POST", "/v1.0/directoryObjects/getByIds"),
        ("POST", "/v1.0/users/ana/getMemberGroups"),
    ]
    writes = [
        ("POST", USERS), ("DELETE", f"{USERS}/ana"), ("PATCH", f"{USERS}/ana"), ("POST", f"{USERS}/ana/password"),
        ("POST", PROGRAMS), ("POST", "/v1.0/applications"), ("PATCH", "/v1.0/users/ana"), ("DELETE", "/v1.0/users/ana"),
        ("POST", f"/v1.0/applications/{NOBODY}/addPassword"), ("POST", "/v1.0/servicePrincipals"),
        ("POST", "/v1.0/groups"), ("POST", f"/v1.0/applications/{NOBODY}/federatedIdentityCredentials"),
    ]  # fmt: skip
    for who, may_read, may_write in [
        ("nobody", False, False), ("puller", False, False), ("group1", False, False), ("group reader", False, False),
        ("reader", True, False), ("contributor", True, False), ("access", True, True),
    ]:  # fmt: skip
        for method, path in reads:
            answer = await directory(method, path, {}, token=who)
            assert (answer.status != 403) == may_read, (who, method, path)
        for method, path in writes:
            answer = await directory(method, path, {}, token=who)
            assert (answer.status != 403) == may_write, (who, method, path)
        assert (await directory("GET", "/v1.0/me", token=who)).status == 200
    for method, path in reads + writes:
        assert (await directory(method, path, {}, token=None)).status == 401


# --- Microsoft Graph ------------------------------------------------------------------------------------------------


async def test_az_makes_a_service_principal_for_rbac(directory: Arm) -> None:
    """As `az ad sp create-for-rbac` asks, step by step."""
    found = await directory("GET", "/v1.0/servicePrincipals", _filter="displayName eq 'ci'")
    assert found.json == {"value": []}
    application = (await directory("POST", "/v1.0/applications", {"displayName": "ci", "keyCredentials": []})).json
    assert application["passwordCredentials"] == []
    body = {"passwordCredential": {"displayName": "rbac", "endDateTime": "2030-01-01T00:00:00Z"}}
    secret = (await directory("POST", f"/v1.0/applications/{application['id']}/addPassword", body)).json
    assert await may_sign_in(directory, application["appId"], secret["secretText"])
    program = (await directory("POST", "/v1.0/servicePrincipals", {"appId": application["appId"]})).json
    assert (program["appId"], program["servicePrincipalType"]) == (application["appId"], "Application")
    for text in (
        f"servicePrincipalNames/any(c:c eq '{application['appId']}')",
        "startswith(displayName,'C')",
        f"appId eq '{application['appId']}' and displayName eq 'ci'",
    ):
        found = (await directory("GET", "/v1.0/servicePrincipals", _filter=text)).json["value"]
        assert [row["id"] for row in found] == [program["id"]], text
    [listed] = (await directory("GET", "/v1.0/applications", _filter=f"appId eq '{application['appId']}'")).json[
        "value"
    ]
    assert [row["keyId"] for row in listed["passwordCredentials"]] == [secret["keyId"]]
    assert secret["secretText"] not in str(listed)
    removed = await directory(
        "POST", f"/v1.0/applications/{application['id']}/removePassword", {"keyId": secret["keyId"]}
    )
    assert removed.status == 204
    assert not await may_sign_in(directory, application["appId"], secret["secretText"])
    missing = await directory("POST", "/v1.0/servicePrincipals", {"appId": NOBODY})
    assert missing.status == 400


async def test_graph_keeps_the_certificates_that_are_named(
    directory: Arm, key: rsa.RSAPrivateKey, clock: FakeClock
) -> None:
    one, two = make_certificate(key, clock), make_certificate(key, clock)
    texts = [base64.b64encode(cert.public_bytes(serialization.Encoding.DER)).decode() for cert in (one, two)]
    made = (
        await directory("POST", "/v1.0/applications", {"displayName": "ci", "keyCredentials": [{"key": texts[0]}]})
    ).json
    path = f"/v1.0/applications/{made['id']}"
    both = {"keyCredentials": [*made["keyCredentials"], {"key": texts[1], "type": "AsymmetricX509Cert"}]}
    assert (await directory("PATCH", path, both)).status == 204
    keys = (await directory("GET", path)).json["keyCredentials"]
    assert len(keys) == 2
    assert (await directory("PATCH", path, {"keyCredentials": [keys[1]]})).status == 204
    assert (await directory("GET", path)).json["keyCredentials"] == [keys[1]]


async def test_graph_finds_people(directory: Arm) -> None:
    profile = {"password": PASSWORD, "forceChangePasswordNextSignIn": False}
    body = {"userPrincipalName": "ana@example.com", "displayName": "Ana O'Neil", "passwordProfile": profile}
    made = (await directory("POST", "/v1.0/users", {**body, "accountEnabled": True, "mailNickname": "ana"})).json
    for text, count in (
        ("userPrincipalName eq 'ANA@example.com'", 1),
        ("displayName eq 'Ana O''Neil'", 1),
        ("accountEnabled eq false", 0),
        ("mail eq 'ana@example.com'", 0),
    ):
        found = (await directory("GET", "/v1.0/users", _filter=text)).json["value"]
        assert len(found) == count, text
    assert (await directory("GET", "/v1.0/users/ana@example.com")).json == made
    owner = directory.people.principals["owner"]
    ids = {"ids": [made["id"].upper(), owner.object_id, NOBODY], "types": ["user"]}
    found = (await directory("POST", "/v1.0/directoryObjects/getByIds", ids)).json["value"]
    assert {row["@odata.type"].rpartition(".")[2] for row in found} == {"user", "servicePrincipal"}
    changed = await directory("PATCH", "/v1.0/users/ana@example.com", {"accountEnabled": False, "displayName": "A"})
    assert changed.status == 204
    shown = (await directory("GET", f"/v1.0/users/{made['id']}")).json
    assert (shown["accountEnabled"], shown["displayName"]) == (False, "A")
    assert (await directory("PATCH", "/v1.0/users/ana@example.com", {"userPrincipalName": "b"})).status == 400
    assert (await directory("GET", "/v1.0/groups")).json == {"value": []}


async def test_what_the_directory_does_not_have(directory: Arm) -> None:
    """`az ad user get-member-groups`, `ad app permission`, `ad app federated-credential`, `ad group`: listed empty,
    refused on creation."""
    nothing: dict[str, list[Any]] = {"value": []}
    await directory("POST", USERS, {"userName": "ana"})
    body = {"displayName": "ci", "requiredResourceAccess": []}
    made = (await directory("POST", "/v1.0/applications", body)).json
    path = f"/v1.0/applications/{made['id']}"
    assert made["requiredResourceAccess"] == []
    for method, target, status in [
        ("POST", "/v1.0/users/ana/getMemberGroups", 200),
        ("POST", f"/v1.0/users/{NOBODY}/getMemberGroups", 404),
        ("GET", "/v1.0/oauth2PermissionGrants", 200),
        ("GET", f"{path}/federatedIdentityCredentials", 200),
        ("GET", f"/v1.0/applications/{NOBODY}/federatedIdentityCredentials", 404),
    ]:
        answer = await directory(method, target, {"securityEnabledOnly": True} if method == "POST" else None)
        assert answer.status == status, target
        assert status != 200 or answer.json == nothing
    access = {"requiredResourceAccess": [{"resourceAppId": NOBODY, "resourceAccess": []}]}
    profile = {"passwordProfile": {"password": PASSWORD, "forceChangePasswordNextSignIn": True}}
    for method, target, refused in [
        ("POST", f"{path}/federatedIdentityCredentials", {"name": "x"}),
        ("POST", "/v1.0/groups", {"displayName": "x"}),
        ("POST", "/v1.0/applications", {"displayName": "ci", **access}),
        ("PATCH", path, access),
        ("POST", "/v1.0/users", {"userPrincipalName": "bob", **profile}),
        ("PATCH", "/v1.0/users/ana", profile),
    ]:
        answer = await directory(method, target, refused)
        assert (answer.status, answer.error["code"]) == (400, "FeatureNotSupported"), target


@pytest.mark.parametrize(
    "text",
    [
        "x", "displayName", "displayName eq", "displayName eq x", "displayName ne 'x'", "secret eq 'x'", "'x' eq 'x'",
        "displayName eq 'x' or appId eq 'x'", "startswith(displayName)", "appId/any(c:d eq 'x')", "displayName eq 'x",
        "displayName eq 'x' and", "(" * 3000, "displayName eq 'x')",
    ],
)  # fmt: skip
async def test_a_filter_that_cannot_be_read_is_refused(directory: Arm, text: str) -> None:
    assert (await directory("GET", "/v1.0/users", _filter=text)).status == 400


async def test_wrong_bodies_are_no_fault_of_ours(directory: Arm) -> None:
    made = (await directory("POST", "/v1.0/applications", {"displayName": "ci"})).json
    path = f"/v1.0/applications/{made['id']}"
    for target, body in [
        (f"{path}/addPassword", {"passwordCredential": {"endDateTime": "soon"}}),
        (f"{path}/addPassword", {"passwordCredential": {"endDateTime": "2001-01-01T00:00:00Z"}}),
        (f"{path}/addPassword", {"passwordCredential": {"endDateTime": "9999-01-01T00:00:00Z"}}),
        (f"{path}/addPassword", []),
        (f"{path}/removePassword", {"keyId": "x"}),
        ("/v1.0/directoryObjects/getByIds", {"ids": "x"}),
        ("/v1.0/directoryObjects/getByIds", {"ids": ["x"] * 1001}),
        ("/v1.0/users", {"userPrincipalName": "a"}),
        ("/v1.0/applications", {"displayName": "\u0000"}),
    ]:
        assert (await directory("POST", target, body)).status == 400, (target, body)
    assert (await directory("POST", f"{path}/removePassword", {"keyId": NOBODY})).status == 404
    for method in ("GET", "PATCH", "DELETE"):
        assert (await directory(method, f"/v1.0/users/{quote(chr(0x202E))}", {})).status == 404
