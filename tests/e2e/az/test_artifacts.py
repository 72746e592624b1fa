"""`az acr repository` and `az acr manifest`, on an image that the registry built."""

from __future__ import annotations

from pathlib import Path

import pytest
from stock import NOT_FOUND, Az


@pytest.fixture(scope="module")
def digest(az: Az, registry: str, image: str) -> str:
    return az.lines("acr", "repository", "show", "-n", registry, "--image", image, "--query", "digest")[0]


def test_repository_list_and_tags(az: Az, registry: str, image: str, digest: str) -> None:
    assert az.json("acr", "repository", "list", "-n", registry, "--top", "5") == ["sample/hello"]
    tags = ("acr", "repository", "show-tags", "-n", registry, "--repository", "sample/hello")
    assert az.json(*tags) == ["v1"]
    detail = az.json(*tags, "--detail", "--orderby", "time_desc")
    assert (detail[0]["name"], detail[0]["digest"], detail[0]["signed"]) == ("v1", digest, False)
    header = az.ok(*tags, "--detail", "-o", "table").out.splitlines()[0]
    assert header.split() == ["CreatedTime", "Digest", "LastUpdateTime", "Name", "Signed"]


def test_repository_show(az: Az, registry: str, image: str, digest: str) -> None:
    repository = az.json("acr", "repository", "show", "-n", registry, "--repository", "sample/hello")
    assert (repository["imageName"], repository["manifestCount"], repository["tagCount"]) == ("sample/hello", 1, 1)
    assert az.json("acr", "repository", "show", "-n", registry, "--image", image)["digest"] == digest
    by_digest = az.json("acr", "repository", "show", "-n", registry, "--image", f"sample/hello@{digest}")
    assert by_digest["tags"] == ["v1"]
    assert (by_digest["os"], by_digest["architecture"]) == ("linux", "amd64")


def test_locks(az: Az, registry: str, image: str) -> None:
    update = ("acr", "repository", "update", "-n", registry, "--image", image)
    locked = az.json(*update, "--write-enabled", "false")
    assert locked["changeableAttributes"]["writeEnabled"] is False
    refused = az.refused("acr", "repository", "delete", "-n", registry, "--image", image, "--yes")
    assert "disallowed" in refused
    assert az.json(*update, "--write-enabled", "true")["changeableAttributes"]["writeEnabled"] is True


def test_manifest_commands(az: Az, registry: str, image: str, digest: str) -> None:
    named = f"{az.stand.login_server(registry)}/{image}"
    shown = az.json("acr", "manifest", "show", named)
    assert shown["schemaVersion"] == 2
    raw = az.ok("acr", "manifest", "show", named, "--raw").out
    assert shown["config"]["digest"] in raw
    listed = az.json("acr", "manifest", "list-metadata", "-r", registry, "-n", "sample/hello")
    assert [row["digest"] for row in listed] == [digest]
    assert az.json("acr", "manifest", "show-metadata", named)["digest"] == digest
    assert az.json("acr", "manifest", "list", "-r", registry, "-n", "sample/hello")[0]["schemaVersion"] == 2
    changed = az.json("acr", "manifest", "update-metadata", named, "--list-enabled", "false")
    assert changed["changeableAttributes"]["listEnabled"] is False
    az.ok("acr", "manifest", "update-metadata", named, "--list-enabled", "true")
    referrers = az.json("acr", "manifest", "list-referrers", "-r", registry, "-n", "sample/hello:v1")
    assert referrers["manifests"] == []


def test_what_is_not_there(az: Az, registry: str) -> None:
    show = ("acr", "repository", "show", "-n", registry)
    assert "does not exist" in az.refused(*show, "--image", "sample/hello:none", code=NOT_FOUND)
    assert "not" in az.refused(*show, "--repository", "no/such", code=NOT_FOUND)
    assert "not" in az.refused("acr", "repository", "delete", "-n", registry, "--repository", "no/such", "--yes")


def test_untag_and_delete(az: Az, registry: str, context: Path) -> None:
    az.ok("acr", "build", "-r", registry, "-t", "gone/one:v1", "-t", "gone/one:v2", "--no-logs", str(context))
    az.ok("acr", "repository", "untag", "-n", registry, "--image", "gone/one:v1")
    assert az.json("acr", "repository", "show-tags", "-n", registry, "--repository", "gone/one") == ["v2"]
    az.ok("acr", "repository", "delete", "-n", registry, "--image", "gone/one:v2", "--yes")
    assert az.json("acr", "manifest", "list-metadata", "-r", registry, "-n", "gone/one") == []
    az.ok("acr", "repository", "delete", "-n", registry, "--repository", "gone/one", "--yes")
    assert "gone/one" not in az.json("acr", "repository", "list", "-n", registry)
