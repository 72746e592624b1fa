"""Git sources by the git program, with nothing of the host's configuration, no prompt and no exotic transport.

The token stands in no command line and not in `.git/config`: an askpass program reads it from the environment.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from darsena.agent.egress import EgressPolicy, SourceRefused
from darsena.engine.port import Engine, OutputSink, RunScope

_SCP = re.compile(r"(?:([A-Za-z0-9_.-]+)@)?([A-Za-z0-9][A-Za-z0-9.-]*):([^:/\s][^:\s]*|/[^/\s]\S*)\Z")
_PORTS = {"https": 443, "http": 80, "git": 9418, "ssh": 22}
_COMMIT = re.compile(r"[0-9a-f]{7,64}\Z")
_ASKPASS = """#!/bin/sh
case "$1" in Username*) printf '%s\\n' "$DARSENA_GIT_USER";; *) printf '%s\\n' "$DARSENA_GIT_TOKEN";; esac
"""
_CONFIG = (
    "core.hooksPath=/dev/null",
    "protocol.ext.allow=never",
    "protocol.file.allow=never",
    "http.followRedirects=false",
    "submodule.recurse=false",
    "core.symlinks=true",
    "advice.detachedHead=false",
    "gc.auto=0",
)


class GitFailure(Exception):
    """The message is for the run's log; it holds no token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitLocation:
    url: str
    """Without user, password and fragment."""
    host: str
    port: int
    reference: str
    folder: str
    user: str
    password: str

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.password,) if self.password else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    commit: str
    branch: str
    folder: str
    """Where in the repository the context is; empty = its top."""


def parse_location(text: str, token: str | None) -> GitLocation:
    """`URL[#ref[:dir]]`. Raises GitFailure for what git must not be asked for."""
    address, _, fragment = text.partition("#")
    reference, _, folder = fragment.partition(":")
    if re.match(r"[a-z0-9.-]+/", address, re.IGNORECASE) and "://" not in address and "@" not in address:
        address = f"https://{address}"
    user = password = ""
    if "://" in address:
        parts = urlsplit(address)
        scheme, host = parts.scheme.lower(), parts.hostname or ""
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        if scheme == "ssh" and user:
            url = parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl()
        port = parts.port or _PORTS.get(scheme, 0)
    else:
        match = _SCP.match(address)
        scheme, host, port, url = "ssh", match[2] if match else "", 22, address
    if scheme not in _PORTS or not host or host.startswith("-") or address.startswith("-"):
        raise GitFailure(f"unable to git clone: {scheme or 'this'} is no transport that sources may use")
    if reference.startswith("-") or any(c.isspace() or ord(c) < 32 or c in "~^:?*[\\" for c in reference):
        raise GitFailure(f"error checking out {reference}: it is no name of a branch, tag or commit")
    if scheme != "ssh" and user and not password:
        user, password = "git", user
    if token:
        user, password = user or "git", token
    return GitLocation(url=url, host=host, port=port, reference=reference, folder=folder, user=user, password=password)


class GitFetcher:
    def __init__(self, engine: Engine, scope: RunScope, policy: EgressPolicy, sink: OutputSink) -> None:
        self._engine = engine
        self._scope = scope
        self._policy = policy
        self._sink = sink

    async def fetch(self, location: GitLocation) -> Checkout:
        """Fill the workspace with the checkout; `.git` stays."""
        pin = await self._check(location.host, location.port)
        askpass = self._write_askpass()
        extra = self._environment(location, askpass)
        config = [*_CONFIG, *([f"http.curloptResolve={location.host}:{location.port}:{pin}"] if pin else [])]
        await self._git(config, extra, "init", "--quiet")
        await self._git(config, extra, "remote", "add", "origin", location.url)
        await self._checkout(config, extra, location)
        await self._submodules(config, extra)
        commit = await self._read("rev-parse", "HEAD", config=config, extra=extra)
        self._check_folder(location.folder)
        is_branch = location.reference and not _COMMIT.match(location.reference)
        branch = location.reference if is_branch and not location.reference.startswith("refs/") else ""
        return Checkout(commit=commit, branch=branch, folder=location.folder.strip("/"))

    async def _checkout(self, config: list[str], extra: dict[str, str], location: GitLocation) -> None:
        wanted = location.reference
        wanted = f"refs/{wanted}" if wanted.startswith("pull/") else wanted or "HEAD"
        quiet = ("fetch", "--quiet", "--depth=1", "--end-of-options", "origin", wanted)
        if await self._run(config, extra, self._sink if not _COMMIT.match(wanted) else _drop, *quiet) == 0:
            await self._git(config, extra, "checkout", "--quiet", "FETCH_HEAD")
            return
        if await self._run(config, extra, self._sink, "fetch", "--quiet", "--tags", "origin"):
            raise GitFailure(f"unable to git clone: {location.url}")
        names = (wanted, f"origin/{wanted}")
        if wanted == "HEAD" and await self._run(config, extra, _drop, "fetch", "--quiet", "origin", "HEAD") == 0:
            names = ("FETCH_HEAD",)  # a fetch of everything does not tell which branch is the default
        for name in names:
            if await self._run(config, extra, _drop, "checkout", "--quiet", "--detach", name, "--") == 0:
                return
        raise GitFailure(f"error checking out {wanted}: the repository has no such branch, tag or commit")

    async def _submodules(self, config: list[str], extra: dict[str, str]) -> None:
        """Those of the repository itself, whose hosts are checked first. Submodules of submodules name hosts that
        nobody has checked, so they are not fetched."""
        if not (self._scope.workspace / ".gitmodules").is_file():
            return
        text = await self._read(
            "config", "--file", ".gitmodules", "--get-regexp", r"\.url$", config=config, extra=extra
        )
        for line in text.splitlines():
            url = line.partition(" ")[2]
            if not url.startswith(("./", "../")):
                module = parse_location(url, None)
                await self._check(module.host, module.port)
        if await self._run(config, extra, self._sink, "submodule", "--quiet", "update", "--init", "--depth=1"):
            raise GitFailure("unable to git clone: a submodule cannot be fetched")

    async def _check(self, host: str, port: int) -> str:
        try:
            return await self._policy.resolve(host, port, loopback=True)
        except SourceRefused as e:
            raise GitFailure(f"unable to git clone: {e}") from e

    def _check_folder(self, folder: str) -> None:
        root = self._scope.workspace.resolve()
        path = (root / folder.lstrip("/")).resolve()
        if not path.is_relative_to(root):
            raise GitFailure(f'error setting git context, "{folder}" not within git root')
        if not path.is_dir():
            raise GitFailure(f'error setting git context, "{folder}" is not a directory')

    def _write_askpass(self) -> Path:
        path = self._scope.home.parent / "tools" / "askpass"
        path.write_text(_ASKPASS)
        path.chmod(0o755)
        return self._engine.inside(self._scope, path)

    def _environment(self, location: GitLocation, askpass: Path) -> dict[str, str]:
        return {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ALLOW_PROTOCOL": "https:http:git:ssh",
            "GIT_ASKPASS": str(askpass),
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oStrictHostKeyChecking=accept-new -oConnectTimeout=15",
            "DARSENA_GIT_USER": location.user,
            "DARSENA_GIT_TOKEN": location.password,
        }

    async def _git(self, config: Sequence[str], extra: dict[str, str], *words: str) -> None:
        if await self._run(config, extra, self._sink, *words):
            raise GitFailure(f"unable to git clone: git {words[0]} failed")

    async def _read(self, *words: str, config: Sequence[str], extra: dict[str, str]) -> str:
        out = bytearray()
        if await self._run(config, extra, out.extend, *words):
            raise GitFailure(f"unable to git clone: git {words[0]} failed")
        return out.decode(errors="replace").strip()

    async def _run(self, config: Sequence[str], extra: dict[str, str], sink: OutputSink, *words: str) -> int:
        options = [part for item in config for part in ("-c", item)]
        program = ["git", *options, *words]
        return await self._engine.execute(self._scope, program, sink, extra=extra, cwd=self._scope.workspace)


def _drop(_: bytes) -> None:
    return
