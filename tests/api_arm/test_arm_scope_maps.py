"""Scope maps and tokens: shapes, rules, limits, rights, what is told, what never shows (control plane, section 10)."""

from __future__ import annotations

from typing import Any

import pytest

from darsena.testing import FakeClock

from .conftest import SUBSCRIPTION, Arm

REGISTRY = {"location": "westus", "sku": {"name": "Basic"}, "properties": {"adminUserEnabled": True}}
R = "{r}/reg10"
ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg1/providers/Microsoft.ContainerRegistry/registries/reg10"
PULL = f"{ID}/scopeMaps/_repositories_pull"
READ = ["repositories/team/app/content/read", "repositories/team/*/metadata/read"]


def scope_map(*actions: str, **properties: Any) -> dict[str, Any]:
    return {"properties": {"actions": list(actions), **properties}}


def token(scope_map_id: str | None = PULL, **properties: Any) -> dict[str, Any]:
    return {"properties": {"scopeMapId": scope_map_id, **properties}}


def passwords(answer: Any) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in answer.json["properties"]["credentials"]["passwords"]}


@pytest.fixture
async def reg(group: Arm) -> Arm:
    assert (await group("PUT", R, REGISTRY)).status == 201
    return group


# --- scope maps -------------------------------------------------------------------------------------------------------


async def test_a_scope_map_from_put_to_delete(reg: Arm, clock: FakeClock) -> None:
    made = await reg("PUT", f"{R}/scopeMaps/Readers-1_a", scope_map(*READ, description="who reads", type="x"))
    assert made.status == 200, made.content
    assert made.json == {
        "id": f"{ID}/scopeMaps/Readers-1_a",
        "name": "Readers-1_a",
        "type": "Microsoft.ContainerRegistry/registries/scopeMaps",
        "systemData": made.json["systemData"],
        "properties": {
            "type": "UserDefined",
            "creationDate": made.json["systemData"]["createdAt"],
            "provisioningState": "Succeeded",
            "actions": READ,
            "description": "who reads",
        },
    }
    assert not {"azure-asyncoperation", "location"} & made.headers.keys()
    assert (await reg("GET", f"{R}/SCOPEMAPS/readers-1_A")).json == made.json
    clock.advance(1)
    changed = await reg("PATCH", f"{R}/scopeMaps/readers-1_a", scope_map("repositories/*/content/read"))
    assert changed.status == 200
    assert changed.json["name"] == "Readers-1_a"
    assert changed.json["properties"]["actions"] == ["repositories/*/content/read"]
    assert changed.json["properties"]["description"] == "who reads"
    assert changed.json["systemData"]["createdAt"] == made.json["systemData"]["createdAt"]
    assert changed.json["systemData"]["lastModifiedAt"] > made.json["systemData"]["lastModifiedAt"]
    again = await reg("PUT", f"{R}/scopeMaps/readers-1_a", scope_map(*READ))
    assert (again.status, again.json["name"], "description" in again.json["properties"]) == (200, "Readers-1_a", False)
    assert (await reg("PATCH", f"{R}/scopeMaps/readers-1_a", {"properties": {}})).json["properties"]["actions"] == READ
    assert (await reg("DELETE", f"{R}/scopeMaps/readers-1_a")).status == 200
    assert (await reg("DELETE", f"{R}/scopeMaps/readers-1_a")).status == 204
    gone = await reg("GET", f"{R}/scopeMaps/readers-1_a")
    assert (gone.status, gone.json) == (
        404,
        {
            "error": {"code": "ResourceNotFound", "message": "The resource readers-1_a could not be found."},
            "status": "Failed",
        },
    )


async def test_every_registry_has_the_system_s_and_nobody_changes_them(reg: Arm) -> None:
    listed = (await reg("GET", f"{R}/scopeMaps")).json["value"]
    assert [row["name"] for row in listed] == [
        "_repositories_admin",
        "_repositories_pull",
        "_repositories_pull_metadata_read",
        "_repositories_push",
        "_repositories_push_metadata_write",
    ]
    assert {row["properties"]["type"] for row in listed} == {"SystemDefined"}
    assert listed[0]["properties"]["actions"] == [
        f"repositories/*/{verb}"
        for verb in ("metadata/read", "metadata/write", "content/read", "content/write", "content/delete")
    ]
    assert (await reg("GET", f"{R}/scopeMaps/_Repositories_Pull")).json["properties"]["description"] == (
        "Can pull any repository of the registry"
    )
    for method, body in (("PUT", scope_map(*READ)), ("PATCH", scope_map(*READ)), ("DELETE", None)):
        refused = await reg(method, f"{R}/scopeMaps/_REPOSITORIES_pull", body)
        assert refused.status == 400, refused.content
        assert "defined by the system" in refused.error["message"]


async def test_a_patch_that_says_nothing_changes_nothing_and_null_removes(reg: Arm) -> None:
    path = f"{R}/scopeMaps/readers"
    made = (await reg("PUT", path, scope_map(*READ, description="who reads"))).json["properties"]
    for body in ({}, {"properties": None}, {"properties": {}}, {"properties": {"actions": None}}):
        answer = await reg("PATCH", path, body)
        assert (answer.status, answer.json["properties"]) == (200, made), body
    cleared = (await reg("PATCH", path, {"properties": {"description": None}})).json["properties"]
    assert cleared == {name: value for name, value in made.items() if name != "description"}
    assert (await reg("GET", path)).json["properties"] == cleared


async def test_lists_are_read_in_pages(reg: Arm) -> None:
    for number in range(5):
        await reg("PUT", f"{R}/scopeMaps/Zmap{number}", scope_map(*READ))
        await reg("PUT", f"{R}/tokens/token{number}", token())
    for kind, total in (("scopeMaps", 10), ("tokens", 5)):
        names: list[str] = []
        page = await reg("GET", f"{R}/{kind}", _top="2")
        while True:
            assert len(page.json["value"]) <= 2
            names += [row["name"] for row in page.json["value"]]
            link = page.json.get("nextLink")
            if link is None:
                break
            page = await reg("GET", link.removeprefix("https://localhost:8443"))
        assert (len(names), names) == (total, sorted(set(names), key=str.lower))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"properties": {}},
        scope_map(),
        scope_map("repositories/team/app/content/read", "nonsense"),
        scope_map("repositories/Team/content/read"),
        scope_map("repositories/a*/content/read"),
        scope_map("repositories/team/app/metadata/delete"),
        scope_map(*(f"repositories/r{number}/content/read" for number in range(501))),
        scope_map(*READ, description="x" * 257),
        scope_map(*READ, description="a\0b"),
        {"properties": {"actions": "repositories/a/content/read"}},
        {"properties": {"actions": [1]}},
        {"properties": []},
        [],
    ],
)
async def test_bodies_that_are_no_scope_map(reg: Arm, body: Any) -> None:
    refused = await reg("PUT", f"{R}/scopeMaps/readers", body)
    assert refused.status == 400, refused.content
    assert refused.error["code"] in ("InvalidRequestContent", "InvalidParameter")
    assert (await reg("GET", f"{R}/scopeMaps/readers")).status == 404


@pytest.mark.parametrize("name", ["abcd", "x" * 51, "a.bcde", "a bcde", "a\0bcde", "%C3%B1andu"])
@pytest.mark.parametrize("kind", ["scopeMaps", "tokens"])
async def test_names_that_neither_can_have(reg: Arm, kind: str, name: str) -> None:
    path = f"{R}/{kind}/{name}"
    refused = await reg("PUT", path, scope_map(*READ) if kind == "scopeMaps" else token())
    assert refused.status == 400, refused.content
    assert (await reg("GET", path)).status in (400, 404)
    assert (await reg("PATCH", path, {"properties": {}})).status in (400, 404)
    assert (await reg("DELETE", path)).status in (204, 400)


# --- tokens -----------------------------------------------------------------------------------------------------------


async def test_a_token_from_put_to_delete(reg: Arm) -> None:
    made = await reg("PUT", f"{R}/tokens/Puller-1", token(status="Enabled"))
    assert made.status == 201, made.content
    assert made.json == {
        "id": f"{ID}/tokens/Puller-1",
        "name": "Puller-1",
        "type": "Microsoft.ContainerRegistry/registries/tokens",
        "systemData": made.json["systemData"],
        "properties": {
            "creationDate": made.json["systemData"]["createdAt"],
            "provisioningState": "Succeeded",
            "scopeMapId": PULL,
            "credentials": {"certificates": [], "passwords": []},
            "status": "enabled",
        },
    }
    assert not {"azure-asyncoperation", "location"} & made.headers.keys()
    assert (await reg("GET", f"{R}/tokens/PULLER-1")).json == made.json
    await reg("PUT", f"{R}/scopeMaps/Readers", scope_map(*READ))
    upper = f"{ID}/scopeMaps/READERS".upper().replace(SUBSCRIPTION.upper(), SUBSCRIPTION)
    changed = await reg("PATCH", f"{R}/tokens/puller-1", token(upper, status="disabled"))
    assert changed.status == 200, changed.content
    assert changed.json["properties"]["scopeMapId"] == f"{ID}/scopeMaps/Readers"
    assert changed.json["properties"]["status"] == "disabled"
    kept = await reg("PUT", f"{R}/tokens/puller-1", {"properties": {}})
    assert (kept.status, kept.json["properties"]) == (200, changed.json["properties"])
    used = await reg("DELETE", f"{R}/scopeMaps/readers")
    assert (used.status, used.error["code"]) == (409, "ScopeMapInUse")
    assert "Puller-1" in used.error["message"]
    assert (await reg("DELETE", f"{R}/tokens/puller-1")).status == 200
    assert (await reg("DELETE", f"{R}/tokens/puller-1")).status == 204
    assert (await reg("GET", f"{R}/tokens/puller-1")).error["message"] == "The resource puller-1 could not be found."
    assert (await reg("DELETE", f"{R}/scopeMaps/readers")).status == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        token(None),
        token(""),
        token("_repositories_pull"),
        token(f"{ID}/scopeMaps/"),
        token(f"{ID}/scopeMaps/nothing"),
        token(f"{ID}/tokens/_repositories_pull"),
        token(f"{ID}/scopeMaps/a/_repositories_pull"),
        token(PULL.replace("reg10", "reg20")),
        token(PULL.replace(SUBSCRIPTION, "0" * 8 + SUBSCRIPTION[8:])),
        token(PULL.replace("rg1", "rg2")),
        token(f"{ID}/scopeMaps/a\0b"),
        token(status="on"),
        token(status=True),
        token(credentials={"passwords": [{"name": "password3"}]}),
        token(credentials={"passwords": [{}]}),
        token(credentials={"certificates": [{"name": "certificate3", "encodedPemCertificate": ""}]}),
        token(credentials={"certificates": [{"name": "certificate1", "encodedPemCertificate": "QUJD"}]}),
        token(credentials={"certificates": [{"name": "certificate1"}]}),
        token(credentials=[]),
    ],
)
async def test_bodies_that_are_no_token(reg: Arm, body: Any) -> None:
    refused = await reg("PUT", f"{R}/tokens/puller", body)
    assert refused.status == 400, refused.content
    assert (await reg("GET", f"{R}/tokens/puller")).status == 404


async def test_passwords_are_shown_once_kept_by_name_and_deleted_by_leaving_them_out(
    reg: Arm, clock: FakeClock
) -> None:
    await reg("PUT", f"{R}/tokens/Puller", token())
    order = {"tokenId": f"{ID}/tokens/puller", "expiry": "2030-12-31T15:59:59.0707808Z"}
    both = await reg("POST", f"{R}/generateCredentials", order)
    assert both.status == 200, both.content
    assert both.json["username"] == "Puller"
    first, second = both.json["passwords"]
    assert (first["name"], second["name"]) == ("password1", "password2")
    assert first["expiry"] == second["expiry"] == "2030-12-31T15:59:59.0707800+00:00"
    assert len({first["value"], second["value"]}) == 2
    clock.advance(1)
    one = await reg("POST", f"{R}/generateCredentials", {**order, "name": "Password2", "expiry": None})
    again = {row["name"]: row for row in one.json["passwords"]}
    assert "value" not in again["password1"]
    assert again["password2"]["value"] != second["value"]
    assert again["password2"].keys() == {"creationTime", "name", "value"}
    assert again["password2"]["creationTime"] > first["creationTime"]
    for answer in (await reg("GET", f"{R}/tokens/puller"), await reg("PATCH", f"{R}/tokens/puller", {})):
        assert {name: row.keys() for name, row in passwords(answer).items()} == {
            "password1": {"creationTime", "name", "expiry"},
            "password2": {"creationTime", "name"},
        }
    listed = (await reg("GET", f"{R}/tokens")).content
    assert not any(value.encode() in listed for value in (first["value"], again["password2"]["value"]))
    kept = await reg("PATCH", f"{R}/tokens/puller", {"properties": {"credentials": {"passwords": [first]}}})
    assert passwords(kept).keys() == {"password1"}
    none = await reg("PATCH", f"{R}/tokens/puller", {"properties": {"credentials": {"passwords": []}}})
    assert none.json["properties"]["credentials"] == {"certificates": [], "passwords": []}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"tokenId": None}, 400),
        ({"tokenId": f"{ID}/tokens/nobody"}, 404),
        ({"tokenId": f"{ID}/scopeMaps/puller"}, 400),
        ({"tokenId": f"{ID}/tokens/puller".replace("reg10", "reg20")}, 400),
        ({"tokenId": "puller"}, 400),
        ({"name": "password3"}, 400),
        ({"name": ""}, 400),
        ({"expiry": "soon"}, 400),
        ({"expiry": "9999-12-31T23:59:59-12:00"}, 400),
        ({"expiry": 5}, 400),
        ({"expiry": "9999-12-31T23:59:59.999999+00:00"}, 200),
        ({"expiry": "0001-01-01T00:00:00Z"}, 200),
        ({"expiry": "2030-01-01"}, 200),
    ],
)
async def test_what_passwords_can_be_made_for(reg: Arm, change: dict[str, Any], status: int) -> None:
    await reg("PUT", f"{R}/tokens/puller", token())
    answer = await reg("POST", f"{R}/generateCredentials", {"tokenId": f"{ID}/tokens/puller", **change})
    assert answer.status == status, answer.content
    shown = await reg("GET", f"{R}/tokens/puller")
    assert len(passwords(shown)) == (2 if status == 200 else 0)


async def test_usages_and_limits_are_the_tier_s(reg: Arm) -> None:
    for number in range(3):
        await reg("PUT", f"{R}/scopeMaps/readers{number}", scope_map(*READ))
    await reg("PUT", f"{R}/tokens/puller", token())
    usages = {row["name"]: row for row in (await reg("GET", f"{R}/listUsages")).json["value"]}
    assert (usages["ScopeMaps"]["limit"], usages["ScopeMaps"]["currentValue"]) == (100, 3)
    assert (usages["Tokens"]["limit"], usages["Tokens"]["currentValue"]) == (100, 1)
    for number in range(3, 100):
        assert (await reg("PUT", f"{R}/scopeMaps/readers{number}", scope_map(*READ))).status == 200
    full = await reg("PUT", f"{R}/scopeMaps/one-more", scope_map(*READ))
    assert (full.status, full.error["code"]) == (403, "QuotaExceeded")
    assert "ScopeMaps for the registry SKU Basic" in full.error["message"]
    assert (await reg("PATCH", R, {"sku": {"name": "Standard"}})).status == 200
    assert (await reg("PUT", f"{R}/scopeMaps/one-more", scope_map(*READ))).status == 200
    down = await reg("PATCH", R, {"sku": {"name": "Basic"}})
    assert (down.status, down.error["code"]) == (403, "QuotaExceeded")


async def test_a_registry_made_anew_starts_without(reg: Arm) -> None:
    await reg("PUT", f"{R}/scopeMaps/readers", scope_map(*READ))
    await reg("PUT", f"{R}/tokens/puller", token(f"{ID}/scopeMaps/readers"))
    await reg("POST", f"{R}/generateCredentials", {"tokenId": f"{ID}/tokens/puller"})
    assert (await reg("DELETE", R)).status == 200
    assert (await reg("GET", f"{R}/tokens/puller")).error["code"] == "ResourceNotFound"
    await reg("PUT", R, REGISTRY)
    assert (await reg("GET", f"{R}/tokens")).json == {"value": []}
    assert len((await reg("GET", f"{R}/scopeMaps")).json["value"]) == 5


async def test_each_door_has_its_right(reg: Arm) -> None:
    """A reader sees, but makes nothing and gets no password; whoever has nothing here learns nothing."""
    await reg("PUT", f"{R}/tokens/puller", token())
    doors: list[tuple[str, str, Any]] = [
        ("PUT", "scopeMaps/readers", scope_map(*READ)),
        ("PATCH", "scopeMaps/readers", scope_map(*READ)),
        ("DELETE", "scopeMaps/readers", None),
        ("PUT", "tokens/puller", token()),
        ("PATCH", "tokens/puller", token(status="disabled")),
        ("POST", "generateCredentials", {"tokenId": f"{ID}/tokens/puller"}),
        ("DELETE", "tokens/puller", None),
    ]
    reads = ("scopeMaps", "scopeMaps/_repositories_pull", "tokens", "tokens/puller")
    for who, sees in (("reader", 200), ("reg1", 200), ("puller", 403), ("nobody", 403)):
        for path in reads:
            assert (await reg("GET", f"{R}/{path}", token=who)).status == sees, (who, path)
        for method, path, body in doors:
            refused = await reg(method, f"{R}/{path}", body, token=who)
            assert (refused.status, refused.error["code"]) == (403, "AuthorizationFailed"), (who, method, path)
    for method, path, body in doors:
        assert (await reg(method, f"{R}/{path}", body, token="group1")).status < 300, (method, path)


async def test_each_change_is_read_in_the_activity_log(reg: Arm) -> None:
    for method, path, body in (
        ("PUT", "scopeMaps/readers", scope_map(*READ)),
        ("PUT", "tokens/puller", token(f"{ID}/scopeMaps/readers")),
        ("POST", "generateCredentials", {"tokenId": f"{ID}/tokens/puller"}),
        ("PATCH", "tokens/puller", token(status="disabled")),
        ("DELETE", "tokens/puller", None),
        ("DELETE", "scopeMaps/readers", None),
    ):
        assert (await reg(method, f"{R}/{path}", body)).status < 300
    log = await reg("GET", "{s}/providers/microsoft.insights/eventtypes/management/values", _top="6")
    rows = [(row["properties"]["event"], row["resourceId"]) for row in reversed(log.json["value"])]
    assert rows == [
        ("scope_map.created", f"{ID}/scopeMaps/readers"),
        ("token.created", f"{ID}/tokens/puller"),
        ("token.passwords_generated", f"{ID}/tokens/puller"),
        ("token.updated", f"{ID}/tokens/puller"),
        ("token.deleted", f"{ID}/tokens/puller"),
        ("scope_map.deleted", f"{ID}/scopeMaps/readers"),
    ]
