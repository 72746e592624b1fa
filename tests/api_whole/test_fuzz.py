"""Requests made from our own /openapi.json by schemathesis, on the whole server: nothing is ever a 500."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own dependencies, while they are imported
    from schemathesis import openapi
    from schemathesis.core.result import Ok

from .conftest import Answer, Whole

EXAMPLES = 12
"""Of each operation. They are the same in every run."""
KNOWN = {"group": "rg1", "registry": "reg10", "name": "reg10", "namespace": "Microsoft.ContainerRegistry"}
ENDLESS = frozenset({"/darsena/v1/agent/claim"})
"""What waits for something to happen."""


def send(whole: Whole, loop: asyncio.AbstractEventLoop, case: Any, *, known: bool) -> Answer:
    """The case as a request; with `known`, on the subscription, group and registry that are there."""
    path: str = case.operation.path
    for name, value in dict(case.path_parameters or {}).items():
        there = {**KNOWN, "subscription": whole.rooms.stamp.subscription_id}
        text = there[name] if known and name in there else str(value)
        path = path.replace(f"{{{name}}}", quote(text, safe=""))
    query = {"api-version": "2025-11-01", **{key: str(value) for key, value in dict(case.query or {}).items()}}
    body = case.body
    raw = b"" if not isinstance(body, dict | list | str | int | float | bool) else msgspec.json.encode(body)
    return loop.run_until_complete(whole(case.method, f"{path}?{urlencode(query)}", raw=raw))


def list_operations(document: dict[str, Any]) -> Iterator[Any]:
    schema = openapi.from_dict(document)
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if operation.path not in ENDLESS:
            yield operation


def check(answer: Answer, case: Any) -> None:
    assert answer.status < 500, (case.method, case.operation.path, case.body, answer.content)
    if case.method.upper() != "HEAD" and answer.headers.get("content-type", "").startswith("application/json"):
        json.loads(answer.content)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.mark.timeout(600)
def test_no_operation_answers_500(whole_now: Whole, loop: asyncio.AbstractEventLoop) -> None:
    whole = whole_now
    document = loop.run_until_complete(whole("GET", "/openapi.json", authorization=None)).json
    operations = list(list_operations(document))
    assert len(operations) > 100
    for operation in operations:
        if operation.method.upper() == "DELETE":
            loop.run_until_complete(whole.seed())  # for what an earlier DELETE took away

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        )
        @given(case=operation.as_strategy(), known=st.booleans())
        def run(case: Any, known: bool) -> None:
            check(send(whole, loop, case, known=known), case)

        run()
