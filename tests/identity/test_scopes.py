"""The scope grammar (ACR authentication, section Scope grammar)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darsena.identity.model import ScopeRequest
from darsena.identity.scopes import MAX_SCOPES, REPOSITORY_ACTIONS, parse_scopes, sort_actions


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


def test_actions_have_a_fixed_order() -> None:
    assert sort_actions({"delete", "other", "push", "pull"}) == ["pull", "push", "delete", "other"]


@given(st.lists(st.text(alphabet=st.sampled_from("ab:*,/ repository:pullregistry\t\n\0é"), max_size=60), max_size=6))
def test_anything_is_parsed_without_an_error(texts: list[str]) -> None:
    for found in parse_scopes(texts):
        assert found.actions
        assert found.name
        assert "*" not in found.name or found.name == "*"
        again = f"{found.type}:{found.name}:{','.join(found.actions)}"
        assert parse_scopes([again]) == [found] or " " in found.name
