"""The administration of a server's directory: people and service principals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal
from urllib.parse import quote

import httpx

from darsena.client.directory import Directory
from darsena.client.http import Http, read_object
from darsena.client.shapes import Object, as_objects

BASE = "/darsena/v1/admin"
Kind = Literal["users", "service-principals"]


class Principals:
    """Of one kind, by object id, client id or user name. It lies on the control host, and takes the same token as the
    resource manager."""

    def __init__(self, http: Http, directory: Directory, kind: Kind) -> None:
        self._http = http
        self._directory = directory
        self._kind = kind

    def list(self) -> Iterator[Object]:
        """All, over all pages."""
        path = ""
        while True:
            page = read_object(self._call("GET", path))
            yield from as_objects(page.get("value"))
            link = page.get("nextLink")
            if not link:
                return
            path = f"?{str(link).partition('?')[2]}"

    def get(self, name: str) -> Object:
        """Raise NotFound."""
        return read_object(self._call("GET", _one(name)))

    def create(self, body: Object) -> Object:
        return read_object(self._call("POST", "", body))

    def delete(self, name: str) -> None:
        self._call("DELETE", _one(name))

    def set_enabled(self, name: str, enabled: bool) -> Object:
        return read_object(self._call("PATCH", _one(name), {"enabled": enabled}))

    def post(self, name: str, what: str, body: Object) -> Object:
        return read_object(self._call("POST", f"{_one(name)}/{what}", body))

    def put(self, name: str, what: str, body: Object) -> Object:
        return read_object(self._call("PUT", f"{_one(name)}/{what}", body))

    def remove(self, name: str, what: str, key: str) -> None:
        self._call("DELETE", f"{_one(name)}/{what}/{quote(key, safe='')}")

    def _call(self, method: str, path: str, body: Object | None = None) -> httpx.Response:
        url = f"{self._directory.metadata.resource_manager}{BASE}/{self._kind}{path}"
        headers = {"Authorization": f"Bearer {self._directory.arm_token()}"}
        return self._http.send(method, url, headers=headers, json=body)


def _one(name: str) -> str:
    return f"/{quote(name, safe='')}"
