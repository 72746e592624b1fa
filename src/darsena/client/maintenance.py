"""The maintenance API of a server: gc, fsck and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import msgspec

from darsena.client.directory import Directory
from darsena.client.errors import OperationFailed, Unreachable
from darsena.client.http import Http, read_object
from darsena.client.shapes import Object, as_object, as_objects

BASE = "/darsena/v1/admin"


class MaintenanceClient:
    """It lies on the control host, and takes the same token as the resource manager."""

    def __init__(self, http: Http, directory: Directory) -> None:
        self._http = http
        self._directory = directory

    def plan_gc(self, registry: str | None, grace_s: float | None) -> Object:
        return read_object(self._call("POST", "gc", _gc_body(registry, grace_s) | {"dryRun": True}))

    def start_gc(self, registry: str | None, grace_s: float | None) -> Object:
        return read_object(self._call("POST", "gc", _gc_body(registry, grace_s)))

    def get_gc(self, run_id: int | None, registry: str | None = None) -> Object:
        """One run, or the newest that concerns the registry. Raise NotFound when there was none."""
        if run_id is not None:
            return read_object(self._call("GET", f"gc/{run_id}"))
        return read_object(self._call("GET", f"gc?{urlencode({'registry': registry})}" if registry else "gc"))

    def pause_gc(self) -> Object:
        return read_object(self._call("POST", "gc/pause"))

    def resume_gc(self) -> Object:
        return read_object(self._call("POST", "gc/resume"))

    def check(self, registry: str | None, *, repair: bool, digests: bool) -> Iterator[Object]:
        """Each line as it comes: findings, progress, and at last the end. Raise OperationFailed, Unreachable."""
        body: Object = {"repair": repair, "digests": digests}
        if registry is not None:
            body["registry"] = registry
        url, headers = self._url("fsck"), self._headers()
        line: Object = {}
        for text in self._http.stream_lines("POST", url, headers=headers, json=body):
            line = as_object(msgspec.json.decode(text))
            if line.get("line") == "failure":
                raise OperationFailed(f"the check ended early: {line.get('message')}")
            yield line
        if line.get("line") != "end":
            raise Unreachable("the server ended in the middle of its answer", hint="run the check again")

    def get_size(self, registry: str, repository: str) -> Object:
        return read_object(self._call("GET", f"sizes/{registry}?{urlencode({'repository': repository})}"))

    def get_sizes(self, registry: str) -> Object:
        """The registry's, with all of its repositories."""
        page = read_object(self._call("GET", f"sizes/{registry}"))
        repositories = as_objects(page.get("repositories"))
        whole = dict(page)
        while page.get("next"):
            page = read_object(self._call("GET", f"sizes/{registry}?{urlencode({'last': page['next']})}"))
            repositories += as_objects(page.get("repositories"))
        whole.pop("next", None)
        return whole | {"repositories": repositories}

    def _call(self, method: str, path: str, body: Object | None = None) -> httpx.Response:
        return self._http.send(method, self._url(path), headers=self._headers(), json=body)

    def _url(self, path: str) -> str:
        return f"{self._directory.metadata.resource_manager}{BASE}/{path}"

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._directory.arm_token()}"}


def _gc_body(registry: str | None, grace_s: float | None) -> Object:
    body: Object = {}
    if registry is not None:
        body["registry"] = registry
    if grace_s is not None:
        body["graceSeconds"] = grace_s
    return body
