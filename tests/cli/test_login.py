"""Signing in at a server, and logging a container client in at a registry."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from cli.conftest import Darsena
from cli.fake_server import CLIENT_ID, CLIENT_SECRET, PASSWORD, PERSON, SUBSCRIPTION, TENANT, FakeServer
from darsena.client.profile import read_profile


def profile_path(home: Path) -> Path:
    return home / ".config" / "darsena" / "profiles" / "default.json"


def test_a_bare_login_keeps_the_local_owner(darsena: Darsena, server: FakeServer, home: Path) -> None:
    done = darsena("login")
    assert done.code == 0, done.err
    [shown] = json.loads(done.out)
    assert (shown["id"], shown["tenantId"], shown["user"]["name"]) == (SUBSCRIPTION, TENANT, CLIENT_ID)
    assert CLIENT_SECRET not in done.out + done.err
    assert profile_path(home).stat().st_mode & 0o777 == 0o600
    listed = darsena("list", "--query", "[].name", "-o", "tsv")
    assert (listed.out, listed.err) == ("contoso\n", "")
    assert darsena("logout").code == 0
    assert not profile_path(home).exists()
    assert darsena("logout").code == 4


def test_login_with_everything_given(
    darsena: Darsena, server: FakeServer, home: Path, owner: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DARSENA_DATA")
    arguments = ("login", "--server", server.control, "-u", CLIENT_ID, "--ca-file", owner["ca_file"])
    assert darsena(*arguments, "-p", CLIENT_SECRET, "--service-principal", "--tenant", TENANT).code == 0
    stored = read_profile(profile_path(home))
    assert stored.registry_domain == f"azurecr.localhost:{server.port}"
    assert stored.subscription_id == SUBSCRIPTION
    assert darsena("repository", "list", "-n", "contoso").json == ["shop/web"]


def test_a_person_signs_in_by_name_and_password(darsena: Darsena, server: FakeServer, home: Path) -> None:
    done = darsena("login", "-u", PERSON, "-p", "wrong")
    assert done.code == 4
    assert "the password is wrong" in done.err
    done = darsena("login", "-u", PERSON, "-p", PASSWORD)
    assert done.code == 0, done.err
    [shown] = json.loads(done.out)
    assert shown["user"] == {"name": PERSON, "type": "user"}
    assert PASSWORD not in done.out + done.err
    assert darsena("repository", "list", "-n", "contoso").json == ["shop/web"]


def test_a_wrong_secret_is_refused_and_not_kept(darsena: Darsena, server: FakeServer, home: Path) -> None:
    done = darsena("login", "--server", server.control, "-u", CLIENT_ID, "-p", "wrong")
    assert done.code == 4
    assert "the secret is wrong" in done.err
    assert not profile_path(home).exists()


def test_a_certificate_that_is_not_trusted_says_what_to_do(
    darsena: Darsena, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DARSENA_DATA")
    done = darsena("login", "--server", server.control, "-u", CLIENT_ID, "-p", CLIENT_SECRET)
    assert done.code == 5
    assert "is not trusted" in done.err
    assert "--ca-file" in done.err


def test_nobody_to_be(darsena: Darsena, home: Path) -> None:
    assert darsena("list").code == 4
    done = darsena("login")
    assert done.code == 2
    assert "--server" in done.err


def test_a_server_that_is_down(
    darsena: Darsena, server: FakeServer, owner: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path(os.environ["DARSENA_DATA"])
    (data / "owner.json").write_text(json.dumps({**owner, "control_url": "https://localhost:1"}))
    done = darsena("list")
    assert done.code == 5
    assert "localhost:1 does not answer" in done.err
    assert "darsena serve" in done.err


def test_expose_token(darsena: Darsena, server: FakeServer) -> None:
    shown = darsena("login", "-n", "contoso", "--expose-token").json
    assert shown == {
        "accessToken": "refresh.token.1",
        "refreshToken": "refresh.token.1",
        "loginServer": server.login_server("contoso"),
        "username": "00000000-0000-0000-0000-000000000000",
    }


@pytest.fixture
def container_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that writes down how it was called."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\ncat >> {tmp_path}/called\nexit $STATUS\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    monkeypatch.setenv("STATUS", "0")
    monkeypatch.setenv("DOCKER_COMMAND", "docker")
    return tmp_path / "called"


def test_the_container_client_gets_the_token_on_its_input(
    darsena: Darsena, server: FakeServer, container_client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = server.login_server("contoso")
    assert darsena("login", "-n", "contoso").code == 0
    user = "00000000-0000-0000-0000-000000000000"
    assert container_client.read_text() == f"login {host} --username {user} --password-stdin\nrefresh.token.1"
    assert darsena("login", "-n", "contoso", "-u", "contoso", "-p", "one").code == 0
    assert container_client.read_text() == f"login {host} --username contoso --password-stdin\none"
    monkeypatch.setenv("STATUS", "1")
    assert darsena("login", "-n", "contoso").code == 1
    assert darsena("login", "-n", "contoso", "--client", "no-such-client").code == 1


def test_the_secret_is_never_an_argument_of_another_program(
    darsena: Darsena, server: FakeServer, container_client: Path
) -> None:
    darsena("login", "-n", "contoso", "-u", "contoso", "-p", "hunter2")
    assert not re.search("hunter2", container_client.read_text().splitlines()[0])
