"""The published examples, each replayed on the route that it belongs to.

What this version has answers with a status that the example knows and a body that is valid by the published schema.
What it does not have is refused as such: never accepted, never a 500.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api_arm.test_arm_contract import validate
from darsena.api.arm.children import COLLECTIONS

from .conftest import Whole

DOCUMENTS = ("mgmt-2021-06-01-preview", "tasks-2019-06-01-preview")
METHODS = ("get", "put", "post", "patch", "delete", "head")
ACR = Path(__file__).resolve().parents[2].parent / "shared" / "acr"
NOT_HERE = frozenset(collection.path for collection in COLLECTIONS) | {"importImage"}
"""What is refused on creation, by the first segment below a registry."""


def load_steps() -> list[Any]:
    """(document, method, path, example, operation) of every published example."""
    steps: list[Any] = []
    for name in DOCUMENTS:
        file = ACR / "openapi" / f"{name}.json"
        if not file.exists():
            continue
        for path, operations in json.loads(file.read_bytes())["paths"].items():
            for method, operation in operations.items():
                if method in METHODS:
                    for reference in operation.get("x-ms-examples", {}).values():
                        example = reference["$ref"].rpartition("/")[2].removesuffix(".json")
                        steps.append(pytest.param(name, method.upper(), path, example, operation, id=example))
    return steps


def read_example(document: str, name: str, whole: Whole) -> dict[str, Any]:
    """With our subscription and group for theirs."""
    text = (ACR / "examples" / document / f"{name}.json").read_text()
    text = text.replace("00000000-0000-0000-0000-000000000000", whole.rooms.stamp.subscription_id)
    text = text.replace("myNewScopeMap", "myScopeMap")
    text = text.replace("4385cf00-2d3a-425a-832f-f4285b1c9dce", whole.rooms.stamp.subscription_id)
    # as in every recording: the examples write scope-map actions in a form that the service never took
    for theirs, ours in (
        ("contentRead", "content/read"),
        ("contentWrite", "content/write"),
        ("delete", "content/delete"),
    ):
        text = text.replace(f"repositories/myrepository/{theirs}", f"repositories/myrepository/{ours}")
    return json.loads(text.replace("myResourceGroup", "rg1"))


def fill(path: str, example: dict[str, Any], whole: Whole) -> str:
    values = {
        **example["parameters"],
        "subscriptionId": whole.rooms.stamp.subscription_id,
        "resourceGroupName": "rg1",
        "registryName": "myRegistry",
    }
    return re.sub(r"\{(\w+)\}", lambda match: str(values[match[1]]), path)


def find_body(example: dict[str, Any], operation: dict[str, Any]) -> Any:
    for parameter in operation.get("parameters", ()):
        if parameter.get("in") == "body":
            return example["parameters"][parameter["name"]]
    return None


PARENTS = {"scopeMaps": "ScopeMapCreate", "tokens": "TokenCreate"}


async def prepare(whole: Whole, method: str, path: str) -> None:
    """What the example takes for granted: a registry, a child, a run."""
    await whole.seed(
        "otherRegistry" if method == "PUT" and path.endswith("/{registryName}") else "myRegistry", "Premium"
    )
    for kind, name in PARENTS.items():
        if f"/{kind}/" in path or (kind == "scopeMaps" and "/tokens" in path) or "/generateCredentials" in path:
            example = read_example("mgmt-2021-06-01-preview", name, whole)
            child = example["parameters"][f"{kind[:-1]}Name"]
            body = example["parameters"][f"{kind[:-1]}CreateParameters"]
            if (method, kind) == ("PUT", "tokens"):
                continue
            made = await whole.arm("PUT", f"{whole.registries}/myRegistry/{kind}/{child}", body)
            assert made.status < 300, made.content


@pytest.mark.parametrize(("document", "method", "path", "name", "operation"), load_steps())
async def test_every_published_example(
    whole: Whole, document: str, method: str, path: str, name: str, operation: dict[str, Any]
) -> None:
    example = read_example(document, name, whole)
    await prepare(whole, method, path)
    if "{runId}" in path:
        started = read_example(document, "RegistriesScheduleRun_EncodedTaskRun", whole)
        body = {**started["parameters"]["runRequest"], "agentPoolName": None}
        run = await whole.arm("POST", f"{whole.registries}/myRegistry/scheduleRun", body)
        example["parameters"]["runId"] = run.json["name"]
    answer = await whole.arm(method, fill(path, example, whole), find_body(example, operation))
    check(answer, method, path, name)
    if answer.status < 300 and answer.content:
        definitions = json.loads((ACR / "openapi" / f"{document}.json").read_bytes())["definitions"]
        schema = operation["responses"][str(answer.status)].get("schema")
        if schema is not None:
            validate(schema, _spell_os(answer.json), definitions, name)


def _spell_os(view: Any) -> Any:
    """A run says its platform's system as it was asked for, in any case, as the service does."""
    platform = view.get("properties", {}).get("platform") if isinstance(view, dict) else None
    return (
        view
        if platform is None
        else msgspec.json.decode(
            msgspec.json.encode(view).replace(f'"os":"{platform["os"]}"'.encode(), b'"os":"Linux"')
        )
    )


def check(answer: Any, method: str, path: str, name: str) -> None:
    """The status that the example knows, or an honest refusal of what is not in this version."""
    below = path.partition("/{registryName}/")[2].split("/")
    if name == "RegistriesScheduleRun_Task":
        assert (answer.status, answer.code) == (404, "ResourceNotFound")
    elif below[0] not in NOT_HERE:
        assert answer.status < 300, (name, answer.content)
    elif method == "PUT" or below == ["importImage"]:
        assert (answer.status, answer.code) == (400, "FeatureNotSupported"), name
    elif method == "DELETE":
        assert answer.status == 204, name
    elif method == "GET" and len(below) == 1:
        assert answer.json == {"value": []}, name
    else:
        assert (answer.status, answer.code) == (404, "ResourceNotFound"), name
