"""A registry in ABAC mode: every route of the data plane × the roles, with and without a condition (ACR authentication,
sections 5, 11 and 12)."""

from __future__ import annotations

import pytest

from darsena.identity.roles import (
    ACR_DELETE,
    ACR_PULL,
    ACR_PUSH,
    CONTRIBUTOR,
    OWNER,
    READER,
    REPOSITORY_CATALOG_LISTER,
    REPOSITORY_CONTRIBUTOR,
    REPOSITORY_READER,
    REPOSITORY_WRITER,
    Role,
)
from identity.values import SCOPE, basic, read_claims
from principals import Principals

from .conftest import Server
from .test_doors import ROUTES, make_token_header, token

READ = {"any", "pull", "list", "metadata_read"}
WRITE = READ | {"push", "metadata_write", "untag"}
ACTIONS = ("content/read", "metadata/read", "content/write", "metadata/write", "content/delete", "metadata/delete")


def below(prefix: str) -> str:
    """The condition as the portal writes it, for all of the repository actions."""
    matches = " AND ".join(
        f"!(ActionMatches{{'Microsoft.ContainerRegistry/registries/repositories/{action}'}})" for action in ACTIONS
    )
    name = "@Request[Microsoft.ContainerRegistry/registries/repositories:name]"
    return f"(({matches}) OR ({name} StringStartsWithIgnoreCase '{prefix}'))"


RIGHTS: dict[str, tuple[Role, str | None, set[str]]] = {
    # role, prefix of its condition, what it opens on team/app
    "repository reader": (REPOSITORY_READER, None, READ),
    "repository writer": (REPOSITORY_WRITER, None, WRITE),
    "repository contributor": (REPOSITORY_CONTRIBUTOR, None, WRITE | {"delete"}),
    "catalog lister": (REPOSITORY_CATALOG_LISTER, None, {"any", "catalog"}),
    "repository reader below team/": (REPOSITORY_READER, "team/", READ),
    "repository reader below TEAM/": (REPOSITORY_READER, "TEAM/", READ),
    "repository contributor below team/": (REPOSITORY_CONTRIBUTOR, "team/", WRITE | {"delete"}),
    "repository reader below other/": (REPOSITORY_READER, "other/", {"any"}),
    "repository contributor below other/": (REPOSITORY_CONTRIBUTOR, "other/", {"any"}),
    "repository reader below team/app/": (REPOSITORY_READER, "team/app/", {"any"}),
    "owner": (OWNER, None, {"any"}),
    "contributor": (CONTRIBUTOR, None, {"any"}),
    "reader": (READER, None, {"any"}),
    "AcrPull": (ACR_PULL, None, {"any"}),
    "AcrPush": (ACR_PUSH, None, {"any"}),
    "AcrDelete": (ACR_DELETE, None, {"any"}),
}


async def sign_in(server: Server, caller: str) -> bytes:
    role, prefix, _ = RIGHTS[caller]
    server.change(abac=True)
    made = await server.principal()
    condition = None if prefix is None else below(prefix)
    await Principals(server.identity).assign_role(made.principal.object_id, role.id, SCOPE, condition=condition)
    return basic(made.client_id, made.client_secret)


async def find_wrong(server: Server, header: bytes, rights: set[str]) -> list[tuple[str, str, int]]:
    wrong: list[tuple[str, str, int]] = []
    for index, (method, path, _, right) in enumerate(ROUTES):
        answer = await server(method, path, authorization=header, address=f"10.0.1.{index}")
        if (answer.status != 401) != (right in rights) or answer.status in (403, 500, 503):
            wrong.append((method, path, answer.status))
    return wrong


@pytest.mark.parametrize("caller", RIGHTS)
@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
async def test_each_role_opens_exactly_its_doors(server: Server, caller: str) -> None:
    rights = RIGHTS[caller][2]
    header = await sign_in(server, caller)
    assert await find_wrong(server, header, rights) == []
    # the same with an access token for this repository, and the wildcard that this mode drops
    issued = await token(server, header, "repository:team/app:* repository:*:* registry:catalog:*")
    assert all(entry["name"] != "*" for entry in read_claims(issued[7:].decode())["access"])
    assert await find_wrong(server, issued, rights) == []


async def test_a_role_under_a_condition_ends_with_the_assignment(server: Server) -> None:
    header = await sign_in(server, "repository reader below team/")
    issued = await token(server, header, "repository:team/app:pull")
    for authorization in (header, issued):
        assert (await server("GET", "/v2/team/app/tags/list", authorization=authorization)).status == 404
    for assignment in Principals(server.identity).list_roles():
        await Principals(server.identity).remove_role(assignment)
    for authorization in (header, issued):
        assert (await server("GET", "/v2/team/app/tags/list", authorization=authorization)).status == 401


async def test_the_mode_changes_live_in_both_directions(server: Server) -> None:
    made = await server.principal(ACR_PULL)
    header = basic(made.client_id, made.client_secret)
    issued = await token(server, header, "repository:team/app:pull")
    for abac, status in ((False, 404), (True, 401), (False, 404)):
        server.change(abac=abac)
        for authorization in (header, issued):
            answer = await server("GET", "/v2/team/app/tags/list", authorization=authorization)
            assert answer.status == status, (abac, answer.content)


async def test_repository_tokens_go_on_unchanged(server: Server) -> None:
    """As the admin user, who is no identity of the directory."""
    server.change(abac=True)
    header = await make_token_header(server, "token, push")
    assert await find_wrong(server, header, {"any", "pull", "list", "push"}) == []


async def test_the_admin_user_goes_on_unchanged(server: Server) -> None:
    server.change(abac=True)
    header = basic(*server.admin())
    assert (await server("GET", "/v2/_catalog", authorization=header)).status == 200
    assert (await server("DELETE", "/acr/v1/team/app", authorization=header)).status == 404
