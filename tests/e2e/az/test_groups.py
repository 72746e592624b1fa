"""`az group`, `account`, `resource`, `rest`, `tag`, `lock`, `monitor activity-log`: ARM around the registries."""

from __future__ import annotations

import uuid

from stand import wait_until
from stock import GROUP, NOT_FOUND, Az


def test_groups(az: Az) -> None:
    name = f"Case-{uuid.uuid4().hex[:8]}"
    made = az.json("group", "create", "-n", name, "-l", "westeurope", "--tags", "a=1")
    assert (made["name"], made["location"], made["tags"]) == (name, "westeurope", {"a": "1"})
    assert az.json("group", "show", "-n", name.lower())["name"] == name
    assert az.ok("group", "exists", "-n", name).out.strip() == "true"
    assert az.json("group", "update", "-n", name, "--set", "tags.b=2")["tags"] == {"a": "1", "b": "2"}
    assert name in az.lines("group", "list", "--query", "[].name")
    assert [row["name"] for row in az.json("group", "list", "--tag", "b=2")] == [name]
    az.ok("group", "delete", "-n", name, "--yes")
    assert az.ok("group", "exists", "-n", name).out.strip() == "false"
    assert "could not be found" in az.refused("group", "show", "-n", name, code=NOT_FOUND)


def test_a_group_goes_with_everything_in_it(az: Az) -> None:
    name, inside = f"whole{uuid.uuid4().hex[:8]}", f"azin{uuid.uuid4().hex[:8]}"
    az.ok("group", "create", "-n", name, "-l", "westeurope")
    az.ok("acr", "create", "-g", name, "-n", inside, "--sku", "Basic")
    az.ok("group", "delete", "-n", name, "--yes", "--no-wait")
    wait_until(lambda: az.ok("group", "exists", "-n", name).out.strip() == "false", "the group is gone")
    az.refused("acr", "show", "-n", inside)


def test_account(az: Az) -> None:
    owner = az.stand.owner
    shown = az.json("account", "show")
    assert (shown["id"], shown["tenantId"], shown["state"]) == (owner["subscription_id"], owner["tenant_id"], "Enabled")
    assert [row["id"] for row in az.json("account", "list")] == [owner["subscription_id"]]
    token = az.json("account", "get-access-token")
    assert token["tokenType"] == "Bearer"
    assert token["subscription"] == owner["subscription_id"]
    assert "westeurope" in az.lines("account", "list-locations", "--query", "[].name")
    assert az.json("provider", "show", "-n", "Microsoft.ContainerRegistry")["registrationState"] == "Registered"


def test_resources(az: Az, registry: str) -> None:
    kind = "Microsoft.ContainerRegistry/registries"
    listed = az.json("resource", "list", "--resource-type", kind, "-g", GROUP)
    found = next(row for row in listed if row["name"] == registry)
    shown = az.json("resource", "show", "--ids", found["id"])
    assert shown["properties"]["loginServer"] == az.stand.login_server(registry)
    by_name = az.json("resource", "show", "-g", GROUP, "-n", registry, "--resource-type", kind)
    assert by_name["id"] == found["id"]
    tagged = az.json("resource", "tag", "--ids", found["id"], "--tags", "by=resource")
    assert tagged["tags"] == {"by": "resource"}


def test_tags(az: Az) -> None:
    name = f"tags{uuid.uuid4().hex[:8]}"
    group = az.json("group", "create", "-n", name, "-l", "westeurope", "--tags", "a=1")
    on = ("--resource-id", group["id"])
    merged = az.json("tag", "update", *on, "--operation", "merge", "--tags", f"{name}=2")
    assert merged["properties"]["tags"] == {"a": "1", name: "2"}
    assert name in az.lines("tag", "list", "--query", "[].tagName")
    az.ok("tag", "delete", *on, "--yes")
    assert az.json("tag", "list", *on)["properties"]["tags"] == {}
    log = az.json("monitor", "activity-log", "list", "-g", name, "--offset", "1h")
    assert [row["caller"] for row in log] == [az.stand.owner["client_id"]] * 3
    assert "FeatureNotSupported" in az.refused(
        *("lock", "create", "-n", "keep", "-g", name, "--lock-type", "CanNotDelete")
    )
    assert az.json("lock", "list", "-g", name) == []
    az.ok("group", "delete", "-n", name, "--yes")


def test_rest(az: Az, registry: str) -> None:
    subscription = az.stand.owner["subscription_id"]
    path = f"/subscriptions/{subscription}/resourceGroups/{GROUP}/providers/Microsoft.ContainerRegistry/registries"
    url = f"{path}/{registry}?api-version=2023-07-01"
    assert az.json("rest", "--method", "get", "--url", url)["name"] == registry
    changed = az.json("rest", "--method", "patch", "--url", url, "--body", '{"tags": {"by": "rest"}}')
    assert changed["tags"] == {"by": "rest"}
    assert "ResourceNotFound" in az.refused(
        "rest", "--method", "get", "--url", f"{path}/nosuch99?api-version=2023-07-01"
    )
