"""Images of a run's store: pulled with the run's own logins, looked up, tagged and pushed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

import msgspec

from darsena.engine.podman.sandbox import Sandbox
from darsena.engine.port import EngineFault, Image, OutputSink, RunSpec, StepFault, Transport
from darsena.engine.references import ImageReference, map_image, parse_image

_FINAL = ("unauthorized", "denied", "manifest unknown", "not found", "name unknown", "no such host", "no image found")
_ABSENT = ("no such image", "image not known", "no such object")
_PULL_S = 1800.0
_HUB = "registry-1.docker.io"


class _Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """What `podman image inspect` says and we read."""

    id: str = msgspec.field(name="Id")
    digest: str = msgspec.field(name="Digest", default="")
    repo_digests: list[str] | None = msgspec.field(name="RepoDigests", default=None)


class Images:
    def __init__(self, sandbox: Sandbox, spec: RunSpec, transport: Transport) -> None:
        self._sandbox = sandbox
        self._spec = spec
        self._transport = transport
        self._config = sandbox.paths.inside / "config"

    async def find(self, reference: str) -> Image | None:
        name = str(parse_image(reference))
        answer = await self._sandbox.ask(["podman", "--log-level=error", "image", "inspect", name])
        if answer.code:
            if any(word in answer.err for word in _ABSENT):
                return None
            raise EngineFault(f"podman cannot look into the run's store: {answer.message}")
        facts = msgspec.json.decode(answer.out, type=list[_Inspected])[0]
        digest = facts.digest or None
        # An image that came from an index has both digests; the index's is what a later pull compares with.
        others = {text.rpartition("@")[2] for text in facts.repo_digests or []} - {digest}
        return Image(reference=name, id=facts.id, digest=sorted(others)[0] if others else digest)

    async def pull(self, reference: str, platform: str) -> Image:
        """From where the map says, else from the name itself. Raises StepFault that says what was tried."""
        parsed = parse_image(reference)
        mapped = map_image(parsed, dict(self._spec.base_images))
        tried: list[str] = []
        for target in (mapped, parsed) if mapped else (parsed,):
            failure = await self._pull_from(parsed, target, platform)
            if failure is None:
                image = await self.find(str(parsed))
                if image is None:
                    raise StepFault(f"the image {parsed} was pulled and is not in the run's store")
                return image
            tried.append(f"{target}: {failure}")
        raise StepFault(_pull_failure(parsed, mapped, tried))

    async def _pull_from(self, parsed: ImageReference, target: ImageReference, platform: str) -> str | None:
        """None on success, else the reason."""
        if not self._is_ours(target.registry) and not await _is_reachable(target.registry):
            return f"{target.registry} cannot be reached from this machine"
        extra = self._proxies(target.registry)
        if target is not parsed:
            extra["CONTAINERS_REGISTRIES_CONF"] = str(self._config / "registries-mapped.conf")
        program = ["buildah", "--log-level=error", "pull", "--quiet", "--policy=always", "--retry=0"]
        program += [f"--platform={platform}", *self._access(), str(parsed)]
        message = ""
        for attempt in range(3):
            answer = await self._sandbox.ask(program, namespace=True, extra=extra, timeout_s=_PULL_S)
            if answer.code == 0:
                return None
            message = answer.message
            if any(word in message.lower() for word in _FINAL):
                break
            await asyncio.sleep(0.25 * 2**attempt)
        return message

    async def push(self, reference: str, sink: OutputSink) -> str:
        parsed = parse_image(reference)
        digest_file = self._sandbox.paths.host / "tmp" / "pushed-digest"
        digest_file.unlink(missing_ok=True)
        program = ["buildah", "--log-level=error", "push", "--retry=0", *self._access()]
        program += [f"--digestfile={self._sandbox.paths.to_inside(digest_file)}", str(parsed), f"docker://{parsed}"]
        tail = bytearray()

        def keep(chunk: bytes) -> None:
            tail.extend(chunk)
            del tail[:-4096]
            sink(chunk)

        code = await self._sandbox.stream(program, keep, namespace=True, extra=self._proxies(parsed.registry))
        if code:
            raise StepFault(tail.decode(errors="replace").strip().rpartition("\n")[2].removeprefix("Error: "))
        return digest_file.read_text().strip()

    async def tag(self, source: str, target: str) -> None:
        program = ["buildah", "--log-level=error", "tag", str(parse_image(source)), str(parse_image(target))]
        answer = await self._sandbox.ask(program, namespace=True)
        if answer.code:
            raise StepFault(answer.message)

    def _access(self) -> list[str]:
        return [f"--authfile={self._config / 'auth.json'}", f"--cert-dir={self._config / 'certs'}"]

    def _is_ours(self, registry: str) -> bool:
        host = registry.rpartition(":")[0] or registry
        return host == self._transport.domain or host.endswith("." + self._transport.domain)

    def _proxies(self, registry: str) -> dict[str, str]:
        """This server's registries through the agent's own proxy; all others as the agent itself was told."""
        if self._is_ours(registry):
            return {"HTTPS_PROXY": self._transport.proxy, "https_proxy": self._transport.proxy}
        return _own_proxies(os.environ)


def _own_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    names = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
    return {name: environment[name] for name in names if name in environment}


async def _is_reachable(registry: str) -> bool:
    """A look before the tool's long retries: on a machine without a way out the answer comes at once."""
    if any(name.lower() == "https_proxy" for name in os.environ):
        return True
    host, _, port = registry.partition(":")
    try:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(_HUB if host == "docker.io" else host, int(port or 443))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _pull_failure(parsed: ImageReference, mapped: ImageReference | None, tried: list[str]) -> str:
    advice = (
        f"seed it: push an image as {mapped}"
        if mapped
        else "push it to a registry of this server and use that name, or map its name to such a registry"
    )
    return f"the image {parsed} cannot be had ({'; '.join(tried)}); {advice}"
