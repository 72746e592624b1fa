"""Settings: which source wins, and what an unknown or wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from darsena.core.errors import StartFailure
from darsena.settings import describe, list_keys, load


def test_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, {}, {})
    assert settings.server.listen == "127.0.0.1:8443"
    assert settings.build.enabled


def test_each_source_beats_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "darsena.toml").write_text('[server]\ndrain_s = 5\nlisten = "127.0.0.1:1"\n[log]\nlevel = "debug"\n')
    environment = {"DARSENA_SERVER__LISTEN": "127.0.0.1:2", "DARSENA_LOG__LEVEL": "error"}
    settings = load(tmp_path, environment, {"server.listen": "127.0.0.1:3", "log.level": None})
    assert (settings.server.drain_s, settings.server.listen, settings.log.level) == (5, "127.0.0.1:3", "error")


def test_a_folder_keeps_its_port(tmp_path: Path) -> None:
    (tmp_path / "darsena.json").write_text('{"port": 18444}')
    assert load(tmp_path, {}, {}).server.listen == "127.0.0.1:18444"
    assert load(tmp_path, {"DARSENA_SERVER__LISTEN": "0.0.0.0:18444"}, {}).server.listen == "0.0.0.0:18444"


def test_a_folder_keeps_its_scheme(tmp_path: Path) -> None:
    (tmp_path / "darsena.json").write_text('{"port": 18444, "scheme": "http"}')
    settings = load(tmp_path, {}, {})
    assert (settings.server.tls, settings.server.listen) == ("off", "127.0.0.1:18444")
    assert load(tmp_path, {"DARSENA_SERVER__TLS": "own"}, {}).server.tls == "own"  # refused when it starts


def test_behind_a_proxy_the_folders_port_is_the_proxys(tmp_path: Path) -> None:
    (tmp_path / "darsena.json").write_text('{"port": 18444, "scheme": "https"}')
    server = load(tmp_path, {"DARSENA_SERVER__TLS": "proxy"}, {}).server
    assert (server.public_port, server.listen) == (18444, "127.0.0.1:8443")


def test_texts_become_what_the_setting_is(tmp_path: Path) -> None:
    server = "reg.azurecr.localhost:8443"
    environment = {
        "DARSENA_BUILD__ENABLED": "false",
        "DARSENA_BUILD__CPU": "4",
        "DARSENA_BUILD__ALLOW_SOURCES": "localhost, 127.0.0.1:9000",
        "DARSENA_TASKS__BASE_IMAGES": f"docker.io/library/busybox={server}/busybox,mcr.microsoft.com/x={server}/x",
    }
    settings = load(tmp_path, environment, {})
    assert settings.build.enabled is False
    assert settings.build.cpu == 4
    assert settings.build.allow_sources == ("localhost", "127.0.0.1:9000")
    assert settings.tasks.base_images["mcr.microsoft.com/x"] == f"{server}/x"


@pytest.mark.parametrize(
    ("toml", "environment", "said"),
    [
        ("[server]\nlistn = 'x'\n", {}, "server.listen"),
        ("[sever]\nlisten = 'x'\n", {}, "server.listen"),
        ("server = 1\n", {}, "there is no setting"),
        ("[server\n", {}, "not valid TOML"),
        ("", {"DARSENA_LOG__LEVL": "x"}, "log.level"),
        ("", {"DARSENA_LOG__LEVEL": "loud"}, "wrong kind"),
        ("", {"DARSENA_SERVER__DRAIN_S": "soon"}, "wrong kind"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, toml: str, environment: dict[str, str], said: str) -> None:
    (tmp_path / "darsena.toml").write_text(toml)
    with pytest.raises(StartFailure, match=said):
        load(tmp_path, environment, {})


def test_other_variables_of_ours_are_no_settings(tmp_path: Path) -> None:
    load(tmp_path, {"DARSENA_DATA": "x", "DARSENA_AGENT_TOKEN": "t", "DARSENA_FAILPOINT": "f"}, {})


def test_secrets_are_masked(tmp_path: Path) -> None:
    shown = describe(load(tmp_path, {"DARSENA_DATABASE__URL": "postgresql+psycopg://u:secret@h/d"}, {}))
    assert shown["database.url"] == "***"
    assert set(shown) == set(list_keys())
