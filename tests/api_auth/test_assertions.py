"""Service principals that sign in with a certificate (RFC 7523; the assertion as MSAL makes it)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from darsena.core.errors import RequestInvalid
from darsena.testing import FakeClock

from .conftest import CONTROL, TENANT, Answer, Server

pytestmark = pytest.mark.parametrize("db", ["sqlite"], indirect=True)

ADFS = "/adfs/oauth2/token"
AUDIENCE = f"https://{CONTROL}{ADFS}"
JWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass
class Pair:
    key: rsa.RSAPrivateKey
    der: bytes

    @property
    def pem(self) -> str:
        return x509.load_der_x509_certificate(self.der).public_bytes(serialization.Encoding.PEM).decode()

    def thumbprint(self, algorithm: str) -> str:
        return encode(hashlib.new(algorithm, self.der).digest())


def make_pair(clock: FakeClock, bits: int = 2048, days: tuple[int, int] = (-1, 10)) -> Pair:
    now = datetime.fromtimestamp(clock.now_us() / 1_000_000, UTC)
    key = rsa.generate_private_key(65537, bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ci")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .sign(key, hashes.SHA256())
    )
    return Pair(key, built.public_bytes(serialization.Encoding.DER))


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def sign(pair: Pair, header: dict[str, Any], claims: dict[str, Any]) -> str:
    text = f"{encode(msgspec.json.encode(header))}.{encode(msgspec.json.encode(claims))}"
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    scheme = pss if header.get("alg") == "PS256" else padding.PKCS1v15()
    return f"{text}.{encode(pair.key.sign(text.encode(), scheme, hashes.SHA256()))}"


@dataclass
class Client:
    server: Server
    client_id: str
    pair: Pair
    now: int

    def claims(self, **changes: Any) -> dict[str, Any]:
        own = {"iss": self.client_id, "sub": self.client_id, "aud": AUDIENCE, "jti": "1"}
        return {**own, "iat": self.now, "nbf": self.now, "exp": self.now + 600, **changes}

    async def send(self, assertion: str, path: str = ADFS, **fields: str) -> Answer:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "scope": f"https://{CONTROL}//.default",
            "client_assertion_type": JWT,
            "client_assertion": assertion,
        }
        return await self.server.post(CONTROL, path, {**form, **fields})


@pytest.fixture
async def client(server: Server, clock: FakeClock) -> Client:
    pair = make_pair(clock)
    entry, _ = await server.identity.directory.create_service_principal(
        "ci", with_secret=False, certificates=[pair.pem]
    )
    assert entry.principal.client_id is not None
    return Client(server, entry.principal.client_id, pair, clock.now_us() // 1_000_000)


@pytest.mark.parametrize(
    "header",
    [
        lambda pair: {"alg": "RS256", "typ": "JWT", "x5t": pair.thumbprint("sha1")},
        lambda pair: {"alg": "PS256", "typ": "JWT", "x5t#S256": pair.thumbprint("sha256"), "x5c": ["ignored"]},
        lambda pair: {"alg": "RS256", "typ": "JWT", "x5t": pair.thumbprint("sha1") + "="},
        lambda pair: {"alg": "RS256", "kid": hashlib.sha1(pair.der).hexdigest().upper()},
    ],
)
async def test_a_certificate_signs_in(client: Client, header: Callable[[Pair], dict[str, Any]]) -> None:
    assertion = sign(client.pair, header(client.pair), client.claims())
    answer = await client.send(assertion)
    assert answer.status == 200, answer.content
    assert (answer.claims["appid"], answer.claims["appidacr"]) == (client.client_id, "2")
    assert (await client.send(assertion)).status == 200  # MSAL sends one for as long as it holds


async def test_each_address_of_the_directory_may_be_the_audience(client: Client) -> None:
    header = {"alg": "RS256", "x5t": client.pair.thumbprint("sha1")}
    for path in (f"/{TENANT}/oauth2/v2.0/token", "/common/oauth2/v2.0/token", f"/{TENANT}/v2.0", "/adfs"):
        claims = client.claims(aud=f"https://{CONTROL}{path}")
        assert (await client.send(sign(client.pair, header, claims), "/common/oauth2/v2.0/token")).status == 200, path


@pytest.mark.parametrize("path", [ADFS, "/adfs/oauth2/v2.0/token", f"/{TENANT}/oauth2/v2.0/token"])
async def test_parts_with_padding_as_azure_identity_sends_them(client: Client, path: str) -> None:
    header = {"alg": "PS256", "x5t#S256": client.pair.thumbprint("sha256"), "typ": "JWT"}
    claims = client.claims(aud=f"https://{CONTROL}{path}")
    parts = [msgspec.json.encode(part) for part in (header, claims)]
    parts = [part + b" " * (1 if len(part) % 3 == 0 else 0) for part in parts]  # of a length that needs padding
    text = ".".join(base64.urlsafe_b64encode(part).decode() for part in parts)
    assert text.count("=") >= 2
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    signature = base64.urlsafe_b64encode(client.pair.key.sign(text.encode(), pss, hashes.SHA256())).decode()
    assert (await client.send(f"{text}.{signature}", path)).status == 200
    assert (await client.send(f"{text}.{signature}=", path)).json["error_codes"] == [50027]
    assert (await client.send(text.replace("=", "") + f".{signature}", path)).json["error_codes"] == [700027]


Spoil = tuple[dict[str, Any], dict[str, Any], int]
ROWS: dict[str, Spoil] = {
    # changes of the header, of the claims; Entra's number
    "none": ({"alg": "none"}, {}, 50027),
    "hmac": ({"alg": "HS256"}, {}, 50027),
    "longer hash": ({"alg": "RS512"}, {}, 50027),
    "critical header": ({"crit": ["x"]}, {}, 50027),
    "no thumbprint": ({"x5t": None}, {}, 700027),
    "another thumbprint": ({"x5t": "AAAA"}, {}, 700027),
    "another algorithm than signed": ({"alg": "PS256", "signed": "RS256"}, {}, 700027),
    "another audience": ({}, {"aud": "https://login.microsoftonline.com/common/oauth2/v2.0/token"}, 700023),
    "audience with more": ({}, {"aud": AUDIENCE + "x"}, 700023),
    "expired": ({}, {"exp": -301}, 700024),
    "not yet": ({}, {"nbf": 301}, 700024),
    "for ever": ({}, {"exp": 10**9}, 700024),
    "another issuer": ({}, {"iss": "someone"}, 50027),
    "another subject": ({}, {"sub": "00000000-0000-0000-0000-000000000001"}, 50027),
    "no time": ({}, {"exp": "soon"}, 50027),
}


@pytest.mark.parametrize("row", ROWS)
async def test_an_assertion_is_refused(client: Client, row: str) -> None:
    header_changes, changes, code = ROWS[row]
    for name in ("exp", "nbf"):
        if isinstance(changes.get(name), int):
            changes = {**changes, name: client.now + changes[name]}
    header = {"alg": "RS256", "x5t": client.pair.thumbprint("sha1"), **header_changes}
    signed_as = header.pop("signed", None)
    assertion = sign(client.pair, header, client.claims(**changes))
    if signed_as:
        head, body, _ = assertion.split(".")
        signature = client.pair.key.sign(f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        assertion = f"{head}.{body}.{encode(signature)}"
    answer = await client.send(assertion)
    assert (answer.status, answer.json["error"], answer.json["error_codes"]) == (401, "invalid_client", [code])


async def test_only_the_registered_key_counts(client: Client, clock: FakeClock) -> None:
    other = make_pair(clock)
    header = {"alg": "RS256", "x5t": client.pair.thumbprint("sha1"), "x5c": [base64.b64encode(other.der).decode()]}
    assert (await client.send(sign(other, header, client.claims()))).json["error_codes"] == [700027]
    good = sign(client.pair, header, client.claims())
    assert (await client.send(good[:-4] + "AAAA")).status == 401
    assert (await client.send("x.y.z")).status == 401
    assert (await client.send(good, client_id=client.server.owner.client_id)).status == 401


async def test_a_certificate_ends(client: Client, clock: FakeClock) -> None:
    header = {"alg": "RS256", "x5t": client.pair.thumbprint("sha1")}
    good = sign(client.pair, header, client.claims())
    token = (await client.send(good)).json["access_token"]
    directory = client.server.identity.directory
    await directory.remove_certificate(client.client_id, hashlib.sha1(client.pair.der).hexdigest())
    assert (await client.send(good)).json["error_codes"] == [700027]
    answer = await client.server.exchange("regone", {"grant_type": "access_token", "access_token": token})
    assert answer.status == 401
    await directory.add_certificate(client.client_id, client.pair.pem)
    assert (await client.send(good)).status == 200
    clock.advance(10 * 24 * 3600)
    client.now = clock.now_us() // 1_000_000
    assert (await client.send(sign(client.pair, header, client.claims()))).json["error_codes"] == [700027]


async def test_what_is_no_certificate_is_refused(client: Client, clock: FakeClock) -> None:
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    directory = client.server.identity.directory
    for text, why in [
        ("", "neither PEM"),
        ("!", "neither PEM"),
        (key.decode(), "private key"),
        (make_pair(clock, 1024).pem, "2048 bits"),
        (make_pair(clock, days=(-3, -1)).pem, "expired"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "neither PEM"),
        ("A" * 100_000, "larger"),
    ]:
        with pytest.raises(RequestInvalid, match=why):
            await directory.add_certificate(client.client_id, text)
    later = make_pair(clock, days=(1, 5))
    await directory.add_certificate(client.client_id, base64.b64encode(later.der).decode())
    header = {"alg": "RS256", "x5t": later.thumbprint("sha1")}
    assert (await client.send(sign(later, header, client.claims()))).json["error_codes"] == [700027]
