"""Quarantine (ACR data plane, section 9): what is pushed waits to be released; by either path of a pull."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from darsena.identity.roles import (
    ACR_PULL,
    ACR_PUSH,
    ACR_QUARANTINE_READER,
    ACR_QUARANTINE_WRITER,
    OWNER,
    Role,
)
from identity.values import basic, bearer, read_claims
from principals import Principals

from .world import REGISTRIES, Answer, Pushed, World

V2 = "/v2/team/app"
ACR = "/acr/v1/team/app"
SCOPE = REGISTRIES["regone"].resource_id


async def user(world: World, *roles: Role) -> bytes:
    made = await Principals(world.identity).create_service_principal("+".join(role.name for role in roles))
    for role in roles:
        await Principals(world.identity).assign_role(made.principal.object_id, role.id, SCOPE)
    return basic(made.client_id, made.client_secret)


async def patch(world: World, digest: str, body: object, auth: bytes | bool = True) -> Answer:
    return await world.ask("PATCH", f"{ACR}/_manifests/{digest}", msgspec.json.encode(body), auth=auth)


@pytest.fixture
async def pushed(world: World) -> Pushed:
    """One image from before, and one that waits."""
    await world.push_image("team/app", "old", layer=b"old")
    world.change(quarantine=True)
    return await world.push_image("team/app", "v1")


async def pull(world: World, reference: str, auth: bytes | bool = True) -> tuple[int, list[str]]:
    answer = await world.ask("GET", f"{V2}/manifests/{reference}", auth=auth)
    head = await world.ask("HEAD", f"{V2}/manifests/{reference}", auth=auth)
    assert head.status == answer.status
    return answer.status, answer.codes if answer.status >= 400 else []


async def test_what_waits_has_no_tag_and_opens_for_quarantine_readers_only(world: World, pushed: Pushed) -> None:
    reader = await user(world, ACR_PULL, ACR_QUARANTINE_READER)
    scanner = await user(world, ACR_QUARANTINE_READER)
    for auth in (True, await user(world, ACR_PULL), await user(world, ACR_PUSH)):
        assert await pull(world, "v1", auth) == (404, ["MANIFEST_UNKNOWN"])
        assert await pull(world, pushed.digest, auth) == (405, ["REGISTRY_DISALLOWED_OPERATION"])
        assert await pull(world, "old", auth) == (200, [])
    for auth in (reader, scanner, await user(world, OWNER)):
        assert await pull(world, "v1", auth) == (404, ["MANIFEST_UNKNOWN"])
        assert await pull(world, pushed.digest, auth) == (200, [])
    assert await pull(world, "old", reader) == (200, [])
    assert await pull(world, "old", scanner) == (401, ["UNAUTHORIZED"])  # nothing but what waits


async def test_lists_leave_out_what_waits(world: World, pushed: Pushed) -> None:
    reader = await user(world, ACR_PULL, ACR_QUARANTINE_READER)
    for auth, tags in ((await user(world, ACR_PULL), ["old"]), (reader, ["old", "v1"])):
        assert (await world.ask("GET", f"{V2}/tags/list", auth=auth)).json["tags"] == tags
        for order in ("", "?orderby=timeasc"):
            listed = (await world.ask("GET", f"{ACR}/_tags{order}", auth=auth)).json["tags"]
            assert [tag["name"] for tag in listed] == tags
            found = (await world.ask("GET", f"{ACR}/_manifests{order}", auth=auth)).json["manifests"]
            assert sorted(name for row in found for name in row["tags"]) == tags
        answer = await world.ask("GET", f"{ACR}/_tags/v1", auth=auth)
        assert answer.status == (404 if len(tags) == 1 else 200)
        state = (await world.ask("GET", f"{ACR}/_manifests/{pushed.digest}", auth=auth)).json["manifest"]
        assert state["changeableAttributes"]["quarantineState"] == "Quarantined"
    old = (await world.ask("GET", f"{ACR}/_tags/old")).json["tag"]["digest"]
    attributes = (await world.ask("GET", f"{ACR}/_manifests/{old}")).json["manifest"]["changeableAttributes"]
    assert "quarantineState" not in attributes


async def test_referrers_wait_as_well(world: World, pushed: Pushed) -> None:
    subject = {"mediaType": pushed.media_type, "digest": pushed.digest, "size": len(pushed.content)}
    await world.push_image("team/app", layer=b"signature", subject=subject)
    target = f"{V2}/referrers/{pushed.digest}"
    reader = await user(world, ACR_PULL, ACR_QUARANTINE_READER)
    assert (await world.ask("GET", target)).json["manifests"] == []
    assert len((await world.ask("GET", target, auth=reader)).json["manifests"]) == 1


async def test_release(world: World, pushed: Pushed) -> None:
    puller, writer = await user(world, ACR_PULL), await user(world, ACR_QUARANTINE_WRITER)
    details = '{"state":"scan passed"}'
    for body, auth in (
        ({"quarantineState": "Passed"}, True),
        ({"quarantineDetails": details}, True),
        ({"quarantineState": "Passed"}, puller),
        ({"quarantineState": "Passed", "readEnabled": False}, writer),
        ({"readEnabled": False}, writer),
    ):
        assert (await patch(world, pushed.digest, body, auth)).codes == ["UNAUTHORIZED"], body
    failed = await patch(world, pushed.digest, {"quarantineState": "failed", "quarantineDetails": details}, writer)
    assert failed.json["manifest"]["changeableAttributes"]["quarantineState"] == "Failed"
    assert failed.json["manifest"]["changeableAttributes"]["quarantineDetails"] == details
    assert await pull(world, "v1", puller) == (404, ["MANIFEST_UNKNOWN"])
    assert (await patch(world, pushed.digest, {"quarantineState": "Passed"}, writer)).status == 200
    assert await pull(world, "v1", puller) == (200, [])
    assert await pull(world, pushed.digest, puller) == (200, [])
    event = world.last_event()
    assert (event["previous_quarantine_state"], event["quarantine_state"]) == ("Failed", "Passed")
    assert (await patch(world, pushed.digest, {"readEnabled": True})).status == 200  # locks need no right of quarantine


@pytest.mark.parametrize(
    "body",
    [{"quarantineState": "Released"}, {"quarantineState": ""}, {"quarantineDetails": "x" * (64 * 1024 + 1)}],
)
async def test_what_is_no_state(world: World, pushed: Pushed, body: dict[str, Any]) -> None:
    writer = await user(world, ACR_QUARANTINE_WRITER)
    assert (await patch(world, pushed.digest, body, writer)).status == 400


async def test_each_manifest_of_an_index_is_released_by_itself(world: World, pushed: Pushed) -> None:
    index = await world.push_index("team/app", "all", children=[pushed])
    writer = await user(world, ACR_QUARANTINE_WRITER)
    assert (await patch(world, index.digest, {"quarantineState": "Passed"}, writer)).status == 200
    assert await pull(world, "all") == (200, [])
    assert await pull(world, pushed.digest) == (405, ["REGISTRY_DISALLOWED_OPERATION"])
    assert (await patch(world, pushed.digest, {"quarantineState": "Passed"}, writer)).status == 200
    assert await pull(world, pushed.digest) == (200, [])


async def test_pushing_again_releases_nothing(world: World, pushed: Pushed) -> None:
    assert (await world.push_manifest("team/app", "v2", pushed)).status == 201
    assert await pull(world, "v2") == (404, ["MANIFEST_UNKNOWN"])
    writer = await user(world, ACR_QUARANTINE_WRITER)
    await patch(world, pushed.digest, {"quarantineState": "Passed"}, writer)
    assert (await world.push_manifest("team/app", "v3", pushed)).status == 201
    assert await pull(world, "v3") == (200, [])


async def test_without_the_policy_nothing_waits(world: World, pushed: Pushed) -> None:
    world.change(quarantine=False)
    assert await pull(world, "v1") == (200, [])
    assert (await world.ask("GET", f"{V2}/tags/list")).json["tags"] == ["old", "v1"]
    later = await world.push_image("team/app", "v2", layer=b"later")
    manifest = (await world.ask("GET", f"{ACR}/_manifests/{later.digest}")).json["manifest"]
    assert "quarantineState" not in manifest["changeableAttributes"]
    world.change(quarantine=True)
    assert await pull(world, "v1") == (404, ["MANIFEST_UNKNOWN"])
    assert await pull(world, "v2") == (200, [])


async def test_tokens_carry_the_rights_only_where_there_is_a_quarantine(world: World, pushed: Pushed) -> None:
    world.identity.start()
    auth = await user(world, OWNER)
    host = REGISTRIES["regone"].login_server

    async def sign_in(actions: str) -> tuple[bytes, list[str]]:
        target = f"/oauth2/token?service={host}&scope=repository:team/app:{actions}"
        token = (await world.ask("GET", target, auth=auth)).json["access_token"]
        return bearer(token), read_claims(token)["access"][0]["actions"]

    reading, actions = await sign_in("pull")
    assert actions == ["pull", "quarantine_read"]
    assert await pull(world, pushed.digest, reading) == (200, [])
    writing, actions = await sign_in("metadata_write")
    assert actions == ["metadata_write", "quarantine_write"]
    assert (await patch(world, pushed.digest, {"quarantineState": "Passed"}, writing)).status == 200
    world.change(quarantine=False)
    assert (await sign_in("pull"))[1] == ["pull"]
