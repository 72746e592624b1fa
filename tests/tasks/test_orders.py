"""What an agent gets: everything of its run, and credentials that end with it."""

from __future__ import annotations

import base64

import msgspec
from sqlalchemy import select

from darsena.core.names import RepositoryName
from darsena.db import Tx
from darsena.identity.store import find_run
from darsena.identity.tables import run_credential
from darsena.journal import registry_stream
from darsena.registry.events import RepositoryCreated
from darsena.registry.store import repositories
from darsena.resources.model import RegistryPatch
from darsena.tasks.base_images import BaseImages
from darsena.tasks.model import ImageDescriptor
from runs_world import AGENT, CALLER, SUBSCRIPTION, World, list_repositories

TENANT = "99999999-2222-4333-8444-555555555555"


async def test_the_order_has_all_that_the_contract_names(world: World) -> None:
    await world.hello()
    name = await world.upload(content=b"the archive")
    run = await world.schedule(
        type="DockerBuildRequest",
        dockerFilePath="Dockerfile",
        imageNames=["hello:{{.Run.ID}}"],
        sourceLocation=name,
        timeout=1200,
        arguments=[{"name": "TOKEN", "value": "hush", "isSecret": True}],
        credentials={"customRegistries": {"other.example": {"userName": {"value": "u"}, "password": {"value": "pw"}}}},
    )
    order = await world.claim()
    facts = await world.facts()
    wire = msgspec.json.decode(msgspec.json.encode(order))
    assert set(wire) == {
        "run_uid", "run_id", "fence", "lease_s", "timeout_s", "cpu", "created_at", "registry", "credential",
        "custom_registries", "platform", "source", "request", "base_images", "secrets", "task_name",
    }  # fmt: skip
    assert wire["registry"] == {"uid": facts.uid, "name": "reg10", "login_server": "reg10.azurecr.localhost:8443"}
    assert wire["platform"] == {"os": "linux", "architecture": "amd64", "variant": None}
    assert wire["source"] == {"kind": "upload", "location": name, "token": None}
    assert (wire["timeout_s"], wire["created_at"], wire["task_name"]) == (1200, run.created_at_us, None)
    assert wire["request"]["type"] == "DockerBuildRequest"
    assert wire["request"]["arguments"] == [{"name": "TOKEN", "value": "hush", "isSecret": True}]
    assert wire["custom_registries"] == {"other.example": {"username": "u", "password": "pw"}}
    assert wire["credential"]["username"] == f"run.{run.uid}"
    assert wire["secrets"] == ["hush", "pw", wire["credential"]["password"]]
    size, content = await world.tasks.agents.read_source(order.run_uid, order.fence)
    assert (size, b"".join([piece async for piece in content])) == (11, b"the archive")


async def test_the_credential_outlives_the_time_by_ten_minutes_and_ends_with_the_run(world: World) -> None:
    await world.hello()
    await world.schedule(timeout=300)
    order = await world.claim()
    found = world.db.read_sync(find_run, order.run_uid, TENANT)
    assert found is not None
    holder, _ = found
    ((_, until_us),) = holder.credentials
    assert until_us == world.clock.now_us() + 900 * 1_000_000
    await world.finish(order)
    assert world.db.read_sync(find_run, order.run_uid, TENANT) is None


async def test_no_login_no_credential(world: World) -> None:
    await world.hello()
    await world.schedule(credentials={"sourceRegistry": {"loginMode": "None"}})
    order = await world.claim()
    assert order.credential is None
    assert order.secrets == []
    await world.finish(order)
    await world.resources.patch_registry(
        SUBSCRIPTION,
        "rg1",
        "reg10",
        RegistryPatch(properties={"abac": True}),
        author=(await world.get(order)).system_data.created_by,
    )
    await world.schedule()
    order = await world.claim()
    assert order.credential is None
    await world.finish(order)
    await world.schedule(credentials={"sourceRegistry": {"identity": "[caller]"}})
    order = await world.claim()
    assert order.credential is not None
    with world.db.engine.connect() as connection:
        asked = select(run_credential.c.caller).where(run_credential.c.run_uid == order.run_uid)
        assert connection.execute(asked).scalar() == CALLER


async def test_requests_lie_sealed_in_the_database(world: World) -> None:
    secret = "s3cr3t-that-must-not-be-seen"
    await world.schedule(values=[{"name": "x", "value": secret, "isSecret": True}])
    if world.db.is_sqlite:
        assert world.db.engine.url.database is not None
        for suffix in ("", "-wal"):
            with open(world.db.engine.url.database + suffix, "rb") as file:  # noqa: ASYNC230
                content = file.read()
            assert secret.encode() not in content
            assert base64.b64encode(secret.encode()) not in content
    await world.hello()
    assert (await world.claim()).secrets[0] == secret


async def test_well_known_bases_are_found_in_the_run_s_own_registry(world: World) -> None:
    facts, other = await world.facts(), await world.facts("reg20")

    def create(tx: Tx, uid: str, name: str) -> None:
        repositories.insert_new(tx, uid, RepositoryName.parse(name))
        tx.emit(registry_stream(uid, "westus"), RepositoryCreated(repository=name))

    world.db.transact_sync(create, facts.uid, "dotnet/runtime")
    world.db.transact_sync(create, other.uid, "hello-world")
    await world.hello()
    await world.schedule()
    order = await world.claim()
    assert order.base_images == {"mcr.microsoft.com/dotnet/runtime": "reg10.azurecr.localhost:8443/dotnet/runtime"}
    configured = BaseImages(
        {"mcr.microsoft.com/dotnet/runtime": "reg20.x/base", "alpine": "reg20.x/alpine"}, list_repositories
    )
    assert world.db.read_sync(configured.resolve, facts) == {
        "mcr.microsoft.com/dotnet/runtime": "reg20.x/base",
        "alpine": "reg20.x/alpine",
    }


async def test_the_end_keeps_what_was_pushed_and_what_it_was_made_from(world: World) -> None:
    await world.hello()
    await world.schedule()
    order = await world.claim()
    images = (
        ImageDescriptor(registry="r", repository="a", tag="v1", digest="sha256:1"),
        ImageDescriptor(registry="r", repository="b", tag="v1"),
    )
    dependencies = ({"image": {"repository": "a"}, "git": {"git-head-revision": "0f"}},)
    await world.tasks.agents.append_log(order.run_uid, AGENT, order.fence, 0, b"done\r\n")
    await world.finish(order, output_images=images, dependencies=dependencies)
    run = await world.get(order)
    assert (run.output_images, run.dependencies, run.log_size) == (images, dependencies, 6)
