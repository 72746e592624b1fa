"""Groups, registries and credentials: what is sent, what is printed, how it ends."""

from __future__ import annotations

import pytest

from cli.conftest import Darsena
from cli.fake_server import SUBSCRIPTION, FakeServer


def test_the_owner_of_the_local_server_is_used_and_it_is_said_once(darsena: Darsena, server: FakeServer) -> None:
    done = darsena("list", "-o", "tsv", "--query", "[].name")
    assert (done.code, done.out) == (0, "contoso\n")
    assert done.err.count("using the owner of the local server") == 1


def test_group_round_trip(darsena: Darsena, server: FakeServer) -> None:
    made = darsena("group", "create", "-n", "lab", "-l", "northeurope", "--tags", "a=1", "b=2")
    assert made.code == 0
    assert made.json == server.state.groups["lab"]
    assert server.state.groups["lab"]["tags"] == {"a": "1", "b": "2"}
    assert darsena("group", "list", "--query", "[].name").json == ["shop", "lab"]
    assert darsena("group", "show", "-g", "lab", "--query", "location", "-o", "tsv").out == "northeurope\n"
    assert darsena("group", "exists", "-n", "lab").out == "true\n"
    assert darsena("group", "delete", "-n", "lab", "--yes").code == 0
    assert darsena("group", "exists", "-n", "lab").out == "false\n"
    assert any("/operations/1" in path for _, _, path in server.state.requests)


def test_group_delete_without_waiting_asks_nothing_further(darsena: Darsena, server: FakeServer) -> None:
    assert darsena("group", "delete", "-n", "shop", "--yes", "--no-wait").code == 0
    assert not any("/operations/" in path for _, _, path in server.state.requests)


def test_create_takes_the_location_of_the_group(darsena: Darsena, server: FakeServer) -> None:
    made = darsena("create", "-g", "shop", "-n", "fabrikam", "--sku", "standard", "--admin-enabled", "true")
    assert made.code == 0, made.err
    shown = made.json
    assert isinstance(shown, dict)
    assert shown["loginServer"] == server.login_server("fabrikam")
    assert (shown["location"], shown["sku"]["name"], shown["adminUserEnabled"]) == ("westeurope", "Standard", True)
    assert shown["resourceGroup"] == "shop"
    assert "properties" not in shown


def test_create_without_a_group_names_those_there_are(darsena: Darsena, server: FakeServer) -> None:
    done = darsena("create", "-n", "fabrikam")
    assert done.code == 2
    assert "shop" in done.err


@pytest.mark.parametrize("name", ["contoso", "CONTOSO", "contoso.azurecr.localhost", "contoso.azurecr.localhost:1"])
def test_a_registry_is_found_by_any_spelling_of_its_name(darsena: Darsena, server: FakeServer, name: str) -> None:
    done = darsena("show", "-n", name, "--query", "id", "-o", "tsv")
    assert done.out.strip().endswith("/registries/contoso")
    look_up = f"/subscriptions/{SUBSCRIPTION}/resources?"
    assert sum(path.startswith(look_up) for _, _, path in server.state.requests) == 1


def test_an_unknown_registry_names_those_there_are(darsena: Darsena, server: FakeServer) -> None:
    done = darsena("show", "-n", "nowhere")
    assert done.code == 3
    assert "there is no registry named 'nowhere'" in done.err
    assert "there are: contoso" in done.err
    assert done.out == ""


def test_an_error_of_the_server_says_what_and_which_request(darsena: Darsena, server: FakeServer) -> None:
    done = darsena("show", "-n", "nowhere", "-g", "shop")
    assert done.code == 3
    assert "The Resource nowhere was not found." in done.err
    assert "request id: request-1" in done.err


def test_update_sends_only_what_changes(darsena: Darsena, server: FakeServer) -> None:
    changed = darsena("update", "-n", "contoso", "--sku", "Premium", "--anonymous-pull-enabled", "true", "--tags", "")
    assert changed.code == 0
    registry = server.state.registries["contoso"]
    assert registry["sku"] == {"name": "Premium"}
    assert registry["properties"]["anonymousPullEnabled"] is True
    assert registry["properties"]["adminUserEnabled"] is False
    assert darsena("update", "-n", "contoso").code == 2
    assert darsena("update", "-n", "contoso", "--admin-enabled", "maybe").code == 2


def test_deleting_needs_a_yes_where_nobody_can_be_asked(darsena: Darsena, server: FakeServer) -> None:
    refused = darsena("delete", "-n", "contoso")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert "contoso" in server.state.registries
    assert darsena("delete", "-n", "contoso", "--yes").code == 0
    assert "contoso" not in server.state.registries


def test_credentials_of_a_disabled_admin_user_say_how_to_enable_it(darsena: Darsena, server: FakeServer) -> None:
    done = darsena("credential", "show", "-n", "contoso")
    assert done.code == 1
    assert "darsena update -n contoso --admin-enabled true" in done.err
    server.state.registries["contoso"]["properties"]["adminUserEnabled"] = True
    assert darsena("credential", "show", "-n", "contoso", "--query", "passwords[0].value", "-o", "tsv").out == "one\n"
    table = darsena("credential", "show", "-n", "contoso", "-o", "table").out
    assert table.splitlines()[2].split() == ["contoso", "one", "two"]
    renewed = darsena("credential", "renew", "-n", "contoso", "--password-name", "password2", "-o", "json")
    assert renewed.json == {"username": "contoso", "passwords": [{"name": "password2", "value": "new"}]}


def test_usage(darsena: Darsena, server: FakeServer) -> None:
    assert darsena("show-usage", "-n", "contoso", "--query", "value[0].currentValue").json == 7
    table = darsena("show-usage", "-n", "contoso", "-o", "table").out
    assert table.splitlines()[2].split() == ["Size", "100", "7", "Bytes"]


def test_a_wrong_command_line_is_two_and_suggests(darsena: Darsena) -> None:
    done = darsena("biuld")
    assert done.code == 2
    assert "Did you mean 'build'" in done.err
    assert darsena("create", "-n", "no-dashes-here", "-g", "g").code == 2
    assert darsena("show").code == 2
    assert darsena("--help").code == 0
