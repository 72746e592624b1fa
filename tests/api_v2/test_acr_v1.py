"""ACR's own API: what it shows, sizes, counts, times, locks (ACR data plane, sections 6 to 9)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from darsena.core import media_types

from .world import Pushed, World, digest_of, image, manifest_of

ENABLED = {"deleteEnabled": True, "writeEnabled": True, "listEnabled": True, "readEnabled": True}
START, LATER = "2023-11-14T22:13:20.0000000Z", "2023-11-14T22:13:21.5000000Z"


async def patch(world: World, target: str, body: object) -> Any:
    answer = await world.ask("PATCH", f"/acr/v1/{target}", msgspec.json.encode(body))
    assert answer.status == 200, answer.content
    return answer.json


@pytest.mark.parametrize(
    "path", ["/acr/v1/team/app", "/acr/v1/team%2Fapp", "/acr/v1/team%2fapp?api-version=2021-07-01"]
)
async def test_a_repository(world: World, path: str) -> None:
    pushed = await world.push_image("team/app", "v1", "v2")
    await world.push_index("team/app", children=[pushed])
    world.db.clock.advance(1.5)  # type: ignore[attr-defined]
    await world.ask("DELETE", "/acr/v1/team/app/_tags/v2")
    answer = await world.ask("GET", path)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json == {
        "registry": "regone.azurecr.localhost:8443",
        "imageName": "team/app",
        "createdTime": START,
        "lastUpdateTime": LATER,
        "manifestCount": 2,
        "tagCount": 1,
        "changeableAttributes": {**ENABLED, "teleportEnabled": False},
    }


async def test_a_tag(world: World) -> None:
    pushed = await world.push_image("team/app", "v1")
    tag = {
        "name": "v1",
        "digest": pushed.digest,
        "createdTime": START,
        "lastUpdateTime": START,
        "signed": False,
        "changeableAttributes": ENABLED,
    }
    head = {"registry": "regone.azurecr.localhost:8443", "imageName": "team/app"}
    assert (await world.ask("GET", "/acr/v1/team/app/_tags/v1")).json == {**head, "tag": tag}
    assert (await world.ask("GET", "/acr/v1/team%2Fapp/_tags")).json == {**head, "tags": [tag]}
    world.db.clock.advance(1.5)  # type: ignore[attr-defined]
    moved = await world.push_image("team/app", "v1", layer=b"other")
    found = (await world.ask("GET", "/acr/v1/team/app/_tags/v1")).json["tag"]
    assert found == tag | {"digest": moved.digest, "lastUpdateTime": LATER}


async def test_an_image(world: World) -> None:
    """imageSize: config and layers. `tags` is left out when there are none."""
    pushed = await world.push_image("team/app", "v1", "latest", layer=b"x" * 1000)
    config = next(iter(msgspec.json.decode(pushed.content)["config"].values()))
    assert config == media_types.OCI_CONFIG
    manifest = {
        "digest": pushed.digest,
        "imageSize": 1000 + msgspec.json.decode(pushed.content)["config"]["size"],
        "createdTime": START,
        "lastUpdateTime": START,
        "architecture": "amd64",
        "os": "linux",
        "mediaType": media_types.OCI_MANIFEST,
        "configMediaType": media_types.OCI_CONFIG,
        "tags": ["latest", "v1"],
        "changeableAttributes": ENABLED,
    }
    head = {"registry": "regone.azurecr.localhost:8443", "imageName": "team/app"}
    digest = pushed.digest.replace(":", "%3A")
    assert (await world.ask("GET", f"/acr/v1/team%2Fapp/_manifests/{digest}")).json == {**head, "manifest": manifest}
    assert (await world.ask("GET", "/acr/v1/team/app/_manifests")).json == {**head, "manifests": [manifest]}
    for tag in ("v1", "latest"):
        await world.ask("DELETE", f"/acr/v1/team/app/_tags/{tag}")
    (found,) = (await world.ask("GET", "/acr/v1/team/app/_manifests")).json["manifests"]
    assert "tags" not in found


async def test_an_index(world: World) -> None:
    """imageSize is the document's own; `references` on the single answer only; no platform, no config."""
    children = [await world.push_image("team/app", layer=layer) for layer in (b"a", b"b")]
    index = await world.push_index("team/app", "multi", children=children)
    found = (await world.ask("GET", f"/acr/v1/team/app/_manifests/{index.digest}")).json["manifest"]
    assert found.pop("references") == [
        {"digest": child.digest, "architecture": "amd64", "os": "linux"} for child in children
    ]
    assert found["imageSize"] == len(index.content)
    assert not {"architecture", "os", "configMediaType"} & found.keys()
    assert found in (await world.ask("GET", "/acr/v1/team/app/_manifests")).json["manifests"]


@pytest.mark.parametrize("config", [b"not json", b'{"architecture": 1}', b'{"os": "a\\u0000b"}', b"[]", b"{}"])
async def test_a_config_that_tells_nothing(world: World, config: bytes) -> None:
    """The config is the pusher's: whatever is in it, the image is taken and shown without a platform."""
    for content in (config, b"layer"):
        await world.push_blob("team/app", content)
    pushed = manifest_of(image(config, b"layer"))
    assert (await world.push_manifest("team/app", "v1", pushed)).status == 201
    found = (await world.ask("GET", f"/acr/v1/team/app/_manifests/{pushed.digest}")).json["manifest"]
    assert not {"architecture", "os"} & found.keys()


@pytest.mark.parametrize("what", ["", "/_tags/v1", "/_manifests/{digest}"])
async def test_attributes(world: World, what: str) -> None:
    """PATCH: a subset; unknown members are ignored, absent ones keep their value; the answer is the whole object."""
    pushed = await world.push_image("team/app", "v1")
    target = f"team/app{what.format(digest=pushed.digest)}"

    def read(answer: Any) -> dict[str, bool]:
        shown = answer.get("tag") or answer.get("manifest") or answer
        return {name: shown["changeableAttributes"][name] for name in ENABLED}

    assert read(await patch(world, target, {"writeEnabled": False, "x": 1})) == ENABLED | {"writeEnabled": False}
    assert world.last_event()["attributes"] == ENABLED | {"writeEnabled": False}
    both = ENABLED | {"writeEnabled": False, "listEnabled": False}
    assert read(await patch(world, target, {"listEnabled": False, "readEnabled": None})) == both
    before = world.kinds()
    assert read(await patch(world, target, {})) == both
    assert world.kinds() == before
    assert read((await world.ask("GET", f"/acr/v1/{target}")).json) == both
    assert read(await patch(world, target, ENABLED)) == ENABLED
    for body in (b"[]", b"{", b'{"writeEnabled": "false"}', b'{"writeEnabled": 0}', b"null"):
        assert (await world.ask("PATCH", f"/acr/v1/{target}", body)).status == 400


async def test_the_three_levels_are_independent(world: World) -> None:
    """A tag's flags are not copied to its manifest or back."""
    pushed = await world.push_image("team/app", "v1", "v2")
    await patch(world, "team/app/_tags/v1", {"deleteEnabled": False})
    for target in ("team/app", "team/app/_tags/v2", f"team/app/_manifests/{pushed.digest}"):
        answer = (await world.ask("GET", f"/acr/v1/{target}")).json
        shown = answer.get("tag") or answer.get("manifest") or answer
        assert shown["changeableAttributes"]["deleteEnabled"] is True


# --- locks ------------------------------------------------------------------------------------------------------

OPERATIONS: dict[str, tuple[str, str, bytes]] = {
    "pull by tag": ("GET", "/v2/team/app/manifests/v1", b""),
    "pull by another tag": ("GET", "/v2/team/app/manifests/v2", b""),
    "pull by digest": ("GET", "/v2/team/app/manifests/{image}", b""),
    "pull a layer": ("GET", "/v2/team/app/blobs/{layer}", b""),
    "move the tag": ("PUT", "/v2/team/app/manifests/v1", b"other"),
    "put the tag again": ("PUT", "/v2/team/app/manifests/v1", b"image"),
    "move another tag": ("PUT", "/v2/team/app/manifests/v2", b"other"),
    "put by digest again": ("PUT", "/v2/team/app/manifests/{image}", b"image"),
    "push a new tag": ("PUT", "/v2/team/app/manifests/v3", b"other"),
    "begin an upload": ("POST", "/v2/team/app/blobs/uploads/", b""),
    "push a blob": ("POST", "/v2/team/app/blobs/uploads/?digest={blob}", b"blob"),
    "mount a blob": ("POST", "/v2/team/app/blobs/uploads/?mount={elsewhere}&from=team/b", b""),
    "delete the tag": ("DELETE", "/acr/v1/team/app/_tags/v1", b""),
    "delete the tag (v2)": ("DELETE", "/v2/team/app/manifests/v1", b""),
    "delete another tag": ("DELETE", "/acr/v1/team/app/_tags/v2", b""),
    "delete the manifest": ("DELETE", "/v2/team/app/manifests/{image}", b""),
    "delete another manifest": ("DELETE", "/v2/team/app/manifests/{other}", b""),
    "delete a blob": ("DELETE", "/v2/team/app/blobs/{loose}", b""),
    "delete the repository": ("DELETE", "/acr/v1/team/app", b""),
}
WRITES = {name for name, (method, _, _) in OPERATIONS.items() if method != "GET"}
FORBIDDEN: dict[tuple[str, str], set[str]] = {
    ("repository", "writeEnabled"): WRITES,
    ("repository", "deleteEnabled"): {"delete the repository"},
    ("repository", "readEnabled"): {name for name in OPERATIONS if name.startswith("pull")},
    ("repository", "listEnabled"): set(),
    ("tag", "writeEnabled"): {
        "move the tag",
        "put the tag again",
        "delete the tag",
        "delete the tag (v2)",
        "delete the manifest",
        "delete the repository",
    },
    ("tag", "deleteEnabled"): {
        "delete the tag",
        "delete the tag (v2)",
        "delete the manifest",
        "delete the repository",
    },
    ("tag", "readEnabled"): {"pull by tag"},
    ("tag", "listEnabled"): set(),
    ("manifest", "writeEnabled"): {
        "put the tag again",
        "put by digest again",
        "delete the tag",
        "delete the tag (v2)",
        "delete another tag",
        "delete the manifest",
        "delete the repository",
    },
    ("manifest", "deleteEnabled"): {"delete the manifest", "delete the repository"},
    ("manifest", "readEnabled"): {"pull by tag", "pull by another tag", "pull by digest"},
    ("manifest", "listEnabled"): set(),
}
"""What each flag forbids when it is false (ACR data plane, section 8): 405, nothing else."""


async def furnish(world: World) -> dict[str, Any]:
    """The image under v1 and v2, another image untagged, a blob that no manifest needs."""
    pushed = await world.push_image("team/app", "v1", "v2")
    other = await world.push_image("team/app", layer=b"other")
    loose = await world.push_blob("team/app", b"loose")
    elsewhere = await world.push_blob("team/b", b"elsewhere")
    return {
        "image": pushed.digest,
        "other": other.digest,
        "layer": digest_of(b"layer"),
        "loose": loose,
        "elsewhere": elsewhere,
        "blob": digest_of(b"blob"),
        "bodies": {b"image": pushed, b"other": other},
    }


async def attempt(world: World, operation: str, names: dict[str, Any]) -> int:
    method, target, body = OPERATIONS[operation]
    manifest: Pushed | None = names["bodies"].get(body)
    sent = body if manifest is None else manifest.content
    headers = {"content-type": media_types.OCI_MANIFEST} if manifest else {}
    target = target.format(**{name: value for name, value in names.items() if isinstance(value, str)})
    answer = await world.ask(method, target, sent, headers)
    if answer.status >= 400:
        assert (answer.status, answer.codes) == (405, ["REGISTRY_DISALLOWED_OPERATION"]), (operation, answer.content)
        assert answer.json["errors"][0]["message"].startswith("The operation is disallowed on this registry")
    return answer.status


@pytest.mark.parametrize(("level", "flag"), FORBIDDEN)
async def test_what_a_lock_forbids(world: World, level: str, flag: str) -> None:
    """Everything forbidden is tried on one repository; what is allowed, each on one of its own making."""
    names = await furnish(world)
    target = {"repository": "", "tag": "/_tags/v1", "manifest": f"/_manifests/{names['image']}"}[level]
    await patch(world, f"team/app{target}", {flag: False})
    forbidden = FORBIDDEN[level, flag]
    for operation in OPERATIONS:
        if operation in forbidden:
            assert await attempt(world, operation, names) == 405, operation
    for operation in OPERATIONS:
        if operation in forbidden:
            continue
        assert await attempt(world, operation, names) < 400, operation
        if operation.startswith("delete") or "move" in operation:
            await restore(world, f"team/app{target}", flag)
    await world.ask("PATCH", f"/acr/v1/team/app{target}", msgspec.json.encode({flag: True}))
    assert await attempt(world, "pull by tag", names) in (200, 404)


async def restore(world: World, target: str, flag: str) -> None:
    """Everything as before, and the lock on it."""
    for place in ("team/app", "team/app/_tags/v1", target):
        await world.ask("PATCH", f"/acr/v1/{place}", msgspec.json.encode(ENABLED))
    await furnish(world)
    await patch(world, target, {flag: False})


async def test_what_is_not_listed(world: World) -> None:
    """listEnabled=false hides from lists; by its name it is still there."""
    hidden = await world.push_image("team/app", "hidden")
    shown = await world.push_image("team/app", "shown", layer=b"other")
    await world.push_image("team/hidden", "v1")
    await patch(world, "team/hidden", {"listEnabled": False})
    await patch(world, "team/app/_tags/hidden", {"listEnabled": False})
    await patch(world, f"team/app/_manifests/{hidden.digest}", {"listEnabled": False})
    for path in ("/v2/_catalog", "/acr/v1/_catalog"):
        assert (await world.ask("GET", path)).json["repositories"] == ["team/app"]
    assert (await world.ask("GET", "/v2/team/app/tags/list")).json["tags"] == ["shown"]
    assert [tag["name"] for tag in (await world.ask("GET", "/acr/v1/team/app/_tags")).json["tags"]] == ["shown"]
    listed = (await world.ask("GET", "/acr/v1/team/app/_manifests")).json["manifests"]
    assert [manifest["digest"] for manifest in listed] == [shown.digest]
    assert (await world.ask("GET", "/acr/v1/team/app")).json["tagCount"] == 2
    for target in ("/acr/v1/team/hidden", "/acr/v1/team/app/_tags/hidden", "/v2/team/app/manifests/hidden"):
        assert (await world.ask("GET", target)).status == 200


async def test_quarantine_state(world: World) -> None:
    """Section 9: state and details are kept, details sealed at rest."""
    pushed = await world.push_image("team/app", "v1")
    target = f"team/app/_manifests/{pushed.digest}"
    details = '{"state":"scan passed","link":"https://x/ü"}'
    found = await patch(world, target, {"quarantineState": "Passed", "quarantineDetails": details})
    assert found["manifest"]["changeableAttributes"] == {
        **ENABLED,
        "quarantineState": "Passed",
        "quarantineDetails": details,
    }
    assert world.last_event()["quarantine_state"] == "Passed"
    for body in ({"quarantineState": "a\0b"}, {"quarantineState": 1}, {"quarantineDetails": {}}):
        answer = await world.ask("PATCH", f"/acr/v1/{target}", msgspec.json.encode(body))
        assert answer.status == 400


@pytest.mark.parametrize("target", ["_manifests/{digest}", "_manifests/latest"])
async def test_a_manifest_that_is_not_there(world: World, target: str) -> None:
    await world.push_blob("team/app", b"x")
    for method in ("GET", "PATCH"):
        answer = await world.ask(method, f"/acr/v1/team/app/{target.format(digest=digest_of(b'no'))}")
        assert answer.codes == (["MANIFEST_UNKNOWN"] if "{" in target else ["DIGEST_INVALID"])
