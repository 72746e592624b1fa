"""Which path names what, and the challenge (ACR data plane, sections 2 and 3; ACR authentication, section 1)."""

from __future__ import annotations

import pytest

from darsena.api.v2.paths import Kind, Target, parse_acr, parse_v2
from darsena.core.names import RepositoryName

from .world import World, digest_of

D = digest_of(b"x")
E = D.replace(":", "%3A")

V2: list[tuple[str, Kind, str, str]] = [
    ("/v2", "base", "", ""),
    ("/v2/", "base", "", ""),
    ("/v2/_catalog", "catalog", "", ""),
    ("/v2/a/tags/list", "tags", "a", ""),
    ("/v2/a/b/c/tags/list", "tags", "a/b/c", ""),
    ("/v2/a%2Fb%2fc/tags/list", "tags", "a/b/c", ""),
    ("/v2/a%2Fb/c/tags/list", "tags", "a/b/c", ""),
    ("/v2/%61/tags/list", "tags", "a", ""),
    ("/v2/a/manifests/latest", "manifest", "a", "latest"),
    (f"/v2/a/manifests/{E}", "manifest", "a", D),
    ("/v2/a/manifests/a%2Fb", "manifest", "a", "a/b"),
    ("/v2/manifests/manifests/manifests", "manifest", "manifests", "manifests"),
    ("/v2/a/manifests/tags/list", "tags", "a/manifests", ""),
    ("/v2/tags/list/tags/list", "tags", "tags/list", ""),
    ("/v2/a/blobs/manifests/b", "manifest", "a/blobs", "b"),
    (f"/v2/a/blobs/{E}", "blob", "a", D),
    ("/v2/a/blobs/uploads", "uploads", "a", ""),
    ("/v2/a/blobs/uploads/", "uploads", "a", ""),
    ("/v2/a/blobs/uploads/x", "upload", "a", "x"),
    ("/v2/a/blobs/blobs/uploads/x", "upload", "a/blobs", "x"),
    (f"/v2/a/referrers/{D}", "referrers", "a", D),
]
ACR: list[tuple[str, Kind, str, str]] = [
    ("/acr/v1/_catalog", "acr_catalog", "", ""),
    ("/acr/v1/a", "acr_repository", "a", ""),
    ("/acr/v1/a/b", "acr_repository", "a/b", ""),
    ("/acr/v1/a%2Fb", "acr_repository", "a/b", ""),
    ("/acr/v1/a%2Fb/_tags", "acr_tags", "a/b", ""),
    ("/acr/v1/a/_tags/v1.0", "acr_tag", "a", "v1.0"),
    ("/acr/v1/a/_manifests", "acr_manifests", "a", ""),
    (f"/acr/v1/a/_manifests/{E}", "acr_manifest", "a", D),
    ("/acr/v1/tags/_tags", "acr_tags", "tags", ""),
]
NOWHERE = [
    "/v2/A/tags/list",
    "/v2/library/Busybox/manifests/latest",
    "/v2/a//b/tags/list",
    "/v2//a/tags/list",
    "/v2/a/./tags/list",
    "/v2/a/../b/tags/list",
    "/v2/a%2F..%2Fb/tags/list",
    "/v2/%2e%2e/tags/list",
    "/v2/a%252Fb/tags/list",
    "/v2/a%00/tags/list",
    "/v2/a%ff/tags/list",
    "/v2/a%0a/tags/list",
    "/v2/é/tags/list",
    "/v2/a/tags/list/",
    "/v2/a/tags",
    "/v2/a/tags%2Flist",
    "/v2/a/manifests/",
    "/v2/a/manifests",
    "/v2/a/blobs/",
    "/v2/a/referrers/",
    "/v2/a",
    "/v2/tags/list",
    "/v2/manifests/latest",
    "/v2/-a/tags/list",
    "/v2/a-/tags/list",
    "/v2/a___b/tags/list",
    f"/v2/{'a' * 256}/tags/list",
    "/v2x/a/tags/list",
    "/v1/a",
    "/",
    "/acr/v1/",
    "/acr/v1",
    "/acr/v2/a",
    "/acr/v1/A",
    "/acr/v1/A/_tags",
    "/acr/v1/a/_metadata",
    "/acr/v1/a/_streaming",
    "/acr/v1/_deleted/_catalog",
    "/acr/v1/_deleted/a/_tags",
    "/acr/v1/a/_tags/b/c",
    "/helm/v1/repo/index.yaml",
    "/healthz",
    "/metrics",
]
"""No route: a page of text, without a challenge, whoever asks."""


@pytest.mark.parametrize(("path", "kind", "repository", "reference"), V2)
def test_v2_paths(path: str, kind: Kind, repository: str, reference: str) -> None:
    assert parse_v2(path) == Target(kind, RepositoryName(repository), reference)


@pytest.mark.parametrize(("path", "kind", "repository", "reference"), ACR)
def test_acr_paths(path: str, kind: Kind, repository: str, reference: str) -> None:
    assert parse_acr(path) == Target(kind, RepositoryName(repository), reference)


async def test_no_route(world: World) -> None:
    """Section 2: 404 with `404 page not found`, not the JSON error, and no challenge."""
    for path in NOWHERE:
        for auth in (True, None):
            answer = await world.ask("GET", path, auth=auth)
            assert (answer.status, answer.content) == (404, b"404 page not found\n"), path
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert "www-authenticate" not in answer.headers


async def test_a_method_that_is_not_there(world: World) -> None:
    for method, path, allow in (
        ("POST", "/v2/", "GET, HEAD"),
        ("PATCH", "/v2/a/manifests/v1", "DELETE, GET, HEAD, PUT"),
        ("GET", "/v2/a/blobs/uploads/", "POST"),
        ("PUT", "/acr/v1/a", "DELETE, GET, HEAD, PATCH"),
        ("BREW", "/acr/v1/a/_tags", "GET, HEAD"),
    ):
        answer = await world.ask(method, path)
        assert (answer.status, answer.codes, answer.headers["allow"]) == (405, ["UNSUPPORTED"], allow)


HOST = "regone.azurecr.localhost:8443"
REALM = f'Bearer realm="https://{HOST}/oauth2/token",service="{HOST}"'


@pytest.mark.parametrize(
    ("method", "path", "scope", "detail"),
    [
        ("GET", "/v2/", "", None),
        ("GET", "/v2/_catalog", "registry:catalog:*", ["registry", "catalog", "*"]),
        ("GET", "/v2/a%2Fb/manifests/v1", "repository:a/b:pull", ["repository", "a/b", "pull"]),
        ("DELETE", f"/v2/a/manifests/{D}", "repository:a:delete", ["repository", "a", "delete"]),
        ("GET", "/acr/v1/a/_tags", "repository:a:metadata_read", ["repository", "a", "metadata_read"]),
        ("PATCH", "/acr/v1/a", "repository:a:metadata_write", ["repository", "a", "metadata_write"]),
    ],
)
@pytest.mark.parametrize("sent", [None, b"Bearer abc", b"Basic YTpi", b"Negotiate x"])
async def test_the_challenge(
    world: World, method: str, path: str, scope: str, detail: list[str] | None, sent: bytes | None
) -> None:
    """Exactly so, without a blank: az splits on blanks. The body names what is missing, in capitals."""
    answer = await world.ask(method, path, auth=sent)
    expected = REALM + (f',scope="{scope}"' if scope else "")
    if scope and sent and sent.startswith(b"Bearer"):
        expected += ',error="invalid_token"'
    assert (answer.status, answer.headers["www-authenticate"]) == (401, expected)
    (error,) = answer.json["errors"]
    assert error["code"] == "UNAUTHORIZED"
    assert error["message"].startswith("authentication required, visit https://aka.ms/acr/authorization")
    named = None if detail is None else [dict(zip(("Type", "Name", "Action"), detail, strict=True))]
    assert error["detail"] == named


async def test_what_may_not_be_read_looks_as_if_it_were_not_there(world: World) -> None:
    """Nothing tells whether a repository exists to someone who may not read it."""
    await world.push_image("team/app", "v1")
    for target in ("manifests/v1", f"blobs/{digest_of(b'layer')}", "tags/list", f"referrers/{D}"):
        there, nowhere = [
            await world.ask("GET", f"/v2/team/{name}/{target}", auth=world.basic("regtwo")) for name in ("app", "xyz")
        ]
        assert there.status == nowhere.status == 401
        assert there.content == nowhere.content.replace(b"xyz", b"app")
        assert there.headers["www-authenticate"] == nowhere.headers["www-authenticate"].replace("xyz", "app")


async def test_common_headers(world: World) -> None:
    """Section 3: on answers and errors, of v2 and of /acr/v1."""
    await world.push_image("team/app", "v1")
    for method, path in (
        ("GET", "/v2/"),
        ("GET", "/v2/team/app/manifests/v1"),
        ("HEAD", f"/v2/team/app/blobs/{digest_of(b'layer')}"),
        ("GET", "/acr/v1/team/app"),
        ("GET", "/v2/team/app/manifests/none"),
        ("GET", "/v2/A/b"),
    ):
        answer = await world.ask(method, path)
        exposed = [value for name, value in answer.lines if name == "access-control-expose-headers"]
        assert exposed == ["Docker-Content-Digest", "WWW-Authenticate", "Link", "X-Ms-Correlation-Request-Id"]
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
        assert answer.headers["x-ms-correlation-request-id"]
