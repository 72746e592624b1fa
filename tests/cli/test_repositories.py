"""Repositories, tags and manifests over the login server's own token flow."""

from __future__ import annotations

import pytest

from cli.conftest import Darsena
from cli.fake_server import DIGEST, FakeServer
from darsena.cli.app import run


def test_names_over_several_pages(darsena: Darsena, server: FakeServer) -> None:
    server.state.page = 2
    server.state.repositories = {f"r{number}/a": {} for number in range(5)}
    assert darsena("repository", "list", "-n", "contoso").json == [f"r{number}/a" for number in range(5)]
    assert darsena("repository", "list", "-n", "contoso", "--top", "3").json == ["r0/a", "r1/a", "r2/a"]


def test_a_full_login_server_needs_no_control_plane(darsena: Darsena, server: FakeServer) -> None:
    host = server.login_server("contoso")
    assert darsena("repository", "list", "-n", host).json == ["shop/web"]
    assert not any("/resources?" in path for _, _, path in server.state.requests)


def test_tags_as_names_and_in_detail(darsena: Darsena, server: FakeServer) -> None:
    show_tags = ("repository", "show-tags", "-n", "contoso", "--repository", "shop/web")
    assert darsena(*show_tags).json == ["v1"]
    assert darsena(*show_tags, "-o", "tsv").out == "v1\n"
    assert darsena(*show_tags, "--detail").json == [{"name": "v1", "digest": DIGEST}]
    assert darsena(*show_tags, "--detail", "--orderby", "time_desc").code == 0
    assert "orderby=timedesc" in server.state.requests[-1][2]


def test_show_of_each_kind(darsena: Darsena, server: FakeServer) -> None:
    show = ("repository", "show", "-n", "contoso")
    assert darsena(*show, "--repository", "shop/web", "--query", "tagCount").json == 1
    assert darsena(*show, "--image", "shop/web:v1", "--query", "digest").json == DIGEST
    assert darsena(*show, "-t", f"shop/web@{DIGEST}", "--query", "imageSize").json == 2_100_000
    assert darsena(*show).code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("show", "--repository", "no/such"), 3, "repository name not known"),
        (("show", "--image", "shop/web:none"), 3, "the specified tag does not exist"),
        (("show", "--repository", "No/Such"), 2, "is not valid"),
        (("delete", "--image", "shop/web", "--yes"), 2, "neither a tag nor a digest"),
        (("delete", "--repository", "shop/web"), 2, "--yes"),
        (("untag", "--image", f"shop/web@{DIGEST}"), 2, "name:tag"),
    ],
)
def test_failures(darsena: Darsena, server: FakeServer, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = darsena("repository", arguments[0], "-n", "contoso", *arguments[1:])
    assert (done.code, done.out) == (code, "")
    assert message in done.err


def test_untag_keeps_the_manifest(darsena: Darsena, server: FakeServer) -> None:
    assert darsena("repository", "untag", "-n", "contoso", "-t", "shop/web:v1").code == 0
    assert server.state.repositories == {"shop/web": {}}
    assert DIGEST in server.state.manifests


def test_deleting_an_image_deletes_its_manifest(darsena: Darsena, server: FakeServer) -> None:
    assert darsena("repository", "delete", "-n", "contoso", "-t", "shop/web:v1", "--yes").code == 0
    assert server.state.manifests == {}


def test_deleting_a_repository_says_what_went(darsena: Darsena, server: FakeServer) -> None:
    gone = darsena("repository", "delete", "-n", "contoso", "--repository", "shop/web", "--yes")
    assert gone.json == {"manifestsDeleted": [DIGEST], "tagsDeleted": ["v1"]}
    assert server.state.repositories == {}


def test_manifests(darsena: Darsena, server: FakeServer) -> None:
    named = ("-r", "contoso", "-n", "shop/web")
    listed = darsena("manifest", "list", *named).json
    assert listed == [{"digest": DIGEST, "imageSize": 2_100_000, "tags": ["v1"], "schemaVersion": 2, "mediaType": "x"}]
    table = darsena("manifest", "list", *named, "-o", "table").out
    assert DIGEST in table
    assert "2.1 MB" in table
    metadata = darsena("manifest", "list-metadata", *named).json
    assert metadata == [{"digest": DIGEST, "imageSize": 2_100_000, "tags": ["v1"]}]
    assert darsena("manifest", "show", "-r", "contoso", "-n", "shop/web:v1", "--query", "schemaVersion").json == 2
    assert darsena("manifest", "show-metadata", "-r", "contoso", "-n", "shop/web:v1", "--query", "tags[0]").json == "v1"


def test_a_raw_manifest_is_the_bytes_that_were_pushed(
    server: FakeServer, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    image = f"{server.login_server('contoso')}/shop/web@{DIGEST}"
    assert run(["manifest", "show", image, "--raw"]) == 0
    assert capsysbinary.readouterr().out == server.state.manifests[DIGEST]


def test_manifest_delete(darsena: Darsena, server: FakeServer) -> None:
    assert darsena("manifest", "delete", "-r", "contoso", "-n", "shop/web", "--yes").code == 2
    assert darsena("manifest", "delete", "-r", "contoso", "-n", f"shop/web@{DIGEST}", "--yes").code == 0
    assert server.state.manifests == {}
