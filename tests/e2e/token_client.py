"""The token flows of Go's registry clients, over plain HTTP requests: for tests derived from their specifications.

Nothing is sent before the server has asked for it, and every request carries a token for just the scopes that it needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
from pushing import digest_of
from stand import Stand

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
OCTETS = {"content-type": "application/octet-stream"}


@dataclass
class TokenClient:
    """One client at one registry. `grant`: how it gets tokens (docker's token specification, its OAuth2 page).

    `basic` asks with GET and the password in the header, `password` with a form, `refresh_token` with a form and what
    an earlier answer gave it.
    """

    stand: Stand
    registry: str
    user_agent: str
    grant: str = "basic"
    sent: list[str] = field(default_factory=list)
    """Method and path of each request that was not asked for a token."""
    _http: httpx.Client = field(init=False)
    _tokens: dict[str, str] = field(default_factory=dict)
    _refresh: str = ""

    def __post_init__(self) -> None:
        self._http = self.stand.client(self.server)
        self._http.headers["user-agent"] = self.user_agent

    def close(self) -> None:
        self._http.close()

    @property
    def server(self) -> str:
        return self.stand.login_server(self.registry)

    def request(self, method: str, url: str, *, scope: str = "", **options: Any) -> httpx.Response:
        """`scope`: what the client asks for beside what the challenge names (blanks between several)."""
        headers = dict(options.pop("headers", {}))
        known = self._tokens.get(scope or _scope_of(method, url))
        if known is None:
            asked = self._http.request(method, url, headers=headers)
            if asked.status_code != 401:
                return self._note(asked)
            known = self._fetch(asked.headers["www-authenticate"], scope)
            self._tokens[scope or _scope_of(method, url)] = known
        headers["authorization"] = f"Bearer {known}"
        return self._note(self._http.request(method, url, headers=headers, **options))

    def _note(self, answer: httpx.Response) -> httpx.Response:
        self.sent.append(f"{answer.request.method} {answer.request.url.path}")
        return answer

    def _fetch(self, challenge: str, scope: str) -> str:
        kind, _, rest = challenge.partition(" ")
        assert kind == "Bearer", challenge
        found = dict(_PARAMETER.findall(rest))
        assert found["service"] == self.server
        scopes = sorted({*scope.split(), *found.get("scope", "").split()})
        owner = self.stand.owner
        path = urlsplit(found["realm"]).path
        if self.grant == "basic":
            query = [("service", found["service"]), *(("scope", one) for one in scopes)]
            answer = self._http.get(path, params=query, auth=(owner["client_id"], owner["client_secret"]))
        else:
            form = {"service": found["service"], "scope": " ".join(scopes), "client_id": self.user_agent}
            answer = self._http.post(path, data={**form, **self._credential()})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        self._refresh = body.get("refresh_token", self._refresh)
        return body.get("access_token") or body["token"]

    def _credential(self) -> dict[str, str]:
        owner = self.stand.owner
        if self.grant == "refresh_token" and self._refresh:
            return {"grant_type": "refresh_token", "refresh_token": self._refresh}
        found = {"grant_type": "password", "username": owner["client_id"], "password": owner["client_secret"]}
        return {**found, "access_type": "offline"} if self.grant == "refresh_token" else found

    # --- what all of them do ------------------------------------------------------------------------------------------

    def push_blob(self, repository: str, content: bytes) -> str:
        """Only if it is not there yet: POST, then all of it in a PUT (oras-go, blobStore.Push)."""
        digest = digest_of(content)
        scope = f"repository:{repository}:pull,push"
        if self.request("HEAD", f"/v2/{repository}/blobs/{digest}").status_code == 200:
            return digest
        begun = self.request("POST", f"/v2/{repository}/blobs/uploads/", scope=scope)
        assert begun.status_code == 202, begun.text
        location = with_digest(begun.headers["location"], digest)
        done = self.request("PUT", location, scope=scope, content=content, headers=OCTETS)
        assert (done.status_code, done.headers["docker-content-digest"]) == (201, digest), done.text
        return digest

    def put_manifest(self, repository: str, reference: str, content: bytes, media_type: str) -> httpx.Response:
        scope = f"repository:{repository}:pull,push"
        path = f"/v2/{repository}/manifests/{reference}"
        done = self.request("PUT", path, scope=scope, content=content, headers={"content-type": media_type})
        assert (done.status_code, done.headers.get("docker-content-digest")) == (201, digest_of(content)), done.text
        return done

    def pages(self, path: str, key: str) -> Iterator[list[Any]]:
        """Each page's list, by the Link header alone."""
        while path:
            answer = self.request("GET", path)
            assert answer.status_code == 200, answer.text
            yield answer.json()[key] or []
            following = answer.links.get("next", {}).get("url", "")
            path = urljoin(path, following) if following else ""


def with_digest(location: str, digest: str) -> str:
    """The state that is in the query already stays as it is."""
    assert parse_qs(urlsplit(location).query)
    return f"{location}&digest={digest}"


def _scope_of(method: str, url: str) -> str:
    """As clients keep tokens: by repository and what is done to it."""
    action = "pull" if method in ("GET", "HEAD") else method
    return f"{urlsplit(url).path.split('/blobs/')[0].split('/manifests/')[0].split('/referrers/')[0]} {action}"
