"""No input gives a 500: every answer is held to that, and to known codes, by `World.ask`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import quote

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darsena.core import media_types
from darsena.core.errors import ManifestInvalid, Problem
from darsena.registry import document

from .world import World, digest_of

D = digest_of(b"x")
ONCE = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)

segments = st.one_of(
    st.sampled_from(
        ["v2", "acr", "v1", "a", "tags", "list", "manifests", "blobs", "uploads", "referrers", D, "_catalog"]
    ),
    st.sampled_from(["_tags", "_manifests", "..", ".", "", "%00", "%2F", "%2e%2e", "%ff", "%", "%zz", "sha512:", "*"]),
    st.text(alphabet=st.characters(codec="latin-1", exclude_characters="?"), max_size=8),
)
paths = st.lists(segments, min_size=1, max_size=7).map(lambda parts: "/" + "/".join(parts))
queries = st.dictionaries(
    st.sampled_from(["n", "last", "digest", "mount", "from", "orderby", "artifactType", "_state", "x"]),
    st.text(alphabet=st.characters(codec="utf-8"), max_size=12),
    max_size=3,
)
methods = st.sampled_from(["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "X"])
headers = st.dictionaries(
    st.sampled_from(["range", "content-range", "content-type", "accept", "if-none-match", "if-range"]),
    st.text(alphabet=st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20),
    max_size=2,
)


@ONCE
@given(methods, paths, queries, headers, st.binary(max_size=64))
async def test_any_request(
    world: World, method: str, path: str, query: dict[str, str], sent: dict[str, str], body: bytes
) -> None:
    text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    await world.ask(method, f"{path}?{text}", body, sent)


TARGETS = [
    ("GET", "/v2/a/tags/list"),
    ("GET", "/v2/_catalog"),
    ("GET", f"/v2/a/referrers/{D}"),
    ("GET", "/acr/v1/a/_tags"),
    ("GET", "/acr/v1/a/_manifests"),
    ("POST", "/v2/a/blobs/uploads/"),
    ("GET", f"/v2/a/blobs/{D}"),
]


@ONCE
@given(st.sampled_from(TARGETS), queries, headers, st.text(max_size=300).map(quote))
async def test_any_query(
    world: World, target: tuple[str, str], query: dict[str, str], sent: dict[str, str], junk: str
) -> None:
    await world.push_blob("a", b"x")
    text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    await world.ask(target[0], f"{target[1]}?{text}&{junk}", b"", sent)


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
descriptors = st.fixed_dictionaries(
    {},
    optional={
        "mediaType": anything | st.sampled_from([media_types.OCI_MANIFEST, "application/x"]),
        "digest": anything | st.just(D),
        "size": anything | st.just(1),
        "urls": anything,
        "platform": anything | st.just({"os": "linux", "architecture": 1}),
        "data": anything,
    },
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "schemaVersion": st.just(2) | anything,
        "mediaType": st.sampled_from(sorted(media_types.MANIFESTS)) | anything,
        "config": descriptors | anything,
        "layers": st.lists(descriptors, max_size=2) | anything,
        "manifests": st.lists(descriptors, max_size=2) | anything,
        "blobs": st.lists(descriptors, max_size=2) | anything,
        "subject": descriptors | anything,
        "annotations": anything | st.just({"a": "\0\ud7ff"}),
        "artifactType": anything,
    },
)


@ONCE
@given(documents, st.sampled_from([*sorted(media_types.MANIFESTS), ""]))
async def test_any_manifest(world: World, written: dict[str, Any], media_type: str) -> None:
    """Whatever is accepted can be served and shown again."""
    await world.push_blob("a", b"x")
    content = msgspec.json.encode(written)
    answer = await world.ask("PUT", "/v2/a/manifests/v1", content, {"content-type": media_type})
    if answer.status == 201:
        assert (await world.ask("GET", "/v2/a/manifests/v1")).content == content
        digest = answer.headers["docker-content-digest"]
        assert (await world.ask("GET", f"/acr/v1/a/_manifests/{digest}")).status == 200
        if "oci-subject" in answer.headers:
            assert (await world.ask("GET", f"/v2/a/referrers/{answer.headers['oci-subject']}")).json["manifests"]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_any_bytes_as_a_manifest(content: bytes) -> None:
    with suppress(ManifestInvalid):
        document.parse(content, media_types.OCI_MANIFEST)
    assert isinstance(document.read_platform(content), tuple)


@ONCE
@given(anything, st.sampled_from(["", "/_tags/v1", f"/_manifests/{D}"]))
async def test_any_attributes(world: World, body: Any, what: str) -> None:
    await world.ask("PATCH", f"/acr/v1/a{what}", msgspec.json.encode(body))


async def test_surrogates_and_deep_nesting_in_bodies(world: World) -> None:
    pushed = await world.push_image("team/app", "v1")
    target = f"/acr/v1/team/app/_manifests/{pushed.digest}"
    for body in (
        b'{"quarantineDetails": "\\ud800"}',
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"quarantineDetails": "' + b"\xff" + b'"}',
    ):
        answer = await world.ask("PATCH", target, body)
        assert answer.status in (200, 400)
        assert (await world.ask("GET", target)).status == 200


async def test_bodies_over_the_limit(world: World) -> None:
    await world.push_image("team/app", "v1")
    big = b" " * (4 * 1024 * 1024 + 1)
    for chunked in ({}, {"transfer-encoding": "chunked"}):
        answer = await world.ask("PUT", "/v2/team/app/manifests/v2", [big[:1000], big[1000:]], chunked)
        assert (answer.status, answer.codes) == (413, ["MANIFEST_INVALID"])
        assert (await world.ask("PATCH", "/acr/v1/team/app", big, chunked)).status == 413


def test_every_problem_has_a_code_that_clients_know() -> None:
    """The distribution-spec's fourteen codes and ACR's own two; nothing else is ever sent by a login server."""
    from darsena.api.problems import TABLE

    from .world import CODES

    assert {wire.oci for wire in TABLE.values()} <= CODES
    assert all(issubclass(cls, Problem) for cls in TABLE)
