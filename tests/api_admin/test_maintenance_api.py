"""gc, fsck and sizes over HTTP: what they answer, and to whom."""

from __future__ import annotations

import pytest

from darsena.core.digest import Digest

from .conftest import NAME, Admin

ROUTES = [
    ("POST", "gc", {}, "write", None),
    ("POST", "gc", {"dryRun": True}, "read", None),
    ("POST", "gc", {"registry": NAME}, "write", NAME),
    ("POST", "gc", {"registry": NAME, "dryRun": True}, "read", NAME),
    ("GET", "gc", None, "read", None),
    ("GET", f"gc?registry={NAME}", None, "read", NAME),
    ("GET", "gc/77", None, "read", None),
    ("POST", "gc/pause", None, "write", None),
    ("POST", "gc/resume", None, "write", None),
    ("POST", "fsck", {}, "write", None),
    ("POST", "fsck", {"registry": NAME}, "write", NAME),
    ("GET", f"sizes/{NAME}", None, "read", NAME),
    ("GET", f"sizes/{NAME}?repository=shop/web", None, "read", NAME),
    ("GET", "sizes/absent", None, "read", None),
    ("POST", "gc", {"registry": "absent"}, "write", None),
]
MAY = {
    "owner": {("read", None), ("read", NAME), ("write", None), ("write", NAME)},
    "reader": {("read", None), ("read", NAME)},
    "registry_owner": {("read", NAME), ("write", NAME)},
    "puller": set(),
    "nobody": set(),
}


@pytest.mark.parametrize("who", [*MAY, None])
async def test_who_may_what(admin: Admin, who: str | None) -> None:
    for method, path, body, right, registry in ROUTES:
        answer = await admin(method, path, body, who=who)
        if who is None:
            assert answer.status == 401, path
        elif (right, registry) in MAY[who]:
            assert answer.status in (200, 202, 404, 409), (path, answer.content)
        else:
            assert answer.status == 403, (path, answer.content)


async def test_gc(admin: Admin) -> None:
    await admin.blob("shop/web", b"layer")
    assert (await admin("GET", "gc")).status == 404
    plan = (await admin("POST", "gc", {"dryRun": True})).json
    assert (plan["blobs"], plan["waiting"]) == ({"number": 0, "bytes": 0}, {"number": 1, "bytes": 5})
    plan = (await admin("POST", "gc", {"dryRun": True, "graceSeconds": 0, "registry": NAME})).json
    assert plan["digests"] == [{"digest": str(Digest.of(b"layer")), "bytes": 5}]
    assert (plan["bytes"], plan["links"]) == (5, 1)

    started = await admin("POST", "gc", {"graceSeconds": 0, "registry": NAME.upper()})
    assert (started.status, started.json["status"], started.json["registry"]) == (202, "Queued", NAME)
    assert (await admin("POST", "gc/pause")).json["status"] == "Paused"
    assert (await admin("POST", "gc", {})).status == 409
    assert (await admin("POST", "gc/resume")).json["status"] == "Queued"
    admin.clock.advance(60)
    assert await admin.maintenance.gc.run_due()
    run = (await admin("GET", f"gc/{started.json['id']}")).json
    assert (run["status"], run["progress"]["blobsRemoved"], run["progress"]["bytesFreed"]) == ("Succeeded", 1, 5)
    assert (await admin("GET", f"gc?registry={NAME}")).json == run
    assert (await admin("GET", f"gc/{run['id']}", who="registry_owner")).json == run


@pytest.mark.parametrize("body", [{"graceSeconds": -1}, {"graceSeconds": 1e12}, {"graceSeconds": "x"}, {"dryRun": 1}])
async def test_bad_requests(admin: Admin, body: object) -> None:
    assert (await admin("POST", "gc", body)).status == 400


@pytest.mark.parametrize("run", ["0", "99", "-1", "x", "9" * 30, "%C2%B2"])
async def test_unknown_runs(admin: Admin, run: str) -> None:
    assert (await admin("GET", f"gc/{run}")).status == 404


async def test_fsck(admin: Admin) -> None:
    digest = await admin.blob("shop/web", b"layer")
    *_, end = await admin.lines({})
    assert end["verdict"] == "clean"
    assert (end["registries"], end["blobs"], end["bytes"]) == (2, 1, 5)
    admin.storage.layout.blob(admin.registry.uid, digest).unlink()
    found, end = await admin.lines({"registry": NAME})
    assert found["line"] == "finding"
    assert (found["kind"], found["severity"], found["registry"]) == ("blob.bytes_missing", "lost", NAME)
    assert (end["verdict"], end["findings"], end["repaired"]) == ("lost", 1, 0)
    *_, end = await admin.lines({"repair": True}, who="owner")
    assert end["repaired"] >= 1
    await admin.blob("shop/web", b"layer")
    assert (await admin.lines({}))[-1]["verdict"] == "clean"


async def test_sizes(admin: Admin) -> None:
    await admin.blob("shop/web", b"only here")
    for repository in ("shop/web", "shop/api"):
        await admin.blob(repository, b"both")
    size = (await admin("GET", f"sizes/{NAME}?repository=shop/web")).json
    assert (size["ownBytes"], size["sharedBytes"], size["freedBytes"]) == (13, 4, 9)
    whole = (await admin("GET", f"sizes/{NAME}")).json
    assert [row["name"] for row in whole["repositories"]] == ["shop/api", "shop/web"]
    assert whole["storedBytes"] == whole["singleBytes"] + whole["sharedBytes"] + whole["unlinkedBytes"] == 13
    assert (await admin("GET", f"sizes/{NAME}?repository=absent")).status == 404
    assert (await admin("GET", f"sizes/{NAME}?repository=Not-A-Name")).status == 400
