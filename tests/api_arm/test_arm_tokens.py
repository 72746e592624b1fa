"""Every way to make up a token, at ARM's door: 401, the same words for all, and nothing told of what is there."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import RSAKey

from darsena.db import Tx
from darsena.identity.audiences import REGISTRY_AUDIENCE
from darsena.identity.model import Identity
from darsena.identity.signing import Use
from darsena.testing import FakeClock
from principals import Principals

from .conftest import CONTROL, SUBSCRIPTION, Arm

REGISTRY = {"location": "westus", "sku": {"name": "Basic"}, "properties": {"adminUserEnabled": True}}
ROUTES = (("GET", "{r}/reg10"), ("POST", "{r}/reg10/listCredentials"), ("DELETE", "{g}"), ("GET", "{r}/nothing10"))


def decode(part: str) -> dict[str, Any]:
    return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def encode(value: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


class Forge:
    """An owner's good token, and what can be made from it."""

    def __init__(self, arm: Arm, good: str, identity: Identity) -> None:
        self.arm = arm
        self.good = good
        self.identity = identity
        head, body, self.signature = good.split(".")
        self.header, self.claims = decode(head), decode(body)

    async def sign(self, *, use: Use = "directory", header: dict[str, Any] | None = None, **claims: Any) -> str:
        kid, key = await self.arm.people.identity.keys.get_signer(use)
        head = {"alg": "RS256", "typ": "JWT", "kid": kid, **(header or {})}
        return jws.serialize_compact(head, msgspec.json.encode({**self.claims, **claims}), key, ["RS256"])

    async def audience(self) -> str:
        return await self.sign(aud="https://graph.microsoft.com/")

    async def registry_audience(self) -> str:
        return await self.sign(aud=REGISTRY_AUDIENCE)

    async def tenant(self) -> str:
        return await self.sign(tid="99999999-2222-4333-8444-000000000000")

    async def issuer(self) -> str:
        return await self.sign(iss="https://sts.windows.net/99999999-2222-4333-8444-555555555555/")

    async def registry_key(self) -> str:
        return await self.sign(use="registry")

    async def own_key(self) -> str:
        key = RSAKey.generate_key(2048)
        return jws.serialize_compact(self.header, msgspec.json.encode(self.claims), key, ["RS256"])

    async def key_in_header(self) -> str:
        key = RSAKey.generate_key(2048)
        header = {**self.header, "jwk": key.as_dict(private=False)}
        return jws.serialize_compact(header, msgspec.json.encode(self.claims), key, ["RS256"])

    async def key_unknown(self) -> str:
        return await self.sign(header={"kid": "nobody"})

    async def no_algorithm(self) -> str:
        return f"{encode({**self.header, 'alg': 'none'})}.{encode(self.claims)}."

    async def public_key_as_secret(self) -> str:
        _, key = await self.arm.people.identity.keys.get_signer("directory")
        public = key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        signed = f"{encode({**self.header, 'alg': 'HS256'})}.{encode(self.claims)}"
        mac = hmac.digest(public, signed.encode(), "sha256")
        return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    async def algorithm(self) -> str:
        return f"{encode({**self.header, 'alg': 'RS512'})}.{encode(self.claims)}.{self.signature}"

    async def type(self) -> str:
        return await self.sign(header={"typ": "at+jwt"})

    async def expired(self) -> str:
        return await self.sign(exp=self.claims["iat"])

    async def not_yet_valid(self) -> str:
        return await self.sign(nbf=self.claims["iat"] + 60)

    async def other_claims(self) -> str:
        head, _, signature = self.good.split(".")
        return f"{head}.{encode({**self.claims, 'oid': 'x'})}.{signature}"

    async def other_bearer(self) -> str:
        return await self.sign(darsena={**self.claims["darsena"], "credential": "0" * 32})

    async def other_version(self) -> str:
        return await self.sign(darsena={**self.claims["darsena"], "version": 2})

    async def cut(self) -> str:
        return self.good[:-10]

    async def longer(self) -> str:
        return f"{self.good}A"

    async def two_parts(self) -> str:
        return self.good.rpartition(".")[0]

    async def garbage(self) -> str:
        return "a.b.c"

    async def huge(self) -> str:
        return "a" * 60_000


FORGERIES = sorted(name for name in vars(Forge) if not name.startswith("_") and name != "sign")


@pytest.fixture
async def forge(group: Arm) -> Forge:
    await group("PUT", "{r}/reg10", REGISTRY)
    good = await group.people.token("owner")
    holder = group.people.identity.holders.find(group.people.principals["owner"].id)
    assert holder is not None
    return Forge(group, good, Identity(holder=holder, credential=holder.credentials[0][0]))


async def refused_everywhere(arm: Arm, headers: dict[str, str]) -> None:
    bodies: set[bytes] = set()
    for method, path in ROUTES:
        answer = await arm(method, path, token=None, headers=headers)
        assert answer.status == 401, (method, path, answer.content)
        assert answer.error["code"] == "AuthenticationFailed"
        assert answer.headers["www-authenticate"].startswith(f'Bearer authorization_uri="{CONTROL}/adfs"')
        bodies.add(answer.content)
    assert len(bodies) == 1
    assert b"reg10" not in bodies.pop()


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_token_that_is_not_ours(forge: Forge, name: str) -> None:
    make: Callable[[], Awaitable[str]] = getattr(forge, name)
    assert (
        await forge.arm("GET", "{r}/reg10", token=None, headers={"authorization": f"Bearer {forge.good}"})
    ).status == 200
    await refused_everywhere(forge.arm, {"authorization": f"Bearer {await make()}"})
    assert (await forge.arm("GET", "{r}/reg10")).status == 200


@pytest.mark.parametrize("name", ["audience", "own_key", "expired", "garbage"])
async def test_no_route_lets_one_in(forge: Forge, name: str) -> None:
    token = await getattr(forge, name)()
    for route in forge.arm.edge.routes:
        path = route.pattern.replace("{subscription}", SUBSCRIPTION).replace("{group}", "rg1")
        path = path.replace("{registry}", "reg10").replace("{", "").replace("}", "")
        answer = await forge.arm(route.method, path, {}, token=None, headers={"authorization": f"Bearer {token}"})
        assert answer.status == (401 if route.secured else 200), (route.method, path)


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "bearer x", "Basic", "Negotiate abc", "Basic " + base64.b64encode(b"reg10:x").decode()],
)
async def test_headers_that_are_no_token(forge: Forge, header: str) -> None:
    await refused_everywhere(forge.arm, {"authorization": header})


async def test_a_registry_s_admin_user_is_nobody_here(forge: Forge) -> None:
    found = (await forge.arm("POST", "{r}/reg10/listCredentials")).json
    pair = f"{found['username']}:{found['passwords'][0]['value']}"
    await refused_everywhere(forge.arm, {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"})


async def test_tokens_end_with_their_time(forge: Forge, clock: FakeClock) -> None:
    header = {"authorization": f"Bearer {forge.good}"}
    clock.advance(forge.claims["exp"] - forge.claims["iat"] - 1)
    assert (await forge.arm("GET", "{r}/reg10", token=None, headers=header)).status == 200
    clock.advance(1)
    await refused_everywhere(forge.arm, header)


async def test_tokens_end_with_their_secret_and_their_principal(forge: Forge) -> None:
    principals, principal = Principals(forge.arm.people.identity), forge.arm.people.principals["owner"]
    header = {"authorization": f"Bearer {forge.good}"}
    await principals.disable(principal.object_id)
    await refused_everywhere(forge.arm, header)
    await principals.enable(principal.object_id)
    await refused_everywhere(forge.arm, header)
    made = await principals.reset_secret(principal.client_id or "")
    found = await forge.arm.people.identity.credentials.check_client(made.client_id, made.client_secret, "")
    tokens = forge.arm.people.identity.tokens
    token, _ = await tokens.issue_directory(found, f"{CONTROL}/", tokens.adfs_issuer)
    header = {"authorization": f"Bearer {token}"}
    assert (await forge.arm("GET", "{r}/reg10", token=None, headers=header)).status == 200
    await principals.reset_secret(principal.client_id or "")
    await refused_everywhere(forge.arm, header)


async def test_the_journal_names_nobody_who_was_refused(forge: Forge) -> None:
    def count(tx: Tx) -> int:
        from darsena.journal import list_entries, subscription_stream

        return len(list_entries(tx, subscription_stream(SUBSCRIPTION), after=0))

    db = forge.arm.people.identity.db
    before = await db.read(count)
    for name in ("audience", "expired", "own_key"):
        await refused_everywhere(forge.arm, {"authorization": f"Bearer {await getattr(forge, name)()}"})
    assert await db.read(count) == before
