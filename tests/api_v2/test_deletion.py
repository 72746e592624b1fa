"""Deleting tags, manifests, blobs, repositories (distribution-spec 1.1, Content Management; ACR data plane, 5, 6)."""

from __future__ import annotations

import pytest

from .test_lists import SBOM, refer
from .world import World, digest_of

CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}}'


async def status(world: World, target: str, method: str = "GET") -> int:
    return (await world.ask(method, target)).status


@pytest.mark.parametrize("target", ["/v2/team/app/manifests/v1", "/acr/v1/team/app/_tags/v1"])
async def test_a_tag(world: World, target: str) -> None:
    """Deleting tags: 202; the name only, the manifest and its other tags stay."""
    pushed = await world.push_image("team/app", "v1", "v2")
    answer = await world.ask("DELETE", target)
    assert (answer.status, answer.content) == (202, b"")
    assert "x-ms-ratelimit-remaining-calls-per-second" in answer.headers
    assert world.last_event() == {
        "kind": "tag.deleted",
        "repository": "team/app",
        "tag": "v1",
        "previous_digest": pushed.digest,
    }
    assert await status(world, "/v2/team/app/manifests/v1") == 404
    assert await status(world, "/v2/team/app/manifests/v2") == 200
    assert (await world.ask("DELETE", "/acr/v1/team/app/_tags/v1")).codes == ["TAG_UNKNOWN"]


async def test_a_tag_that_is_not_there(world: World) -> None:
    """ACR data plane, section 4: TAG_UNKNOWN, also in an unknown repository."""
    for target in ("team/none/_tags/v1", "team/none/_tags/-x"):
        for method in ("GET", "PATCH", "DELETE"):
            answer = await world.ask(method, f"/acr/v1/{target}")
            assert (answer.status, answer.codes) == (404, ["TAG_UNKNOWN"])
            assert answer.json["errors"][0]["message"] == "the specified tag does not exist"


async def test_a_manifest_with_its_tags_and_referrers(world: World) -> None:
    """Deleting Manifests: 202. All its tags go, and what refers to it, and what refers to that."""
    subject = await world.push_image("team/app", "v1", "v2")
    kept = await world.push_image("team/app", "other", layer=b"other")
    first = await refer(world, subject, SBOM, 1)
    second = await refer(world, first, SBOM, 2)
    before = len(world.kinds())
    answer = await world.ask("DELETE", f"/v2/team/app/manifests/{subject.digest.replace(':', '%3A')}")
    assert (answer.status, answer.content) == (202, b"")
    assert sorted(world.kinds()[before:]) == ["manifest.deleted"] * 3 + ["tag.deleted"] * 2
    for reference in ("v1", "v2", subject.digest, first.digest, second.digest):
        assert await status(world, f"/v2/team/app/manifests/{reference}") == 404
    assert (await world.ask("GET", "/v2/team/app/tags/list")).json["tags"] == ["other"]
    assert (await world.ask("GET", f"/v2/team/app/referrers/{subject.digest}")).json["manifests"] == []
    assert await status(world, f"/v2/team/app/manifests/{kept.digest}") == 200
    answer = await world.ask("DELETE", f"/v2/team/app/manifests/{subject.digest}")
    assert (answer.status, answer.codes) == (404, ["MANIFEST_UNKNOWN"])


async def test_referrers_to_each_other_in_a_ring_of_one(world: World) -> None:
    """A manifest cannot hold its own digest, but an unknown subject may become known later: nothing loops."""
    late = await world.push_index("team/app", children=[])
    made = await refer(world, late, SBOM, 1)
    again = await refer(world, made, SBOM, 2)
    assert (await world.ask("DELETE", f"/v2/team/app/manifests/{late.digest}")).status == 202
    assert await status(world, f"/v2/team/app/manifests/{again.digest}") == 404


async def test_a_child_is_kept_while_an_index_lists_it(world: World) -> None:
    """R2, R5: what is served by tag is complete."""
    child = await world.push_image("team/app")
    index = await world.push_index("team/app", "multi", children=[child])
    answer = await world.ask("DELETE", f"/v2/team/app/manifests/{child.digest}")
    assert (answer.status, answer.codes) == (405, ["REGISTRY_DISALLOWED_OPERATION"])
    assert (await world.ask("DELETE", f"/v2/team/app/manifests/{index.digest}")).status == 202
    assert (await world.ask("DELETE", f"/v2/team/app/manifests/{child.digest}")).status == 202


async def test_a_blob(world: World) -> None:
    """Deleting Blobs: 202, then 404; while a manifest needs it, it is kept."""
    pushed = await world.push_image("team/app", "v1")
    layer = f"/v2/team/app/blobs/{digest_of(b'layer')}"
    answer = await world.ask("DELETE", layer)
    assert (answer.status, answer.codes) == (405, ["UNSUPPORTED"])
    assert (await world.ask("DELETE", f"/v2/team/app/manifests/{pushed.digest}")).status == 202
    answer = await world.ask("DELETE", layer)
    assert (answer.status, answer.headers["docker-content-digest"]) == (202, digest_of(b"layer"))
    assert world.last_event()["kind"] == "blob.unlinked"
    for method in ("GET", "HEAD", "DELETE"):
        assert await status(world, layer, method) == 404
    await world.push_image("team/app", "v1")
    assert await status(world, layer) == 200


async def test_a_blob_that_another_repository_has_stays_there(world: World) -> None:
    for name in ("team/app", "team/other"):
        await world.push_blob(name, b"shared")
    target = f"blobs/{digest_of(b'shared')}"
    assert (await world.ask("DELETE", f"/v2/team/app/{target}")).status == 202
    assert (await world.ask("GET", f"/v2/team/other/{target}")).content == b"shared"
    assert await status(world, f"/v2/team/app/{target}") == 404


async def test_a_repository(world: World) -> None:
    """202 with what went; ACR data plane, section 6."""
    images = [await world.push_image("team/app", *tags, layer=tags[0].encode()) for tags in (("b", "a"), ("c",))]
    children = await world.push_index("team/app", "multi", children=images)
    await world.push_image("team/app2", "v1")
    before = len(world.kinds())
    answer = await world.ask("DELETE", "/acr/v1/team%2Fapp")
    assert answer.status == 202
    assert answer.json["tagsDeleted"] == ["a", "b", "c", "multi"]
    assert set(answer.json["manifestsDeleted"]) == {image.digest for image in (*images, children)}
    kinds = world.kinds()[before:]
    assert sorted(kinds) == ["manifest.deleted"] * 3 + ["repository.deleted"] + ["tag.deleted"] * 4
    assert kinds[-1] == "repository.deleted"
    for target in ("tags/list", "manifests/a", f"blobs/{digest_of(b'c')}"):
        assert await status(world, f"/v2/team/app/{target}") == 404
    for method in ("GET", "DELETE", "PATCH"):
        assert (await world.ask(method, "/acr/v1/team/app")).codes == ["NAME_UNKNOWN"]
    assert (await world.ask("GET", "/v2/_catalog")).json["repositories"] == ["team/app2"]


async def test_a_repository_made_again_has_nothing_of_the_old_one(world: World) -> None:
    old = await world.push_image("team/app", "v1")
    await world.ask("DELETE", "/acr/v1/team/app")
    await world.push_blob("team/app", b"new")
    for target in ("manifests/v1", f"manifests/{old.digest}", f"blobs/{digest_of(b'layer')}"):
        assert await status(world, f"/v2/team/app/{target}") == 404
    assert (await world.push_manifest("team/app", "v1", old)).codes == ["MANIFEST_BLOB_UNKNOWN"] * 2


async def test_the_last_manifest_leaves_the_repository(world: World) -> None:
    pushed = await world.push_image("team/app", "v1")
    await world.ask("DELETE", f"/v2/team/app/manifests/{pushed.digest}")
    answer = await world.ask("GET", "/acr/v1/team/app")
    assert (answer.json["manifestCount"], answer.json["tagCount"]) == (0, 0)
