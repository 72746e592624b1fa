"""Every route of ARM × every kind of principal. The rights are written down here once more, not taken from the table
that the server uses."""

from __future__ import annotations

from typing import Any

import pytest

from darsena.identity.model import Identity
from darsena.identity.roles import (
    ACR_DELETE,
    ACR_IMAGE_SIGNER,
    ACR_PULL,
    ACR_PUSH,
    CONFIGURATION_READER,
    CONTRIBUTOR,
    OWNER,
    RBAC_ADMINISTRATOR,
    READER,
    REPOSITORY_CONTRIBUTOR,
    USER_ACCESS_ADMINISTRATOR,
    Role,
)
from principals import Principals

from .conftest import CONTROL, ROLES, SUBSCRIPTION, Arm
from .test_arm_access import BODIES, fill, is_open, seed

S = f"/subscriptions/{SUBSCRIPTION}"
READS = {"open", "read"}
KINDS: dict[str, tuple[Role | None, str, set[str]]] = {
    # role, scope, what it opens of routes that are about the group rg1, its registry, or the subscription
    "contributor": (CONTRIBUTOR, S, READS | {"change", "secret"}),
    "reader": (READER, S, READS),
    "user access administrator": (USER_ACCESS_ADMINISTRATOR, S, READS | {"roles", "role definitions"}),
    "rbac administrator": (RBAC_ADMINISTRATOR, S, READS | {"roles"}),
    "AcrPull": (ACR_PULL, S, {"open"}),
    "AcrPush": (ACR_PUSH, S, {"open"}),
    "AcrDelete": (ACR_DELETE, S, {"open"}),
    "AcrImageSigner": (ACR_IMAGE_SIGNER, S, {"open"}),
    "repository contributor": (REPOSITORY_CONTRIBUTOR, S, {"open"}),
    "owner of another group": (OWNER, f"{S}/resourceGroups/rg2", {"open"}),
    "owner of a longer name": (OWNER, f"{S}/resourceGroups/rg10", {"open"}),
    "owner of another registry": (
        OWNER,
        f"{S}/resourceGroups/rg1/providers/Microsoft.ContainerRegistry/registries/reg100",
        {"open"},
    ),
    "owner of another subscription": (OWNER, f"/subscriptions/{SUBSCRIPTION[:-1]}6", {"open"}),
    "nobody": (None, S, {"open"}),
}


def kind_of(route: Any) -> str:
    """What the route does."""
    last = route.pattern.rpartition("/")[2]
    if not route.secured or is_open(route):
        return "open"
    if route.method in ("GET", "HEAD") or last == "checkNameAvailability":
        return "read"
    if "/providers/Microsoft.Authorization/" in route.pattern:
        return "roles" if "roleAssignments" in route.pattern else "role definitions"
    return "secret" if last.startswith("list") else "change"


@pytest.mark.parametrize("name", KINDS)
async def test_each_route_opens_to_whom_it_should(arm: Arm, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    role, scope, opened = KINDS[name]
    monkeypatch.setitem(ROLES, "visitor", [] if role is None else [(role, scope)])
    await seed(arm)
    for route in arm.edge.routes:
        if route.method in ("DELETE", "PUT") and kind_of(route) == "change" and "change" in opened:
            continue  # would take away what the others are asked of; owners' own tests do them
        answer = await arm(route.method, fill(route.pattern), BODIES.get(route.method), token="visitor")
        kind = kind_of(route)
        denied = answer.status == 403
        assert denied == (kind not in opened), (route.method, route.pattern, answer.status)
        assert answer.status != 401
        if denied and route.method != "HEAD":
            assert answer.error["code"] == "AuthorizationFailed"
            assert arm.people.principals["visitor"].object_id in answer.error["message"]


async def test_a_reader_of_configuration_sees_secrets_and_changes_nothing(
    arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROLES, "visitor", [(CONFIGURATION_READER, S)])
    await seed(arm)
    assert (await arm("GET", "{r}/reg10", token="visitor")).status == 200
    assert (await arm("POST", "{r}/reg10/listCredentials", token="visitor")).status == 200
    for method, path in (("PATCH", "{r}/reg10"), ("POST", "{r}/reg10/regenerateCredential"), ("DELETE", "{g}")):
        assert (await arm(method, path, {}, token="visitor")).status == 403


async def test_people_have_the_rights_of_their_roles(arm: Arm) -> None:
    await seed(arm)
    identity = arm.people.identity
    person = await Principals(identity).create_user("ana@example.com", "correct horse battery")
    await Principals(identity).assign_role(person.object_id, READER.id, S)
    holder = identity.holders.find(person.id)
    assert holder is not None
    found = Identity(holder=holder, credential=holder.credentials[0][0])
    token, _ = await identity.tokens.issue_directory(found, f"{CONTROL}/", identity.tokens.adfs_issuer)
    header = {"authorization": f"Bearer {token}"}
    assert (await arm("GET", "{r}/reg10", token=None, headers=header)).status == 200
    refused = await arm("PATCH", "{r}/reg10", {}, token=None, headers=header)
    assert refused.status == 403
    assert person.object_id in refused.error["message"]


async def test_another_subscription_is_not_found_before_rights_are_asked(arm: Arm) -> None:
    await seed(arm)
    other = f"/subscriptions/{SUBSCRIPTION[:-1]}6"
    for token in ("owner", "nobody"):
        for path in ("", "/resourceGroups", "/resourceGroups/rg1", "/resources"):
            answer = await arm("GET", f"{other}{path}", token=token)
            assert (answer.status, answer.error["code"]) == (404, "SubscriptionNotFound")
    assert (await arm("GET", "/subscriptions/none/resourceGroups")).error["code"] == "InvalidSubscriptionId"


@pytest.mark.parametrize(
    "path",
    [
        "{s}/resourceGroups/rg2/../rg1",
        "{s}/resourceGroups/rg2/%2e%2e/rg1",
        "{s}/resourceGroups/rg2%2f..%2frg1",
        "{s}/resourceGroups/rg2/providers/Microsoft.ContainerRegistry/registries/reg10",
        "{s}/resourceGroups/rg2/providers/Microsoft.ContainerRegistry/registries/..%2f..%2f..%2frg1",
        "{s}/resourceGroups/rg2%00/providers/Microsoft.ContainerRegistry/registries/reg10",
    ],
)
async def test_paths_that_climb_reach_nothing(arm: Arm, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Whoever owns rg2 gets at nothing of rg1 through it."""
    monkeypatch.setitem(ROLES, "visitor", [(OWNER, f"{S}/resourceGroups/rg2")])
    await seed(arm)
    await arm("PUT", "{s}/resourceGroups/rg2", {"location": "westus"})
    answer = await arm("GET", path, token="visitor")
    assert answer.status in (400, 403, 404)
    assert b"adminUserEnabled" not in answer.content
