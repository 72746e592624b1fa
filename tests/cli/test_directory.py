"""`darsena user` and `darsena sp`: what they ask of the server, and what they show."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from cli.conftest import Darsena
from cli.fake_server import FakeServer

ANA = {"userName": "ana", "displayName": "Ana", "enabled": True, "id": "o-1", "roles": [{"role": "Reader"}]}
CI = {"displayName": "ci", "appId": "c-1", "id": "o-2", "enabled": True, "tenant": "t-1"}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def test_a_user_is_made_with_a_password_of_the_servers(darsena: Darsena, server: FakeServer) -> None:
    server.state.maintenance = [{**ANA, "password": "made-up"}]
    done = darsena("user", "create", "ana", "--role", "Reader", "--display-name", "Ana", "-o", "table")
    assert done.code == 0, done.err
    assert "made-up" in done.out
    assert "shown this once" in done.err
    [(method, path, _, body)] = server.state.maintained
    assert (method, path) == ("POST", "users")
    assert body == {"userName": "ana", "displayName": "Ana", "roles": [{"role": "Reader"}]}


def test_a_password_comes_from_standard_input(
    darsena: Darsena, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.state.maintenance = [ANA, ANA]
    for arguments in (("create", "ana"), ("set-password", "ana")):
        monkeypatch.setattr("sys.stdin", io.StringIO("a long password\r\n"))
        done = darsena("user", *arguments, "--password-stdin")
        assert (done.code, "once" in done.err) == (0, False)
        assert "a long password" not in done.out + done.err
    assert [row[3]["password"] for row in server.state.maintained] == ["a long password"] * 2
    assert server.state.maintained[1][1] == "users/ana/password"


def test_users_are_listed_shown_changed_and_deleted(darsena: Darsena, server: FakeServer) -> None:
    link = f"{server.control}/darsena/v1/admin/users?$skipToken=x"
    server.state.maintenance = [{"value": [ANA], "nextLink": link}, {"value": [ANA]}, ANA, ANA, ANA, None]
    listed = darsena("user", "list", "-o", "table").out
    assert listed.count("ana") == 2
    assert "Reader" in darsena("user", "show", "ana", "-o", "table").out
    assert darsena("user", "disable", "ana").code == 0
    assert darsena("user", "enable", "a@b/c").code == 0
    assert darsena("user", "delete", "ana").code == 2
    assert darsena("user", "delete", "ana", "-y").code == 0
    asked = [(method, path, body) for method, path, _, body in server.state.maintained]
    assert asked == [
        ("GET", "users", None),
        ("GET", "users", None),
        ("GET", "users/ana", None),
        ("PATCH", "users/ana", {"enabled": False}),
        ("PATCH", "users/a@b/c", {"enabled": True}),
        ("DELETE", "users/ana", None),
    ]
    assert any("/users/a%40b%2Fc" in path for _, _, path in server.state.requests)


def test_a_service_principal_is_made(darsena: Darsena, server: FakeServer) -> None:
    server.state.maintenance = [{**CI, "password": "s3cret"}, {**CI, "password": "s3cret2"}]
    done = darsena("sp", "create", "ci", "--role", "AcrPush", "--scope", "/a", "--scope", "/b", "--days", "2")
    assert done.json == {**CI, "password": "s3cret"}
    assert server.state.maintained[0][3] == {
        "displayName": "ci",
        "redirectUris": [],
        "roles": [{"role": "AcrPush", "scope": "/a"}, {"role": "AcrPush", "scope": "/b"}],
        "secretLifetimeSeconds": 172800,
    }
    assert "s3cret2" in darsena("sp", "reset-credentials", "c-1", "-o", "table").out
    assert server.state.maintained[1][1] == "service-principals/c-1/secret"
    assert darsena("sp", "create", "ci", "--scope", "/a").code == 2


def test_only_the_certificate_leaves_the_machine(darsena: Darsena, server: FakeServer, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text(f"-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n{CERTIFICATE}trailing")
    server.state.maintenance = [CI, CI, None, CI]
    assert darsena("sp", "add-certificate", "c-1", "--cert", str(both)).code == 0
    assert darsena("sp", "create", "ci", "--cert", str(both)).code == 0
    assert darsena("sp", "remove-certificate", "c-1", "--thumbprint", "0F").code == 0
    uri = "https://app.example.com/cb"
    assert darsena("sp", "set-redirect-uris", "c-1", "--redirect-uri", uri).code == 0
    asked = server.state.maintained
    assert asked[0][1:] == ("service-principals/c-1/certificates", {}, {"certificate": CERTIFICATE})
    assert asked[1][3]["certificates"] == [CERTIFICATE]
    assert asked[2][:2] == ("DELETE", "service-principals/c-1/certificates/0F")
    assert asked[3][3] == {"redirectUris": [uri]}
    both.write_text("no certificate")
    assert darsena("sp", "add-certificate", "c-1", "--cert", str(both)).code == 2
    assert darsena("sp", "add-certificate", "c-1", "--cert", str(tmp_path / "none")).code == 2
