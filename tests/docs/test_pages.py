"""Hand-written pages: links lead somewhere, examples name commands that exist, promises name tests that exist."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from docpages import commands  # noqa: E402 (found beside us, not installed)

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
COMMANDS = dict(commands.walk())
FORBIDDEN = re.compile(
    r"/work/|/tmp/|(?i:pypi|pythonhosted|registry\.npmjs|proxy\.golang|deb\.debian\.org)|TODO|FIXME|TBD"
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
OPTION = re.compile(r"--?[a-z][a-z-]*\Z")


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_there_are_pages() -> None:
    assert {"README.md", "README.es.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/quickstart.md"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    for target in LINK.findall(without_code(read(name))):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        other = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert other.exists(), target
        if anchor:
            assert anchor in anchors(other.read_text("utf-8")), target


@pytest.mark.parametrize("name", NAMES)
def test_no_word_that_does_not_belong_here(name: str) -> None:
    assert FORBIDDEN.findall(read(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_lines_of_prose_fit(name: str) -> None:
    long = [line for line in without_code(read(name)).splitlines() if len(line) > 130 and not line.startswith("|")]
    assert long == []


@pytest.mark.parametrize("name", NAMES)
def test_examples_name_what_exists(name: str) -> None:
    for words in darsena_lines(read(name)):
        if words[1:2] and words[1] in ("agent", "-h", "--help", "--install-completion"):
            continue
        command = next((key for key in prefixes(words) if key in COMMANDS), None)
        assert command is not None, " ".join(words)
        known = {option for one in COMMANDS[command].params for option in one.opts}
        given = {word.partition("=")[0] for word in words if OPTION.match(word.partition("=")[0])}
        assert given <= known, f"{' '.join(words)}: {given - known}"


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    for name in NAMES:
        assert set(re.findall(r"\bmake ([a-z-]+)\b(?=[`\s#])", code_of(read(name)))) <= targets, name


def test_readmes_show_the_same() -> None:
    """The Spanish one beside the English one: same commands, same transcript, same links, same rows."""
    english, spanish = read("README.md"), read("README.es.md")
    strip = re.compile(r"\s+#.*")
    assert [strip.sub("", block) for block in blocks(english)] == [strip.sub("", block) for block in blocks(spanish)]
    ignored = {"README.md", "README.es.md"}
    assert set(LINK.findall(english)) - ignored == set(LINK.findall(spanish)) - ignored
    assert english.count("\n|") == spanish.count("\n|")
    assert english.count("\n- ") == spanish.count("\n- ")


def test_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) <= 100


def test_promises_name_tests_that_exist() -> None:
    text = read("docs/explanation/promises.md")
    assert [number for number in range(1, 11) if f"| R{number} |" not in text] == []
    assert [path for path in re.findall(r"`(tests/[\w./]+)`", text) if not (ROOT / path).exists()] == []


def test_compatibility_says_yes_partial_or_no() -> None:
    rows = [
        row.split("|")[2].strip() for row in read("docs/reference/compatibility.md").splitlines() if row[:2] == "| "
    ]
    assert set(rows) == {"", "---", "yes", "partial", "no"}


def test_decisions_have_their_four_parts_and_are_listed() -> None:
    index = read("docs/adr/README.md")
    pages = sorted((ROOT / "docs" / "adr").glob("0*.md"))
    assert [int(path.name[:4]) for path in pages] == list(range(1, len(pages) + 1))
    for path in pages:
        text = path.read_text("utf-8")
        heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
        assert heads == ["Context", "Decision", "Cost", "How we would know that we were wrong"], path.name
        assert f"({path.name})" in index
        assert len(text.splitlines()) <= 45


def test_decisions_that_the_code_names_exist() -> None:
    numbers = {path.name[:4] for path in (ROOT / "docs" / "adr").glob("0*.md")}
    for path in (ROOT / "src").rglob("*.py"):
        assert set(re.findall(r"\badr/(\d{4})", path.read_text("utf-8"))) <= numbers, path


# --- reading Markdown -------------------------------------------------------------------------------------------


def blocks(text: str) -> list[str]:
    """Fenced blocks."""
    return re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def without_code(text: str) -> str:
    return re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def code_of(text: str) -> str:
    """Blocks and spans, a line each."""
    spans = [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", without_code(text))]
    return "\n".join([*blocks(text), *(f"{span} " for span in spans), ""])


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def darsena_lines(text: str) -> Iterator[list[str]]:
    """The words of every example that calls darsena."""
    for line in code_of(text).splitlines():
        for part in re.split(r"&&|\|(?!\|)|;", line.removeprefix("$ ").strip()):
            called = re.match(r"(?:sudo )?(?:\S*/)?darsena (?=[a-z-])(.*)", part.strip())
            if called and not re.match(r"\S+\.\w+", called[1]):
                try:
                    yield ["darsena", *shlex.split(called[1], comments=True)]
                except ValueError:  # a span that is cut off in the middle of a quotation
                    yield ["darsena", *called[1].split()]


def prefixes(words: list[str]) -> Iterator[str]:
    for count in (4, 3, 2):
        yield " ".join(words[:count])
