"""The text of a `build` step: docker's build options, and one context (tasks-engine, section 10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from darsena.agent.plan import BuildAction, PlanFault

_SHORT = {"-t": "--tag", "-f": "--file", "-m": "--memory", "-q": "--quiet", "-o": "--output", "-v": "--volume"}
_PASSED = [
    "--add-host",
    "--shm-size",
    "--ulimit",
    "--memory",
    "--memory-swap",
    "--cpu-shares",
    "--cpu-quota",
    "--cpu-period",
    "--cpuset-cpus",
    "--cpuset-mems",
]
_VALUED = {"--tag", "--image", "--file", "--build-arg", "--target", "--label", "--platform", "--network", *_PASSED}
_FLAGS = {"--no-cache", "--pull", "--squash", "--rm", "--force-rm", "--compress", "--quiet", "--disable-content-trust"}
_IGNORED_VALUED = {"--progress", "--isolation", "--cpus"}


@dataclass(slots=True)
class _Parsed:
    values: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    flags: set[str] = field(default_factory=set[str])
    contexts: list[str] = field(default_factory=list[str])


def parse_build(words: list[str], environment: Mapping[str, str]) -> tuple[BuildAction, str | None]:
    """The action and the network that the text names. Raises PlanFault for an option that is not allowed."""
    parsed = _parse(words)
    if len(parsed.contexts) > 1:
        raise PlanFault(f"a build step has one context, not {len(parsed.contexts)}: {' '.join(parsed.contexts)}")
    networks = parsed.values.get("--network", [])
    arguments: dict[str, str] = {}
    for text in parsed.values.get("--build-arg", []):
        name, equals, value = text.partition("=")
        arguments[name] = value if equals else environment.get(name, "")
    options = [f"{name}={value}" for name in _PASSED for value in parsed.values.get(name, [])]
    action = BuildAction(
        context=parsed.contexts[0] if parsed.contexts else ".",
        dockerfile=_last(parsed, "--file") or "",
        tags=tuple(dict.fromkeys([*parsed.values.get("--tag", []), *parsed.values.get("--image", [])])),
        arguments=arguments,
        labels=tuple(parsed.values.get("--label", [])),
        target=_last(parsed, "--target"),
        no_cache="--no-cache" in parsed.flags,
        platform=_last(parsed, "--platform"),
        options=(*options, *(["--squash"] if "--squash" in parsed.flags else [])),
    )
    return action, networks[-1] if networks else None


def _last(parsed: _Parsed, name: str) -> str | None:
    values = parsed.values.get(name)
    return values[-1] if values else None


def _parse(words: list[str]) -> _Parsed:
    parsed = _Parsed()
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("-") or word == "-":
            parsed.contexts.append(word)
            continue
        name, equals, value = word.partition("=")
        if not word.startswith("--") and len(word) > 2 and not equals and word[:2] in ("-t", "-f", "-m"):
            name, equals, value = word[:2], "=", word[2:]
        name = _SHORT.get(name, name)
        if name in _FLAGS:
            if value.lower() not in ("false", "0"):
                parsed.flags.add(name)
        elif name in _VALUED or name in _IGNORED_VALUED:
            if not equals:
                if not queue:
                    raise PlanFault(f"the build option {name} needs a value")
                value = queue.pop(0)
            parsed.values.setdefault(name, []).append(value)
        else:
            raise PlanFault(f"option not allowed in a build step: {name}")
    return parsed
