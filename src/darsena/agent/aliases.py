"""`$name` in a task file (tasks-engine, section 4): text for text, before anything reads the file as YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping

from darsena.agent.plan import PlanFault

_PREDEFINED = ("ID", "SharedVolume", "Registry", "RegistryName", "Date", "OS", "Architecture", "Commit", "Branch")
_NAME = re.compile(r"[a-zA-Z0-9]+\Z")
IMAGES = {
    "acr": "mcr.microsoft.com/acr/acr-cli:latest",
    "az": "mcr.microsoft.com/acr/azure-cli:latest",
    "bash": "mcr.microsoft.com/acr/bash:latest",
    "curl": "mcr.microsoft.com/acr/curl:latest",
    "cssc": "mcr.microsoft.com/acr/cssc:latest",
}


def alias_table(values: Mapping[str, str]) -> dict[str, str]:
    """The predefined ones, overlaid by the file's. Raises PlanFault for a name that is not alphanumeric."""
    table = {name: f"{{{{.Run.{name}}}}}" for name in _PREDEFINED}
    for name in values:
        if not _NAME.match(name):
            raise PlanFault(f"alias key names only support alphanumeric characters: {name!r}")
    return table | dict(values)


def check_directive(directive: str) -> str:
    if len(directive) != 1:
        raise PlanFault("$ directive can only be overwritten by a single character")
    if directive.isalnum():
        raise PlanFault("overwritten directives may not be alphanumeric characters")
    return directive


def replace_aliases(text: str, table: Mapping[str, str], directive: str = "$") -> str:
    """A doubled directive is one; an unknown name stays as it is. Values are not looked through again."""
    mark = re.escape(directive)

    def put(match: re.Match[str]) -> str:
        if match[0] == directive * 2:
            return directive
        return table.get(match[1], match[0])

    return re.sub(rf"{mark}{mark}|{mark}([a-zA-Z0-9]+)", put, text)


def expand_image(word: str, table: Mapping[str, str]) -> str:
    """The first word of a `cmd`: an image alias or any alias, with or without its `$`."""
    return {**IMAGES, **table}.get(word.removeprefix("$"), word)
