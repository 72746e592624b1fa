"""The hot path answers what it can exactly as the ordinary path does, and leaves all else to it (SQLite only)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from darsena.core.media_types import DOCKER_MANIFEST, OCI_CONFIG, OCI_MANIFEST
from darsena.db import Database

from .test_acr_v1 import patch
from .world import REGISTRIES, Answer, World, digest_of

BIG = bytes(1 << 21)


@pytest.fixture(params=["sqlite"])
def db(request: pytest.FixtureRequest, tmp_path: Any, clock: Any) -> Any:
    """Only the database that has a hot path."""
    from darsena.journal import append

    path = tmp_path / "darsena.db"
    path.write_bytes(request.getfixturevalue("sqlite_template").read_bytes())
    database = Database(f"sqlite:///{path}", clock=clock, before_commit=append, check_journal=True)
    yield database
    database.close()


async def fast(
    world: World, method: str, path: str, headers: dict[str, str] | None = None, **more: Any
) -> Answer | None:
    """The hot path alone."""
    registry = more.get("registry", "regone")
    lines = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    if (auth := more.get("auth", world.basic(registry))) is not None:
        lines.append((b"authorization", auth))
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"method": method, "raw_path": path.encode(), "headers": lines, "client": ("10.0.0.1", 1)}
    if not await world.edge.login_server.fast(scope, send, REGISTRIES[registry]):
        assert sent == []
        return None
    found = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    return Answer(method, sent[0]["status"], found, sent[1]["body"])


def comparable(answer: Answer | None) -> Any:
    assert answer is not None
    lines = [line for line in answer.lines if line[0] != "x-ms-correlation-request-id"]
    return answer.status, sorted(lines), answer.content


@pytest.fixture
async def digest(world: World) -> str:
    await world.push_blob("team/app", BIG)
    return (await world.push_image("team/app", "v1")).digest


async def test_the_same_answers(world: World, digest: str) -> None:
    layer, big = digest_of(b"layer"), digest_of(BIG)
    for path in ("manifests/v1", f"manifests/{digest}", f"blobs/{layer}", f"blobs/{big}"):
        for method in ("HEAD", "GET"):
            target = f"/v2/team/app/{path}"
            found = await fast(world, method, target)
            assert (found is None) == (method == "GET" and path == f"blobs/{big}"), path
            if found is not None:
                ordinary = await world.ask(method, target, headers={"range": "x"})  # a Range is not for the hot path
                assert comparable(found) == comparable(ordinary)
                assert comparable(await fast(world, method, target)) == comparable(ordinary)


async def test_what_is_left_to_the_ordinary_path(world: World, digest: str) -> None:
    target = "/v2/team/app/manifests/v1"
    assert await fast(world, "GET", target) is not None
    assert await fast(world, "GET", target, auth=None) is None
    assert await fast(world, "GET", target, auth=b"Bearer abc") is None
    assert await fast(world, "GET", target, auth=world.basic("regtwo")) is None
    assert await fast(world, "GET", target, registry="regtwo") is None
    assert await fast(world, "GET", target, {"if-none-match": f'"{digest}"'}) is None
    assert await fast(world, "GET", f"/v2/team/app/blobs/{digest_of(b'layer')}", {"range": "bytes=0-1"}) is None
    for path in (
        "/v2/",
        "/v2/team/app/tags/list",
        "/v2/team/app/manifests/none",
        "/v2/team/none/manifests/v1",
        "/v2/team%2Fapp/manifests/v1",
        "/v2/Team/app/manifests/v1",
        "/v2/team//app/manifests/v1",
        "/v2/team/app/manifests/sha256:abc",
        "/v2/team/app/blobs/v1",
        f"/v2/team/app/blobs/{digest}",
        f"/v2/team/app/manifests/{digest}\n",
    ):
        assert await fast(world, "GET", path) is None, path
    for method in ("PUT", "DELETE", "OPTIONS"):
        assert await fast(world, method, target) is None


@pytest.mark.parametrize("target", ["team/app", "team/app/_tags/v1", "team/app/_manifests/{digest}"])
async def test_a_lock_is_seen_at_once(world: World, digest: str, target: str) -> None:
    path = "/v2/team/app/manifests/v1"
    for enabled in (True, False, True):
        await patch(world, target.format(digest=digest), {"readEnabled": enabled})
        assert (await fast(world, "GET", path) is not None) == enabled
        assert (await world.ask("GET", path)).status == (200 if enabled else 405)


async def test_damaged_bytes_are_not_served(world: World, digest: str) -> None:
    """R9: neither from the database nor from a file."""
    (path,) = list(world.storage.layout.root.rglob(digest_of(b"layer")[7:]))
    path.write_bytes(path.read_bytes()[:-3] + b"abc")
    assert await fast(world, "GET", f"/v2/team/app/blobs/{digest_of(b'layer')}") is None
    damage = "UPDATE manifest SET sealed = substr(sealed, 1, length(sealed) - 1) || x'00'"
    world.db.transact_sync(lambda tx: tx.connection.exec_driver_sql(damage))
    assert await fast(world, "GET", "/v2/team/app/manifests/v1") is None


async def test_a_manifest_pushed_anew_has_its_new_media_type(world: World) -> None:
    await world.push_blob("team/app", b"{}")
    config = {"mediaType": OCI_CONFIG, "digest": digest_of(b"{}"), "size": 2}
    content = json.dumps({"schemaVersion": 2, "config": config, "layers": []}).encode()
    target = f"/v2/team/app/manifests/{digest_of(content)}"
    for media_type in (OCI_MANIFEST, DOCKER_MANIFEST):
        assert (await world.ask("PUT", target, content, headers={"content-type": media_type})).status == 201
        found = await fast(world, "GET", target)
        assert found is not None
        assert dict(found.lines)["content-type"] == media_type
        assert (await world.ask("DELETE", target)).status == 202
