"""A registry's tier changed live, in both directions (tiers, sections 2 and 5)."""

from __future__ import annotations

import json
from typing import Any

from .conftest import Answer, Whole

HOST = "reg10.azurecr.localhost:8443"
TAGS = "/v2/team/app/tags/list"


async def patch(whole: Whole, sku: str | None = None, **properties: Any) -> Answer:
    body: dict[str, Any] = {"properties": properties}
    if sku is not None:
        body["sku"] = {"name": sku}
    return await whole.arm("PATCH", f"{whole.registries}/reg10", body)


async def ask(whole: Whole, target: str, authorization: str | None = None) -> Answer:
    return await whole("GET", target, host=HOST, authorization=authorization)


async def usages(whole: Whole) -> dict[str, int]:
    listed = await whole.arm("GET", f"{whole.registries}/reg10/listUsages")
    return {row["name"]: row["limit"] for row in listed.json["value"]}


async def test_anonymous_pull_comes_with_standard_and_goes_with_it(whole: Whole) -> None:
    await whole.seed()
    refused = await patch(whole, anonymousPullEnabled=True)
    assert (refused.status, refused.code) == (400, "BadRequest")
    assert "Anonymous pull is not supported for the SKU Basic" in refused.json["error"]["message"]
    assert (await patch(whole, "Standard", anonymousPullEnabled=True)).json["properties"][
        "anonymousPullEnabled"
    ] is True
    scope = "repository:team/app:pull,metadata_read"
    issued = (await ask(whole, f"/oauth2/token?service={HOST}&scope={scope}")).json["access_token"]
    assert (await ask(whole, TAGS, f"Bearer {issued}")).status == 404  # let in; there is no such repository
    lowered = await patch(whole, "Basic")
    assert (lowered.status, lowered.json["sku"]) == (200, {"name": "Basic", "tier": "Basic"})
    assert lowered.json["properties"]["anonymousPullEnabled"] is False
    assert (await ask(whole, TAGS, f"Bearer {issued}")).status == 401


async def test_network_rules_come_with_premium_and_go_with_it(whole: Whole) -> None:
    await whole.seed()
    rules: dict[str, Any] = {"defaultAction": "Deny", "ipRules": []}
    refused = await patch(whole, networkRuleSet=rules)
    assert (refused.status, refused.code) == (400, "BadRequest")
    assert (await ask(whole, "/v2/")).status == 401
    assert (await patch(whole, "Premium", networkRuleSet=rules)).status == 200
    denied = await ask(whole, "/v2/")
    assert (denied.status, denied.json["errors"][0]["code"]) == (403, "DENIED")
    rules["ipRules"] = [{"action": "Allow", "value": "192.0.2.0/24"}]
    assert (await patch(whole, networkRuleSet=rules)).status == 200
    assert (await ask(whole, "/v2/")).status == 401
    lowered = await patch(whole, "Standard")
    assert "networkRuleSet" not in lowered.json["properties"]
    assert (await ask(whole, "/v2/")).status == 401


async def test_usages_are_those_of_the_tier(whole: Whole) -> None:
    gib = 1024**3
    await whole.seed()
    assert await usages(whole) == {"Size": 10 * gib, "Webhooks": 2, "ScopeMaps": 100, "Tokens": 100}
    await patch(whole, "Premium")
    assert await usages(whole) == {
        "Size": 500 * gib,
        "Webhooks": 500,
        "Geo-replications": -1,
        "IPRules": 200,
        "VNetRules": 100,
        "PrivateEndpointConnections": 200,
        "ScopeMaps": 50_000,
        "Tokens": 50_000,
    }
    await patch(whole, "Standard")
    assert await usages(whole) == {"Size": 100 * gib, "Webhooks": 10, "ScopeMaps": 500, "Tokens": 500}


async def test_too_many_rules_are_over_the_quota(whole: Whole) -> None:
    await whole.seed(sku="Premium")
    rules = [{"value": f"10.0.{number}.0/24"} for number in range(201)]
    refused = await patch(whole, networkRuleSet={"defaultAction": "Deny", "ipRules": rules})
    assert (refused.status, refused.code) == (403, "QuotaExceeded")
    assert refused.json["error"]["message"].startswith(
        "Quota exceeded for resource type IPRules for the registry SKU Premium. Learn more about different SKU quotas"
    )
    assert (await patch(whole, networkRuleSet={"defaultAction": "Deny", "ipRules": rules[:200]})).status == 200


async def test_unknown_tiers_are_refused(whole: Whole) -> None:
    await whole.seed()
    for sku, code in (("Classic", "ClassicSkuDeprecated"), ("Free", "InvalidRequestContent")):
        refused = await patch(whole, sku)
        assert (refused.status, refused.code) == (400, code)
    assert (await patch(whole, "premium")).json["sku"]["name"] == "Premium"


async def test_every_change_is_in_the_activity(whole: Whole) -> None:
    await whole.seed()
    await patch(whole, "Premium")
    path = f"{whole.subscription}/providers/Microsoft.Insights/eventtypes/management/values"
    newest = (await whole.arm("GET", path)).json["value"][0]
    assert json.loads(newest["properties"]["changes"])["sku"] == {"previous": "Basic", "current": "Premium"}
    assert newest["httpRequest"]["clientIpAddress"] == "192.0.2.7"
