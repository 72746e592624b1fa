"""The data plane of one registry: tokens by exchange, then ACR's own API and manifests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx

from darsena.client.directory import Directory
from darsena.client.http import Http, read_object
from darsena.client.shapes import Object, as_object
from darsena.core.media_types import MANIFESTS

PAGE = 100


class LoginServer:
    """`host` has the port when it is not 443. Access tokens are asked for by scope and kept for this process."""

    def __init__(self, http: Http, directory: Directory, host: str, tenant: str, scheme: str = "https") -> None:
        self._http = http
        self._directory = directory
        self._tenant = tenant
        self._refresh_token = ""
        self._access_tokens: dict[str, str] = {}
        self.host = host
        self._base = f"{scheme}://{host}"

    def refresh_token(self) -> str:
        """What a container client takes as the password of the user 00000000-0000-0000-0000-000000000000."""
        if not self._refresh_token:
            form = {
                "grant_type": "access_token",
                "service": self.host,
                "tenant": self._tenant,
                "access_token": self._directory.registry_token(),
            }
            answer = self._http.send("POST", f"{self._base}/oauth2/exchange", form=form)
            self._refresh_token = str(read_object(answer)["refresh_token"])
        return self._refresh_token

    def _access_token(self, scope: str) -> str:
        if scope not in self._access_tokens:
            form = {
                "grant_type": "refresh_token",
                "service": self.host,
                "scope": scope,
                "refresh_token": self.refresh_token(),
            }
            answer = self._http.send("POST", f"{self._base}/oauth2/token", form=form)
            self._access_tokens[scope] = str(read_object(answer)["access_token"])
        return self._access_tokens[scope]

    def _call(self, method: str, target: str, scope: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        sent = {**(headers or {}), "Authorization": f"Bearer {self._access_token(scope)}"}
        return self._http.send(method, f"{self._base}{target}", headers=sent)

    def _pages(self, path: str, scope: str, key: str, top: int | None, query: dict[str, str]) -> Iterator[Any]:
        """The items of a paged list, at most `top`. A page's `Link` gives the next one's query, never its path."""
        remaining = top
        parameters = dict(query)
        while True:
            parameters["n"] = str(PAGE if remaining is None else min(PAGE, remaining))
            answer = self._call("GET", f"{path}?{urlencode(parameters)}", scope)
            items: list[Any] = read_object(answer).get(key) or []
            yield from items[:remaining]
            if remaining is not None:
                remaining -= len(items)
            following = answer.links.get("next", {}).get("url", "")
            last = parse_qs(urlsplit(following).query).get("last")
            if not last or (remaining is not None and remaining <= 0):
                return
            parameters["last"] = last[0]

    # --- repositories -------------------------------------------------------------------------------------------------

    def list_repositories(self, top: int | None = None) -> Iterator[str]:
        yield from self._pages("/acr/v1/_catalog", "registry:catalog:*", "repositories", top, {})

    def get_repository(self, repository: str) -> Object:
        return read_object(self._call("GET", f"/acr/v1/{repository}", _scope(repository, "metadata_read")))

    def delete_repository(self, repository: str) -> Object:
        return read_object(self._call("DELETE", f"/acr/v1/{repository}", _scope(repository, "delete")))

    # --- tags ---------------------------------------------------------------------------------------------------------

    def list_tags(
        self, repository: str, *, top: int | None = None, order: str = "", digest: str = ""
    ) -> Iterator[Object]:
        query = {key: value for key, value in (("orderby", order), ("digest", digest)) if value}
        yield from self._pages(f"/acr/v1/{repository}/_tags", _scope(repository, "metadata_read"), "tags", top, query)

    def get_tag(self, repository: str, tag: str) -> Object:
        answer = self._call("GET", f"/acr/v1/{repository}/_tags/{quote(tag)}", _scope(repository, "metadata_read"))
        return as_object(read_object(answer).get("tag"))

    def untag(self, repository: str, tag: str) -> None:
        self._call("DELETE", f"/acr/v1/{repository}/_tags/{quote(tag)}", _scope(repository, "delete"))

    # --- manifests ----------------------------------------------------------------------------------------------------

    def list_manifests(self, repository: str, *, top: int | None = None, order: str = "") -> Iterator[Object]:
        query = {"orderby": order} if order else {}
        path = f"/acr/v1/{repository}/_manifests"
        yield from self._pages(path, _scope(repository, "metadata_read"), "manifests", top, query)

    def get_manifest_attributes(self, repository: str, digest: str) -> Object:
        answer = self._call("GET", f"/acr/v1/{repository}/_manifests/{digest}", _scope(repository, "metadata_read"))
        return as_object(read_object(answer).get("manifest"))

    def read_manifest(self, repository: str, reference: str) -> bytes:
        """The manifest's own bytes, in the media type that they were pushed with."""
        accept = {"Accept": ", ".join(["*/*", *sorted(MANIFESTS)])}
        return self._call("GET", f"/v2/{repository}/manifests/{reference}", _scope(repository, "pull"), accept).content

    def delete_manifest(self, repository: str, digest: str) -> None:
        """The manifest, every tag of it and what refers to it."""
        self._call("DELETE", f"/v2/{repository}/manifests/{digest}", _scope(repository, "delete"))


def _scope(repository: str, actions: str) -> str:
    return f"repository:{repository}:{actions}"
