"""`darsena serve` reads a plain command line by itself: as the whole program reads it, or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from darsena.local import commands
from darsena.local.order import Order, read_order

PLAIN = [
    "",
    "--data d",
    "--data=d --listen 127.0.0.1:9000",
    "--data /one --data /two --no-build --no-build",
    "--data d --domain registry.example.com --log-level debug --plain-http",
    "--listen=[::1]:8443 --domain=a=b",
]
NOT_PLAIN = [
    "-h",
    "--help",
    "--data d --help",
    "--data",
    "--data=",
    "--listen -x",
    "--no-build=yes",
    "--plain-http --nope",
    "--lis 127.0.0.1:9000",
    "d",
    "-- d",
    "--data d extra",
    "--data ~nobody-of-this-name/d",
]
ENVIRONMENTS = [{}, {"DARSENA_DATA": ""}, {"DARSENA_DATA": "~/elsewhere"}]


def read_whole(words: list[str], monkeypatch: pytest.MonkeyPatch) -> Order:
    started: list[dict[str, Any]] = []
    monkeypatch.setattr(os, "execv", lambda _program, argv: started.append(json.loads(argv[-1])))
    app = typer.Typer()
    commands.register(app)
    done = CliRunner().invoke(app, ["serve", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return Order(data=Path(started[0]["data"]), flags=started[0]["flags"])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("line", PLAIN)
def test_a_plain_command_line_is_read_alike(
    line: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DARSENA_DATA", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    order = read_order(line.split(), os.environ)
    assert order == read_whole(line.split(), monkeypatch)


@pytest.mark.parametrize("line", NOT_PLAIN)
def test_the_rest_is_left_to_the_whole_program(line: str) -> None:
    assert read_order(line.split(), {}) is None


def test_every_option_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    commands.register(app)
    serve = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    names = [name for parameter in serve.params for name in parameter.opts]
    for name in names:
        assert read_order([name, "value"], {}) or read_order([name], {}), name
