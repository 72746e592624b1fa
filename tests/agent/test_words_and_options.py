"""`cmd` and `build` text: split without a shell, and only options that are allowed."""

from __future__ import annotations

import pytest

from darsena.agent.buildoptions import parse_build
from darsena.agent.plan import PlanFault
from darsena.agent.words import split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b  c", ["a", "b", "c"]),
        ("a 'b c' \"d e\"", ["a", "b c", "d e"]),
        ("a 'b'\"c\"d", ["a", "bcd"]),
        ("a ''", ["a", ""]),
        ('a "x\\"y\\n"', ["a", 'x"y\\n']),
        ("a\\ b", ["a b"]),
        ("a\n  b", ["a", "b"]),
        ("sh -c 'echo $A | x; $(y)'", ["sh", "-c", "echo $A | x; $(y)"]),
        ('a $A ${A}x "$A" $NONE b', ["a", "1 2", "1 2x", "1 2", "b"]),
        ('a "$NONE" $', ["a", "", "$"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert split_words(text, {"A": "1 2"}) == words


@pytest.mark.parametrize(
    "text", ["a | b", "a && b", "a; b", "a > b", "a $(b)", "a `b`", '"`b`"', "(a)", "a 'b", 'a "b']
)
def test_shell_operators_and_open_quotes(text: str) -> None:
    with pytest.raises(PlanFault):
        split_words(text, {})


def test_build_options() -> None:
    text = "-t a -t b:1 --image=c -f x/D --build-arg K=V --build-arg=E --target t --no-cache --label l=1 --rm -m 1g"
    text += " --pull=false ctx"
    action, network = parse_build([*text.split()], {"E": "from-env"})
    assert action.tags == ("a", "b:1", "c")
    assert (action.dockerfile, action.context, action.target, action.no_cache) == ("x/D", "ctx", "t", True)
    assert action.arguments == {"K": "V", "E": "from-env"}
    assert action.options == ("--memory=1g",)
    assert network is None
    assert parse_build(["-t", "a", ".", "-f", "b"], {})[0].dockerfile == "b"
    assert parse_build([], {})[0].context == "."


@pytest.mark.parametrize(
    "text",
    ["-o out .", "--output=x .", "-v /:/h .", "--volume /:/h .", "--device=/dev/sda .", "--cgroup-parent=/ .",
     "--security-opt x .", "--ssh default .", "--iidfile /x .", "--isolation", "a b", "--unknown ."],
)  # fmt: skip
def test_options_that_are_refused(text: str) -> None:
    with pytest.raises(PlanFault):
        parse_build(text.split(), {})
