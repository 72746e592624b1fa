"""`az acr token`, `az acr scope-map`, `az role`, `az identity`, `az acr identity`: who may do what."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from stand import Stand, wait_until
from stock import GROUP, NOT_FOUND, Az, resolves


def test_scope_maps(az: Az, registry: str) -> None:
    named = ("-r", registry, "-n", "readers")
    made = az.json("acr", "scope-map", "create", *named, "--repository", "sample/hello", "content/read")
    assert made["actions"] == ["repositories/sample/hello/content/read"]
    more = az.json("acr", "scope-map", "update", *named, "--add-repository", "other", "content/read", "metadata/read")
    assert set(more["actions"]) == {
        "repositories/sample/hello/content/read",
        "repositories/other/content/read",
        "repositories/other/metadata/read",
    }
    names = az.lines("acr", "scope-map", "list", "-r", registry, "--query", "[].name")
    assert {"readers", "_repositories_pull", "_repositories_admin"} <= set(names)
    assert az.json("acr", "scope-map", "show", *named)["name"] == "readers"
    az.ok("acr", "scope-map", "delete", *named, "--yes")
    assert "not" in az.refused("acr", "scope-map", "show", *named, code=NOT_FOUND)


def test_a_token_from_its_first_password_to_its_end(az: Az, registry: str, image: str) -> None:
    named = ("-r", registry, "-n", "puller")
    made = az.json("acr", "token", "create", *named, "--repository", "sample/hello", "content/read", "metadata/read")
    passwords = {row["name"]: row["value"] for row in made["credentials"]["passwords"]}
    assert set(passwords) == {"password1", "password2"}

    tags = ("acr", "repository", "show-tags", "-n", registry, "--repository", "sample/hello", "-u", "puller", "-p")
    assert az.json(*tags, passwords["password1"]) == ["v1"]
    delete = ("acr", "repository", "delete", "-n", registry, "--image", image, "--yes", "-u", "puller", "-p")
    az.refused(*delete, passwords["password1"])

    az.ok("acr", "token", "credential", "delete", *named, "--password1")
    wait_until(lambda: az(*tags, passwords["password1"]).code == 1, "the deleted password is refused")
    assert az.json(*tags, passwords["password2"]) == ["v1"]
    new = ("acr", "token", "credential", "generate", *named, "--password1", "--expiration-in-days", "30")
    renewed = az.json(*new)["passwords"]
    value = next(row["value"] for row in renewed if row["name"] == "password1")
    assert az.json(*tags, value) == ["v1"]

    shown = az.json("acr", "token", "show", *named)
    assert all(row.get("value") is None for row in shown["credentials"]["passwords"])
    az.ok("acr", "token", "update", *named, "--status", "disabled")
    wait_until(lambda: az(*tags, value).code == 1, "the disabled token is refused")
    az.ok("acr", "token", "update", *named, "--status", "enabled", "--scope-map", "_repositories_pull")
    assert "puller" in az.lines("acr", "token", "list", "-r", registry, "--query", "[].name")
    az.ok("acr", "token", "delete", *named, "--yes")


@pytest.fixture(scope="module")
def program(stand: Stand) -> dict[str, str]:
    """A service principal without any right."""
    return stand.ok("sp", "create", f"program-{uuid.uuid4().hex[:6]}", "-o", "json").json()


def test_roles(
    az: Az, new_az: Callable[[], Az], registry: str, image: str, program: dict[str, str], stand: Stand
) -> None:
    definitions = az.json("role", "definition", "list", "-n", "AcrPull")
    assert [row["name"] for row in definitions] == ["7f951dda-4ed3-4680-a7ca-43fe172d538d"]
    scope = az.lines("acr", "show", "-n", registry, "--query", "id")[0]
    other = new_az()
    other.sign_in({**stand.owner, "client_id": program["appId"], "client_secret": program["password"]})

    grant = ("--assignee-object-id", program["id"], "--assignee-principal-type", "ServicePrincipal")
    made = az.json("role", "assignment", "create", *grant, "--role", "Reader", "--scope", scope)
    assert made["principalId"] == program["id"]
    wait_until(lambda: other("acr", "show", "-n", registry).code == 0, "the reader sees the registry")
    assert other.json("acr", "repository", "list", "-n", registry) == ["sample/hello"]
    assert "AuthorizationFailed" in other.refused("acr", "update", "-n", registry, "--tags", "a=b")
    other.refused("acr", "repository", "delete", "-n", registry, "--image", image, "--yes")

    listed = az.json("role", "assignment", "list", "--scope", scope, "--fill-principal-name", "false")
    assert made["id"] in [row["id"] for row in listed]
    az.ok("role", "assignment", "delete", "--ids", made["id"])
    wait_until(lambda: other("acr", "show", "-n", registry).code != 0, "the right is gone")


def test_a_registry_by_repository_under_a_generated_name(az: Az, stand: Stand, context: Path) -> None:
    """ABAC mode: the owner may do nothing there without a repository role, and a run only what its caller may. The
    login server's name is not the registry's, and is found all the same."""
    name = f"azabac{uuid.uuid4().hex[:8]}"
    modes = ("--dnl-scope", "TenantReuse", "--role-assignment-mode", "rbac-abac")
    made = az.json("acr", "create", "-g", GROUP, "-n", name, "--sku", "Basic", *modes)
    host = made["loginServer"].partition(":")[0]
    assert host.startswith(f"{name}-")
    wait_until(lambda: resolves(host), f"{host} resolves")
    build = ("acr", "build", "-r", name, "-t", "team/app:1", str(context))
    assert az(*build).code == 1
    for role in ("Writer", "Catalog Lister"):
        grant = ("--role", f"Container Registry Repository {role}", "--scope", made["id"])
        az.ok("role", "assignment", "create", "--assignee", stand.owner["client_id"], *grant)
    az.ok(*build, "--source-acr-auth-id", "[caller]")
    assert az.json("acr", "repository", "list", "-n", name) == ["team/app"]
    assert az.json("acr", "manifest", "show", f"{made['loginServer']}/team/app:1")["schemaVersion"] == 2
    az.ok("acr", "delete", "-g", GROUP, "-n", name, "--yes")


def test_identities(az: Az, registry: str) -> None:
    made = az.json("identity", "create", "-g", GROUP, "-n", "worker")
    assert {"principalId", "clientId", "tenantId"} <= set(made)
    assert az.json("identity", "show", "-g", GROUP, "-n", "worker")["principalId"] == made["principalId"]
    assert "worker" in az.lines("identity", "list", "-g", GROUP, "--query", "[].name")
    assigned = az.json("acr", "identity", "assign", "-n", registry, "--identities", "[system]", made["id"])
    assert assigned["identity"]["type"] == "SystemAssigned, UserAssigned"
    assert len(assigned["identity"]["userAssignedIdentities"]) == 1
    assert az.json("acr", "identity", "show", "-n", registry)["principalId"]
    left = az.json("acr", "identity", "remove", "-n", registry, "--identities", made["id"])
    assert left["identity"]["type"] == "SystemAssigned"
    az.ok("identity", "delete", "-g", GROUP, "-n", "worker")
