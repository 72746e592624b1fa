"""`$filter` by itself."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darsena.api.arm.filters import parse_filter
from darsena.core.errors import RequestInvalid

FACTS = {
    "name": "O'Brien",
    "resourcetype": "Microsoft.ContainerRegistry/registries",
    "location": "westus",
    "resourcegroup": "rg1",
    "identity/principalid": "ab12",
    "tags/env": "Dev",
    "tags/team": "a",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("name eq 'o''brien'", True),
        ("NAME EQ 'O''BRIEN'", True),
        ("name ne 'o''brien'", False),
        ("location eq 'westus' and resourceGroup eq 'RG1'", True),
        ("location eq 'eastus' or name eq 'x' or resourceGroup eq 'rg1'", True),
        ("location eq 'eastus' and name eq 'x' or resourceGroup eq 'rg1'", True),
        ("location eq 'eastus' and (name eq 'x' or resourceGroup eq 'rg1')", False),
        ("tagName eq 'ENV' and tagValue eq 'dev'", True),
        ("tagName eq 'env' and tagValue eq 'a'", False),
        ("tagValue eq 'a'", True),
        ("tagValue eq 'b'", False),
        ("startswith(tagName, 'te')", True),
        ("startswith(name, 'o')", True),
        ("substringof('bri', name)", True),
        ("substringof('x', name)", False),
        ("identity eq 'x'", False),
        ("identity/principalId eq 'AB12'", True),
        ("identity/principalId ne 'ab12'", False),
        ("plan/publisher eq 'x'", False),
        ("plan/name ne 'x'", True),
    ],
)
def test_filters(text: str, expected: bool) -> None:
    assert parse_filter(text)(FACTS) is expected


@pytest.mark.parametrize(
    "text",
    ["name eq 'a' or", "and", "eq", "name eq 5", "f('a', name)", "name eq 'a' name", ")", "(" * 300, "é eq 'a'",
     "startswith('a', name)", "name eq 'a'" + " or name eq 'a'" * 100, "x" * 5000],
)  # fmt: skip
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(RequestInvalid):
        parse_filter(text)


@given(st.text(alphabet="'() ,andorqe/name", max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    with contextlib.suppress(RequestInvalid):
        assert parse_filter(text)(FACTS) in (True, False)
