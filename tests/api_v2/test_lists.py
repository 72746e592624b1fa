"""Lists and their pages (distribution-spec 1.1, Listing Tags, Listing Referrers; ACR data plane, section 7)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from darsena.core import media_types

from .world import Pushed, World, digest_of, manifest_of

TAGS = ["10", "9", "V1", "_x", "a.b", "a_b", "latest", "v1", "v1-1", "v1.0", "v2"]
"""In the order of their bytes."""


async def follow(world: World, target: str, key: str) -> list[list[Any]]:
    """Every page of a list, as a client that follows Link sees them."""
    pages: list[list[Any]] = []
    while True:
        answer = await world.ask("GET", target)
        assert answer.status == 200, answer.content
        pages.append(answer.json[key])
        if answer.next is None:
            return pages
        target = answer.next


@pytest.fixture
async def tagged(world: World) -> Pushed:
    return await world.push_image("team/app", *reversed(TAGS))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", TAGS),
        ("?n=3", TAGS[:3]),
        ("?n=3&last=a.b", TAGS[5:8]),
        ("?last=v1", TAGS[8:]),
        ("?last=v1-0", TAGS[8:]),
        ("?last=zzz", []),
        ("?last=V1&n=1", TAGS[3:4]),
        ("?n=0", []),
        ("?n=100000000", TAGS),
        ("?n=11", TAGS),
    ],
)
async def test_tags(world: World, tagged: Pushed, query: str, expected: list[str]) -> None:
    """Listing Tags: lexical (bytewise) order; n bounds the page; last is exclusive and need not exist."""
    answer = await world.ask("GET", f"/v2/team/app/tags/list{query}")
    assert answer.json == {"name": "team/app", "tags": expected}
    assert (answer.next is None) == (not expected or expected[-1] == TAGS[-1])
    assert (await world.ask("HEAD", f"/v2/team/app/tags/list{query}")).status == 200


@pytest.mark.parametrize("n", [1, 2, 3, 10, 11, 12])
async def test_pages_hold_each_tag_once(world: World, tagged: Pushed, n: int) -> None:
    pages = await follow(world, f"/v2/team/app/tags/list?n={n}", "tags")
    assert [tag for page in pages for tag in page] == TAGS
    assert [len(page) for page in pages[:-1]] == [n] * (len(pages) - 1)


@pytest.mark.parametrize("n", ["-1", "x", "1.5", "99999999999999999999", "%00"])
async def test_a_page_size_that_is_no_number(world: World, tagged: Pushed, n: str) -> None:
    assert (await world.ask("GET", f"/v2/team/app/tags/list?n={n}")).status == 400


@pytest.mark.parametrize("path", ["/v2/team/app/tags/list", "/v2/_catalog", "/acr/v1/team/app/_tags"])
async def test_a_last_that_no_database_can_hold(world: World, tagged: Pushed, path: str) -> None:
    assert (await world.ask("GET", f"{path}?last=a%00b")).status == 400
    assert (await world.ask("GET", f"{path}?last=%ff%fe")).status == 200


async def test_no_tags_and_no_repository(world: World) -> None:
    await world.push_image("team/app")
    assert (await world.ask("GET", "/v2/team/app/tags/list")).json == {"name": "team/app", "tags": []}
    answer = await world.ask("GET", "/v2/team/none/tags/list")
    assert (answer.status, answer.codes) == (404, ["NAME_UNKNOWN"])


@pytest.mark.parametrize("path", ["/v2/_catalog", "/acr/v1/_catalog"])
async def test_the_catalog(world: World, path: str) -> None:
    names = ["a", "a-b", "a.b", "a/b", "a0", "ab", "b__c", "z/y/x"]
    for name in reversed(names):
        await world.push_blob(name, b"x")
    await world.push_blob("other", b"x", registry="regtwo")
    assert (await world.ask("GET", path)).json == {"repositories": names}
    for n in (1, 3, 8, 9):
        assert [name for page in await follow(world, f"{path}?n={n}", "repositories") for name in page] == names
    answer = await world.ask("GET", f"{path}?n=2&last=a.b")
    assert answer.json == {"repositories": ["a/b", "a0"]}
    assert answer.headers["link"] == f'<{path}?last=a0&n=2&orderby=>; rel="next"'


async def test_the_link_keeps_the_encoded_path(world: World) -> None:
    """Facts that az and the SDK depend on: relative, encoded name, `last`, `n`, `orderby` (empty) in this order."""
    image = await world.push_image("library/busybox", "v1", "v2", "v3")
    answer = await world.ask("GET", "/acr/v1/library%2Fbusybox/_tags?n=2&orderby=timedesc")
    assert answer.headers["link"] == '</acr/v1/library%2Fbusybox/_tags?last=v2&n=2&orderby=timedesc>; rel="next"'
    await world.push_index("library/busybox", children=[image])
    answer = await world.ask("GET", "/acr/v1/library%2Fbusybox/_manifests?n=1")
    last = quote(answer.json["manifests"][0]["digest"], safe="")
    assert answer.headers["link"] == f'</acr/v1/library%2Fbusybox/_manifests?last={last}&n=1&orderby=>; rel="next"'


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("what", ["_tags", "_manifests"])
async def test_acr_lists_by_name_and_by_time(world: World, what: str, n: int) -> None:
    """`timeasc` and `timedesc`: by the time of the last update; `last` is still a name or digest."""
    clock, key, name = world.db.clock, what[1:], {"_tags": "name", "_manifests": "digest"}[what]
    pushed: list[str] = []
    for number, tag in enumerate(["m", "z", "a", "k", "b"]):
        image = await world.push_image("team/app", tag, layer=b"%d" % (number // 2 if what == "_tags" else number))
        pushed.append(tag if what == "_tags" else image.digest)
        if number != 2:
            clock.advance(1)  # type: ignore[attr-defined]  # two of them have the same time
    tied = sorted(pushed[2:4])
    expected = {
        "": sorted(pushed),
        "none": sorted(pushed),
        "timeasc": [*pushed[:2], *tied, pushed[4]],
        "timedesc": [pushed[4], *reversed(tied), *reversed(pushed[:2])],
    }
    for order, names in expected.items():
        pages = await follow(world, f"/acr/v1/team/app/{what}?n={n}&orderby={order}", key)
        assert [item[name] for page in pages for item in page] == names, order
        assert (await world.ask("GET", f"/acr/v1/team/app/{what}?orderby={order}")).json[key][0][name] == names[0]


async def test_an_order_that_is_none(world: World, tagged: Pushed) -> None:
    for what in ("_tags", "_manifests"):
        assert (await world.ask("GET", f"/acr/v1/team/app/{what}?orderby=size")).status == 400
    assert (await world.ask("GET", "/acr/v1/team/app/_manifests?last=x")).codes == ["DIGEST_INVALID"]


async def test_the_tags_of_one_manifest(world: World, tagged: Pushed) -> None:
    other = await world.push_image("team/app", "m", layer=b"other")
    for image, names in ((tagged, TAGS), (other, ["m"])):
        for digest in (image.digest, quote(image.digest, safe="")):
            pages = await follow(world, f"/acr/v1/team/app/_tags?n=4&digest={digest}", "tags")
            assert [tag["name"] for page in pages for tag in page] == names
    assert (await world.ask("GET", f"/acr/v1/team/app/_tags?digest={digest_of(b'x')}")).json["tags"] == []


# --- referrers --------------------------------------------------------------------------------------------------

SBOM, SIGNATURE = "application/vnd.example.sbom", "application/vnd.example.signature"


async def refer(world: World, subject: Pushed, artifact_type: str, number: int, **more: Any) -> Pushed:
    """An artifact in the empty image's form (image-spec, Guidelines for Artifact Usage)."""
    await world.push_blob("team/app", b"{}")
    empty = {"mediaType": media_types.OCI_EMPTY, "digest": digest_of(b"{}"), "size": 2}
    document = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": empty,
        "layers": [empty],
        "subject": subject.descriptor(),
        "annotations": {"number": str(number)},
        **more,
    }
    manifest = manifest_of(document)
    answer = await world.push_manifest("team/app", None, manifest)
    assert answer.headers["oci-subject"] == subject.digest
    return manifest


async def test_referrers(world: World) -> None:
    """Listing Referrers: an index of descriptors with artifactType and annotations, filtered on demand."""
    subject = await world.push_image("team/app", "v1")
    made = [await refer(world, subject, SBOM if number % 2 else SIGNATURE, number) for number in range(5)]
    await refer(world, made[0], SBOM, 9)
    answer = await world.ask("GET", f"/v2/team/app/referrers/{subject.digest}")
    assert (answer.status, answer.headers["content-type"]) == (200, media_types.OCI_INDEX)
    assert "oci-filters-applied" not in answer.headers
    body = answer.json
    assert (body["schemaVersion"], body["mediaType"]) == (2, media_types.OCI_INDEX)
    expected = [
        manifest.descriptor(artifactType=SBOM if number % 2 else SIGNATURE, annotations={"number": str(number)})
        for number, manifest in enumerate(made)
    ]
    assert body["manifests"] == sorted(expected, key=lambda found: found["digest"])
    filtered = await world.ask("GET", f"/v2/team/app/referrers/{subject.digest}?artifactType={quote(SBOM, safe='')}")
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert filtered.json["manifests"] == [found for found in body["manifests"] if found["artifactType"] == SBOM]
    for query in (f"?n=2&artifactType={SBOM}", "?n=2", "?n=1", "?n=5"):
        pages = await follow(world, f"/v2/team/app/referrers/{subject.digest}{query}", "manifests")
        listed = filtered if "artifactType" in query else answer
        assert [found for page in pages for found in page] == listed.json["manifests"]


@pytest.mark.parametrize(
    ("document", "artifact_type"),
    [
        ({"artifactType": SBOM}, SBOM),
        ({"artifactType": ""}, media_types.OCI_EMPTY),
        ({"artifactType": None}, media_types.OCI_EMPTY),
        ({"mediaType": media_types.OCI_INDEX, "manifests": [], "artifactType": SBOM}, SBOM),
        ({"mediaType": media_types.OCI_INDEX, "manifests": [], "artifactType": None}, None),
        ({"mediaType": media_types.OCI_ARTIFACT_MANIFEST, "blobs": [], "artifactType": SBOM}, SBOM),
        ({"mediaType": media_types.ORAS_ARTIFACT_MANIFEST, "blobs": [], "artifactType": SBOM}, SBOM),
    ],
)
async def test_the_type_of_a_referrer(world: World, document: dict[str, Any], artifact_type: str | None) -> None:
    """Listing Referrers: artifactType of the manifest, else its config's media type; of an index its own or none."""
    subject = await world.push_image("team/app", "v1")
    more = dict(document)
    if more.get("mediaType"):
        await world.push_blob("team/app", b"{}")
        base = {"schemaVersion": 2, "subject": subject.descriptor()}
        manifest = manifest_of(base | {key: value for key, value in more.items() if value is not None})
        assert (await world.push_manifest("team/app", None, manifest)).status == 201
    else:
        await refer(world, subject, "", 1, **more)
    (found,) = (await world.ask("GET", f"/v2/team/app/referrers/{subject.digest}")).json["manifests"]
    assert found.get("artifactType") == artifact_type


async def test_a_referrer_may_come_before_its_subject(world: World) -> None:
    """Pushing Manifests with Subject: the registry MUST accept a subject that does not exist."""
    late = manifest_of({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": []})
    made = await refer(world, late, SBOM, 1)
    (found,) = (await world.ask("GET", f"/v2/team/app/referrers/{late.digest}")).json["manifests"]
    assert found["digest"] == made.digest
    assert (await world.push_manifest("team/app", "v1", late)).status == 201


@pytest.mark.parametrize("repository", ["team/app", "team/none"])
async def test_nobody_refers(world: World, repository: str) -> None:
    """Listing Referrers: an unknown digest gives an empty list, never 404; a digest that is none gives 400."""
    await world.push_blob("team/app", b"x")
    answer = await world.ask("GET", f"/v2/{repository}/referrers/{digest_of(b'none')}")
    assert (answer.status, answer.json["manifests"]) == (200, [])
    assert (await world.ask("GET", f"/v2/{repository}/referrers/latest")).codes == ["DIGEST_INVALID"]
    answer = await world.ask("GET", f"/v2/{repository}/referrers/{digest_of(b'none')}?artifactType=a%00b")
    assert answer.json["manifests"] == []


async def test_a_page_of_referrers_is_bounded(world: World) -> None:
    """However large their annotations: a page's manifests together are no larger than one manifest may be."""
    subject = await world.push_image("team/app", "v1")
    made = [await refer(world, subject, SBOM, n, annotations={"a": "b" * 1_500_000, "n": str(n)}) for n in range(4)]
    pages = await follow(world, f"/v2/team/app/referrers/{subject.digest}", "manifests")
    assert [len(page) for page in pages] == [2, 2]
    assert {found["digest"] for page in pages for found in page} == {manifest.digest for manifest in made}
