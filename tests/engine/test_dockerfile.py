"""What a Dockerfile builds upon: the text alone decides."""

from __future__ import annotations

import pytest

from darsena.engine.dockerfile import DockerfileScan, expand, scan
from darsena.engine.port import StepFault


def bases(text: str, target: str | None = None, **arguments: str) -> list[str]:
    return [base.reference for base in scan(text, arguments, "linux/amd64", target).bases]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a", ["a"]),
        ("\ufefffrom   a:1 as X\n", ["a:1"]),
        ("# comment\n\nFROM 'a'\n", ["a"]),
        ('FROM "a"\n', ["a"]),
        ("FROM --platform=linux/arm64 a\n", ["a"]),
        ("ARG T=9\nFROM a:$T\n", ["a:9"]),
        ("ARG T\nFROM a:${T:-7}\n", ["a:7"]),
        ("ARG T=1\nFROM a${T:+-alt}\n", ["a-alt"]),
        ("ARG T=\nFROM a${T-x}${T:-y}\n", ["ay"]),
        ("ARG A=x\nARG B=${A}/y\nFROM $B\n", ["x/y"]),
        ("FROM a\nARG T=9\nFROM b:$T\n", ["b:"]),
        ("FROM a \\\n  AS one\nFROM one\nRUN x\n", ["a"]),
        ("FROM a AS one\nFROM scratch\nCOPY --from=one /x /\n", ["a"]),
        ("FROM a\nFROM scratch\nCOPY --from=0 /x /\n", ["a"]),
        ("FROM a AS one\nFROM b\n", ["b"]),
        ("FROM a\nCOPY --from=c:1 --chown=1:1 /x /y\n", ["a", "c:1"]),
        ("FROM a\nRUN --mount=type=bind,from=d,target=/x --mount=type=cache,target=/c ls\n", ["a", "d"]),
        ("FROM a\nRUN <<EOF\nFROM no\nEOF\nCOPY --from=e / /\n", ["a", "e"]),
        ("FROM a\nRUN <<-'X' sh && <<Y cat\nFROM no\n\tX\nFROM no\nY\nRUN y\n", ["a"]),
        ("FROM a\nRUN echo $((1<<BITS)) && bash -c 'cat <<<word'\nCOPY --from=e / /\n", ["a", "e"]),
        ("# escape=`\nFROM a `\n  AS one\nFROM one\n", ["a"]),
        ("FROM a\nRUN echo \\\n# a comment inside\n  FROM x\n", ["a"]),
        ("FROM scratch\n", []),
        ("FROM a AS build\nFROM build AS test\nFROM a AS last\nCOPY --from=build /x /\n", ["a"]),
        ("ARG BASE=a\nFROM $BASE AS x\nARG BASE\nCOPY --from=$BASE / /\n", ["a"]),
    ],
)
def test_bases(text: str, expected: list[str]) -> None:
    assert bases(text) == expected


def test_arguments_win_over_defaults() -> None:
    assert bases("ARG T=9\nFROM a:$T\n", T="4") == ["a:4"]


def test_a_target_ends_the_search() -> None:
    text = "FROM a AS one\nFROM b AS two\nFROM nowhere AS three\nCOPY --from=one / /\n"
    assert bases(text, target="TWO") == ["b"]
    with pytest.raises(StepFault, match="'four'"):
        bases(text, target="four")


def test_what_the_result_stands_upon() -> None:
    found: DockerfileScan = scan("FROM a AS x\nFROM x AS y\nRUN z\nFROM y\n", {}, "linux/amd64")
    assert (found.runtime, found.runs) == ("a", True)
    found = scan("FROM a AS x\nRUN z\nFROM scratch\nCOPY b /\n", {}, "linux/amd64")
    assert (found.runtime, found.runs) == ("scratch", False)


def test_where_the_first_heredoc_is() -> None:
    text = "FROM a AS one\nRUN x\nFROM b\nRUN y\nCOPY <<A <<'B' /\nA\nB\nRUN <<C\nC\n"
    assert scan(text, {}, "linux/amd64").heredoc_line == 5
    assert scan(text, {}, "linux/amd64", "one").heredoc_line is None


def test_platform_arguments_are_known() -> None:
    found = scan("FROM --platform=$BUILDPLATFORM a:$TARGETARCH$TARGETVARIANT\n", {}, "linux/arm/v7")
    assert (found.bases[0].reference, found.bases[0].platform) == ("a:armv7", "linux/arm/v7")


@pytest.mark.parametrize("text", ["", "RUN x\n", "FROM\n", "FROM $X\n"])
def test_faults(text: str) -> None:
    with pytest.raises(StepFault):
        scan(text, {}, "linux/amd64")


def test_expand() -> None:
    assert expand(r"$a-${b}-\$a-${c:-${a}}", {"a": "1", "b": "2"}) == "1-2-$a-1"
