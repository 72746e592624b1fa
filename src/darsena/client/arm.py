"""Calls to the resource manager: bearer token, api-version, pages, and the end of long operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx

from darsena.client.directory import Directory
from darsena.client.errors import OperationFailed
from darsena.client.http import Http, read_object, request_id
from darsena.client.shapes import Object, as_object, as_objects, properties

OPERATION_LIMIT_S = 3600.0
_POLL_LIMIT_S = 10.0


class Arm:
    """Paths are relative to the resource manager that the metadata names; `clock` and `sleep` are in seconds."""

    def __init__(
        self,
        http: Http,
        directory: Directory,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._directory = directory
        self._sleep = sleep
        self._clock = clock

    def call(self, method: str, path: str, version: str, body: object | None = None) -> httpx.Response:
        """`path` may hold a query. Raise CallRefused or Unreachable."""
        url = f"{self._directory.metadata.resource_manager}{path}{'&' if '?' in path else '?'}api-version={version}"
        return self._send(method, url, body)

    def get(self, path: str, version: str) -> Object:
        return read_object(self.call("GET", path, version))

    def post(self, path: str, version: str, body: object | None = None) -> Object:
        return read_object(self.call("POST", path, version, body))

    def list_all(self, path: str, version: str) -> Iterator[Object]:
        """All items over all pages."""
        page = self.get(path, version)
        while True:
            yield from as_objects(page.get("value"))
            following = page.get("nextLink")
            if not following:
                return
            page = read_object(self._follow(str(following)))

    def change(self, method: str, path: str, version: str, body: object | None = None) -> Object | None:
        """A PUT, PATCH or DELETE, and its end: the resource, or None when it is gone. Raise OperationFailed."""
        answer = self.call(method, path, version, body)
        deadline = self._clock() + OPERATION_LIMIT_S
        operation = answer.headers.get("azure-asyncoperation")
        location = answer.headers.get("location")
        if operation:
            self._poll(operation, answer, deadline, _status_says_done)
        elif location and answer.status_code == 202:
            self._poll(location, answer, deadline, lambda polled: polled.status_code != 202)
        elif method != "DELETE" and answer.content:
            resource = read_object(answer)
            if _provisioning_state(resource) in ("", "Succeeded"):
                return resource
        return None if method == "DELETE" else self._settled(path, version, answer, deadline)

    def _send(self, method: str, url: str, body: object | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._directory.arm_token()}", "Accept": "application/json"}
        return self._http.send(method, url, headers=headers, json=body)

    def _follow(self, url: str) -> httpx.Response:
        """GET a link of an answer, which must point back at the resource manager: the token goes nowhere else."""
        base, link = httpx.URL(self._directory.metadata.resource_manager), httpx.URL(url)
        if (base.scheme, base.host, base.port) != (link.scheme, link.host, link.port):
            raise OperationFailed(f"the server answered with a link to another place: {url}")
        return self._send("GET", url)

    def _poll(
        self, url: str, answer: httpx.Response, deadline: float, is_done: Callable[[httpx.Response], bool]
    ) -> None:
        while True:
            self._pause(answer, deadline)
            answer = self._follow(url)
            if is_done(answer):
                return

    def _settled(self, path: str, version: str, answer: httpx.Response, deadline: float) -> Object:
        while True:
            resource = self.get(path, version)
            state = _provisioning_state(resource)
            if state in ("", "Succeeded"):
                return resource
            if state in ("Failed", "Canceled"):
                raise OperationFailed(f"{resource.get('name')} ended as {state}", request_id=request_id(answer))
            self._pause(answer, deadline)

    def _pause(self, answer: httpx.Response, deadline: float) -> None:
        if self._clock() >= deadline:
            raise OperationFailed(
                "the operation has not ended within an hour",
                hint="it goes on at the server; look at the resource again later",
                request_id=request_id(answer),
            )
        milliseconds, seconds = (answer.headers.get(name, "") for name in ("retry-after-ms", "retry-after"))
        if milliseconds.isdigit():
            wait_s = int(milliseconds) / 1000
        else:
            wait_s = float(seconds) if seconds.isdigit() and seconds != "0" else 1.0
        self._sleep(min(wait_s, _POLL_LIMIT_S))


def _provisioning_state(resource: Object) -> str:
    return str(properties(resource).get("provisioningState") or "")


def _status_says_done(answer: httpx.Response) -> bool:
    """Raise OperationFailed when the operation failed or was canceled."""
    if answer.status_code == 204:
        return True
    body = read_object(answer)
    status = str(body.get("status") or "")
    if status in ("Failed", "Canceled"):
        message = as_object(body.get("error")).get("message")
        raise OperationFailed(str(message or f"the operation ended as {status}"), request_id=request_id(answer))
    return status == "Succeeded"
