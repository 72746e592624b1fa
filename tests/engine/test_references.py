"""Image names made whole, and mapped."""

from __future__ import annotations

import pytest

from darsena.engine.port import StepFault
from darsena.engine.references import map_image, parse_image

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("alpine", "docker.io/library/alpine:latest"),
        ("a/b:1", "docker.io/a/b:1"),
        ("docker.io/alpine", "docker.io/library/alpine:latest"),
        ("localhost/x", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("localhost:5000/x:2", "localhost:5000/x:2"),
        ("reg.azurecr.localhost:8443/a/b", "reg.azurecr.localhost:8443/a/b:latest"),
        (f"r.io/x@{DIGEST}", f"r.io/x@{DIGEST}"),
        (f"r.io/x:1@{DIGEST}", f"r.io/x@{DIGEST}"),
    ],
)
def test_whole_names(text: str, whole: str) -> None:
    assert str(parse_image(text)) == whole


@pytest.mark.parametrize(
    "text", ["", "UPPER", "a:", "a:b:c", "a@sha256:1", "-x", "r.io/a//b", "a b", "r.io/../x", "$X/y"]
)
def test_no_names(text: str) -> None:
    with pytest.raises(StepFault):
        parse_image(text)


def test_the_longest_prefix_of_whole_path_parts_counts() -> None:
    mapping = {"mcr.microsoft.com/hello-world": "r:1/hello", "mcr.microsoft.com/dotnet": "r:1/d"}
    mapping["mcr.microsoft.com/dotnet/sdk"] = "s:2/x"
    assert str(map_image(parse_image("mcr.microsoft.com/hello-world"), mapping)) == "r:1/hello:latest"
    assert str(map_image(parse_image("mcr.microsoft.com/dotnet/sdk:8"), mapping)) == "s:2/x:8"
    assert str(map_image(parse_image("mcr.microsoft.com/dotnet/aspnet:8"), mapping)) == "r:1/d/aspnet:8"
    assert map_image(parse_image("mcr.microsoft.com/hello-world2"), mapping) is None
