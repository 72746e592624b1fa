"""Nothing tells whether something exists to whoever may not read it (promises, section 4: content addressing).

Each weak caller asks every route twice: about a repository, tag, digest or session that is there, and about one that
is not. Status, headers and body are the same but for the name.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import pytest

from darsena.identity.roles import ACR_DELETE, ACR_IMAGE_SIGNER, OWNER
from identity.tokens_world import TokensWorld
from identity.values import OTHER, basic, bearer

from .conftest import Answer, Server

THERE, NOWHERE = "team/app", "team/xyz"
LAYER = b"a secret layer"
CONFIG = b"{}"
MISSING = f"sha256:{'a' * 64}"
IMAGE = "application/vnd.oci.image.manifest.v1+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(content: bytes) -> dict[str, object]:
    return {"mediaType": "application/x", "digest": digest_of(content), "size": len(content)}


MANIFEST = json.dumps(
    {"schemaVersion": 2, "mediaType": IMAGE, "config": descriptor(CONFIG), "layers": [descriptor(LAYER)]}
).encode()

READS = [
    ("GET", "/v2/{r}/tags/list"),
    ("GET", "/v2/{r}/manifests/v1"),
    ("HEAD", "/v2/{r}/manifests/v1"),
    ("GET", "/v2/{r}/manifests/{manifest}"),
    ("GET", "/v2/{r}/blobs/{layer}"),
    ("HEAD", "/v2/{r}/blobs/{layer}"),
    ("GET", "/v2/{r}/referrers/{manifest}"),
    ("GET", "/v2/{r}/referrers/{manifest}?artifactType=x"),
    ("GET", "/acr/v1/{r}"),
    ("HEAD", "/acr/v1/{r}"),
    ("GET", "/acr/v1/{r}/_tags"),
    ("GET", "/acr/v1/{r}/_tags?digest={manifest}"),
    ("GET", "/acr/v1/{r}/_tags/v1"),
    ("GET", "/acr/v1/{r}/_manifests"),
    ("GET", "/acr/v1/{r}/_manifests/{manifest}"),
]
WRITES = [
    ("PUT", "/v2/{r}/manifests/v1"),
    ("PUT", "/v2/{r}/manifests/{manifest}"),
    ("POST", "/v2/{r}/blobs/uploads/"),
    ("POST", "/v2/{r}/blobs/uploads/?digest={layer}"),
    ("POST", "/v2/{r}/blobs/uploads/?mount={layer}"),
    ("POST", "/v2/other/blobs/uploads/?mount={layer}&from={r}"),
    ("GET", "{upload}"),
    ("PATCH", "{upload}"),
    ("PUT", "{upload}?digest={layer}"),
    ("DELETE", "{upload}"),
    ("PATCH", "/acr/v1/{r}"),
    ("PATCH", "/acr/v1/{r}/_tags/v1"),
    ("PATCH", "/acr/v1/{r}/_manifests/{manifest}"),
]
DELETES = [
    ("DELETE", "/v2/{r}/manifests/v1"),
    ("DELETE", "/v2/{r}/manifests/{manifest}"),
    ("DELETE", "/v2/{r}/blobs/{layer}"),
    ("DELETE", "/acr/v1/{r}"),
    ("DELETE", "/acr/v1/{r}/_tags/v1"),
]

CALLERS: dict[str, list[tuple[str, str]]] = {
    "nobody": READS + WRITES + DELETES,
    "anonymous token": READS + WRITES + DELETES,
    "wrong password": READS + WRITES + DELETES,
    "garbage": READS + WRITES + DELETES,
    "admin of another registry": READS + WRITES + DELETES,
    "no role": READS + WRITES + DELETES,
    "AcrImageSigner": READS + WRITES + DELETES,
    "AcrDelete": READS + WRITES,
    "token of another repository": READS + WRITES + DELETES,
    "token to push only": READS + WRITES + DELETES,
    "token to delete only": READS + WRITES,
    "repository token for another": READS + WRITES + DELETES,
    "repository token to write only": READS + WRITES + DELETES,
    "repository token to delete only": READS + WRITES,
}
MINE = ["repositories/mine/content/read", "repositories/mine/content/write"]
REPOSITORY_TOKENS = {
    "repository token for another": ["repositories/team/app2/content/read", "repositories/team/content/read"],
    "repository token to write only": ["repositories/*/content/write"],
    "repository token to delete only": ["repositories/team/*/content/delete"],
}


@dataclass
class Stage:
    server: Server
    upload: str

    async def header(self, caller: str) -> bytes | None:
        server, owner = self.server, basic(*self.server.admin())
        roles = {"no role": None, "AcrImageSigner": ACR_IMAGE_SIGNER, "AcrDelete": ACR_DELETE}
        scopes = {
            "token of another repository": "repository:team/app2:* repository:team:* repository:other:*",
            "token to push only": f"repository:{THERE}:push repository:{NOWHERE}:push",
            "token to delete only": f"repository:{THERE}:delete repository:{NOWHERE}:delete",
            "anonymous token": "repository:*:* registry:catalog:*",
        }
        if caller in roles:
            made = await server.principal(roles[caller])
            return basic(made.client_id, made.client_secret)
        if caller in REPOSITORY_TOKENS:
            return basic("writer", await TokensWorld(server.identity).make("writer", *REPOSITORY_TOKENS[caller]))
        if caller in scopes:
            who = None if caller == "anonymous token" else owner
            return bearer(await token(server, who, scopes[caller]))
        others = {"nobody": None, "wrong password": basic(server.admin()[0], "x"), "garbage": b"Bearer a.b.c"}
        return others[caller] if caller in others else basic(*server.admin(OTHER))


async def token(server: Server, authorization: bytes | None, scope: str) -> str:
    answer = await server("GET", f"/oauth2/token?scope={scope.replace(' ', '%20')}", authorization=authorization)
    return answer.json["access_token"]


@pytest.fixture
async def stage(server: Server) -> Stage:
    """An image by tag, and a session that is open."""
    owner = basic(*server.admin())
    for content in (LAYER, CONFIG):
        target = f"/v2/{THERE}/blobs/uploads/?digest={digest_of(content)}"
        assert (await server("POST", target, body=content, authorization=owner)).status == 201
    pushed = await server("PUT", f"/v2/{THERE}/manifests/v1", body=MANIFEST, authorization=owner)
    assert pushed.status == 201, pushed.content
    begun = await server("POST", f"/v2/{THERE}/blobs/uploads/", authorization=owner)
    return Stage(server, begun.headers["location"].partition("?")[0])


def seen(answer: Answer, name: str, upload: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """What the caller learns, without the name and the session that it asked about."""
    hidden = [(key, value) for key, value in answer.header_list if not key.startswith("x-ms-")]
    session = answer.headers.get("docker-upload-uuid", upload.rpartition("/")[2])
    lines = [
        (key, value.replace(name, "NAME").replace(session, "SESSION"))
        for key, value in hidden
        if key not in ("location", "docker-upload-uuid")
    ]
    return answer.status, lines, answer.content.replace(name.encode(), b"NAME").replace(session.encode(), b"SESSION")


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
async def test_what_may_not_be_read_looks_as_if_it_were_not_there(stage: Stage, caller: str) -> None:
    header = await stage.header(caller)
    for number, (method, target) in enumerate(CALLERS[caller]):
        answers: list[tuple[int, list[tuple[str, str]], bytes]] = []
        for name, digests, upload in (
            (THERE, {"layer": digest_of(LAYER), "manifest": digest_of(MANIFEST)}, stage.upload),
            (NOWHERE, {"layer": MISSING, "manifest": MISSING}, f"/v2/{NOWHERE}/blobs/uploads/{'c' * 32}"),
        ):
            path = target.format(r=name, upload=upload, **digests)
            answer = await stage.server(method, path, authorization=header, address=f"10.1.0.{number}")
            answers.append(seen(answer, name, upload))
        assert answers[0] == answers[1], (method, target)
        assert answers[0][0] in (401, 202), (method, target)


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
async def test_a_blob_of_another_repository_cannot_be_had_by_its_digest(stage: Stage) -> None:
    """The question is never whether the digest exists, but whether it may be seen here: on every way to it."""
    server, owner = stage.server, basic(*stage.server.admin())
    mine = bearer(await token(server, owner, "repository:mine:pull,push"))
    writer = basic("writer", await TokensWorld(server.identity).make("writer", *MINE))
    for header, status in ((mine, 401), (writer, 202)):  # who may read the source is asked to say so
        for digest in (digest_of(LAYER), MISSING):
            for source in (THERE, NOWHERE):
                target = f"/v2/mine/blobs/uploads/?mount={digest}&from={source}"
                assert (await server("POST", target, authorization=header)).status == status
            assert (await server("POST", f"/v2/mine/blobs/uploads/?mount={digest}", authorization=header)).status == 202
    for digest in (digest_of(LAYER), MISSING):
        assert (await server("HEAD", f"/v2/mine/blobs/{digest}", authorization=mine)).status == 404
    pushed = await server("PUT", "/v2/mine/manifests/v1", body=MANIFEST, authorization=mine)
    assert (pushed.status, pushed.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    begun = await server("POST", f"/v2/mine/blobs/uploads/?mount={digest_of(LAYER)}", authorization=mine)
    session = begun.headers["location"]
    wrong = await server("PUT", f"{session}&digest={digest_of(LAYER)}", body=b"", authorization=mine)
    assert (wrong.status, wrong.code) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
async def test_a_session_is_its_owners_and_its_repositorys(stage: Stage) -> None:
    """To anybody else, and anywhere else, it looks like one that was never begun."""
    server = stage.server
    made = await server.principal(OWNER)
    other, owner = basic(made.client_id, made.client_secret), basic(*server.admin())
    elsewhere = stage.upload.replace(THERE, "team/else")
    for who, path in ((other, stage.upload), (owner, elsewhere)):
        unknown = path.rpartition("/")[0] + "/" + "d" * 32
        for method, query in (("GET", ""), ("PATCH", ""), ("PUT", f"?digest={digest_of(b'')}"), ("DELETE", "")):
            found = [await server(method, target + query, authorization=who) for target in (path, unknown)]
            assert seen(found[0], "NAME", path) == seen(found[1], "NAME", unknown)
            assert (found[0].status, found[0].code) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert (await server("GET", stage.upload, authorization=owner)).status == 204
