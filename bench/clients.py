"""What asks: wrk for many small requests, curl for big ones, connections kept open for pushes. HTTP/1.1 always."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from targets import MANIFEST_TYPE, Target, digest_of, make_image


def ask_often(target: Target, repository: str, path: str, *, seconds: float = 3, connections: int = 32) -> float:
    """Answers a second to the same GET, by wrk."""
    return _wrk(target, repository, target.url + path, [f"-c{connections}", f"-d{seconds}s"])


def ask_at_random(target: Target, repository: str, pattern: str, places: int, *, seconds: float = 2) -> float:
    """Answers a second on one connection, by wrk; each request has another number below `places` in the pattern."""
    path = f'string.format("{pattern}", math.random(0, {places - 1}))' if places else f'"{pattern}"'
    script = f'math.randomseed({target.port})\nrequest = function() return wrk.format("GET", {path}) end\n'
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        return _wrk(target, repository, target.url, ["-c1", f"-d{seconds}s", "-s", file.name])


def pull_big(target: Target, repository: str, digest: str, size: int, streams: int) -> float:
    """Bytes a second of `streams` downloads at once, by as many curls."""
    started = time.monotonic()
    running = [start_pull(target, repository, digest) for _ in range(streams)]
    for curl in running:
        out, _ = curl.communicate(timeout=300)
        if curl.returncode != 0 or out != f"200 {size}":
            raise SystemExit(f"{target.name}: a download ended with {curl.returncode}, {out!r}")
    return size * streams / (time.monotonic() - started)


def start_pull(target: Target, repository: str, digest: str, *, times: int = 1) -> subprocess.Popen[str]:
    """The same download so many times, one after the other."""
    command = [*_curl(target, repository, "pull"), "-w", "%{http_code} %{size_download}"]
    command += ["-o", "/dev/null", f"{target.url}/v2/{repository}/blobs/{digest}"] * times
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def push_big(target: Target, repository: str, file: Path, digest: str) -> float:
    """Bytes a second of an upload: POST, then PUT of the whole, by curl."""
    started = time.monotonic()
    curl = start_push(target, repository, file, digest)
    out, _ = curl.communicate(timeout=300)
    if curl.returncode != 0 or out != "201":
        raise SystemExit(f"{target.name}: an upload ended with {curl.returncode}, {out!r}")
    return file.stat().st_size / (time.monotonic() - started)


def start_push(target: Target, repository: str, file: Path, digest: str) -> subprocess.Popen[str]:
    address = target.url + target.begin_upload(repository) + digest
    command = [*_curl(target, repository, "pull,push"), "-H", "Content-Type: application/octet-stream", "-H", "Expect:"]
    command += ["-T", str(file), "-o", "/dev/null", "-w", "%{http_code}", address]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def push_images(target: Target, repository: str, names: list[str], *, at_once: int) -> float:
    """Images a second. Each as clients push it: look for a blob, POST, PUT, the same for the next, the manifest."""
    target.headers(repository, "pull,push")
    started = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda part: _push_each(target, repository, part), [names[n::at_once] for n in range(at_once)]))
    return len(names) / (time.monotonic() - started)


def _push_each(target: Target, repository: str, names: list[str]) -> None:
    """On one connection."""
    connection = target.connect()
    sign = {"Host": target.host, **target.headers(repository, "pull,push")}

    def ask(method: str, path: str, body: bytes, expect: int, kind: str = "application/octet-stream") -> str:
        connection.request(method, path, body, {**sign, "Content-Type": kind})
        answer = connection.getresponse()
        answer.read()
        if answer.status != expect:
            raise SystemExit(f"{target.name}: {method} {path} was answered with {answer.status}")
        return (
            answer.getheader("location", "").removeprefix(target.url).removeprefix(f"{target.scheme}://{target.host}")
        )

    for name in names:
        layer = f"layer of {name}".encode() * 200
        config, manifest = make_image(layer, author=name)
        for content in (config, layer):
            digest = digest_of(content)
            ask("HEAD", f"/v2/{repository}/blobs/{digest}", b"", 404)
            place = ask("POST", f"/v2/{repository}/blobs/uploads/", b"", 202)
            ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", content, 201)
        ask("PUT", f"/v2/{repository}/manifests/{name}", manifest, 201, MANIFEST_TYPE)
    connection.close()


def _wrk(target: Target, repository: str, url: str, options: list[str]) -> float:
    command = ["wrk", "-t1", *options, *_flags(target, repository, "pull"), url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if failed or not rate:
        raise SystemExit(f"{target.name} did not answer every request with success:\n{done.stdout}")
    return float(rate[1])


def _curl(target: Target, repository: str, actions: str) -> list[str]:
    return ["curl", "-sSk", "--http1.1", *_flags(target, repository, actions)]


def _flags(target: Target, repository: str, actions: str) -> Iterator[str]:
    for name, value in {"Host": target.host, "Accept": MANIFEST_TYPE, **target.headers(repository, actions)}.items():
        yield from ("-H", f"{name}: {value}")
