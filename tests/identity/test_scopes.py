"""The scope grammar (ACR authentication, section Scope grammar)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darsena.identity.model import ScopeRequest
from darsena.identity.scopes import MAX_SCOPES, REPOSITORY_ACTIONS, parse_scopes, render_scope, render_scopes


def scope(type_: str, name: str, *actions: str) -> ScopeRequest:
    return ScopeRequest(type_, name, frozenset(actions))


ALL = scope("repository", "a", *REPOSITORY_ACTIONS)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], []),
        (["repository:hello-world:pull"], [scope("repository", "hello-world", "pull")]),
        (["repository:a/b/c:pull,push"], [scope("repository", "a/b/c", "pull", "push")]),
        (["repository:a:metadata_write,metadata_read"], [scope("repository", "a", "metadata_write", "metadata_read")]),
        (["repository:a:deleted_read,deleted_restore"], [scope("repository", "a", "deleted_read", "deleted_restore")]),
        (["repository:a:*"], [ALL]),
        (["repository:a:pull,*"], [ALL]),
        (["repository:*:pull"], [scope("repository", "*", "pull")]),
        (["registry:catalog:*"], [scope("registry", "catalog", "*")]),
        (["registry:deleted_catalog:*"], [scope("registry", "deleted_catalog", "*")]),
        (["artifact-repository:chart:pull,push"], [scope("artifact-repository", "chart", "pull", "push")]),
        # a name may hold colons: the type ends at the first, the actions begin after the last
        (["repository:host:5000/a:pull"], [scope("repository", "host:5000/a", "pull")]),
        # several scopes: repeated parameters, blanks in one, or both
        (
            ["repository:a:pull repository:b:push", "registry:catalog:*"],
            [scope("repository", "a", "pull"), scope("repository", "b", "push"), scope("registry", "catalog", "*")],
        ),
        (["  repository:a:pull   repository:a:push "], [scope("repository", "a", "pull", "push")]),
        # what is not understood is ignored
        (["repository:a:pull,fly"], [scope("repository", "a", "pull")]),
        (["repository:a:pull,,"], [scope("repository", "a", "pull")]),
        (["repository:a:untag"], []),
        (["repository:a:fly"], []),
        (["repository:a:"], []),
        (["repository::pull"], []),
        (["repository:pull"], []),
        (["repository"], []),
        ([":", "::", ":::", "", " "], []),
        (["registry:catalog:pull"], []),
        (["registry:elsewhere:*"], []),
        (["planet:earth:*"], []),
        (["Repository:a:pull"], []),
        (["repository:team/*:pull"], []),
        (["repository:a*:pull"], []),
        (["repository:**:pull"], []),
        ([f"repository:{'a' * 257}:pull"], []),
        (["broken repository:a:pull"], [scope("repository", "a", "pull")]),
    ],
)
def test_scopes_are_parsed_and_nonsense_is_ignored(texts: list[str], expected: list[ScopeRequest]) -> None:
    assert parse_scopes(texts) == expected


def test_only_so_many_scopes_are_looked_at() -> None:
    assert len(parse_scopes([f"repository:r{n}:pull" for n in range(1000)])) == MAX_SCOPES


def test_rendering_has_a_fixed_order() -> None:
    asked = parse_scopes(["repository:a:delete,push,pull", "registry:catalog:*"])
    assert render_scope(asked[0]) == "repository:a:pull,push,delete"
    assert render_scopes(asked) == "repository:a:pull,push,delete registry:catalog:*"


@given(st.lists(st.text(alphabet=st.sampled_from("ab:*,/ repository:pullregistry\t\n\0é"), max_size=60), max_size=6))
def test_anything_is_parsed_without_an_error(texts: list[str]) -> None:
    for found in parse_scopes(texts):
        assert found.actions
        assert found.name
        assert "*" not in found.name or found.name == "*"
        assert parse_scopes([render_scope(found)]) == [found] or " " in found.name
