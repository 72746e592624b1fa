"""Every route of the data plane × every kind of caller (ACR authentication, sections 5, 11 and 12).

The rights are written down here once more, not taken from the table that the server uses.
"""

from __future__ import annotations

import hashlib

import pytest

from darsena.identity.model import NULL_GUID
from darsena.identity.roles import ACR_DELETE, ACR_IMAGE_SIGNER, ACR_PULL, ACR_PUSH, OWNER, READER
from identity.tokens_world import TokensWorld
from identity.values import FACTS, OTHER, basic, bearer
from principals import Principals

from .conftest import Server

DIGEST = f"sha256:{'a' * 64}"
UPLOAD = "/v2/team/app/blobs/uploads/" + "b" * 32

ROUTES: list[tuple[str, str, str, str]] = [
    # method, path, scope that is challenged, the right that opens it
    ("GET", "/v2/", "", "any"),
    ("GET", "/v2/_catalog", "registry:catalog:*", "catalog"),
    ("GET", "/acr/v1/_catalog", "registry:catalog:*", "catalog"),
    ("GET", "/v2/team/app/tags/list", "repository:team/app:pull", "list"),
    ("GET", "/v2/team/app/manifests/v1", "repository:team/app:pull", "pull"),
    ("HEAD", "/v2/team/app/manifests/v1", "repository:team/app:pull", "pull"),
    ("GET", f"/v2/team/app/manifests/{DIGEST}", "repository:team/app:pull", "pull"),
    ("PUT", "/v2/team/app/manifests/v1", "repository:team/app:pull,push", "push"),
    ("DELETE", f"/v2/team/app/manifests/{DIGEST}", "repository:team/app:delete", "delete"),
    ("GET", f"/v2/team/app/blobs/{DIGEST}", "repository:team/app:pull", "pull"),
    ("HEAD", f"/v2/team/app/blobs/{DIGEST}", "repository:team/app:pull", "pull"),
    ("DELETE", f"/v2/team/app/blobs/{DIGEST}", "repository:team/app:delete", "delete"),
    ("POST", "/v2/team/app/blobs/uploads/", "repository:team/app:pull,push", "push"),
    ("GET", UPLOAD, "repository:team/app:pull,push", "push"),
    ("PATCH", UPLOAD, "repository:team/app:pull,push", "push"),
    ("PUT", f"{UPLOAD}?digest={DIGEST}", "repository:team/app:pull,push", "push"),
    ("DELETE", UPLOAD, "repository:team/app:pull,push", "push"),
    ("GET", f"/v2/team/app/referrers/{DIGEST}", "repository:team/app:pull", "pull"),
    ("GET", "/acr/v1/team/app", "repository:team/app:metadata_read", "metadata_read"),
    ("PATCH", "/acr/v1/team/app", "repository:team/app:metadata_write", "metadata_write"),
    ("DELETE", "/acr/v1/team/app", "repository:team/app:delete", "delete"),
    ("GET", "/acr/v1/team/app/_tags", "repository:team/app:metadata_read", "metadata_read"),
    ("GET", "/acr/v1/team/app/_tags/v1", "repository:team/app:metadata_read", "metadata_read"),
    ("PATCH", "/acr/v1/team/app/_tags/v1", "repository:team/app:metadata_write", "metadata_write"),
    ("DELETE", "/acr/v1/team/app/_tags/v1", "repository:team/app:delete", "untag"),
    ("GET", "/acr/v1/team/app/_manifests", "repository:team/app:metadata_read", "metadata_read"),
    ("GET", f"/acr/v1/team/app/_manifests/{DIGEST}", "repository:team/app:metadata_read", "metadata_read"),
    ("PATCH", f"/acr/v1/team/app/_manifests/{DIGEST}", "repository:team/app:metadata_write", "metadata_write"),
]

ALL_OF_OPEN = [f"repositories/open/content/{action}" for action in ("read", "write")]
NOTHING: set[str] = set()
READ = {"any", "pull", "list", "metadata_read"}
PULL = READ | {"catalog"}
EVERYTHING = PULL | {"push", "delete", "metadata_write", "untag"}

TOKENS: dict[str, tuple[list[str], set[str]]] = {
    # name: actions of its scope map, what it opens on team/app
    "pull only": (["repositories/team/app/content/read"], {"any", "pull", "list"}),
    "metadata read only": (["repositories/team/app/metadata/read"], {"any", "list", "metadata_read"}),
    "push": (["repositories/team/app/content/read", "repositories/team/app/content/write"],
             {"any", "pull", "list", "push"}),
    "write without read": (["repositories/team/app/content/write"], {"any"}),
    "delete only": (["repositories/team/app/content/delete"], {"any", "delete", "untag"}),
    "metadata write only": (["repositories/team/app/metadata/write"], {"any", "metadata_write", "untag"}),
    "everything": (["repositories/*/content/read", "repositories/*/content/write", "repositories/*/content/delete",
                    "repositories/*/metadata/read", "repositories/*/metadata/write"], EVERYTHING - {"catalog"}),
    "prefix": (["repositories/team/*/content/read"], {"any", "pull", "list"}),
    "another prefix": (["repositories/te/*/content/read", "repositories/team/app/*/content/read"], {"any"}),
    "another repository": (["repositories/team/app2/content/read", "repositories/team/content/read"], {"any"}),
}  # fmt: skip

RIGHTS: dict[str, set[str]] = {
    "no credential": NOTHING,
    "no credential, anonymous pull": NOTHING,
    "anonymous token": {"any"},
    "anonymous token, anonymous pull": READ,
    "owner": EVERYTHING,
    "owner, access token": EVERYTHING,
    "owner, access token for another repository": {"any", "catalog"},
    "owner, access token to pull": {"any", "pull", "list"},
    "owner, access token of another registry": NOTHING,
    "owner, disabled": NOTHING,
    "owner, disabled, access token": NOTHING,
    "reader": PULL,
    "AcrPull": PULL,
    "AcrPush": PULL | {"push", "untag"},
    "AcrDelete": {"any", "delete", "untag"},
    "AcrImageSigner": {"any"},
    "no role": {"any"},
    "no role, anonymous pull": {"any"},
    "admin user": EVERYTHING,
    "admin user, turned off": NOTHING,
    "admin user of another registry": NOTHING,
    "run": READ | {"push"},
    "run of another registry": NOTHING,
    "run, revoked": NOTHING,
    **{f"token, {name}": rights for name, (_, rights) in TOKENS.items()},
    "token, disabled": NOTHING,
    "token, disabled, access token": NOTHING,
    "token, expired": NOTHING,
    "token, expired, access token": NOTHING,
    "token, password deleted": NOTHING,
    "token, deleted": NOTHING,
    "token, deleted, access token": NOTHING,
    "token, scope map emptied, access token": {"any"},
    "token of another registry": NOTHING,
    "token, access token to pull": {"any", "pull", "list"},
}


async def make_header(server: Server, caller: str) -> bytes | None:
    """Set the stage for the caller, and its Authorization header."""
    principals = Principals(server.identity)
    roles = {
        "reader": READER,
        "AcrPull": ACR_PULL,
        "AcrPush": ACR_PUSH,
        "AcrDelete": ACR_DELETE,
        "AcrImageSigner": ACR_IMAGE_SIGNER,
    }
    if caller.endswith("anonymous pull"):
        server.change(anonymous_pull=True)
    kind = caller.split(",")[0]
    match kind:
        case "no credential":
            return None
        case "anonymous token":
            return await token(server, None, "repository:*:* registry:catalog:*")
        case "owner":
            made = await server.principal(OWNER)
            header = basic(made.client_id, made.client_secret)
            if "access token" in caller:
                header = await token(server, header, *find_scopes(caller))
            if "disabled" in caller:
                await principals.disable(made.principal.object_id)
            return header
        case "no role":
            made = await server.principal()
        case "admin user" | "admin user of another registry":
            if "turned off" in caller:
                server.change(admin_enabled=False)
            return basic(*server.admin(OTHER if "another" in caller else FACTS))
        case "run" | "run of another registry":
            credential = await principals.create_run_credential(OTHER if "another" in caller else FACTS, "c" * 32, 60)
            if "revoked" in caller:
                await principals.revoke_run_credential("c" * 32)
            return basic(*credential)
        case _:
            made = await server.principal(roles[kind])
    return basic(made.client_id, made.client_secret)


async def make_token_header(server: Server, caller: str) -> bytes:
    """Of a repository token that may pull, or of one of TOKENS."""
    world, facts = TokensWorld(server.identity), OTHER if "another registry" in caller else FACTS
    actions = TOKENS.get(caller.removeprefix("token, "), TOKENS["pull only"])[0]
    await world.make("puller", *actions, facts=facts)
    ends = server.clock.now_us() + 60_000_000 if "expired" in caller else None
    password = (await world.make_passwords("puller", "password1", expires_at=ends, facts=facts))["password1"]
    header = basic("Puller", password)
    if "access token" in caller:
        header = await token(server, header, find_scopes(caller)[0])
    if "disabled" in caller:
        await world.change("puller", enabled=False)
    elif "expired" in caller:
        server.clock.advance(60)
    elif "password deleted" in caller:
        await world.change("puller", keep=["password2"])
    elif "scope map emptied" in caller:
        await world.allow("puller-map", "repositories/other/content/read")
    elif "deleted" in caller:
        await world.tokens.delete(world.find(), "puller")
    return header


def find_scopes(caller: str) -> tuple[str, str | None]:
    """(scopes, host) of the access token."""
    if "another registry" in caller:
        return "repository:*:* registry:catalog:*", OTHER.login_server
    if "another repository" in caller:
        return "repository:team/app2:* repository:team:* registry:catalog:*", None
    if "to pull" in caller:
        return "repository:team/app:pull", None
    return "repository:team/app:* registry:catalog:*", None


async def token(server: Server, header: bytes | None, scope: str, host: str | None = None) -> bytes:
    query = scope.replace(" ", "%20")
    answer = await server("GET", f"/oauth2/token?scope={query}", authorization=header, host=host)
    return bearer(answer.json["access_token"])


@pytest.mark.parametrize("caller", RIGHTS)
@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
async def test_each_caller_opens_exactly_its_doors(server: Server, caller: str) -> None:
    make = make_token_header if caller.startswith("token") else make_header
    header = await make(server, caller)
    wrong: list[tuple[str, str, int]] = []
    for index, (method, path, challenged, right) in enumerate(ROUTES):
        # from as many addresses: guessing from one is slowed down
        answer = await server(method, path, authorization=header, address=f"10.0.1.{index}")
        if (answer.status != 401) != (right in RIGHTS[caller]) or answer.status in (403, 500, 503):
            wrong.append((method, path, answer.status))
        if answer.status == 401:
            assert_challenged(answer.headers["www-authenticate"], challenged, header)
    assert wrong == []


def assert_challenged(value: str, scope: str, header: bytes | None) -> None:
    host = FACTS.login_server
    expected = f'Bearer realm="https://{host}/oauth2/token",service="{host}"'
    if scope:
        expected += f',scope="{scope}"'
    if scope and header is not None and header.startswith(b"Bearer"):
        expected += ',error="invalid_token"'
    assert value == expected


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
async def test_a_mount_reads_only_what_the_caller_may_pull(server: Server) -> None:
    """Content addressing without authorisation: the blob's existence elsewhere is not told (promises, section 4)."""
    owner = basic(*server.admin())
    content = b"secret layer"
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    pushed = await server("POST", f"/v2/hidden/blobs/uploads/?digest={digest}", body=content, authorization=owner)
    assert pushed.status == 201, pushed.content
    mount = f"/v2/open/blobs/uploads/?mount={digest}&from=hidden"
    password = await TokensWorld(server.identity).make("writer", *ALL_OF_OPEN)
    for scope in ("repository:open:pull,push", "repository:open:pull,push repository:hidden:pull"):
        theirs = await token(server, basic("writer", password), scope)
        assert (await server("POST", mount, authorization=theirs)).status == 202
    assert (await server("POST", mount, authorization=basic("writer", password))).status == 202
    assert (await server("HEAD", f"/v2/open/blobs/{digest}", authorization=theirs)).status == 404
    both = await token(server, owner, "repository:open:pull,push repository:hidden:pull")
    assert (await server("POST", mount, authorization=both)).status == 201


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
@pytest.mark.parametrize("source", ["hidden", "not/there"])
async def test_a_token_that_does_not_reach_a_mounts_source_is_asked_to_though_only_where_that_helps(
    server: Server, source: str
) -> None:
    """Whether the source is there plays no part. One that cannot be had wider gets an upload, as without the right."""
    owner = basic(*server.admin())
    mount = f"/v2/open/blobs/uploads/?mount={DIGEST}&from={source}"
    limited = await token(server, owner, "repository:open:pull,push")
    refused = await server("POST", mount, authorization=limited)
    assert refused.status == 401
    assert f'scope="repository:open:pull,push repository:{source}:pull"' in refused.headers["www-authenticate"]
    narrowed = basic(NULL_GUID, limited.removeprefix(b"Bearer ").decode())
    again = await token(server, narrowed, f"repository:open:pull,push repository:{source}:pull")
    for header in (narrowed, again):
        assert (await server("POST", mount, authorization=header)).status == 202
