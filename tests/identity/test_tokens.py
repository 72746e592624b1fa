"""Token confusion: every kind of token at every door, and every way to make one up (promises: token and scope)."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import RSAKey

from darsena.core.errors import Unauthenticated
from darsena.db import Database
from darsena.identity.audiences import REGISTRY_AUDIENCE
from darsena.identity.model import NULL_GUID, Identity
from darsena.identity.roles import OWNER
from darsena.identity.room import IdentityRoom
from darsena.identity.scopes import parse_scopes
from darsena.identity.signing import OVERLAP_US, SIGNS_US, Use
from darsena.identity.tokens import ACCESS_S, DIRECTORY_S, REFRESH_S
from darsena.testing import FakeClock
from principals import Principals

from .values import ARM, CONTROL_URL, FACTS, OTHER, SCOPE, TENANT, basic, bearer, make_facts, read_claims, read_header

Door = Callable[[str], Awaitable[object]]


@dataclass
class Desk:
    """One owner, its tokens of every kind, and the doors of one registry."""

    identity: IdentityRoom
    owner: Identity

    async def access(self, facts: Any = FACTS, *scopes: str) -> str:
        grants = self.identity.authenticator.decide(facts, self.owner, parse_scopes(scopes or ["repository:a:pull"]))
        return (await self.identity.tokens.issue_access(facts, self.owner, grants))[0]

    async def refresh(self, facts: Any = FACTS) -> str:
        grants = self.identity.authenticator.decide(facts, self.owner, None)
        return await self.identity.tokens.issue_refresh(facts, self.owner, grants)

    async def directory(self, audience: str = ARM) -> str:
        tokens = self.identity.tokens
        return (await tokens.issue_directory(self.owner, audience, tokens.adfs_issuer))[0]

    async def sign(self, use: Use, claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
        kid, key = await self.identity.keys.get_signer(use)
        head = {"alg": "RS256", "typ": "JWT", "kid": kid, **(header or {})}
        return jws.serialize_compact(head, msgspec.json.encode(claims), key, ["RS256"])

    def doors(self, facts: Any = FACTS) -> dict[str, Door]:
        authenticator, arm = self.identity.authenticator, self.identity.arm

        async def grant(token: str) -> object:
            return authenticator.open_refresh(facts, token)

        async def exchange(token: str) -> object:
            return authenticator.open_directory(facts, token)

        return {
            "bearer": lambda token: authenticator.authenticate(facts, bearer(token)),
            "basic": lambda token: authenticator.authenticate(facts, basic(NULL_GUID, token)),
            "refresh grant": grant,
            "exchange": exchange,
            "arm": lambda token: arm.authenticate_arm(bearer(token)),
        }

    async def opened_by(self, token: str, facts: Any = FACTS) -> set[str]:
        opened: set[str] = set()
        for name, door in self.doors(facts).items():
            try:
                await door(token)
                opened.add(name)
            except Unauthenticated:
                continue
        return opened


@pytest.fixture
async def desk(identity: IdentityRoom) -> Desk:
    made = await identity.owner.ensure()
    assert made is not None
    owner = await identity.credentials.check_client(made.client_id, made.client_secret, "")
    return Desk(identity, owner)


async def test_each_kind_opens_its_own_doors_and_no_other(desk: Desk) -> None:
    no_arm = make_facts(arm_audience_allowed=False)
    azure_arm = "https://management.azure.com/"
    rows: list[tuple[str, str, Any, set[str]]] = [
        ("access", await desk.access(), FACTS, {"bearer", "basic"}),
        ("refresh", await desk.refresh(), FACTS, {"basic", "refresh grant"}),
        ("directory for ARM", await desk.directory(), FACTS, {"exchange", "arm"}),
        ("directory for Azure's ARM", await desk.directory(azure_arm), FACTS, {"exchange", "arm"}),
        ("directory for ARM, policy off", await desk.directory(), no_arm, {"arm"}),
        ("directory for registries", await desk.directory(REGISTRY_AUDIENCE), FACTS, {"exchange"}),
        ("directory for registries, policy off", await desk.directory(REGISTRY_AUDIENCE), no_arm, {"exchange"}),
        ("access of another registry", await desk.access(OTHER), FACTS, set()),
        ("refresh of another registry", await desk.refresh(OTHER), FACTS, set()),
        ("access of the name's earlier registry", await desk.access(make_facts("f" * 32)), FACTS, set()),
        ("refresh of the name's earlier registry", await desk.refresh(make_facts("f" * 32)), FACTS, set()),
        ("directory for somebody else", await desk.directory("https://graph.microsoft.com"), FACTS, set()),
    ]
    got = {name: await desk.opened_by(token, facts) for name, token, facts, _ in rows}
    assert got == {name: expected for name, _, _, expected in rows}


async def test_tokens_say_what_acrs_say(desk: Desk) -> None:
    """ACR authentication, section Token contents and lifetimes."""
    access, refresh = await desk.access(), await desk.refresh()
    claims = read_claims(access)
    assert claims["exp"] - claims["iat"] == ACCESS_S == 4500
    assert claims["nbf"] == claims["iat"]
    assert (claims["iss"], claims["aud"]) == ("Azure Container Registry", FACTS.login_server)
    assert (claims["version"], claims["grant_type"], claims["roles"]) == ("1.0", "access_token", [])
    assert claims["access"] == [{"type": "repository", "name": "a", "actions": ["pull"]}]
    assert claims["sub"] == desk.owner.principal.object_id
    assert "tenant" not in claims
    claims = read_claims(refresh)
    assert claims["exp"] - claims["iat"] == REFRESH_S == 10800
    assert (claims["grant_type"], claims["tenant"]) == ("refresh_token", TENANT)
    assert claims["permissions"] == {
        "Actions": ["read", "write", "delete", "deleted/read", "deleted/restore/action"],
        "NotActions": None,
    }
    assert "access" not in claims
    assert "aad_identity" not in claims
    assert "aad_identity" in read_claims(await desk.refresh(make_facts(abac=True)))
    assert read_header(access).keys() == {"alg", "typ", "kid"}
    assert read_claims(access)["jti"] != read_claims(await desk.access())["jti"]


async def test_directory_tokens_say_what_entras_say(desk: Desk) -> None:
    claims = read_claims(await desk.directory())
    assert claims["exp"] - claims["iat"] == DIRECTORY_S
    assert (claims["aud"], claims["tid"], claims["iss"]) == (ARM, TENANT, f"{CONTROL_URL}/adfs")
    assert claims["oid"] == claims["sub"] == desk.owner.principal.object_id
    assert claims["appid"] == desk.owner.principal.client_id


@pytest.mark.parametrize("kind", ["access", "refresh", "directory"])
async def test_a_token_ends_in_time_and_does_not_begin_before(desk: Desk, clock: FakeClock, kind: str) -> None:
    lifetime = {"access": ACCESS_S, "refresh": REFRESH_S, "directory": DIRECTORY_S}[kind]
    token = await getattr(desk, kind)()
    clock.advance(-1)
    assert await desk.opened_by(token) == set()
    clock.advance(lifetime)
    assert await desk.opened_by(token) != set()
    clock.advance(1)
    assert await desk.opened_by(token) == set()


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "issuer": {"iss": "somebody"},
    "other kind's issuer": {"iss": f"{CONTROL_URL}/adfs/x"},
    "audience": {"aud": "elsewhere.azurecr.localhost:8443"},
    "audience in another case": {"aud": FACTS.login_server.upper()},
    "list of audiences": {"aud": [FACTS.login_server, ARM, REGISTRY_AUDIENCE]},
    "no audience": {"aud": None},
    "expiry as text": {"exp": "99999999999"},
    "expiry as a truth": {"exp": True},
    "no expiry": {"exp": None},
    "begins later": {"nbf": 1_700_000_001},
    "subject": {"sub": NULL_GUID},
    "no bearer": {"darsena": None},
}
BAD_BEARERS: dict[str, dict[str, Any]] = {
    "version": {"version": 2},
    "kind": {"kind": "admin"},
    "principal": {"id": 99},
    "anonymous principal": {"id": 0},
    "text as principal": {"id": "1"},
    "a number that no row has": {"id": 1 << 63},
    "credential": {"credential": "0" * 32},
    "no credential": {"credential": ""},
}


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", ["access", "refresh", "directory"])
async def test_even_a_good_signature_needs_good_claims(desk: Desk, kind: str) -> None:
    use: Use = "directory" if kind == "directory" else "registry"
    claims = read_claims(await getattr(desk, kind)())
    assert await desk.opened_by(await desk.sign(use, claims)) != set()
    changed = [(name, {**claims, **change}) for name, change in BAD_CLAIMS.items()]
    changed += [(name, {**claims, "darsena": {**claims["darsena"], **change}}) for name, change in BAD_BEARERS.items()]
    if kind == "refresh":
        changed += [("tenant", {**claims, "tenant": NULL_GUID}), ("grant", {**claims, "grant_type": "refresh"})]
    if kind == "access":
        changed += [
            ("grant", {**claims, "grant_type": "x"}),
            ("access", {**claims, "access": [{"type": "repository"}]}),
        ]
    if kind == "directory":
        changed += [("tenant", {**claims, "tid": NULL_GUID}), ("object", {**claims, "oid": NULL_GUID})]
    else:
        bearers = {**claims["darsena"], "registry": "f" * 32}
        changed.append(("registry", {**claims, "darsena": bearers}))
    got = {name: await desk.opened_by(await desk.sign(use, what)) for name, what in changed}
    assert got == {name: set[str]() for name, _ in changed}


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", ["access", "refresh", "directory"])
async def test_nothing_is_taken_from_the_header(desk: Desk, kind: str) -> None:
    use: Use = "directory" if kind == "directory" else "registry"
    other: Use = "registry" if use == "directory" else "directory"
    token = await getattr(desk, kind)()
    claims, header = read_claims(token), read_header(token)
    payload = msgspec.json.encode(claims)
    mine = RSAKey.generate_key(2048)
    kid, own = await desk.identity.keys.get_signer(use)
    public = own.as_pem(private=False)

    def sign(what: bytes) -> bytes:
        return own.private_key.sign(what, PKCS1v15(), SHA256())  # type: ignore[union-attr]

    assert await desk.opened_by(_forge(header, claims, sign)) != set()
    other_kid, _ = await desk.identity.keys.get_signer(other)
    head, body, signature = token.split(".")
    forged = {
        "another key under our id": jws.serialize_compact(header, payload, mine, ["RS256"]),
        "the other set's id": await desk.sign(use, claims, {"kid": other_kid}),
        "the other set's key": await desk.sign(other, claims),
        "the other set's key under this set's id": await desk.sign(other, claims, {"kid": kid}),
        "an unknown id": await desk.sign(use, claims, {"kid": "unknown"}),
        "a key in the header": jws.serialize_compact(
            {**header, "jwk": mine.as_dict(private=False)}, payload, mine, ["RS256"]
        ),
        "a key's address in the header": jws.serialize_compact(
            {**header, "jku": "https://example.org/keys"}, payload, mine, ["RS256"]
        ),
        "alg RS512": jws.serialize_compact({**header, "alg": "RS512"}, payload, own, ["RS512"]),
        "alg PS256": jws.serialize_compact({**header, "alg": "PS256"}, payload, own, ["PS256"]),
        "alg HS256 of the public key": _forge(
            {**header, "alg": "HS256"}, claims, lambda what: hmac.digest(public, what, "sha256")
        ),
        "typ": await desk.sign(use, claims, {"typ": "at+jwt"}),
        "typ missing": _forge({"alg": "RS256", "kid": kid}, claims, sign),
        "crit": _forge({**header, "crit": ["x"], "x": 1}, claims, sign),
        "payload that is not encoded": _forge({**header, "crit": ["b64"], "b64": False}, claims, sign),
        "our key under an id with a list": _forge({**header, "kid": [kid]}, claims, sign),
        "an empty signature": f"{head}.{body}.",
        "no signature": f"{head}.{body}",
        "another signature": f"{head}.{body}.{signature[:-8]}AAAAAAAA",
        "padding": f"{token}=",
        "a blank inside": f"{head}. {body}.{signature}",
        "four parts": f"{token}.{signature}",
        "other claims": f"{head}.{body[:-4]}AAAA.{signature}",
        "alg none": _forge({**header, "alg": "none"}, claims, lambda what: b""),
        "alg nOnE": _forge({**header, "alg": "nOnE"}, claims, lambda what: b""),
        "nothing": "",
        "dots": "..",
        "too long": f"{head}.{'A' * 40000}.{signature}",
    }
    got = {name: await desk.opened_by(what) for name, what in forged.items()}
    assert got == {name: set[str]() for name in forged}


def _forge(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token as no library would make it."""

    def part(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    signed = part(msgspec.json.encode(header)) + b"." + part(msgspec.json.encode(claims))
    return (signed + b"." + part(sign(signed))).decode()


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(text=st.text(alphabet=st.sampled_from("eyJhbGciOiJSUzI1NiJ9.=_-é\0 "), max_size=120))
async def test_whatever_is_sent_is_refused_and_nothing_else(desk: Desk, text: str) -> None:
    assert await desk.opened_by(text) == set()


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_keys_rotate_and_the_old_ones_verify_on(desk: Desk, clock: FakeClock) -> None:
    keys = desk.identity.keys
    first, _ = await keys.get_signer("registry")
    clock.advance(SIGNS_US / 1_000_000 - 1)
    last = await desk.refresh()
    assert read_header(last)["kid"] == first
    clock.advance(1)
    new = await desk.refresh()
    assert read_header(new)["kid"] != first
    assert await desk.opened_by(last) == await desk.opened_by(new) == {"basic", "refresh grant"}
    assert len(keys.list_public("registry")) == 2
    clock.advance(OVERLAP_US / 1_000_000)
    assert keys.find_public("registry", first) is None
    await desk.identity.maintain()
    assert [key["kid"] for key in keys.list_public("registry")] == [read_header(new)["kid"]]


async def test_published_keys_are_public_and_of_one_use(desk: Desk) -> None:
    for use, token in (("directory", await desk.directory()), ("registry", await desk.access())):
        [key] = desk.identity.keys.list_public(use)  # type: ignore[arg-type]
        assert key.keys() == {"kty", "n", "e", "kid", "use", "alg"}
        assert jws.deserialize_compact(token, RSAKey.import_key(key), ["RS256"]).payload


async def test_another_process_finds_new_keys_by_their_id(desk: Desk, db: Database, tmp_path: Any) -> None:
    from .conftest import open_identity

    second = open_identity(db, tmp_path)
    second.start()
    assert second.keys.list_public("registry") == desk.identity.keys.list_public("registry")
    token = await desk.refresh()
    assert second.authenticator.open_refresh(FACTS, token).principal == desk.owner.principal


async def test_a_token_made_from_an_access_token_ends_with_it(desk: Desk, clock: FakeClock) -> None:
    authenticator = desk.identity.authenticator
    token = await desk.access(FACTS, "repository:a:pull,push")
    clock.advance(1000)
    presented = await authenticator.check_login(FACTS, NULL_GUID, token, "")
    grants = authenticator.decide(FACTS, presented, parse_scopes(["repository:a:*", "repository:b:pull"]))
    narrower, expires_in = await desk.identity.tokens.issue_access(FACTS, presented, grants)
    assert expires_in == ACCESS_S - 1000
    assert read_claims(narrower)["access"] == [{"type": "repository", "name": "a", "actions": ["pull", "push"]}]
    assert read_claims(narrower)["exp"] == read_claims(token)["exp"]


async def test_no_token_outlives_the_secret_it_came_from(desk: Desk, clock: FakeClock) -> None:
    identity = desk.identity
    made = await Principals(identity).create_service_principal("short", secret_lifetime_s=600)
    await Principals(identity).assign_role(made.principal.object_id, OWNER.id, SCOPE)
    short = await identity.credentials.check_client(made.client_id, made.client_secret, "")
    token, expires_in = await identity.tokens.issue_directory(short, ARM, identity.tokens.adfs_issuer)
    assert expires_in == 600
    assert (await identity.arm.authenticate_arm(bearer(token))).client_id == made.client_id
    clock.advance(600)
    with pytest.raises(Unauthenticated):
        await identity.arm.authenticate_arm(bearer(token))
