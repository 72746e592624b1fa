"""The forms of a result, and that nothing from outside can play with a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cli.conftest import Darsena
from cli.fake_server import FakeServer
from darsena.cli import exit_codes
from darsena.cli.app import app, run
from darsena.cli.live import LiveReporter
from darsena.cli.options import spread_tags
from darsena.cli.output import Column, Format, emit, key
from darsena.cli.terminal import harmless, human_bytes, human_seconds, lines_of

ROWS = [{"name": "ñ", "size": 1, "on": True, "list": [1, 2], "none": None}, {"name": "漢字", "size": 20, "on": False}]


@pytest.mark.parametrize(
    ("form", "query", "text"),
    [
        (Format.TSV, None, "ñ\t1\tTrue\t2\tNone\n漢字\t20\tFalse\n"),
        (Format.TSV, "[].on", "true\nfalse\n"),
        (Format.TSV, "[].[size, name]", "1\tñ\n20\t漢字\n"),
        (Format.TSV, "length(@)", "2\n"),
        (Format.JSON, "[0].list", "[\n  1,\n  2\n]\n"),
        (Format.JSON, "[0].missing", ""),
        (Format.YAML, "[].{b: size, a: name}", "- a: ñ\n  b: 1\n- a: 漢字\n  b: 20\n"),
        (Format.YAML, "[0].name", "ñ\n"),
        (Format.NONE, None, ""),
        (Format.TABLE, "[].{N: name, S: size}", "N     S\n----  --\nñ     1\n漢字  20\n"),
        (Format.TABLE, "[].name", "Result\n------\nñ\n漢字\n"),
        (Format.TABLE, "[].[name, size]", "Column1  Column2\n-------  -------\nñ        1\n漢字     20\n"),
        (Format.TABLE, "[?size > `100`]", ""),
    ],
)
def test_forms(capsys: pytest.CaptureFixture[str], form: Format, query: str | None, text: str) -> None:
    emit(ROWS, form, query)
    assert capsys.readouterr().out == text


def test_a_commands_own_columns_stand_until_a_query_changes_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    columns = (Column("NAME", key("name")), Column("ON", key("on")))
    emit(ROWS, Format.TABLE, None, columns)
    assert capsys.readouterr().out == "NAME  ON\n----  -----\nñ     True\n漢字  False\n"


def test_json_is_the_default_where_no_terminal_is(darsena: Darsena, server: FakeServer) -> None:
    assert darsena("list").out.startswith("[\n")
    assert "\x1b" not in darsena("list", "-o", "table").out


def test_a_query_that_is_none(darsena: Darsena, server: FakeServer) -> None:
    done = darsena("list", "--query", "[")
    assert done.code == 2
    assert "JMESPath" in done.err


@pytest.mark.parametrize(
    ("text", "plain", "coloured"),
    [
        ("a\x1b[31mred\x1b[0m", "ared", "a\x1b[31mred\x1b[0m\x1b[0m"),
        ("\x1b]0;title\x07x", "x", "x"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link", "link"),
        ("\x1b[2J\x1b[Hx\x9b1A", "x1A", "x1A"),
        ("tab\tstays", "tab\tstays", "tab\tstays"),
        ("\x1bc\x08\x00x", "x", "x"),
    ],
)
def test_what_moves_a_cursor_is_taken_out(text: str, plain: str, coloured: str) -> None:
    assert harmless(text) == plain
    assert harmless(text, colours=True) == coloured


def test_sizes_times_and_lines() -> None:
    sizes = {0: "0 B", 999: "999 B", 1000: "1.0 kB", 2_100_000: "2.1 MB", 5e12: "5.0 TB"}
    assert {size: human_bytes(size) for size in sizes} == sizes
    assert [human_seconds(s) for s in (0.25, 10, 62, 3600)] == ["0.2s", "10s", "1m2s", "1h0m0s"]
    assert lines_of("10%\r20%\r") == ["10%", "20%"]
    assert lines_of("") == [""]


def test_tags_are_spread_over_repeated_options() -> None:
    assert spread_tags(["create", "--tags", "a=1", "b=2", "-n", "x"]) == [
        *("create", "--tags", "a=1", "--tags", "b=2", "-n", "x")
    ]
    assert spread_tags(["update", "--tags", ""]) == ["update", "--tags", ""]


def test_every_exit_code_has_a_meaning() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert set(exit_codes.MEANINGS) == codes


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for group in (app, *(found.typer_instance for found in app.registered_groups)):
        assert group is not None
        for command in group.registered_commands:
            assert command.callback is not None
            if command.callback.__module__.startswith("darsena.cli"):
                assert "Example" in (command.callback.__doc__ or ""), command.name


def test_a_defect_is_told_as_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DARSENA_DEBUG", raising=False)

    def broken() -> None:
        raise KeyError("x")

    monkeypatch.setattr("darsena.cli.session.find_profile", broken)
    assert run(["list"]) == 1
    assert "a defect in darsena: KeyError" in capsys.readouterr().err


SCRIPT = f"{sys.executable} -c 'import sys; from darsena.cli.app import run; sys.exit(run())'"


def test_a_closed_pipe_is_no_traceback(server: FakeServer) -> None:
    server.state.repositories = {f"r{number:05d}/{'x' * 100}": {} for number in range(3000)}
    server.state.page = 10_000
    command = f"{SCRIPT} repository list -n contoso -o tsv | true"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (141, False), done.stderr + done.stdout[:300]


@pytest.mark.parametrize(
    "command",
    ["build -r contoso -t a:b --progress json {folder}", "build -r nobody {folder}", "build --no-such-option"],
)
def test_talk_that_nobody_reads_ends_as_a_closed_pipe_too(server: FakeServer, tmp_path: Path, command: str) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        words = f"{SCRIPT} {command.format(folder=tmp_path)}"
        done = subprocess.run(["bash", "-c", words], stdout=subprocess.PIPE, stderr=closed, check=False)
    assert (done.returncode, done.stdout) == (141, b"")


def test_the_command_line_starts_without_the_http_library() -> None:
    code = "import sys, darsena.cli.app; print(sorted({'httpx', 'rich', 'yaml', 'jmespath'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


class Ticking:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_build_on_a_terminal() -> None:
    clock = Ticking()
    console = Console(force_terminal=True, no_color=True, width=60, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        reporter = LiveReporter(console, clock)
        reporter.packed(3, 2000, 1000)
        reporter.sending(500, 1000)
        reporter.sent(1000, 0.5)
        reporter.scheduled("ca1")
        reporter.waiting("queued at position 2", 3)
        for line in (
            "2026/01/01 00:00:00 Downloading source code...",
            "2026/01/01 00:00:01 Finished downloading source code",
            "STEP 1/3: FROM base",
            "[1/2] STEP 2/3: RUN make",
            "--> Using cache 0123456789ab",
            "STEP 3/3: RUN false",
            "it went \x1b[31mwrong",
            "2026/01/01 00:00:09 Container failed during run: build. No retries remaining.",
            "",
            "failed to run step ID: build: exit status 1",
        ):
            reporter.line(line)
            clock.now += 2
        reporter.ended("Failed")
        text = console.export_text()
    shown = " ".join(text.split())
    wanted = (
        "=> sent 1.0 kB 0.5s",
        "=> Downloading source code... 2.0s",
        "=> [1/3] FROM base 2.0s",
        "=> CACHED [1-2/3] RUN make",
        "=> ERROR [3/3] RUN false 4.0s",
        "=> => it went wrong",
        "=> failed to run step ID: build: exit status 1",
    )
    positions = [shown.rindex(text) for text in wanted]
    assert positions == sorted(positions)
