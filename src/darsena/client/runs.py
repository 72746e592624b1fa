"""Runs of one registry: started, read, listed, canceled, and their sources and logs."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from darsena.client.arm import Arm
from darsena.client.blobs import LogBlob
from darsena.client.errors import OperationFailed
from darsena.client.http import Http
from darsena.client.resources import Registry
from darsena.client.shapes import Object

TASKS_VERSION = "2025-03-01-preview"


class Runs:
    def __init__(self, arm: Arm, http: Http, registry: Registry) -> None:
        self._arm = arm
        self._http = http
        self._path = registry.path

    def upload_url(self) -> tuple[str, str]:
        """Where to put a source, and what to call it in the request."""
        answer = self._arm.post(f"{self._path}/listBuildSourceUploadUrl", TASKS_VERSION)
        return str(answer["uploadUrl"]), str(answer["relativePath"])

    def schedule(self, request: Object) -> Object:
        return self._arm.post(f"{self._path}/scheduleRun", TASKS_VERSION, request)

    def get(self, run_id: str) -> Object:
        return self._arm.get(self._run(run_id), TASKS_VERSION)

    def cancel(self, run_id: str) -> None:
        """Raise CallRefused with status 409 when the run has ended already."""
        self._arm.call("POST", f"{self._run(run_id)}/cancel", TASKS_VERSION)

    def log(self, run_id: str) -> LogBlob:
        answer = self._arm.post(f"{self._run(run_id)}/listLogSasUrl", TASKS_VERSION)
        link = answer.get("logLink")
        if not link:
            raise OperationFailed(f"the run {run_id} has no log to read")
        return LogBlob(self._http, str(link))

    def list(self, filters: Mapping[str, str], top: int) -> list[Object]:
        """Newest first, at most `top`."""
        parts = [f"$top={top}"]
        if filters:
            parts.append("$filter=" + quote(" and ".join(_clause(name, value) for name, value in filters.items())))
        found: list[Object] = []
        for run in self._arm.list_all(f"{self._path}/runs?{'&'.join(parts)}", TASKS_VERSION):
            found.append(run)
            if len(found) >= top:
                break
        return found

    def _run(self, run_id: str) -> str:
        return f"{self._path}/runs/{quote(run_id, safe='')}"


def _clause(name: str, value: str) -> str:
    text = value.replace("'", "''")
    return f"contains({name}, '{text}')" if name == "OutputImageManifests" else f"{name} eq '{text}'"
