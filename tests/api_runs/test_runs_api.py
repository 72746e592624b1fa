"""ARM's runs as `az` and the SDKs call them (tasks-wire, sections 1 to 6)."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import pytest

from darsena.api.arm import ArmContext
from darsena.api.arm.children import list_child_routes
from darsena.api.arm_runs import RunsEdge
from darsena.api.blob import BlobEdge
from darsena.api.router import Router
from darsena.core.errors import AccessDenied, Unauthenticated
from darsena.identity.model import Principal
from darsena.resources.model import Author, RegistryPatch
from darsena.tasks.model import ImageDescriptor
from runs_world import AGENT, CONTROL, SUBSCRIPTION, TASK, TENANT, Answer, World, ask

VERSION = "2025-03-01-preview"
RUN = {"type": "EncodedTaskRunRequest", "encodedTaskContent": TASK, "platform": {"os": "Linux"}}


@dataclass
class Gate:
    """Tokens are names; each may do what ends in one of its words."""

    rights: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {"owner": ("",), "reader": ("/read",), "stranger": ()}
    )

    async def authenticate_arm(self, authorization: bytes | None) -> Principal:
        name = (authorization or b"").decode().removeprefix("Bearer ")
        if name not in self.rights:
            raise Unauthenticated("Authentication failed.")
        return Principal(id=1, object_id="0b1f6471", kind="user", name=f"{name}@example.com", tenant_id=TENANT)

    async def authorize_arm(self, principal: Principal, action: str, scope: str) -> None:
        assert scope.lower().endswith("/registries/reg10")
        assert action.startswith(
            ("Microsoft.ContainerRegistry/registries/", "Microsoft.Insights/", "Microsoft.Authorization/")
        )
        if not any(action.endswith(word) for word in self.rights[principal.name.partition("@")[0]]):
            raise AccessDenied(f"{principal.name} may not {action}")


class Arm:
    def __init__(self, world: World) -> None:
        self.world = world
        context = ArmContext(
            resources=world.resources,
            gate=Gate(),
            control_url=CONTROL,
            tenant_id=TENANT,
            subscription_id=SUBSCRIPTION,
        )
        runs = RunsEdge(context, world.tasks.runs, world.tasks.blobs)
        self.router = Router([*runs.routes, *list_child_routes(context)], ignore_case=True)
        self.base = (
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg1/providers/Microsoft.ContainerRegistry/registries/reg10"
        )

    async def __call__(self, method: str, path: str, body: Any = None, *, token: str = "owner", **query: str) -> Answer:
        await self.world.registry()
        pairs = {"api-version": VERSION, **{f"${name}": value for name, value in query.items()}}
        search = "&".join(f"{name}={quote(value)}" for name, value in pairs.items())
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {"authorization": f"Bearer {token}"}
        return await ask(self.router, method, f"{self.base}/{path}?{search}", content, headers, host="localhost:8443")

    async def follow(self, link: str) -> Answer:
        parts = urlsplit(link)
        assert f"{parts.scheme}://{parts.netloc}" == CONTROL
        return await ask(self.router, "GET", f"{parts.path}?{parts.query}", headers={"authorization": "Bearer owner"})


@pytest.fixture
def arm(world: World) -> Arm:
    return Arm(world)


async def test_schedule_run_answers_the_little_that_the_service_does(arm: Arm) -> None:
    answer = await arm("POST", "scheduleRun", RUN)
    assert answer.status == 200
    run_id = answer.json["name"]
    assert re.fullmatch(r"c[a-z]1", run_id)
    assert answer.json == {
        "type": "Microsoft.ContainerRegistry/registries/runs",
        "properties": {
            "runId": run_id,
            "status": "Queued",
            "lastUpdatedTime": "2023-11-14T22:13:20+00:00",
            "provisioningState": "Succeeded",
            "isArchiveEnabled": False,
        },
        "id": f"{arm.base}/runs/{run_id}",
        "name": run_id,
        "systemData": {
            "createdBy": "owner@example.com",
            "createdByType": "User",
            "createdAt": "2023-11-14T22:13:20.0000000+00:00",
            "lastModifiedBy": "owner@example.com",
            "lastModifiedByType": "User",
            "lastModifiedAt": "2023-11-14T22:13:20.0000000+00:00",
        },
    }


async def test_the_whole_way_of_az_acr_build(arm: Arm) -> None:
    world = arm.world
    upload = (await arm("POST", "listBuildSourceUploadUrl")).json
    blobs = Router(BlobEdge(world.tasks.blobs).routes)
    target = urlsplit(upload["uploadUrl"])
    put = await ask(blobs, "PUT", f"{target.path}?{target.query}", b"tar.gz", {"x-ms-blob-type": "BlockBlob"})
    assert put.status == 201
    scheduled = await arm(
        "POST",
        "scheduleRun",
        {
            "type": "DockerBuildRequest",
            "imageNames": ["sample/hello-world:{{.Run.ID}}"],
            "isPushEnabled": True,
            "sourceLocation": upload["relativePath"],
            "platform": {"os": "linux", "architecture": "amd64"},
            "dockerFilePath": "0123456789abcdef0123456789abcdef_Dockerfile",
            "arguments": [{"type": "Argument", "name": "A", "value": "hush", "isSecret": True}],
            "credentials": {"customRegistries": {"other.example": {"userName": {"value": "u", "type": "Opaque"},
                                                                   "password": {"value": "pw", "type": "Opaque"}}}},
        },
    )  # fmt: skip
    run_id = scheduled.json["properties"]["runId"]
    link = (await arm("POST", f"runs/{run_id}/listLogSasUrl")).json["logLink"]
    log = urlsplit(link)
    assert (await ask(blobs, "HEAD", f"{log.path}?{log.query}")).headers["content-length"] == "0"
    await world.hello()
    order = await world.claim()
    await world.tasks.agents.beat(order.run_uid, AGENT, order.fence)
    await world.tasks.agents.append_log(order.run_uid, AGENT, order.fence, 0, b"Step 1/1\r\n")
    world.pass_time(1.5)
    image = ImageDescriptor(registry="r", repository="sample/hello-world", tag=run_id, digest="sha256:" + "a" * 64)
    await world.finish(order, output_images=(image,))
    shown = (await arm("GET", f"runs/{run_id.upper()}")).json["properties"]
    assert shown == {
        "runId": run_id,
        "status": "Succeeded",
        "lastUpdatedTime": "2023-11-14T22:13:21+00:00",
        "runType": "QuickRun",
        "createTime": "2023-11-14T22:13:20.0000000+00:00",
        "startTime": "2023-11-14T22:13:20.0000000+00:00",
        "finishTime": "2023-11-14T22:13:21.5000000+00:00",
        "outputImages": [
            {"registry": "r", "repository": "sample/hello-world", "tag": run_id, "digest": "sha256:" + "a" * 64}
        ],
        "platform": {"os": "linux", "architecture": "amd64"},
        "agentConfiguration": {"cpu": 2},
        "customRegistries": ["other.example"],
        "provisioningState": "Succeeded",
        "isArchiveEnabled": False,
    }
    read = await ask(blobs, "GET", f"{log.path}?{log.query}", headers={"x-ms-range": "bytes=0-4095"})
    assert (read.status, read.content) == (206, b"Step 1/1\r\n")
    assert read.headers["x-ms-meta-complete"] == "successful"


async def test_a_run_that_waits_says_where_and_why(arm: Arm) -> None:
    await arm("POST", "scheduleRun", RUN)
    run_id = (await arm("POST", "scheduleRun", RUN)).json["name"]
    shown = (await arm("GET", f"runs/{run_id}")).json["properties"]
    assert (shown["queuePosition"], shown["queueReason"]) == (2, "no build agent is connected")


async def test_no_secret_is_shown(arm: Arm) -> None:
    await arm("POST", "scheduleRun", RUN | {"values": [{"name": "x", "value": "hush", "isSecret": True}]})
    for answer in (
        await arm("GET", "runs"),
        await arm("GET", f"runs/{(await arm('GET', 'runs')).json['value'][0]['name']}"),
    ):
        assert answer.status == 200
        assert b"hush" not in answer.content
        assert base64.b64encode(b"hush") not in answer.content


async def test_the_list_is_newest_first_and_top_is_how_many_in_all(arm: Arm) -> None:
    names = [(await arm("POST", "scheduleRun", RUN)).json["name"] for _ in range(3)]
    listed = (await arm("GET", "runs")).json
    assert [run["name"] for run in listed["value"]] == names[::-1]
    assert "nextLink" not in listed
    last = (await arm("GET", "runs", top="1")).json
    assert ([run["name"] for run in last["value"]], "nextLink" in last) == ([names[2]], False)
    filtered = (await arm("GET", "runs", filter="Status eq 'Running'", top="15")).json
    assert filtered == {"value": []}


async def test_a_long_list_goes_on_at_its_link(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darsena.api.arm_runs.PAGE", 2)
    names = [(await arm("POST", "scheduleRun", RUN)).json["name"] for _ in range(5)]
    for top, expected in ((None, names[::-1]), ("3", names[:1:-1]), ("4", names[:0:-1]), ("9", names[::-1])):
        query = {"filter": "Status eq 'Queued'"} | ({} if top is None else {"top": top})
        answer = await arm("GET", "runs", **query)
        seen = [run["name"] for run in answer.json["value"]]
        while link := answer.json.get("nextLink"):
            answer = await arm.follow(link)
            assert answer.status == 200
            seen += [run["name"] for run in answer.json["value"]]
        assert seen == expected


async def test_a_run_can_be_kept(arm: Arm) -> None:
    run_id = (await arm("POST", "scheduleRun", RUN)).json["name"]
    kept = await arm("PATCH", f"runs/{run_id}", {"isArchiveEnabled": True})
    assert (kept.status, kept.json["properties"]["isArchiveEnabled"]) == (200, True)
    assert (await arm("PATCH", f"runs/{run_id}", {})).json["properties"]["isArchiveEnabled"] is True
    assert (await arm("PATCH", f"runs/{run_id}", {"isArchiveEnabled": "yes"})).status == 400


async def test_cancel(arm: Arm) -> None:
    run_id = (await arm("POST", "scheduleRun", RUN)).json["name"]
    answer = await arm("POST", f"runs/{run_id}/cancel")
    assert (answer.status, answer.content) == (200, b"")
    assert (await arm("GET", f"runs/{run_id}")).json["properties"]["status"] == "Canceled"
    again = await arm("POST", f"runs/{run_id}/cancel")
    assert (again.status, again.json["error"]["code"]) == (409, "Conflict")
    assert "Canceled" in again.json["error"]["message"]


async def test_what_is_refused(arm: Arm) -> None:
    for method, path, body, status, code in [
        ("POST", "scheduleRun", {}, 400, "InvalidRequestContent"),
        ("POST", "scheduleRun", RUN | {"timeout": 10}, 400, "InvalidRequestContent"),
        ("POST", "scheduleRun", RUN | {"timeout": "x"}, 400, "InvalidRequestContent"),
        ("POST", "scheduleRun", RUN | {"encodedTaskContent": "%"}, 400, "InvalidRequestContent"),
        ("POST", "scheduleRun", RUN | {"agentPoolName": "p1"}, 404, "ResourceNotFound"),
        ("POST", "scheduleRun", {"type": "TaskRunRequest", "taskId": "/x/tasks/t1"}, 404, "ResourceNotFound"),
        (
            "POST",
            "scheduleRun",
            RUN | {"sourceLocation": "source/202104141714/0b1f6471-1bf0-4dda-aec3-cb9272f09590.tar.gz"},
            400,
            "InvalidRequestContent",
        ),
        ("GET", "runs/zz9", None, 404, "ResourceNotFound"),
        ("GET", "runs/a.b", None, 404, "ResourceNotFound"),
        ("POST", "runs/zz9/cancel", None, 404, "ResourceNotFound"),
        ("POST", "runs/zz9/listLogSasUrl", None, 404, "ResourceNotFound"),
        ("PATCH", "runs/zz9", {"isArchiveEnabled": True}, 404, "ResourceNotFound"),
        ("GET", "tasks/t1", None, 404, "ResourceNotFound"),
        ("PUT", "tasks/t1", {"location": "westus"}, 400, "FeatureNotSupported"),
        ("POST", "tasks/t1/listDetails", None, 404, "ResourceNotFound"),
        ("PUT", "taskRuns/t1", {}, 400, "FeatureNotSupported"),
        ("PUT", "agentPools/p1", {}, 400, "BadRequest"),
        ("POST", "agentPools/p1/listQueueStatus", None, 404, "ResourceNotFound"),
    ]:
        answer = await arm(method, path, body)
        assert (answer.status, answer.json["error"]["code"]) == (status, code), (method, path, body)
    for query in ({"top": "0"}, {"top": "x"}, {"skipToken": "x"}, {"filter": "Status is 'x'"}):
        assert (await arm("GET", "runs", **query)).status == 400, query
    for path in ("tasks", "taskRuns", "agentPools"):
        assert (await arm("GET", path)).json == {"value": []}
        assert (await arm("DELETE", f"{path}/x")).status == 204


async def test_a_runs_own_identity_is_refused_where_it_would_count(arm: Arm) -> None:
    """In a registry that gives access by repository; elsewhere it has no effect (tasks-wire, section 7)."""
    body = {**RUN, "credentials": {"sourceRegistry": {"loginMode": "Default", "identity": "[system]"}}}
    assert (await arm("POST", "scheduleRun", body)).status == 200
    await arm.world.resources.patch_registry(
        SUBSCRIPTION,
        "rg1",
        "reg10",
        RegistryPatch(properties={"abac": True}),
        author=Author(name="ana@example.com", kind="User"),
    )
    refused = await arm("POST", "scheduleRun", body)
    assert (refused.status, refused.json["error"]["code"]) == (400, "FeatureNotSupported")
    assert "'[system]'" in refused.json["error"]["message"]
    for credentials in (None, {"sourceRegistry": {"identity": None}}, {"sourceRegistry": {"identity": "[Caller]"}}):
        assert (await arm("POST", "scheduleRun", {**RUN, "credentials": credentials})).status == 200


async def test_every_route_of_a_registry_asks_for_its_right(arm: Arm) -> None:
    run_id = (await arm("POST", "scheduleRun", RUN)).json["name"]
    for route in arm.router.routes:
        if "/{registry}/" not in route.pattern:
            continue
        path = route.pattern.partition("/{registry}/")[2].replace("{run}", run_id).replace("{child}", "x")
        assert (await arm(route.method, path, {}, token="nobody")).status == 401
        assert (await arm(route.method, path, {}, token="stranger")).status == 403
        reading = await arm(route.method, path, {}, token="reader")
        assert (reading.status == 403) is (route.method != "GET"), path


async def test_a_run_of_another_registry_is_not_found_here(arm: Arm) -> None:
    await arm.world.registry()
    other = await arm.world.schedule("reg20")
    assert (await arm("GET", f"runs/{other.run_id}")).status == 404
    name = await arm.world.upload("reg20")
    answer = await arm("POST", "scheduleRun", RUN | {"sourceLocation": name})
    assert answer.status == 400
