"""Requests and readings that need no server."""

from __future__ import annotations

import pytest
import yaml

from darsena.client.run_requests import Settings, command_text, parse_platform, status_of_log
from darsena.client.shapes import flatten, group_of
from darsena.core.errors import RequestInvalid


@pytest.mark.parametrize(
    "command",
    [
        "$Registry/a:v1",
        "bash -c 'echo a: b # c'",
        "- x",
        "a\tb",
        "ñ {{.Run.ID}} | cat",
        '"quoted" & more',
        "x:",
        "{a: b}",
    ],
)
def test_a_command_survives_the_yaml_that_it_is_put_in(command: str) -> None:
    assert yaml.safe_load(command_text(command, 7)) == {
        "version": "v1.1.0",
        "steps": [{"cmd": command, "disableWorkingDirectoryOverride": True, "timeout": 7}],
    }


def test_platforms() -> None:
    assert parse_platform("linux") == {"os": "linux", "architecture": "amd64"}
    assert parse_platform("Linux/arm/v7") == {"os": "Linux", "architecture": "arm", "variant": "v7"}
    for text in ("", "a//b", "a/b/c/d"):
        with pytest.raises(RequestInvalid):
            parse_platform(text)


def test_an_identity_is_sent_where_one_is_given() -> None:
    platform = parse_platform("linux")
    assert Settings(platform=platform).common(None)["credentials"] == {}
    asked = Settings(platform=platform, source_identity="[caller]").common(None)
    assert asked["credentials"] == {"sourceRegistry": {"identity": "[caller]"}}


def test_any_other_word_of_completion_is_success() -> None:
    words = ("failed", "InternalError", "TIMEDOUT", "canceled", "successful", "whatever")
    assert [status_of_log(word) for word in words] == [
        "Failed",
        "Error",
        "Timeout",
        "Canceled",
        "Succeeded",
        "Succeeded",
    ]


def test_flatten_keeps_what_it_does_not_know() -> None:
    resource = {"id": "/subscriptions/s/resourcegroups/G/x", "name": "n", "properties": {"a": 1, "future": {}}}
    assert flatten(resource) == {"id": resource["id"], "name": "n", "a": 1, "future": {}, "resourceGroup": "G"}
    assert group_of("/subscriptions/s") == ""
