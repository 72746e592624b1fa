"""What clients ask before they create anything: metadata, tenants, subscriptions, locations, providers, resources."""

from __future__ import annotations

from typing import Any

from darsena.api.arm.providers import list_operations

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
TENANT = "99999999-2222-4333-8444-555555555555"
FILTER = "resourceType eq 'Microsoft.ContainerRegistry/registries'"


async def test_metadata_is_one_object_that_az_can_register(arm: Any) -> None:
    answer = await arm("GET", "/metadata/endpoints?api-version=2022-09-01", token=None)
    metadata = answer.json
    assert answer.status == 200
    assert metadata["authentication"]["loginEndpoint"] == "https://localhost:8443/adfs"
    assert metadata["authentication"]["audiences"] == ["https://localhost:8443/"]
    assert metadata["resourceManager"] == "https://localhost:8443"
    assert metadata["suffixes"]["acrLoginServer"] == ".azurecr.localhost:8443"
    assert metadata["suffixes"]["storage"] == "core.azurecr.localhost:8443"
    read = {"name", "graphAudience", "microsoftGraphResourceId", "gallery", "portal", "batch", "media", "sqlManagement",
            "vmImageAliasDoc"}  # fmt: skip
    assert read <= {*metadata}
    assert {"keyVaultDns", "sqlServerHostname"} <= {*metadata["suffixes"]}
    arm.version = None
    assert (await arm("GET", "/metadata/endpoints", token=None)).json == metadata


async def test_tenants_and_subscriptions(arm: Any) -> None:
    (tenant,) = (await arm("GET", "/tenants")).json["value"]
    assert (tenant["id"], tenant["tenantId"], tenant["tenantCategory"]) == (f"/tenants/{TENANT}", TENANT, "Home")
    assert {"displayName", "defaultDomain"} <= {*tenant}
    listed = (await arm("GET", "/subscriptions")).json
    (subscription,) = listed["value"]
    assert subscription == (await arm("GET", "{s}")).json
    assert (subscription["id"], subscription["subscriptionId"], subscription["tenantId"], subscription["state"]) == (
        f"/subscriptions/{SUBSCRIPTION}",
        SUBSCRIPTION,
        TENANT,
        "Enabled",
    )
    assert subscription["managedByTenants"] == []


async def test_locations(arm: Any) -> None:
    locations = {row["name"]: row for row in (await arm("GET", "{s}/locations")).json["value"]}
    assert locations["eastus"]["displayName"] == "East US"
    assert locations["eastus"]["metadata"]["regionType"] == "Physical"
    assert locations["eastus"]["metadata"]["pairedRegion"][0]["name"] == "westus"


async def test_providers(arm: Any) -> None:
    provider = (await arm("GET", "{s}/providers/microsoft.containerregistry")).json
    assert (provider["namespace"], provider["registrationState"]) == ("Microsoft.ContainerRegistry", "Registered")
    types = {row["resourceType"]: row for row in provider["resourceTypes"]}
    assert "East US" in types["registries"]["locations"]
    assert "2025-11-01" in types["registries"]["apiVersions"]
    assert (await arm("POST", "{s}/providers/Microsoft.ContainerRegistry/register")).json == provider
    assert provider in (await arm("GET", "{s}/providers")).json["value"]
    unknown = await arm("GET", "{s}/providers/Microsoft.Nothing")
    assert (unknown.status, unknown.error["code"]) == (404, "InvalidResourceNamespace")


async def test_providers_of_the_tenant_and_their_types(arm: Any) -> None:
    provider = (await arm("GET", "/providers/microsoft.containerregistry")).json
    assert provider["id"] == "/providers/Microsoft.ContainerRegistry"
    assert provider in (await arm("GET", "/providers")).json["value"]
    types = (await arm("GET", "{s}/providers/Microsoft.ContainerRegistry/resourceTypes")).json["value"]
    assert types == provider["resourceTypes"]
    unknown = await arm("GET", "{s}/providers/Microsoft.Nothing/resourceTypes")
    assert (unknown.status, unknown.error["code"]) == (404, "InvalidResourceNamespace")


async def test_a_provider_stays_registered(arm: Any) -> None:
    refused = await arm("POST", "{s}/providers/Microsoft.ContainerRegistry/unregister")
    assert (refused.status, refused.error["code"]) == (400, "FeatureNotSupported")
    found = await arm("GET", "{s}/providers/Microsoft.ContainerRegistry")
    assert found.json["registrationState"] == "Registered"


async def test_every_action_that_a_route_asks_for_is_listed(arm: Any) -> None:
    asked: set[str] = set()
    original = arm.edge.context.gate.authorize_arm

    async def record(principal: Any, action: str, scope: str) -> None:
        asked.add(action)
        await original(principal, action, scope)

    arm.edge.context.gate.authorize_arm = record
    await arm("PUT", "{g}", {"location": "westus"})
    for method, path in (
        ("PUT", "{r}/reg10"),
        ("GET", "{r}/reg10"),
        ("DELETE", "{r}/reg10"),
        ("POST", "{r}/reg10/listCredentials"),
        ("POST", "{r}/reg10/regenerateCredential"),
        ("GET", "{r}/reg10/listUsages"),
        ("POST", "{s}/providers/Microsoft.ContainerRegistry/checkNameAvailability"),
        ("POST", "{s}/providers/Microsoft.ContainerRegistry/register"),
    ):
        await arm(method, path, {"location": "westus", "sku": {"name": "Basic"}})
    listed = {
        operation["name"]
        for operation in (await arm("GET", "/providers/Microsoft.ContainerRegistry/operations")).json["value"]
    }
    ours = {action for action in asked if action.startswith("Microsoft.ContainerRegistry/")}
    assert ours <= listed
    assert len(ours) == 8
    assert len({operation.name for operation in list_operations()}) == len(list_operations())


async def test_a_registry_is_found_by_name(group: Any) -> None:
    for name in ("Reg10", "other10"):
        await group("PUT", "{r}/" + name, {"location": "westus", "sku": {"name": "Basic"}, "tags": {"name": name}})
    for path in ("{s}/resources", "{g}/resources", "{s}/RESOURCES"):
        value = (await group("GET", path, _filter=FILTER)).json["value"]
        assert [row["name"] for row in value] == ["other10", "Reg10"]
    row = value[1]
    assert row["id"] == (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg1/providers/Microsoft.ContainerRegistry/registries/Reg10"
    )
    assert (row["type"], row["location"]) == ("Microsoft.ContainerRegistry/registries", "westus")
    assert (row["sku"], row["tags"]) == ({"name": "Basic", "tier": "Basic"}, {"name": "Reg10"})
    expanded = (await group("GET", "{s}/resources", _expand="createdTime, provisioningState")).json["value"][0]
    assert (expanded["createdTime"], expanded["provisioningState"]) == ("2023-11-14T22:13:20.0000000Z", "Succeeded")
    assert "changedTime" not in expanded


async def test_resources_are_filtered_and_paged(group: Any) -> None:
    for number in range(4):
        body = {"location": "westus", "sku": {"name": "Basic"}, "tags": {"odd": str(number % 2)}}
        await group("PUT", "{r}/reg1" + str(number), body)

    async def names(text: str, **query: str) -> list[str]:
        answer = await group("GET", "{s}/resources", _filter=text, **query)
        assert answer.status == 200
        return [row["name"] for row in answer.json["value"]]

    assert await names(f"{FILTER} and name eq 'REG12'") == ["reg12"]
    assert await names("tagName eq 'odd' and tagValue eq '1'") == ["reg11", "reg13"]
    assert await names("substringof('g13', name) or name eq 'reg10'") == ["reg10", "reg13"]
    assert await names("resourceType eq 'Microsoft.Storage/storageAccounts'") == []
    assert await names("tagName eq 'odd' and tagValue eq '1'", _top="1") == ["reg11"]
    for wrong in (
        "name",
        "name eq",
        "name eq reg",
        "color eq 'x'",
        "name gt 'a'",
        "name eq 'a",
        "(name eq 'a'",
        "' or",
    ):
        answer = await group("GET", "{s}/resources", _filter=wrong)
        assert (answer.status, answer.error["code"]) == (400, "InvalidFilterInQueryString")
