"""Base images as a log's last lines tell of them."""

from __future__ import annotations

import pytest

from darsena.cli.dependencies import BaseImage, DependencyReader

YAML_LIST = """2026/01/01 00:00:00 @
- image:
    registry: r
    repository: a
    tag: v1
  runtime-dependency:
    registry: mcr.example
    repository: base
    tag: "1"
    digest: sha256:aa
  git: {}
"""


@pytest.mark.parametrize(
    "text",
    [
        '[{"runtime-dependency":{"registry":"mcr.example","repository":"base","tag":"1","digest":"sha256:aa"}}]',
        '[{"runtime_dependency":{"registry":"mcr.example","repository":"base","tag":"1","digest":"sha256:aa"}}]',
        YAML_LIST.replace("@", ""),
    ],
)
def test_dependencies_in_each_form(text: str) -> None:
    reader = DependencyReader()
    lines = [
        "STEP 1",
        "2026/01/01 00:00:00 The following dependencies were found:",
        *text.split("\n"),
        "",
        "Run ID: ca1 was",
    ]
    for line in lines:
        reader.feed(line)
    assert reader.bases == [BaseImage(reference="mcr.example/base:1", digest="sha256:aa", is_runtime=True)]


@pytest.mark.parametrize("text", ["", "{{{", "- just text", "null", "[1, [2]]"])
def test_dependencies_that_cannot_be_understood_are_none(text: str) -> None:
    reader = DependencyReader()
    for line in ("The following dependencies were found:", text):
        reader.feed(line)
    assert reader.bases == []
