"""The list of runs: newest first, filtered by OData (tasks-wire, section 5), on both databases."""

from __future__ import annotations

import pytest

from darsena.core.clock import render_time
from darsena.core.errors import RequestInvalid
from darsena.tasks.filters import parse_filter
from darsena.tasks.model import ImageDescriptor
from runs_world import World

DIGEST = "sha256:" + "a" * 64


async def ids(world: World, text: str, *, before: int | None = None, limit: int = 100) -> list[str]:
    row = await world.registry()
    page = await world.tasks.runs.list(row.uid, test=parse_filter(text), before=before, limit=limit)
    return [run.run_id[2:] for run in page.runs]


async def test_filters(world: World) -> None:
    await world.hello(cpu=64)
    start_us = world.clock.now_us()
    for _ in range(4):
        await world.schedule()
        world.pass_time(10)
    first, second = await world.claim(cpu=64), await world.claim(cpu=64)
    image = ImageDescriptor(registry="r", repository="team/app_1", tag="v1", digest=DIGEST)
    await world.finish(first, output_images=(image,))
    await world.finish(second, "Failed", error="exit status 1")
    row = await world.registry()
    await world.tasks.runs.set_archive(
        await world.facts(), second.run_id, True, (await world.get(second)).system_data.created_by
    )
    await world.schedule("reg20")
    prefix = first.run_id[:2]
    later, much_later = render_time(start_us + 15_000_000), render_time(start_us + 3_600_000_000)
    for text, expected in [
        ("", "4321"),
        ("Status eq 'Queued'", "43"),
        ("status EQ 'queued'", "43"),
        ("Status ne 'Queued'", "21"),
        ("Status eq 'Queued' or Status eq 'Failed'", "432"),
        ("(Status eq 'Queued' or Status eq 'Failed') and IsArchiveEnabled eq true", "2"),
        ("IsArchiveEnabled eq false", "431"),
        (f"RunId eq '{prefix}3'", "3"),
        (f"RunId eq '{prefix.upper()}3'", "3"),
        (f"RunId ge '{prefix}3'", "43"),
        ("RunType eq 'QuickRun'", "4321"),
        ("RunType eq 'AutoBuild'", ""),
        ("TaskName eq 'x'", ""),
        ("TaskName ne 'x'", "4321"),
        ("TaskName eq null", "4321"),
        ("AgentPoolName ne null", ""),
        (f"contains(OutputImageManifests, 'team/app_1@{DIGEST}')", "1"),
        (f"contains(outputimagemanifests,'{DIGEST}') eq true", "1"),
        ("contains(OutputImageManifests, 'team/app%1')", ""),
        ("contains(OutputImageManifests, 'team/appX1')", ""),
        ("contains(OutputImageManifests, 'TEAM')", ""),
        ("contains(OutputImageManifests, 'app_1@') and Status eq 'Succeeded'", "1"),
        (f"CreateTime ge {later}", "43"),
        (f"CreateTime lt '{later}'", "21"),
        (f"CreateTime ge datetime'{later}' and RunId ne '{prefix}4'", "3"),
        (f"FinishTime lt {much_later}", "21"),
        ("FinishTime eq null", "43"),
        ("TaskName eq 'it''s' or RunId eq '" + prefix + "1'", "1"),
        ("TaskName eq '; drop table run --'", ""),
    ]:
        assert "".join(await ids(world, text)) == expected, text
    assert await ids(world, "", limit=2) == ["4", "3"]
    page = await world.tasks.runs.list(row.uid, test=None, before=None, limit=3)
    assert page.next_before == 2
    page = await world.tasks.runs.list(row.uid, test=None, before=page.next_before, limit=3)
    assert ([run.number for run in page.runs], page.next_before) == ([1], None)


@pytest.mark.parametrize(
    "text",
    [
        "Status",
        "Status eq",
        "Status eq Queued",
        "Status has 'x'",
        "not Status eq 'x'",
        "Owner eq 'x'",
        "Status eq 'x' and",
        "Status eq 'x' Status eq 'y'",
        "(Status eq 'x'",
        "Status eq 'x'))",
        "Status eq 'x",
        "startswith(Status, 'x')",
        "contains(CreateTime, 'x')",
        "contains(Status 'x')",
        "CreateTime gt 'yesterday'",
        "CreateTime gt null",
        "IsArchiveEnabled eq 'perhaps'",
        "IsArchiveEnabled gt true",
        "Status eq 'x\0'",
        "a" * 5000,
        "(" * 200 + "Status eq 'x'" + ")" * 200,
        "Status eq 'x' and ∞",
    ],
)
def test_filters_that_are_not_understood_are_refused(text: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        parse_filter(text)
    assert refused.value.code == "InvalidFilterInQueryString"
