"""The command line against the real server: what it prints, in which shape, and how it ends."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pushing import Pusher
from stand import REGISTRY, Stand, standing, wait_until

_numbers = itertools.count(1)


@pytest.fixture
def registry(stand: Stand) -> str:
    """The name of a registry that only this test has."""
    name = f"cliregistry{next(_numbers)}"
    stand.ok("create", "-g", "tests", "-n", name, "--sku", "Basic")
    return name


def refused(stand: Stand, code: int, told: str, *arguments: str) -> None:
    done = stand.darsena(*arguments)
    assert (done.code, done.out) == (code, ""), f"{done.err}\n{done.out}"
    assert told in done.err


# --- groups and registries --------------------------------------------------------------------------------------------


def test_group_from_its_making_to_its_end(stand: Stand) -> None:
    made = stand.ok("group", "create", "-n", "passing", "-l", "westeurope", "--tags", "team=shop", "env=test").json()
    assert (made["name"], made["location"], made["tags"]) == ("passing", "westeurope", {"team": "shop", "env": "test"})
    assert made["id"] == f"/subscriptions/{stand.owner['subscription_id']}/resourceGroups/passing"
    assert made["properties"] == {"provisioningState": "Succeeded"}
    assert stand.ok("group", "show", "-n", "passing").json() == made
    assert "passing" in stand.ok("group", "list", "-o", "tsv", "--query", "[].name").out.splitlines()
    stand.ok("create", "-g", "passing", "-n", "passingregistry", "--sku", "Basic")
    refused(stand, 2, "--yes", "group", "delete", "-n", "passing")
    stand.ok("group", "delete", "-n", "passing", "--yes")
    assert stand.ok("group", "exists", "-n", "passing").out.strip() == "false"
    refused(stand, 3, "could not be found", "group", "show", "-n", "passing")
    refused(stand, 3, "passingregistry", "show", "-n", "passingregistry")


def test_registry_in_the_shape_that_az_prints(stand: Stand) -> None:
    name = "shaperegistry"
    stand.ok("group", "create", "-n", "shape", "-l", "westeurope")
    made = stand.ok("create", "-g", "shape", "-n", name, "--sku", "Basic").json()
    assert stand.ok("show", "-n", name).json() == made
    expected: dict[str, Any] = {
        "name": name,
        "type": "Microsoft.ContainerRegistry/registries",
        "resourceGroup": "shape",
        "location": "westeurope",
        "loginServer": stand.login_server(name),
        "adminUserEnabled": False,
        "provisioningState": "Succeeded",
        "sku": {"name": "Basic", "tier": "Basic"},
    }
    assert {key: made[key] for key in expected} == expected
    assert stand.ok("list", "-g", "shape").json() == [made]
    assert name in [row["name"] for row in stand.ok("list").json()]
    assert stand.ok("show", "-n", stand.login_server(name), "--query", "loginServer", "-o", "tsv").out.strip() == (
        stand.login_server(name)
    )
    header, _, *rows = stand.ok("list", "-g", "shape", "-o", "table").out.splitlines()
    assert header.split("  ")[0] == "NAME"
    assert [row.split()[0] for row in rows] == [name]


def test_update_changes_what_is_named_and_nothing_else(stand: Stand, registry: str) -> None:
    before = stand.ok("show", "-n", registry).json()
    after = stand.ok("update", "-n", registry, "--sku", "Standard", "--tags", "a=b").json()
    assert (after["sku"]["name"], after["tags"]) == ("Standard", {"a": "b"})
    assert {key for key in before if before[key] != after[key]} <= {"sku", "tags", "systemData"}
    refused(stand, 2, "nothing to change", "update", "-n", registry)
    refused(stand, 2, "true or false", "update", "-n", registry, "--admin-enabled", "perhaps")


def test_credentials_of_the_admin_user(stand: Stand, registry: str) -> None:
    refused(stand, 1, "--admin-enabled true", "credential", "show", "-n", registry)
    stand.ok("update", "-n", registry, "--admin-enabled", "true")
    shown = stand.ok("credential", "show", "-n", registry).json()
    assert shown["username"] == registry
    assert [password["name"] for password in shown["passwords"]] == ["password", "password2"]
    renewed = stand.ok("credential", "renew", "-n", registry, "--password-name", "password").json()
    assert renewed["passwords"][0]["value"] != shown["passwords"][0]["value"]
    assert renewed["passwords"][1] == shown["passwords"][1]


def test_registry_is_deleted_with_its_images_and_its_name_begins_anew(stand: Stand) -> None:
    for _ in range(2):
        stand.ok("create", "-g", "tests", "-n", "shortregistry", "--sku", "Basic")
        pusher = Pusher(stand, "shortregistry", "it")
        assert pusher.list_tags() == []
        pusher.put_manifest("v1", pusher.make_manifest(os.urandom(1000)))
        refused(stand, 2, "--yes", "delete", "-n", "shortregistry")
        stand.ok("delete", "-n", "shortregistry", "--yes")
        assert pusher.get("manifests/v1").status_code == 404
    refused(stand, 3, "shortregistry", "delete", "-n", "shortregistry", "--yes")


@pytest.mark.parametrize(
    ("code", "told", "arguments"),
    [
        (2, "5 to 50 letters and digits", ("create", "-g", "tests", "-n", "x")),
        (2, "5 to 50 letters and digits", ("create", "-g", "tests", "-n", "with-dash")),
        (2, "needs a group", ("create", "-n", "nogroupregistry")),
        (3, "nosuchgroup", ("create", "-g", "nosuchgroup", "-n", "nogroupregistry")),
        (
            1,
            "cannot be created in location",
            ("create", "-g", "tests", "-n", REGISTRY, "-l", "x"),
        ),
        (3, "nosuchregistry", ("show", "-n", "nosuchregistry")),
        (3, "nosuchregistry", ("update", "-n", "nosuchregistry", "--sku", "Basic")),
        (3, "nosuchregistry", ("build", "-r", "nosuchregistry", "-t", "x:1", "https://example.com/x.git")),
        (3, "nosuchregistry", ("credential", "show", "-n", "nosuchregistry")),
        (3, "not known to registry", ("repository", "show", "-n", REGISTRY, "--repository", "no/such")),
        (3, "not known to registry", ("repository", "show-tags", "-n", REGISTRY, "--repository", "no/such")),
        (3, "not known to registry", ("manifest", "list-metadata", "-r", REGISTRY, "-n", "no/such")),
        (2, "Did you mean 'list'", ("lst",)),
        (2, "No such option", ("list", "--nosuch")),
        (2, "--cmd or -f", ("run", "-r", REGISTRY, "--cmd", "x", "-f", "y", ".")),
    ],
)
def test_refusals_have_their_code_and_say_what_is_wrong(
    stand: Stand, code: int, told: str, arguments: tuple[str, ...]
) -> None:
    done = stand.darsena(*arguments)
    assert (done.code, done.out) == (code, ""), done.err
    assert told in done.err
    assert "Traceback" not in done.err


# --- images -----------------------------------------------------------------------------------------------------------


def test_repositories_tags_and_manifests(stand: Stand, registry: str) -> None:
    pusher, other = Pusher(stand, registry, "some/image"), Pusher(stand, registry, "other")
    for tag in ("v1", "v2"):
        pusher.put_manifest(tag, pusher.make_manifest(os.urandom(1000), {"tag": tag}))
    other.put_manifest("v1", other.make_manifest(os.urandom(1000)))
    assert stand.ok("repository", "list", "-n", registry).json() == ["other", "some/image"]
    assert stand.ok("repository", "list", "-n", registry, "-o", "tsv").out.splitlines() == ["other", "some/image"]
    shown = stand.ok("repository", "show", "-n", registry, "--repository", "some/image").json()
    assert (shown["imageName"], shown["manifestCount"], shown["tagCount"]) == ("some/image", 2, 2)
    names = ("repository", "show-tags", "-n", registry, "--repository", "some/image")
    assert stand.ok(*names).json() == ["v1", "v2"]
    assert stand.ok(*names, "--orderby", "time_desc", "--top", "1").json() == ["v2"]
    detailed = stand.ok(*names, "--detail").json()
    digests = {row["name"]: row["digest"] for row in detailed}
    manifests = stand.ok("manifest", "list-metadata", "-r", registry, "-n", "some/image").json()
    assert {row["digest"]: row["tags"] for row in manifests} == {digest: [tag] for tag, digest in digests.items()}
    listed = stand.ok("manifest", "list", "-r", registry, "-n", "some/image").json()
    assert {row["annotations"]["tag"] for row in listed} == {"v1", "v2"}
    shown = stand.ok("manifest", "show", "-r", registry, "-n", "some/image:v1").json()
    assert shown["annotations"] == {"tag": "v1"}
    raw = stand.ok("manifest", "show", f"{stand.login_server(registry)}/some/image@{digests['v1']}", "--raw").out
    assert json.loads(raw) == shown


def test_deleting_asks_and_takes_the_manifest_with_its_tags(stand: Stand) -> None:
    pusher = Pusher(stand, REGISTRY, "cli/deleted")
    for tag in ("v1", "v2", "v3"):
        pusher.put_manifest(tag, pusher.make_manifest(os.urandom(1000)))
    pusher.put_manifest("same", pusher.get("manifests/v1").content)
    image = ("repository", "delete", "-n", REGISTRY, "--image", "cli/deleted:v1")
    refused(stand, 2, "same, v1", *image)
    stand.ok(*image, "--yes")
    assert pusher.list_tags() == ["v2", "v3"]
    stand.ok("repository", "untag", "-n", REGISTRY, "--image", "cli/deleted:v2")
    assert pusher.list_tags() == ["v3"]
    assert len(stand.ok("manifest", "list-metadata", "-r", REGISTRY, "-n", "cli/deleted").json()) == 2
    stand.ok("repository", "delete", "-n", REGISTRY, "--repository", "cli/deleted", "--yes")
    refused(stand, 3, "not known", "repository", "show", "-n", REGISTRY, "--repository", "cli/deleted")


def test_usage_has_every_byte_once_its_reader_has_caught_up(stand: Stand, registry: str) -> None:
    def size() -> int:
        usage = {row["name"]: row for row in stand.ok("show-usage", "-n", registry).json()["value"]}
        assert usage["Size"]["unit"] == "Bytes"
        return usage["Size"]["currentValue"]

    layer = os.urandom(500_000)
    for name in ("one", "same/bytes"):  # stored once
        pusher = Pusher(stand, registry, name)
        pusher.put_manifest("v1", pusher.make_manifest(layer))
    pusher.put_manifest("v2", pusher.make_manifest(os.urandom(100_000)))
    wait_until(lambda: size() >= 600_000, "the usage reader has counted what was pushed")
    assert size() < 610_000


# --- this machine -----------------------------------------------------------------------------------------------------


def test_doctor_finds_engine_names_certificates_and_server(stand: Stand) -> None:
    done = stand.darsena("doctor")
    findings = done.json()
    assert {finding["area"] for finding in findings} >= {"folder", "engine", "certificates", "names", "server"}
    faults = [finding for finding in findings if finding["level"] == "fault"]
    assert (done.code, faults) == (0, [])
    assert any(str(stand.data) in finding["text"] for finding in findings)
    assert any("buildah" in finding["text"] for finding in findings)
    nowhere = stand.darsena("doctor", "--data", str(stand.home / "none"))
    assert "is not made yet" in nowhere.out


def test_config_show_gives_effective_values_and_masks_secrets(stand: Stand) -> None:
    environment = {"DARSENA_DATABASE__URL": "postgresql+psycopg://u:secret@h/d", "DARSENA_LOG__LEVEL": "debug"}
    done = stand.darsena("config", "show", environment=environment)
    assert done.code == 0
    shown = done.json()
    assert (shown["database.url"], shown["log.level"]) == ("***", "debug")
    assert "secret" not in done.out + done.err


def test_owner_reset_gives_a_new_secret_to_a_stopped_server(tmp_path: Path) -> None:
    with standing(tmp_path, "--no-build") as stand:
        before = stand.owner
        running = stand.darsena("owner", "reset")
        assert running.code == 2
        assert f"pid {stand.process.pid}" in running.err  # type: ignore[union-attr]
        assert stand.owner == before
        assert stand.stop() == 0
        stand.ok("owner", "reset")
        assert {key for key in before if before[key] != stand.owner[key]} == {"client_secret"}
        assert (stand.data / "owner.json").stat().st_mode & 0o777 == 0o600
        stand.start("--no-build")
        stand.ok("group", "list")
        old = stand.darsena(
            *("login", "--server", before["control_url"], "-u", before["client_id"], "-p", before["client_secret"]),
            *("--tenant", before["tenant_id"], "--ca-file", before["ca_file"]),
        )
        assert old.code == 4


def test_profile_signs_in_from_anywhere_and_is_forgotten(stand: Stand, tmp_path: Path) -> None:
    owner = stand.owner
    away = {"XDG_CONFIG_HOME": str(tmp_path), "DARSENA_DATA": "", "HOME": str(tmp_path)}
    nobody = stand.darsena("list", environment=away)
    assert nobody.code == 4
    done = stand.darsena(
        *("login", "--server", owner["control_url"], "-u", owner["client_id"], "-p", owner["client_secret"]),
        *("--ca-file", owner["ca_file"]),
        environment=away,
    )
    assert done.code == 0, done.err
    assert done.json()[0]["id"] == owner["subscription_id"]
    profiles = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert profiles
    assert all(path.stat().st_mode & 0o077 == 0 for path in profiles)
    assert stand.darsena("list", environment=away).code == 0
    assert stand.darsena("logout", environment=away).code == 0
    assert stand.darsena("list", environment=away).code == 4


def test_server_that_is_away_is_said(stand: Stand, tmp_path: Path) -> None:
    owner = {**stand.owner, "control_url": "https://localhost:1"}
    (tmp_path / "owner.json").write_text(json.dumps(owner))
    done = stand.darsena("list", environment={"DARSENA_DATA": str(tmp_path)})
    assert done.code == 5
    assert "does not answer" in done.err
