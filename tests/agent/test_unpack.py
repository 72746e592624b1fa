"""Archives from anyone: unpacked inside the folder, with the build user's rights, or refused."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import pytest

from darsena.agent import unpack

Entry = tuple[str, bytes, str, str]


def pack(*entries: Entry, mode: str = "w:gz") -> bytes:
    """(name, tar type, link name, content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # pyright: ignore
        for name, kind, link, content in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.size, entry.mode = kind, link, len(content), 0o6755
            archive.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()


def run(folder: Path, archive: bytes, *, entries: int = 100, size: int = 10**9, ratio: int = 200) -> tuple[int, str]:
    folder.mkdir(exist_ok=True)
    os.chown(folder, 65534, 65534)
    argv = [sys.executable, "-I", unpack.__file__, str(folder), "65534", "65534"]
    limits = [str(len(archive)), str(entries), str(size), str(ratio)]
    done = subprocess.run([*argv, *limits], input=archive, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stderr.decode()


FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz", "w"])
def test_a_tree_with_inner_links(tmp_path: Path, mode: str) -> None:
    entries: list[Entry] = [
        ("d", tarfile.DIRTYPE, "", ""),
        ("./d/f", FILE, "", "text"),
        ("d/up", LINK, "../other", ""),
        ("other", FILE, "", "o"),
        ("hard", HARD, "d/f", ""),
        ("d/f2", FILE, "", "first"),
        ("d/f2", FILE, "", "second"),
    ]
    folder = tmp_path / "x"
    assert run(folder, pack(*entries, mode=mode)) == (0, "")
    assert (folder / "d/f2").read_text() == "second"
    assert (folder / "d/up").read_text() == "o"
    assert (folder / "hard").stat().st_ino == (folder / "d/f").stat().st_ino
    assert (folder / "d/f").stat().st_mode & 0o7777 == 0o755
    assert {path.lstat().st_uid for path in folder.rglob("*")} == {65534}


@pytest.mark.parametrize(
    "entries",
    [
        [("/etc/x", FILE, "", "x")],
        [("../x", FILE, "", "x")],
        [("a/../../x", FILE, "", "x")],
        [("l", LINK, "/etc", "")],
        [("l", LINK, "..", "")],
        [("d/l", LINK, "../../x", "")],
        [("l", LINK, "d", ""), ("d", LINK, "..", "")],
        [("a", LINK, "b/..", ""), ("b", LINK, ".", ""), ("c", LINK, "b/../..", "")],
        [("h", HARD, "/etc/passwd", "")],
        [("h", HARD, "../x", "")],
        [("l", LINK, "t", ""), ("h", HARD, "l", "")],
        [("p", tarfile.FIFOTYPE, "", "")],
        [("c", tarfile.CHRTYPE, "", "")],
        [("b", tarfile.BLKTYPE, "", "")],
        [("x" * 5000, FILE, "", "")],
    ],
)
def test_what_leads_out_is_refused(tmp_path: Path, entries: list[Entry]) -> None:
    (tmp_path / "x").mkdir()
    code, said = run(tmp_path / "x" / "inner", pack(*entries))
    assert code == 1
    assert said.startswith("failed to untar context: ")
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["inner"]


def test_bombs_are_refused(tmp_path: Path) -> None:
    many = pack(*[(f"f{i}", FILE, "", "") for i in range(11)])
    assert run(tmp_path / "a", many, entries=10)[0] == 1
    big = pack(("f", FILE, "", "0" * 2_000_000))
    assert run(tmp_path / "b", big, size=1_000_000)[0] == 1
    wide = pack(*[(f"f{i}", FILE, "", "0" * 60_000_000) for i in range(2)])
    code, said = run(tmp_path / "c", wide, ratio=10)
    assert code == 1
    assert "the limit for its size" in said


@pytest.mark.parametrize(
    "archive",
    [b"", b"nothing", b"\x1f\x8bbroken", pack(("f", FILE, "", "x" * 9999))[:-20]],
    ids=["empty", "text", "broken", "cut"],
)
def test_no_archives(tmp_path: Path, archive: bytes) -> None:
    code, said = run(tmp_path / "x", archive)
    assert code == 1
    assert "not an archive" in said


def test_a_time_beyond_all_clocks_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("f")
        entry.pax_headers = {"mtime": "1e300"}
        archive.addfile(entry)
    code, said = run(tmp_path / "x", buffer.getvalue())
    assert code == 1
    assert said.startswith("failed to untar context: ")


def test_a_header_that_unpacks_without_end_takes_no_memory(tmp_path: Path) -> None:
    size = 600 * 1024 * 1024
    header = tarfile.TarInfo("h")
    header.type, header.size = tarfile.XHDTYPE, size
    packer = zlib.compressobj(1, wbits=31)
    parts = [packer.compress(header.tobuf())]
    parts += [packer.compress(bytes(1024 * 1024)) for _ in range(size // (1024 * 1024))]
    code, said = run(tmp_path / "x", b"".join([*parts, packer.flush()]))
    assert (code, said) == (1, "failed to untar context: an entry's header is too large\n")
