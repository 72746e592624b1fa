"""What this version does not have below a registry: listed empty, 404 one by one, refused on creation, 204 deleted."""

from __future__ import annotations

from typing import Any

import pytest

from darsena.api.arm.children import COLLECTIONS, OF_ARM, OPERATIONS, Collection, Operation
from darsena.api.arm.identities import ONE as IDENTITY

from .conftest import SUBSCRIPTION, Arm

BODY = {"location": "westus", "properties": {"anything": [1, {"at": "all"}]}}
IDS = [collection.path for collection in COLLECTIONS]
EVERY = pytest.mark.parametrize("collection", COLLECTIONS, ids=IDS)


@pytest.fixture
async def world(group: Arm) -> Arm:
    for name, sku in (("basic10", "Basic"), ("premium10", "Premium")):
        assert (await group("PUT", f"{{r}}/{name}", {"location": "westus", "sku": {"name": sku}})).status == 201
    return group


def base(collection: Collection, registry: str = "premium10") -> str:
    return f"{{r}}/{registry}/" + collection.path.replace("{kind}", "apt").replace("{archive}", "archive10")


@EVERY
async def test_there_are_none(world: Arm, collection: Collection) -> None:
    path = base(collection)
    listed = await world("GET", path)
    assert (listed.status, listed.json) == (200, {"value": []})
    one = await world("GET", f"{path}/child10")
    assert (one.status, one.error["code"]) == (404, "ResourceNotFound")
    assert one.error["message"] == "The resource child10 could not be found."
    assert (await world("PATCH", f"{path}/child10", BODY)).status == 404
    assert (await world("DELETE", f"{path}/child10")).status == 204
    for verb in collection.actions:
        assert (await world("POST", f"{path}/child10/{verb}")).status == 404


@EVERY
async def test_making_one_is_refused_and_not_kept(world: Arm, collection: Collection) -> None:
    path = f"{base(collection)}/child10"
    refused = await world("PUT", path, BODY)
    assert (refused.status, refused.error["code"]) == (400, "FeatureNotSupported")
    assert "not in this version" in refused.error["message"]
    assert collection.instead in refused.error["message"]
    assert (await world("PUT", path, raw=b"[")).error["code"] == "InvalidRequestContent"
    assert (await world("GET", base(collection))).json == {"value": []}


@EVERY
async def test_lower_tiers_refuse_what_only_premium_has(world: Arm, collection: Collection) -> None:
    refused = await world("PUT", f"{base(collection, 'basic10')}/child10", BODY)
    if collection.feature is None:
        assert refused.error["code"] == "FeatureNotSupported"
    else:
        assert refused.error["code"] == "BadRequest"
        assert "not supported for the SKU Basic" in refused.error["message"]


@EVERY
async def test_without_the_registry_there_is_nothing(world: Arm, collection: Collection) -> None:
    path = base(collection, "nothing10")
    calls: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("GET", f"{path}/c", None),
        ("PUT", f"{path}/c", BODY),
        ("DELETE", f"{path}/c", None),
    ]
    for method, target, body in calls:
        answer = await world(method, target, body)
        assert (answer.status, answer.error["code"]) == (404, "ResourceNotFound")
        assert (
            "'Microsoft.ContainerRegistry/registries/nothing10' under resource group 'rg1'" in answer.error["message"]
        )


async def test_private_links(world: Arm) -> None:
    assert (await world("GET", "{r}/premium10/privateLinkResources")).json == {"value": []}
    one = await world("GET", "{r}/premium10/privateLinkResources/registry")
    assert (one.status, one.error["code"]) == (404, "ResourceNotFound")


NAMES = {"subscription": "{subscription}", "group": "rg1", "registry": "premium10", "identity": "identity10"}


def fill(path: str, **changes: str) -> str:
    return path.format(**{**NAMES, "subscription": SUBSCRIPTION, **changes})


@pytest.mark.parametrize(
    ("owner", "collection"),
    [pytest.param(owner, row, id=f"{owner} {row.path}") for row in OF_ARM for owner in row.owners],
)
async def test_what_arm_has_besides(world: Arm, owner: str, collection: Collection) -> None:
    """Locks, deployments and the like, at each scope: as what hangs on a registry."""
    assert (await world("PUT", fill(IDENTITY), {"location": "westus"})).status == 201
    path = fill(f"{owner}/{collection.path}")
    assert (await world("GET", path)).json == {"value": []}
    assert (await world("GET", f"{path}/child10")).error["code"] == "ResourceNotFound"
    assert (await world("DELETE", f"{path}/child10")).status == 204
    making = [("PUT", f"{path}/child10"), *(("POST", f"{path}/child10/{verb}") for verb in collection.trials)]
    for method, target in making:
        refused = await world(method, target, BODY)
        assert (refused.status, refused.error["code"]) == (400, "FeatureNotSupported"), target
        assert collection.instead in refused.error["message"]
    for verb in collection.actions:
        assert (await world("POST", f"{path}/child10/{verb}")).error["code"] == "ResourceNotFound"
    for name in ("group", "registry", "identity"):
        if f"{{{name}}}" in owner:
            missing = fill(f"{owner}/{collection.path}", **{name: "nothing10"})
            assert (await world("GET", missing)).status == 404
            assert (await world("PUT", f"{missing}/child10", BODY)).status == 404


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.path.rpartition("/")[2])
async def test_an_operation_that_is_not_here_is_refused(world: Arm, operation: Operation) -> None:
    refused = await world("POST", fill(operation.path), BODY)
    assert (refused.status, refused.error["code"]) == (400, "FeatureNotSupported")
    assert "not in this version" in refused.error["message"]
    assert operation.instead in refused.error["message"]
    assert (await world("POST", fill(operation.path), raw=b"[")).error["code"] == "InvalidRequestContent"
    assert (await world("POST", fill(operation.path, group="nothing"), BODY)).status == 404
    assert (await world("POST", fill(operation.path), BODY, token="nobody")).status == 403
