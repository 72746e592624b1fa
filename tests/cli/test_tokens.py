"""`darsena scope-map` and `darsena token`: what is sent, what is printed, how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from cli.conftest import Darsena
from cli.fake_server import FakeServer
from darsena.cli.options import gather_repositories

WEB = ("--repository", "shop/web", "content/read", "metadata/read")


def row(server: FakeServer, child: str) -> Any:
    return next(found for key, found in server.state.children.rows.items() if key.endswith(f"/{child}".lower()))


def test_a_scope_map_from_create_to_delete(darsena: Darsena, server: FakeServer) -> None:
    named = ("-n", "readers", "-r", "contoso")
    made = darsena("scope-map", "create", *named, *WEB, "--repository", "team/*", "content/read", "--description", "d")
    assert made.code == 0, made.err
    assert isinstance(made.json, dict)
    assert made.json["type"] == "UserDefined"
    sent = ["repositories/shop/web/content/read", "repositories/shop/web/metadata/read"]
    assert row(server, "readers")["properties"]["actions"] == [*sent, "repositories/team/*/content/read"]
    changed = darsena(
        "scope-map", "update", *named,
        "--add-repository", "shop/api", "content/read", "content/write",
        "--remove-repository", "team/*", "content/read",
    )  # fmt: skip
    assert changed.code == 0, changed.err
    sent += ["repositories/shop/api/content/read", "repositories/shop/api/content/write"]
    assert row(server, "readers")["properties"]["actions"] == sent
    assert row(server, "readers")["properties"]["description"] == "d"
    assert darsena("scope-map", "list", "-r", "contoso", "-o", "tsv", "--query", "[].name").out == "readers\n"
    assert darsena("scope-map", "delete", *named).code == 2
    assert darsena("scope-map", "delete", *named, "--yes").code == 0
    gone = darsena("scope-map", "show", *named)
    assert (gone.code, "readers could not be found" in gone.err) == (3, True)


@pytest.mark.parametrize(
    "words",
    [
        ("create",),
        ("create", "--repository", "shop/web"),
        ("create", "--repository", "shop/web", "content/rea"),
        ("create", "--repository", "Shop", "content/read"),
        ("create", "--repository", "shop*", "content/read"),
        ("create", "--repository", "*/web", "content/read"),
        ("update",),
    ],
)
def test_what_no_scope_map_can_be_is_not_sent(darsena: Darsena, server: FakeServer, words: tuple[str, ...]) -> None:
    command, *options = words
    done = darsena("scope-map", command, "-n", "readers", "-r", "contoso", *options)
    assert done.code == 2
    assert server.state.requests == []


def test_a_token_gets_a_scope_map_of_its_own_and_two_passwords(darsena: Darsena, server: FakeServer) -> None:
    made = darsena("token", "create", "-n", "puller", "-r", "contoso", *WEB)
    assert made.code == 0, made.err
    assert "once only" in made.err
    shown = made.json
    assert isinstance(shown, dict)
    assert shown["scopeMapId"].endswith("/scopeMaps/puller-scope-map")
    assert (shown["status"], shown["credentials"]["username"]) == ("enabled", "puller")
    assert [item["value"] for item in shown["credentials"]["passwords"]] == ["secret1", "secret2"]
    # once more, with the same rights: the scope map is as wanted; with others it is refused
    assert darsena("token", "create", "-n", "puller", "-r", "contoso", *WEB, "--no-passwords").code == 0
    other = darsena("token", "create", "-n", "puller", "-r", "contoso", "--repository", "shop/web", "content/write")
    assert other.code == 1
    assert "darsena scope-map update -n puller-scope-map" in other.err


def test_a_token_of_a_scope_map_that_is_there(darsena: Darsena, server: FakeServer) -> None:
    bound = ("--scope-map", "_repositories_pull", "--status", "disabled")
    made = darsena("token", "create", "-n", "puller", "-r", "contoso", *bound, "--no-passwords")
    assert made.code == 0, made.err
    assert row(server, "puller")["properties"]["status"] == "disabled"
    assert row(server, "puller")["properties"]["scopeMapId"].endswith("/scopeMaps/_repositories_pull")
    assert not any("generateCredentials" in path for _, _, path in server.state.requests)
    update = darsena(
        "token", "update", "-n", "puller", "-r", "contoso", "--status", "enabled", "--scope-map", "readers"
    )
    assert update.code == 0, update.err
    assert row(server, "puller")["properties"]["status"] == "enabled"
    assert row(server, "puller")["properties"]["scopeMapId"].endswith("/scopeMaps/readers")
    table = darsena("token", "list", "-r", "contoso", "-o", "table").out
    assert table.splitlines()[2].split()[:3] == ["puller", "readers", "enabled"]
    assert darsena("token", "delete", "-n", "puller", "-r", "contoso", "--yes").code == 0
    assert darsena("token", "show", "-n", "puller", "-r", "contoso").code == 3


def test_passwords_are_made_anew_and_deleted_one_by_one(darsena: Darsena, server: FakeServer) -> None:
    named = ("-n", "puller", "-r", "contoso")
    assert darsena("token", "create", *named, "--scope-map", "_repositories_pull").code == 0
    renewed = darsena("token", "credential", "generate", *named, "--password2", "--expiration", "2030-12-31T12:59:59Z")
    assert renewed.code == 0, renewed.err
    assert isinstance(renewed.json, dict)
    assert [item.get("value") for item in renewed.json["passwords"]] == [None, "secret3"]
    assert renewed.json["passwords"][1]["expiry"].startswith("2030-12-31T12:59:59")
    table = darsena("token", "credential", "generate", *named, "--password1", "-o", "table").out
    assert table.splitlines()[2].split() == ["puller", "secret4", "(unchanged)"]
    both = darsena("token", "credential", "generate", *named, "--expiration-in-days", "30")
    assert both.code == 0, both.err
    assert darsena("token", "credential", "delete", *named).code == 2
    assert darsena("token", "credential", "delete", *named, "--password1").code == 2
    assert darsena("token", "credential", "delete", *named, "--password1", "--yes").code == 0
    left = row(server, "puller")["properties"]["credentials"]["passwords"]
    assert [item["name"] for item in left] == ["password2"]
    assert "value" not in left[0]


@pytest.mark.parametrize(
    "words",
    [
        ("create", "--scope-map", "a", *WEB),
        ("create",),
        ("create", *WEB, "--expiration", "soon"),
        ("create", *WEB, "--expiration", "2030-01-01T00:00:00Z", "--expiration-in-days", "3"),
        ("create", *WEB, "--expiration-in-days", "0"),
        ("update",),
    ],
)
def test_what_no_token_can_be_is_not_sent(darsena: Darsena, server: FakeServer, words: tuple[str, ...]) -> None:
    command, *options = words
    assert darsena("token", command, "-n", "puller", "-r", "contoso", *options).code == 2
    assert server.state.requests == []


def test_only_these_groups_take_several_words_for_a_repository() -> None:
    line = ["repository", "show", "--repository", "a", "b"]
    assert gather_repositories(line) == line
    line = ["token", "create", "--repository", "a", "b", "c", "-n", "t", "--repository", "d", "e"]
    assert gather_repositories(line) == ["token", "create", "--repository", "a b c", "-n", "t", "--repository", "d e"]
