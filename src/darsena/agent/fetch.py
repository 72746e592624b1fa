"""Fetching a tarball by HTTP within the egress policy: each hop is checked, and reached by its checked address."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx

from darsena.agent.egress import EgressPolicy, SourceRefused

_HOPS_MAX = 5
_TRIES = 3
_REDIRECTS = (301, 302, 303, 307, 308)


class FetchFailure(Exception):
    """The source cannot be had; the message is for the run's log."""


class _Again(Exception):
    """A fault that may pass."""


async def fetch(url: str, target: Path, policy: EgressPolicy, bytes_max: int) -> int:
    """The number of bytes written. 4xx fails at once; 5xx and network errors after three tries."""
    for attempt in range(_TRIES):
        try:
            return await _follow(url, target, policy, bytes_max)
        except SourceRefused as e:
            raise FetchFailure(str(e)) from e
        except (_Again, httpx.TransportError) as e:
            if attempt == _TRIES - 1:
                raise FetchFailure(str(e) or f"failed to GET {url}: {type(e).__name__}") from e
            await asyncio.sleep(min(0.25 * 2**attempt, 5.0))
    raise FetchFailure(f"failed to GET {url}")


async def _follow(url: str, target: Path, policy: EgressPolicy, bytes_max: int) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=httpx.Timeout(60.0, connect=10.0)) as client:
        for _ in range(_HOPS_MAX):
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise FetchFailure(f"the source {url} is no http or https address")
            port = parts.port or (443 if parts.scheme == "https" else 80)
            address = await policy.resolve(parts.hostname, port)
            host = f"[{address}]" if ":" in address else address
            request = client.build_request(
                "GET",
                parts._replace(netloc=f"{host}:{port}", fragment="").geturl(),
                headers={"Host": parts.netloc.rpartition("@")[2], "Accept-Encoding": "identity"},
                extensions={"sni_hostname": parts.hostname},
            )
            answer = await client.send(request, stream=True)
            try:
                if answer.status_code in _REDIRECTS and "location" in answer.headers:
                    url = urljoin(url, answer.headers["location"])
                    continue
                return await _save(answer, url, target, bytes_max)
            finally:
                await answer.aclose()
    raise FetchFailure(f"failed to GET {url}: too many redirects")


async def _save(answer: httpx.Response, url: str, target: Path, bytes_max: int) -> int:
    if answer.status_code != 200:
        message = f"failed to GET {url} with status {answer.status_code}"
        if answer.status_code >= 500:
            raise _Again(message)
        raise FetchFailure(message)
    size = 0
    with target.open("wb") as file:
        async for chunk in answer.aiter_raw(65536):
            size += len(chunk)
            if size > bytes_max:
                raise FetchFailure(f"the source {url} is larger than {bytes_max} bytes")
            file.write(chunk)
    return size
