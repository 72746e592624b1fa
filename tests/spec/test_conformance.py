"""The cases of the specification's conformance program (1.0 and 1.1), written from its four workflows.

All four are enabled, with automatic mounting without `from`; nothing is skipped. A registry may choose between
answers in places: here stands the one that Dársena gives, so that no case depends on a feature that is not there.
"""

from __future__ import annotations

from typing import Any

import pytest

from api_v2.world import World, digest_of, image, manifest_of
from darsena.core import media_types

from .reggie import Reggie
from .rows import EMPTY, MISSING, SBOM, SIGNATURE, artifact

CONFIGS = [b'{"architecture":"amd64","os":"linux","author":"%d"}' % number for number in range(6)]
LAYER = b"a layer of the conformance program"
LAYER_DIGEST = digest_of(LAYER)
IMAGES = [manifest_of(image(config, LAYER)) for config in CONFIGS]
CHUNKS = [b"abc", b"defghi"]
CHUNKED = digest_of(b"".join(CHUNKS))
OCTETS = "application/octet-stream"
NOT_THERE = ".INVALID_MANIFEST_NAME"


@pytest.fixture
async def reggie(world: World) -> Reggie:
    world.identity.start()
    return Reggie(world, "conformance/one")


async def push_blob(reggie: Reggie, content: bytes) -> None:
    assert await reggie.status("POST", "blobs/uploads/") == 202
    target = f"{reggie.location}&digest={digest_of(content)}"
    assert await reggie.status("PUT", target, content, content_type=OCTETS) == 201


async def push_image(reggie: Reggie, number: int, *references: str) -> None:
    for content in (CONFIGS[number], LAYER):
        await push_blob(reggie, content)
    for reference in references or (IMAGES[number].digest,):
        assert await reggie.status("PUT", f"manifests/{reference}", IMAGES[number]) == 201


async def tear_down(reggie: Reggie, number: int) -> None:
    """Manifests before blobs; nothing is left for another workflow to stumble over."""
    assert await reggie.status("DELETE", f"manifests/{IMAGES[number].digest}") == 202
    for content in (CONFIGS[number], LAYER):
        assert await reggie.status("DELETE", f"blobs/{digest_of(content)}") == 202


async def test_01_pull(reggie: Reggie) -> None:
    await push_image(reggie, 0, "tagtest0")
    for method in ("HEAD", "GET"):
        assert await reggie.status(method, f"blobs/{MISSING}") == 404
        answer = await reggie.do(method, f"blobs/{digest_of(CONFIGS[0])}")
        assert (answer.status, answer.headers["docker-content-digest"]) == (200, digest_of(CONFIGS[0]))
        assert await reggie.status(method, f"manifests/{NOT_THERE}") == 404
        for reference in (IMAGES[0].digest, "tagtest0"):
            answer = await reggie.do(method, f"manifests/{reference}", headers={"accept": media_types.OCI_MANIFEST})
            assert (answer.status, answer.headers["docker-content-digest"]) == (200, IMAGES[0].digest)
    typed = {"content-type": media_types.OCI_MANIFEST}
    answer = await reggie.do("PUT", "manifests/sha256:totallywrong", b"blablabla", typed)
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    await tear_down(reggie, 0)


async def test_02_push_blobs(reggie: Reggie) -> None:
    """Streamed, monolithic, by single POST."""
    assert await reggie.status("POST", "blobs/uploads/") == 202
    assert await reggie.status("PATCH", reggie.location, CONFIGS[0], content_type=OCTETS) == 202
    target = f"{reggie.location}&digest={digest_of(CONFIGS[0])}"
    assert await reggie.status("PUT", target, content_type=OCTETS, content_length="0") == 201
    assert await reggie.status("GET", f"blobs/{MISSING}") == 404
    digest = digest_of(CONFIGS[1])
    assert await reggie.status("POST", f"blobs/uploads/?digest={digest}", CONFIGS[1], content_type=OCTETS) == 201
    assert await reggie.status("GET", f"blobs/{digest}") == 200
    for content in (CONFIGS[1], LAYER):
        await push_blob(reggie, content)
        assert reggie.location == f"/v2/{reggie.namespace}/blobs/{digest_of(content)}"
        assert await reggie.status("GET", reggie.location) == 200


async def test_02_push_in_chunks(reggie: Reggie) -> None:
    assert await reggie.status("POST", "blobs/uploads/", content_length="0") == 202
    assert await reggie.status("PATCH", reggie.location, CHUNKS[1], content_range="3-8", content_type=OCTETS) == 416
    answer = await reggie.do("POST", "blobs/uploads/", headers={"content-length": "0"})
    assert (answer.status, answer.headers.get("oci-chunk-min-length")) == (202, None)
    headers = {"content-type": OCTETS, "content-length": "3", "content-range": "0-2"}
    answer = await reggie.do("PATCH", reggie.location, CHUNKS[0], headers)
    assert (answer.status, answer.headers["range"]) == (202, "0-2")
    assert (await reggie.do("PATCH", reggie.location, CHUNKS[0], headers)).status == 416
    answer = await reggie.do("GET", reggie.location)
    assert (answer.status, answer.headers["range"]) == (204, "0-2")
    answer = await reggie.do("PATCH", reggie.location, CHUNKS[1], {"content-range": "3-8"})
    assert (answer.status, answer.headers["range"]) == (202, "0-8")
    assert await reggie.status("PUT", f"{reggie.location}&digest={CHUNKED}", content_length="0") == 201
    assert (await reggie.do("GET", reggie.location)).content == b"".join(CHUNKS)


async def test_02_mount(reggie: Reggie) -> None:
    """With nothing but what the challenge asks for, a client gets the right to read the source."""
    await push_blob(reggie, LAYER)
    other = Reggie(reggie.world, "conformance/two")
    assert await other.status("POST", f"blobs/uploads/?mount={MISSING}") == 202
    assert other.location.startswith("/v2/conformance/two/blobs/uploads/")
    assert await other.status("POST", f"blobs/uploads/?mount={LAYER_DIGEST}&from={reggie.namespace}") == 201
    assert other.location == f"/v2/conformance/two/blobs/{LAYER_DIGEST}"
    assert (await other.do("GET", other.location)).content == LAYER
    third = Reggie(reggie.world, "conformance/three")
    assert await third.status("POST", f"blobs/uploads/?mount={LAYER_DIGEST}") == 201, "automatic mounting"
    assert (await third.do("GET", third.location)).content == LAYER
    assert await third.status("POST", f"blobs/uploads/?mount={MISSING}&from={reggie.namespace}") == 202


async def test_02_mount_with_a_token_that_is_kept(reggie: Reggie) -> None:
    """The program keeps the token of a repository's first push, and skips mounts that become uploads with it."""
    await push_blob(reggie, LAYER)
    other = Reggie(reggie.world, "conformance/two")
    kept = await other.sign_in("POST", "blobs/uploads/")
    mount = f"/v2/conformance/two/blobs/uploads/?mount={LAYER_DIGEST}&from={reggie.namespace}"
    refused = await reggie.world.ask("POST", mount, auth=kept)
    assert (refused.status, refused.codes) == (401, ["UNAUTHORIZED"])
    scope = f'scope="repository:conformance/two:pull,push repository:{reggie.namespace}:pull"'
    assert scope in refused.headers["www-authenticate"]
    wider = await other.sign_in("POST", mount, auth=kept)
    assert (await reggie.world.ask("POST", mount, auth=wider)).status == 201


async def test_02_push_manifests(reggie: Reggie) -> None:
    assert await reggie.status("GET", f"manifests/{NOT_THERE}") == 404
    await push_image(reggie, 1, "test0", "test1", "test2", "test3")
    assert reggie.location == f"/v2/{reggie.namespace}/manifests/{IMAGES[1].digest}"
    empty = manifest_of(image(CONFIGS[1]))
    assert await reggie.status("PUT", "manifests/emptylayer", empty) == 201
    for digest in (IMAGES[1].digest, empty.digest):
        assert await reggie.status("GET", f"manifests/{digest}") == 200
    assert await reggie.status("DELETE", f"manifests/{empty.digest}") == 202
    await tear_down(reggie, 1)


async def test_03_tags(reggie: Reggie) -> None:
    await push_image(reggie, 2, "test0", "test1", "TEST2", "test3")
    answer = await reggie.do("GET", "tags/list")
    tags = answer.json["tags"]
    assert (answer.status, tags) == (200, sorted(tags))
    assert len(tags) == 4
    assert (await reggie.do("GET", "tags/list?n=2")).json["tags"] == tags[:2]
    assert (await reggie.do("GET", f"tags/list?n=2&last={tags[1]}")).json["tags"] == tags[2:]
    assert (await reggie.do("GET", f"tags/list?n=1&last={tags[0]}")).json["tags"] == tags[1:2]
    await tear_down(reggie, 2)


async def test_03_referrers(reggie: Reggie) -> None:
    """To a manifest that is there and to one that is not; those without layers of their own, and an index."""
    await push_image(reggie, 4, "refs")
    await push_blob(reggie, b"{}")
    about = {"subject": IMAGES[4].descriptor()}
    configured = {**EMPTY, "mediaType": SBOM}
    made = [
        manifest_of(image(CONFIGS[4], LAYER, **about) | {"config": configured, "annotations": {"a": "config"}}),
        artifact(IMAGES[4], SBOM, annotations={"b": "layer"}),
        artifact(IMAGES[4], SIGNATURE),
        manifest_of({**artifact_index(), **about}),
    ]
    answer = await reggie.do("GET", f"referrers/{MISSING}")
    assert (answer.status, answer.json["manifests"]) == (200, [])
    for manifest in [*made, artifact(MISSING, SIGNATURE)]:
        answer = await reggie.do("PUT", f"manifests/{manifest.digest}", manifest)
        assert answer.status == 201
        assert answer.headers["oci-subject"] in (IMAGES[4].digest, MISSING)
    answer = await reggie.do("GET", f"referrers/{IMAGES[4].digest}")
    assert (answer.status, answer.headers["content-type"]) == (200, media_types.OCI_INDEX)
    assert {found["digest"] for found in answer.json["manifests"]} == {manifest.digest for manifest in made}
    typed = {found["digest"]: found.get("artifactType") for found in answer.json["manifests"]}
    assert [typed[manifest.digest] for manifest in made] == [SBOM, SBOM, SIGNATURE, SBOM]
    answer = await reggie.do("GET", f"referrers/{IMAGES[4].digest}?artifactType={SBOM}")
    assert answer.headers["oci-filters-applied"] == "artifactType"
    assert len(answer.json["manifests"]) == 3
    answer = await reggie.do("GET", f"referrers/{MISSING}")
    assert [found["artifactType"] for found in answer.json["manifests"]] == [SIGNATURE]
    for manifest in made:
        assert await reggie.status("DELETE", f"manifests/{manifest.digest}") == 202
    await tear_down(reggie, 4)


def artifact_index() -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_INDEX,
        "artifactType": SBOM,
        "manifests": [IMAGES[4].descriptor()],
        "annotations": {"c": "index"},
    }


async def test_04_management(reggie: Reggie) -> None:
    await push_image(reggie, 3, "tagtodelete", "another")
    assert await reggie.status("DELETE", "manifests/tagtodelete") == 202
    assert await reggie.status("GET", "manifests/tagtodelete") == 404
    assert (await reggie.do("GET", "tags/list")).json["tags"] == ["another"]
    assert await reggie.status("DELETE", f"manifests/{IMAGES[3].digest}") == 202
    for reference in (IMAGES[3].digest, "another"):
        assert await reggie.status("GET", f"manifests/{reference}") == 404
    answer = await reggie.do("GET", "tags/list")
    assert (answer.status, answer.json["tags"]) == (200, [])
    for content in (CONFIGS[3], LAYER):
        assert await reggie.status("DELETE", f"blobs/{digest_of(content)}") == 202
        assert await reggie.status("GET", f"blobs/{digest_of(content)}") == 404


async def test_04_blobs_before_their_manifest(reggie: Reggie) -> None:
    """In the other order of clean-up the blobs are refused, which the program allows too."""
    await push_image(reggie, 5, "v1")
    assert await reggie.status("DELETE", f"blobs/{LAYER_DIGEST}") == 405
    await tear_down(reggie, 5)
