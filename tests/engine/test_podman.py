"""The podman driver on this machine, in the mode that root gets by default and in the fallback."""

from __future__ import annotations

import io
import json
import tarfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from ssl import create_default_context
from typing import Any

import pytest
from enginebench import BUSYBOX, Bench

from darsena.engine.podman.cgroups import detect
from darsena.engine.port import ContainerSpec, Mode, RunScope, StepFault

MODES: list[Mode | None] = [None, "root"]
Make = Callable[..., Bench]


async def run(bench: Bench, scope: RunScope, image: str, *words: str, **changes: Any) -> tuple[int, str]:
    said = bytearray()
    given: dict[str, Any] = {"step_id": "a", "image": image, "arguments": words}
    return await bench.engine.run(scope, ContainerSpec(**(given | changes)), said.extend), said.decode()


def cgroups(run_uid: str) -> list[Path]:
    """In every tree, those included that we never joined."""
    return [tree for tree in Path("/sys/fs/cgroup").glob("**/darsena/*") if tree.name == run_uid]


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


def fetch(bench: Bench, path: str) -> bytes:
    request = urllib.request.Request(f"https://127.0.0.1:{bench.upstream.port}/v2/{path}")
    request.add_header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
    context = create_default_context(cafile=str(bench.upstream.ca_file))
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:
        return bytes(answer.read())


async def test_probe(make_bench: Make) -> None:
    info = await make_bench().engine.probe()
    assert (info.engine, info.mode) == ("podman", "dedicated-user")
    assert "podman 4" in info.version
    assert info.platforms[0].startswith("linux/")
    assert not [fault for fault in info.faults if fault.stops]


@pytest.mark.parametrize("mode", MODES)
async def test_layers_are_owned_by_root(make_bench: Make, mode: Mode | None) -> None:
    """Known to go wrong silently: some ways to build write the mapped owner into layers."""
    bench = make_bench(mode)
    await bench.seed()
    scope = await bench.open()
    reference = f"{bench.upstream.host('reg')}/owned-{mode}:v1".lower()
    await bench.engine.pull(scope, "mcr.microsoft.com/hello-world", "linux/amd64")
    make = "mkdir /made && echo x > /made/x && chown 7:8 /made/x"
    text = f"FROM mcr.microsoft.com/hello-world\nCOPY busybox /put\nRUN {make}\n"
    code, said = await bench.build(scope, text, tags=(reference,))
    assert code == 0, said
    digest = await bench.engine.push(scope, reference, lambda _: None)
    assert digest.startswith("sha256:")
    repository = reference.partition("/")[2].rpartition(":")[0]
    manifest = json.loads(fetch(bench, f"{repository}/manifests/{digest}"))
    owners: dict[str, tuple[int, int]] = {}
    for layer in manifest["layers"][-2:]:
        with tarfile.open(fileobj=io.BytesIO(fetch(bench, f"{repository}/blobs/{layer['digest']}"))) as archive:
            owners |= {member.name.rstrip("/"): (member.uid, member.gid) for member in archive}
    assert owners["put"] == owners["made"] == (0, 0)
    assert owners["made/x"] == (7, 8)
    await bench.engine.close(scope)


@pytest.mark.parametrize("mode", MODES)
async def test_steps_are_isolated_and_find_each_other(make_bench: Make, mode: Mode | None) -> None:
    bench = make_bench(mode)
    image = await bench.seed()
    scope = await bench.open()
    await bench.engine.pull(scope, image, "linux/amd64")
    await bench.engine.create_network(scope, "net", ("web", "a"))
    serve = "mkdir /w && echo served > /w/index.html && exec httpd -f -h /w -p 80"
    code, said = await run(bench, scope, image, "sh", "-c", serve, step_id="web", network="net", detach=True)
    assert code == 0, said
    ask = "for i in 1 2 3 4 5; do wget -q -O - http://web/ && break; sleep 1; done"
    assert await run(bench, scope, image, "sh", "-c", ask, network="net") == (0, "served\n")
    look = "ls /proc | grep -c '^[0-9]'; nc -w 1 169.254.169.254 80 </dev/null >/dev/null 2>&1; echo $?; id -u"
    code, said = await run(bench, scope, image, "sh", "-c", look)
    processes, metadata, uid = said.split()
    assert int(processes) < 8
    assert metadata != "0"
    assert uid == "0"
    assert await run(bench, scope, image, "sh", "-c", "exit 5") == (5, "")
    volumes = ((scope.workspace, "/workspace"),)
    code, said = await run(
        bench, scope, image, "sh", "-c", "echo $A > /workspace/f", volumes=volumes, environment={"A": "b c"}
    )
    assert (scope.workspace / "f").read_text() == "b c\n"
    await bench.engine.close(scope)


@pytest.mark.parametrize("mode", MODES)
async def test_nothing_is_left_after_close(make_bench: Make, mode: Mode | None) -> None:
    bench = make_bench(mode)
    image = await bench.seed()
    before = mounts()
    scope = await bench.open()
    await bench.engine.pull(scope, image, "linux/amd64")
    await run(bench, scope, image, "sh", "-c", "trap '' TERM; setsid sleep 99 & sleep 99", detach=True)
    session = bench.engine._sessions[scope.spec.run_uid]
    assert session.sandbox.cgroup.pids()
    await bench.engine.close(scope)
    await bench.engine.close(scope)
    assert not session.sandbox.cgroup.pids()
    assert not cgroups(scope.spec.run_uid)
    assert list((bench.state / "runs").iterdir()) == []
    assert mounts() == before


async def test_secret_arguments_stand_in_no_command_line(make_bench: Make) -> None:
    bench = make_bench()
    await bench.seed()
    scope = await bench.open()
    await bench.engine.pull(scope, "mcr.microsoft.com/hello-world", "linux/amd64")
    seen: list[bytes] = []

    def watch(_: bytes) -> None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(path.read_bytes())
            except OSError:
                continue

    spec = {"secret_arguments": {"WORD": "the-secret-word"}, "arguments": {"PLAIN": "plain-word"}}
    text = "FROM mcr.microsoft.com/hello-world\nARG WORD\nARG PLAIN\nRUN test $WORD = the-secret-word && echo ok\n"
    original = bench.engine.build

    async def build(scope: RunScope, given: Any, sink: Callable[[bytes], None]) -> int:
        def both(chunk: bytes) -> None:
            watch(chunk)
            sink(chunk)

        return await original(scope, given, both)

    bench.engine.build = build  # pyright: ignore
    code, said = await bench.build(scope, text, **spec)
    assert code == 0, said
    tools = [line for line in seen if b"buildah" in line]
    assert any(b"PLAIN=plain-word" in line for line in tools)
    assert not any(b"the-secret-word" in line for line in tools if b"/bin/sh\0-c\0" not in line or b"bud" in line)
    with pytest.raises(StepFault):
        await bench.build(scope, text, secret_arguments={"LD_PRELOAD": "/workspace/evil.so"})
    await bench.engine.close(scope)


async def test_processes_are_bounded(make_bench: Make) -> None:
    bench = make_bench()
    image = await bench.seed()
    scope = await bench.open(pids_max=64)
    await bench.engine.pull(scope, image, "linux/amd64")
    bomb = "i=0; while [ $i -lt 200 ]; do sleep 5 & i=$((i+1)); done; echo all; wait"
    code, said = await run(bench, scope, image, "sh", "-c", bomb)
    assert code != 0 or "all" not in said
    await bench.engine.close(scope)


async def test_a_digest_a_tag_and_what_is_not_there(make_bench: Make) -> None:
    bench = make_bench()
    await bench.seed()
    scope = await bench.open()
    image = await bench.engine.pull(scope, "mcr.microsoft.com/hello-world:latest", "linux/amd64")
    assert image.digest is not None
    again = await bench.open()
    by_digest = await bench.engine.pull(again, f"mcr.microsoft.com/hello-world@{image.digest}", "linux/amd64")
    assert by_digest.digest == image.digest
    text = f"FROM mcr.microsoft.com/hello-world@{image.digest}\nRUN echo by-digest\n"
    code, said = await bench.build(again, text)
    assert code == 0, said
    await bench.engine.tag(scope, "mcr.microsoft.com/hello-world", "other:2")
    assert await bench.engine.find_image(scope, "other:2") is not None
    assert await bench.engine.find_image(scope, "other:3") is None
    with pytest.raises(StepFault, match="cannot be had"):
        await bench.engine.pull(scope, f"{bench.upstream.host('reg')}/none", "linux/amd64")
    await bench.engine.close(scope)
    await bench.engine.close(again)


async def test_the_users_own_engine_state_is_untouched(make_bench: Make) -> None:
    places = [Path.home() / ".config/containers", Path.home() / ".local/share/containers", Path("/var/lib/containers")]
    before = {place: _listing(place) for place in places}
    bench = make_bench("root")
    scope = await bench.open()
    code, said = await bench.build(scope, BUSYBOX)
    assert code == 0, said
    assert (await run(bench, scope, "x:1", "echo", "y")) == (0, "y\n")
    await bench.engine.close(scope)
    assert {place: _listing(place) for place in places} == before


def _listing(place: Path) -> list[tuple[str, float]]:
    return sorted((str(path), path.lstat().st_mtime) for path in place.rglob("*")) if place.exists() else []


def test_cgroups_version_2_layout(tmp_path: Path) -> None:
    """One tree: tools in a leaf, containers beside it, the subtree given to the build user."""
    (tmp_path / "mountinfo").write_text(f"30 1 0:26 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "cgroup").write_text("0::/user.slice\n")
    tree = detect((1, 1), rootless=True, proc=tmp_path)
    assert tree.unified
    assert tree.roots == (tmp_path,)
    found = tree.find("u1")
    assert found.entries == (tmp_path / "darsena/u1/tools/cgroup.procs",)
    assert found.parent == "/darsena/u1"


@pytest.mark.parametrize("mode", MODES)
async def test_a_later_run_of_the_registry_finds_the_layers(make_bench: Make, mode: Mode | None) -> None:
    """And one of another registry does not; nor does one that asks for none."""
    bench = make_bench(mode)
    await bench.seed()
    text = "FROM mcr.microsoft.com/hello-world\nRUN echo ran-once > /x\nCOPY busybox /b\nRUN echo ran-$(cat /x)\n"

    async def once(registry: str, **changes: object) -> str:
        scope = await bench.open(registry_uid=registry)
        await bench.engine.pull(scope, "mcr.microsoft.com/hello-world", "linux/amd64")
        code, said = await bench.build(scope, text, **changes)
        assert code == 0, said
        assert (await run(bench, scope, "x:1", "cat", "/x")) == (0, "ran-once\n")
        await bench.engine.settle(scope)
        await bench.engine.close(scope)
        return said

    assert "ran-ran-once" in await once("c" * 32)
    again = await once("c" * 32)
    assert "Using cache" in again
    assert "ran-ran-once" not in again
    assert "ran-ran-once" in await once("d" * 32)
    assert "ran-ran-once" in await once("c" * 32, no_cache=True)
