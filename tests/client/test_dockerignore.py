"""docker's ignore rules: against what docker itself sent, and against the rules as they are written down."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darsena.client.dockerignore import IgnoreRules, PatternInvalid, clean, read_patterns

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "dockerignore_recorded.json").read_text())


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: repr(case["ignore"]))
def test_what_docker_sent_is_what_is_kept(case: dict[str, Any]) -> None:
    if case.get("refused"):
        with pytest.raises(PatternInvalid):
            IgnoreRules.parse(case["ignore"])
        return
    rules = IgnoreRules.parse(case["ignore"])
    assert sorted(path for path in RECORDED["tree"] if not rules.ignores(path)) == case["kept"]


@pytest.mark.parametrize(
    ("lines", "path", "ignored"),
    [
        # An exception with wildcards reaches into a directory that is left out.
        ("*\n!*/keep.*", "a/keep.txt", False),
        ("node_modules\n!**/LICENSE", "node_modules/m/LICENSE", False),
        ("node_modules\n!**/LICENSE", "node_modules/m/index.js", True),
        ("**\n!src/**/*.c", "src/a/b/main.c", False),
        # A line is not asked at a directory that is left out already, so it does not hold for what comes back below.
        ("**\n!src/**/*.c\nsrc/a", "src/a/b/main.c", False),
        ("**\n!src/**/*.c\nsrc/a/**", "src/a/b/main.c", True),
        # A class may hold what would be special elsewhere.
        ("a[.]b", "a.b", True),
        ("a[.]b", "axb", False),
        ("a[&|~#-z]b", "a&b", True),
        ("a[[]b", "a[b", True),
        ("x]y", "x]y", True),
        # Everything else of a regular expression is text.
        ("a.|)$(}+{bc^", "a.|)$(}+{bc^", True),
        ("a.c", "abc", False),
        ("line", "line\n", False),
        ("lin?", "line\n", False),
        ("[a-ζ]*", "α", True),
    ],
)
def test_rules_that_the_recording_does_not_show(lines: str, path: str, ignored: bool) -> None:
    assert IgnoreRules.parse(lines).ignores(path) is ignored


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        ("", "."),
        ("a/", "a"),
        ("//a//b", "/a/b"),
        ("a/./b/..", "a"),
        ("../a", "../a"),
        ("/../a", "/a"),
        ("a/../..", ".."),
    ],
)
def test_clean(path: str, cleaned: str) -> None:
    assert clean(path) == cleaned


def test_reading_trims_cleans_and_drops() -> None:
    text = "\ufeff#comment\n  # not one\n\n \t\n/a/b/\n! /c/../d \n!\n/\n"
    assert read_patterns(text) == ["# not one", "a/b", "!d", "!", "/"]


NAMES = st.sampled_from(["a", "b", "ab", "c.d"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PLAIN = st.tuples(st.booleans(), PATHS)


@given(st.lists(PLAIN, max_size=6), PATHS)
def test_a_directory_that_is_closed_holds_nothing_that_comes_back(lines: list[tuple[bool, str]], path: str) -> None:
    rules = IgnoreRules([("!" if exception else "") + pattern for exception, pattern in lines])
    names = path.split("/")
    for depth in range(1, len(names)):
        directory = "/".join(names[:depth])
        if rules.ignores(directory) and rules.closes(directory):
            assert rules.ignores(path)


@given(st.text(alphabet="ab/*?[]^-!\\. ", max_size=12), PATHS)
def test_any_line_is_understood_or_refused(line: str, path: str) -> None:
    with contextlib.suppress(PatternInvalid):
        IgnoreRules.parse(line).ignores(path)


@given(st.lists(PATHS, max_size=5), PATHS)
def test_without_exceptions_more_lines_ignore_more(lines: list[str], path: str) -> None:
    for count in range(len(lines)):
        if IgnoreRules(lines[:count]).ignores(path):
            assert IgnoreRules(lines).ignores(path)
