"""`az acr create|show|list|update|delete|check-name|check-health|show-usage|show-endpoints|login|credential|config`."""

from __future__ import annotations

import base64
import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from stand import Stand
from stock import GROUP, NOT_FOUND, Az


@pytest.fixture
def basic(az: Az) -> Iterator[str]:
    name = f"azbasic{uuid.uuid4().hex[:8]}"
    az.ok("acr", "create", "-g", GROUP, "-n", name, "--sku", "Basic", "--tags", "team=docks")
    yield name
    az("acr", "delete", "-n", name, "--yes")


def test_show_and_list(az: Az, basic: str, stand: Stand) -> None:
    shown = az.json("acr", "show", "-n", basic)
    assert shown["loginServer"] == stand.login_server(basic)
    assert shown["tags"] == {"team": "docks"}
    assert shown["resourceGroup"] == GROUP
    assert shown["type"] == "Microsoft.ContainerRegistry/registries"
    assert az.lines("acr", "show", "-n", basic, "--query", "[sku.name, adminUserEnabled]") == ["Basic", "false"]
    assert basic in az.lines("acr", "list", "-g", GROUP, "--query", "[].name")
    assert basic in az.lines("acr", "list", "--query", "[].name")
    header = az.ok("acr", "list", "-g", GROUP, "-o", "table").out.splitlines()[0].split()
    assert header == [
        "NAME",
        "RESOURCE",
        "GROUP",
        "LOCATION",
        "SKU",
        "LOGIN",
        "SERVER",
        "CREATION",
        "DATE",
        "ADMIN",
        "ENABLED",
    ]


def test_update_in_both_directions(az: Az, basic: str) -> None:
    assert az.json("acr", "update", "-n", basic, "--sku", "Premium")["sku"]["name"] == "Premium"
    assert az.json("acr", "update", "-n", basic, "--sku", "Standard")["sku"]["name"] == "Standard"
    assert az.json("acr", "update", "-n", basic, "--anonymous-pull-enabled", "true")["anonymousPullEnabled"] is True
    assert az.json("acr", "update", "-n", basic, "--tags", "a=b", "c=d")["tags"] == {"a": "b", "c": "d"}
    assert az.json("acr", "update", "-n", basic, "--set", "tags.e=f")["tags"] == {"e": "f"}


def test_delete(az: Az, basic: str) -> None:
    az.ok("acr", "delete", "-n", basic, "--yes")
    assert "could not be found" in az.refused("acr", "show", "-n", basic)
    assert "ResourceNotFound" in az.refused("acr", "show", "-n", basic, "-g", GROUP, code=NOT_FOUND)


def test_names(az: Az, basic: str) -> None:
    taken = az.json("acr", "check-name", "-n", basic)
    assert (taken["nameAvailable"], taken["reason"]) == (False, "AlreadyExists")
    assert az.json("acr", "check-name", "-n", f"free{uuid.uuid4().hex[:8]}")["nameAvailable"] is True
    elsewhere = f"other{uuid.uuid4().hex[:6]}"
    az.ok("group", "create", "-n", elsewhere, "-l", "eastus")
    assert "already in use" in az.refused("acr", "create", "-g", elsewhere, "-n", basic, "--sku", "Basic")
    az.ok("group", "delete", "-n", elsewhere, "--yes")


def test_usage(az: Az, registry: str, image: str) -> None:
    usages = {row["name"]: row for row in az.json("acr", "show-usage", "-n", registry)["value"]}
    assert usages["Size"]["limit"] == 500 * 2**30
    assert usages["Size"]["currentValue"] > 0
    assert {"Webhooks", "ScopeMaps", "Tokens"} <= set(usages)
    assert "Size" in az.ok("acr", "show-usage", "-n", registry, "-o", "table").out


def test_endpoints(az: Az, registry: str, stand: Stand) -> None:
    assert az.json("acr", "show-endpoints", "-n", registry)["loginServer"] == stand.login_server(registry)


def test_admin_credentials(az: Az, registry: str) -> None:
    before = az.json("acr", "credential", "show", "-n", registry)
    assert before["username"] == registry
    after = az.json("acr", "credential", "renew", "-n", registry, "--password-name", "password2")
    assert after["passwords"][0]["value"] == before["passwords"][0]["value"]
    assert after["passwords"][1]["value"] != before["passwords"][1]["value"]
    own = ("-u", registry, "-p", after["passwords"][1]["value"])
    assert az.ok("acr", "repository", "list", "-n", registry, *own).code == 0


def test_expose_token(az: Az, registry: str, stand: Stand) -> None:
    exposed = az.json("acr", "login", "-n", registry, "--expose-token")
    assert exposed["loginServer"] == stand.login_server(registry)
    claims = exposed["accessToken"].split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["grant_type"] == "refresh_token"


def test_check_health(az: Az, registry: str) -> None:
    """Off port 443 `az` looks the login server up as a bare host name, and says so; everything else passes."""
    done = az("acr", "check-health", "-n", registry, "--yes", "--ignore-errors")
    said = done.out + done.err
    assert "CONNECTIVITY_DNS_ERROR" in said
    for other in ("CONNECTIVITY_CHALLENGE_ERROR", "CONNECTIVITY_REFRESH_TOKEN_ERROR", "CONNECTIVITY_SSL_ERROR"):
        assert other not in said


def test_policies(az: Az, registry: str) -> None:
    retention = az.json(
        "acr",
        "config",
        "retention",
        "update",
        "-r",
        registry,
        "--status",
        "enabled",
        "--days",
        "9",
        "--type",
        "UntaggedManifests",
    )
    assert (retention["status"], retention["days"]) == ("enabled", 9)
    assert az.json("acr", "config", "retention", "show", "-r", registry)["days"] == 9
    az.ok("acr", "config", "retention", "update", "-r", registry, "--status", "disabled", "--type", "UntaggedManifests")
    as_arm = ("acr", "config", "authentication-as-arm")
    assert az.json(*as_arm, "update", "-r", registry, "--status", "disabled")["status"] == "disabled"
    assert az.json(*as_arm, "show", "-r", registry)["status"] == "disabled"
    az.ok("acr", "repository", "list", "-n", registry)
    az.ok(*as_arm, "update", "-r", registry, "--status", "enabled")
    assert az.json("acr", "config", "content-trust", "show", "-r", registry)["status"] == "disabled"
    soft = ("acr", "config", "soft-delete")
    assert "what is deleted is gone" in az.refused(*soft, "update", "-r", registry, "--status", "enabled", "--yes")
    assert az.json(*soft, "show", "-r", registry)["status"] == "disabled"


def test_network_rules(az: Az, registry: str) -> None:
    rule = ("--ip-address", "203.0.113.0/24")
    added = az.json("acr", "network-rule", "add", "-n", registry, *rule)
    assert [row["ipAddressOrRange"] for row in added["networkRuleSet"]["ipRules"]] == ["203.0.113.0/24"]
    listed = az.json("acr", "network-rule", "list", "-n", registry)
    assert len(listed["ipRules"]) == 1
    left = az.json("acr", "network-rule", "remove", "-n", registry, *rule)
    assert left["networkRuleSet"]["ipRules"] == []


@pytest.mark.parametrize(
    ("command", "shape"),
    [
        (("replication", "list"), list),
        (("webhook", "list"), list),
        (("cache", "list"), list),
        (("credential-set", "list"), list),
        (("agentpool", "list"), list),
        (("connected-registry", "list"), list),
        (("private-endpoint-connection", "list"), list),
    ],
)
def test_what_is_not_there_is_listed_empty(
    az: Az, registry: str, command: tuple[str, ...], shape: type[object]
) -> None:
    option = "--registry-name" if command[0] == "private-endpoint-connection" else "-r"
    listed = az.json("acr", *command, option, registry)
    assert isinstance(listed, shape)
    assert not listed


@pytest.mark.parametrize(
    "command",
    [
        ("webhook", "create", "-n", "hook01", "--uri", "https://example.com/hook", "--actions", "push"),
        ("replication", "create", "-l", "northeurope"),
        ("cache", "create", "-n", "cache01", "-s", "mcr.microsoft.com/hello-world", "-t", "hello"),
        ("agentpool", "create", "-n", "pool01"),
    ],
)
def test_what_is_not_done_is_refused_with_the_reason(az: Az, registry: str, command: tuple[str, ...]) -> None:
    assert "not" in az.refused("acr", *command, "-r", registry)
    assert az.json("acr", command[0], "list", "-r", registry) == []


def test_docker_login(az: Az, registry: str, tmp_path: Path) -> None:
    """`az acr login` runs docker's client; here it is podman under that name, with a quiet standard error."""
    podman = shutil.which("podman")
    client = tmp_path / "docker"
    client.write_text(f'#!/bin/sh\n[ "$1" = ps ] && exit 0\nexec {podman} "$@"\n')
    client.chmod(0o755)
    certificates = str(az.stand.data / "tls")
    done = az(
        "acr",
        "login",
        "-n",
        registry,
        environment={
            "DOCKER_COMMAND": str(client),
            "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"),
            "SSL_CERT_FILE": certificates + "/ca.pem",
        },
    )
    assert done.code == 0, done.err
    assert "Login Succeeded" in done.out + done.err
    assert az.stand.login_server(registry) in (tmp_path / "auth.json").read_text()
