"""What of a folder is packed, under which names, and that the same folder gives the same bytes."""

from __future__ import annotations

import os
import socket
import tarfile
from pathlib import Path

import pytest

from darsena.client.context import build_context, is_remote, task_context
from darsena.client.pack import Packed, pack
from darsena.core.errors import RequestInvalid


def no_stdin() -> bytes:
    raise AssertionError("stdin was read")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "Dockerfile").write_text("FROM scratch\n")
    return root


def packed_members(packed: Packed) -> dict[str, tarfile.TarInfo]:
    with packed, tarfile.open(fileobj=packed.file) as archive:
        return {member.name: member for member in archive.getmembers()}


def pack_folder(
    root: Path, dockerfile: str | None = None, skipped: list[str] | None = None
) -> dict[str, tarfile.TarInfo]:
    context = build_context(str(root), dockerfile, no_stdin)
    said = skipped if skipped is not None else []
    return packed_members(pack(context.entries(lambda path, why: said.append(f"{path}: {why}")), context.extra))


def test_links_stay_links_and_are_never_followed(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to("/etc/passwd")
    (root / "dangling").symlink_to("../nowhere")
    members = pack_folder(root)
    assert {name: member.linkname for name, member in members.items() if member.issym()} == {
        "folder": str(outside),
        "file": "/etc/passwd",
        "dangling": "../nowhere",
    }
    assert "folder/secret" not in members


def test_what_is_no_file_is_left_out_and_said(root: Path) -> None:
    os.mkfifo(root / "pipe")
    said: list[str] = []
    folder = os.getcwd()
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(root)
        try:
            listener.bind("socket")
        finally:
            os.chdir(folder)
        members = pack_folder(root, skipped=said)
    assert sorted(members) == ["Dockerfile"]
    assert sorted(said) == ["pipe: a pipe cannot be sent", "socket: a socket cannot be sent"]


def test_modes_are_kept_and_owners_are_not(root: Path) -> None:
    (root / "tool").write_text("#!/bin/sh\n")
    (root / "tool").chmod(0o755)
    os.utime(root / "tool", (1_000_000_000, 1_000_000_000))
    member = pack_folder(root)["tool"]
    assert (member.mode, member.mtime, member.uid, member.gid, member.uname) == (0o755, 1_000_000_000, 0, 0, "")


def test_the_same_folder_gives_the_same_bytes(root: Path) -> None:
    for name in ("b", "a", "ñ", "Z"):
        (root / name).mkdir()
        (root / name / "file").write_text(name * 1000)
    contents: list[bytes] = []
    for _ in range(2):
        context = build_context(str(root), None, no_stdin)
        with pack(context.entries(lambda path, why: None)) as packed:
            contents.append(packed.file.read())
            assert len(contents[-1]) == packed.size_bytes
    assert contents[0] == contents[1]


def test_names_that_are_long_or_not_utf8(root: Path) -> None:
    long = "d" * 200
    (root / long).mkdir()
    (root / long / ("f" * 200)).write_text("x")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")).write_text("x")
    members = pack_folder(root)
    assert f"{long}/{'f' * 200}" in members
    assert os.fsdecode(b"\xff\xfe") in members


def test_a_directory_is_there_when_something_in_it_comes_back(root: Path) -> None:
    for name in ("keep", "drop"):
        (root / "dir" / name).mkdir(parents=True)
        (root / "dir" / name / "file").write_text("x")
    (root / ".dockerignore").write_text("*\n!dir/keep\n")
    context = build_context(str(root), None, no_stdin)
    names = list(packed_members(pack(context.entries(lambda path, why: None))))
    assert names == ["dir", "dir/keep", "dir/keep/file"]


def test_the_ignore_file_beside_the_dockerfile_wins(root: Path) -> None:
    (root / "docker").mkdir()
    (root / "docker" / "web.Dockerfile").write_text("FROM scratch\n")
    (root / ".dockerignore").write_text("one\n")
    (root / "docker" / "web.Dockerfile.dockerignore").write_text("two\n")
    (root / "one").write_text("1")
    (root / "two").write_text("2")
    assert "one" not in pack_folder(root)
    members = pack_folder(root, str(root / "docker" / "web.Dockerfile"))
    assert ("one" in members, "two" in members) == (True, False)


def test_a_dockerfile_that_is_ignored_is_added_under_another_name(root: Path) -> None:
    (root / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")
    context = build_context(str(root), None, no_stdin)
    members = packed_members(pack(context.entries(lambda path, why: None), context.extra))
    assert list(members) == [context.file_name]
    assert context.file_name.endswith("_Dockerfile")


def test_where_the_dockerfile_is_looked_for(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "sub").mkdir()
    (root / "sub" / "Dockerfile").write_text("FROM a\n")
    (tmp_path / "here.Dockerfile").write_text("FROM b\n")
    monkeypatch.chdir(tmp_path)
    assert build_context("root", "root/sub/Dockerfile", no_stdin).file_name == "sub/Dockerfile"
    assert build_context("root", "sub/Dockerfile", no_stdin).file_name == "sub/Dockerfile"
    assert build_context("root", "here.Dockerfile", no_stdin).extra[0].content == b"FROM b\n"
    assert build_context("root", "-", lambda: b"FROM c\n").extra[0].content == b"FROM c\n"
    with pytest.raises(RequestInvalid, match="does not exist"):
        build_context("root", "none.Dockerfile", no_stdin)
    with pytest.raises(RequestInvalid, match="is a folder"):
        build_context("root", "root/sub", no_stdin)


def test_a_dockerfile_behind_a_link_goes_by_its_text(root: Path) -> None:
    (root / "real").write_text("FROM a\n")
    (root / "link").symlink_to("real")
    context = build_context(str(root), str(root / "link"), no_stdin)
    assert context.extra[0].content == b"FROM a\n"


def test_a_task_file_is_looked_for_in_the_folder_first(root: Path) -> None:
    (root / "acb.yaml").write_text("steps: []\n")
    assert task_context(str(root), "acb.yaml").file_name == "acb.yaml"


def test_a_bad_ignore_line_is_refused_by_name(root: Path) -> None:
    (root / ".dockerignore").write_text("ok\n[z-a]\n")
    with pytest.raises(RequestInvalid, match=r"\[z-a\]"):
        build_context(str(root), None, no_stdin)


@pytest.mark.parametrize("location", ["no/such", "Dockerfile"])
def test_a_context_is_a_folder(root: Path, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    with pytest.raises(RequestInvalid):
        build_context(location, None, no_stdin)


@pytest.mark.parametrize(
    ("location", "remote"),
    [
        ("https://github.com/a/b.git#main:dir", True),
        ("https://github.com/a/b", True),
        ("git@github.com:a/b.git", True),
        ("git://host/a", True),
        ("https://host/a.tar.gz", True),
        ("oci://registry/a:b", True),
        ("host.example/a.git#:dir", True),
        (".", False),
        ("/dev/null", False),
        ("folder", False),
    ],
)
def test_remote_locations(location: str, remote: bool) -> None:
    assert is_remote(location) is remote


def test_a_folder_that_looks_like_a_repository_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.git").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not is_remote("app.git")
