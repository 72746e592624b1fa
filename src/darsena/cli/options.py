"""The options that several commands share, spelled as az spells them."""

from __future__ import annotations

from typing import Annotated

import typer

from darsena.cli.exit_codes import UsageProblem
from darsena.cli.output import Format

Output = Annotated[
    Format | None,
    typer.Option(
        "--output", "-o", case_sensitive=False, help="The form of the result. Default: table on a terminal, else json."
    ),
]
Query = Annotated[
    str | None, typer.Option("--query", metavar="JMESPATH", help="A JMESPath expression that is applied to the result.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return when the server has taken it on, not when it is done.")]

Group = Annotated[str | None, typer.Option("--resource-group", "-g", metavar="GROUP", help="The resource group.")]
RegistryName = Annotated[
    str,
    typer.Option("--name", "-n", "--registry", "-r", metavar="REGISTRY", help="The registry's name or login server."),
]
RegistryOption = Annotated[
    str, typer.Option("--registry", "-r", metavar="REGISTRY", help="The registry's name or login server.")
]
Location = Annotated[
    str | None,
    typer.Option(
        "--location", "-l", metavar="LABEL", help="The location's label, such as westeurope; any is accepted."
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tags", metavar="KEY=VALUE", help="Tags of the resource, separated by blanks; '' removes them all."),
]
Top = Annotated[int | None, typer.Option("--top", min=1, help="At most so many.")]

DEFAULT_LOCATION = "eastus"
"""A location is only a label here, until a registry is replicated."""


def parse_tags(texts: list[str] | None) -> dict[str, str] | None:
    """None when none were given; `''` alone means no tags."""
    if texts is None:
        return None
    tags: dict[str, str] = {}
    for text in texts:
        if text:
            name, _, value = text.partition("=")
            if not name:
                raise UsageProblem(f"the tag {text!r} has no name", hint="write KEY=VALUE")
            tags[name] = value
    return tags


def spread_tags(arguments: list[str]) -> list[str]:
    """az takes `--tags a=1 b=2`; an option here takes one value, so it is repeated for each."""
    spread: list[str] = []
    following = False
    for argument in arguments:
        if argument.startswith("-"):
            following = argument == "--tags"
            spread.append(argument)
            continue
        if following and spread[-1] != "--tags":
            spread.append("--tags")
        spread.append(argument)
    return spread


def gather_repositories(arguments: list[str]) -> list[str]:
    """az takes `--repository NAME ACTION…` of scope maps and tokens; here all of it becomes the option's one value."""
    if arguments[:1] not in (["scope-map"], ["token"]):
        return arguments
    gathered: list[str] = []
    following = False
    for argument in arguments:
        if argument.startswith("-"):
            following = argument in ("--repository", "--add-repository", "--remove-repository", "--add", "--remove")
            gathered.append(argument)
        elif following and not gathered[-1].startswith("-"):
            gathered[-1] += f" {argument}"
        else:
            gathered.append(argument)
    return gathered
