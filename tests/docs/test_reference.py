"""Reference pages are what the code says, whole: a command, setting, event or code without its line fails here."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from darsena.api.problems import TABLE
from darsena.cli.exit_codes import MEANINGS
from darsena.settings import OTHER_VARIABLES, list_keys

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from docpages import NOTICE, PAGES, commands, errors, events, log  # noqa: E402 (found beside us, not installed)


def page(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_page_is_what_the_code_gives(name: str) -> None:
    assert (ROOT / name).read_text("utf-8") == NOTICE + PAGES[name](), "run: .venv/bin/python scripts/generate_docs.py"


def test_every_command_and_option_has_its_place() -> None:
    text = page("commands.md")
    walked = list(commands.walk())
    assert len(walked) > 30
    for name, command in walked:
        section = text.partition(f"\n### `{name}`\n")[2].partition("\n### ")[0]
        assert section, name
        for one in command.params:
            if commands.is_shown(one) and one.param_type_name == "option":
                assert f"`{one.opts[0]}`" in section, f"{name} {one.opts[0]}"
    assert "### `darsena agent`" in text


def test_every_setting_and_variable_has_its_line() -> None:
    text = page("settings.md")
    assert [key for key in list_keys() if f"| `{key}` |" not in text] == []
    assert [name for name in OTHER_VARIABLES if f"| `{name}` |" not in text] == []


def test_every_event_kind_has_its_line() -> None:
    text, kinds = page("events.md"), {kind for room in events.by_room().values() for kind in room}
    assert {"tag.moved", "run.finished", "registry.created", "principal.created"} <= kinds
    assert [kind for kind in sorted(kinds) if f"| `{kind}` |" not in text] == []


def test_every_error_code_has_its_line() -> None:
    text = page("errors.md")
    wanted = {code for wire in TABLE.values() for code in (wire.oci, wire.arm) if code}
    wanted |= {code for code, _, _ in errors.list_precise()} | {*errors.list_oauth(), *errors.list_blob()}
    assert {"BlobNotFound", "invalid_client"} <= wanted
    assert [code for code in sorted(wanted) if f"`{code.strip('`')}`" not in text] == []
    assert [cls.__name__ for cls in TABLE if f"| {cls.__name__} |" not in text] == []


def test_every_literal_code_of_the_server_is_listed() -> None:
    """By another way than the page's own: whatever is written as `code="…"` in a room that answers clients."""
    text = page("errors.md")
    rooms = [path for path in (ROOT / "src" / "darsena").rglob("*.py") if path.parent.name not in ("cli", "client")]
    found = {word for path in rooms for word in re.findall(r'\bcode="([A-Z]\w+)"', path.read_text("utf-8"))}
    assert len(found) > 10
    assert [word for word in sorted(found) if f"`{word}`" not in text] == []


def test_every_exit_code_has_its_line() -> None:
    text = page("exit-codes.md")
    assert [number for number in MEANINGS if f"| `{number}` | {MEANINGS[number]}" not in text] == []


def test_log_events_are_phrases() -> None:
    """House style: the event is a constant snake_case phrase."""
    names = [event for event, _, _, _ in log.list_events()]
    assert "request" in names
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []
