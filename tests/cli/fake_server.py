"""The documented wire, as far as the command line uses it, over real TLS sockets. Its state is plain data."""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlsplit

from cli.fake_tokens import Children

DOMAIN = "azurecr.localhost"
TENANT = "11111111-1111-1111-1111-111111111111"
SUBSCRIPTION = "22222222-2222-2222-2222-222222222222"
CLIENT_ID = "33333333-3333-3333-3333-333333333333"
CLIENT_SECRET = "s3cret+/="
PERSON, PASSWORD = "ana@example.com", "p@ss word"
DIGEST = "sha256:" + "a" * 64
BASE_DIGEST = "sha256:" + "b" * 64

Json = dict[str, Any]


@dataclass
class Run:
    """The log grows by a chunk at each look; after the last chunk the run has ended."""

    resource: Json
    chunks: list[bytes]
    word: str
    final: Json
    log: bytes = b""
    ended: bool = False
    looks_before_start: int = 0

    def look(self) -> None:
        if self.looks_before_start:
            self.looks_before_start -= 1
            return
        if self.chunks:
            self.resource["properties"]["status"] = "Running"
            self.log += self.chunks.pop(0)
        if not self.chunks and not self.ended and self.word:
            self.ended = True
            self.resource["properties"].update(self.final)


@dataclass
class State:
    groups: dict[str, Json] = field(default_factory=dict)
    registries: dict[str, Json] = field(default_factory=dict)
    activity: list[Json] = field(default_factory=list)
    activity_asked: list[dict[str, str]] = field(default_factory=list)
    repositories: dict[str, dict[str, str]] = field(default_factory=dict)
    """repository → tag → digest"""
    manifests: dict[str, bytes] = field(default_factory=dict)
    sources: dict[str, bytes] = field(default_factory=dict)
    blocks: dict[str, bytes] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    scheduled: list[Json] = field(default_factory=list)
    maintenance: list[Any] = field(default_factory=list)
    """What the maintenance API answers, in this order."""
    maintained: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    """What it was asked: method, path, query, body."""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, host, path with query)"""
    failures: list[tuple[str, int]] = field(default_factory=list)
    """(regular expression on `METHOD path`, status): each is used once; status 0 drops the connection."""
    next_run: Callable[[], Run] = lambda: successful_run()
    page: int = 100
    children: Children = field(default_factory=Children)
    """Scope maps and tokens."""


def _reference(repository: str, tag: str, digest: str) -> Json:
    return {"registry": "mcr.local", "repository": repository, "tag": tag, "digest": digest}


def successful_run(status: str = "Succeeded", word: str = "successful", chunks: list[bytes] | None = None) -> Run:
    images = [{"registry": "contoso", "repository": "shop/web", "tag": "v1", "digest": DIGEST}]
    final: Json = {
        "status": status,
        "startTime": "2026-01-01T00:00:01.0000000+00:00",
        "finishTime": "2026-01-01T00:00:13.0000000+00:00",
    }
    if status == "Succeeded":
        final["outputImages"] = images
    else:
        final["runErrorMessage"] = "failed during run, err: exit status 1"
    found = json.dumps(
        [
            {
                "image": images[0],
                "runtime-dependency": _reference("base", "1", BASE_DIGEST),
                "buildtime-dependency": [_reference("sdk", "2", DIGEST)],
                "git": {},
            }
        ]
    )
    default = [
        b"2026/01/01 00:00:01 Downloading source code...\r\nSTEP 1/2: FROM mcr.local/base:1\r\nSTEP 2/2: COPY . .\r\n",
        b"--> Using cache 0123456789ab\r\nhalf a li",
        b"ne \xc3\xb1\r\n2026/01/01 00:00:12 The following dependencies were found:\r\n" + found.encode() + b"\r\n\r\n",
        b"Run ID: ca1 was successful after 12s\r\n",
    ]
    resource: Json = {
        "properties": {"status": "Queued", "createTime": "2026-01-01T00:00:00.0000000+00:00", "runType": "QuickRun"}
    }
    return Run(resource=resource, chunks=default if chunks is None else chunks, word=word, final=final)


class FakeServer:
    def __init__(self, folder: Path, pair: Path) -> None:
        self.state = State()
        server = self

        class Bound(Handler):
            fake = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._http.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._http.server_port
        self.control = f"https://localhost:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def login_server(self, name: str) -> str:
        return f"{name.lower()}.{DOMAIN}:{self.port}"

    def add_group(self, name: str, location: str = "westeurope") -> Json:
        self.state.groups[name.lower()] = made = {
            "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}",
            "name": name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": location,
            "tags": {},
            "properties": {"provisioningState": "Succeeded"},
        }
        return made

    def add_registry(self, name: str, group: str = "shop", **properties: Any) -> Json:
        self.state.registries[name.lower()] = made = {
            "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"
            f"/providers/Microsoft.ContainerRegistry/registries/{name}",
            "name": name,
            "type": "Microsoft.ContainerRegistry/registries",
            "location": "westeurope",
            "sku": {"name": "Basic", "tier": "Basic"},
            "tags": {},
            "properties": {
                "loginServer": self.login_server(name),
                "creationDate": "2026-01-01T00:00:00.0000000Z",
                "provisioningState": "Succeeded",
                "adminUserEnabled": False,
                **properties,
            },
        }
        return made


Answer = tuple[int, Any, dict[str, str]]
Query = dict[str, list[str]]


def _missing(code: str, message: str) -> Answer:
    return 404, {"error": {"code": code, "message": message}}, {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one packet: two would wait for a delayed acknowledgement
    fake: FakeServer

    def log_message(self, *args: object) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, ssl.SSLError):
            self.close_connection = True

    def answer(self) -> None:
        state = self.fake.state
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host = self.headers["Host"]
        state.requests.append((self.command, host, self.path))
        for number, (pattern, status) in enumerate(state.failures):
            if re.search(pattern, f"{self.command} {self.path}"):
                del state.failures[number]
                if status == 0:
                    self.close_connection = True
                    return
                self._send(status, {"error": {"code": "Broken", "message": "broken on purpose"}}, {"Retry-After": "0"})
                return
        if host == f"localhost:{self.fake.port}":
            answer = self._control(body)
        elif host.startswith("darsena.blob.core."):
            answer = self._blob(body)
        else:
            answer = self._login_server(host, body)
        self._send(*answer)

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {"Content-Length": str(len(content)), "x-ms-request-id": "request-1", **(headers or {})}
        self.send_response(status)
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    # --- control host ---------------------------------------------------------------------------------------------

    def _control(self, body: bytes) -> Answer:
        url = urlsplit(self.path)
        path, query = unquote(url.path), dict(parse_qsl(url.query))
        if path == "/metadata/endpoints":
            return 200, self._metadata(), {}
        if path == "/adfs/oauth2/token":
            return self._token(dict(parse_qsl(body.decode())))
        if self.headers.get("Authorization") != "Bearer arm-token":
            return 401, {"error": {"code": "AuthenticationFailed", "message": "no valid token"}}, {}
        sent = json.loads(body) if body else None
        if path.startswith("/darsena/v1/admin/"):
            self.fake.state.maintained.append((self.command, path.removeprefix("/darsena/v1/admin/"), query, sent))
            return 200, self.fake.state.maintenance.pop(0), {}
        assert "api-version" in query
        if path == "/subscriptions":
            found = {"subscriptionId": SUBSCRIPTION, "displayName": "Dársena", "state": "Enabled", "tenantId": TENANT}
            return 200, {"value": [found]}, {}
        prefix = f"/subscriptions/{SUBSCRIPTION}"
        assert path.startswith(prefix), path
        return self._subscription(path.removeprefix(prefix), query, sent)

    def _metadata(self) -> Json:
        return {
            "name": "Darsena",
            "resourceManager": f"{self.fake.control}/",
            "authentication": {"loginEndpoint": f"{self.fake.control}/adfs", "audiences": [f"{self.fake.control}/"]},
            "suffixes": {"acrLoginServer": f".{DOMAIN}:{self.fake.port}"},
        }

    def _token(self, form: dict[str, str]) -> Answer:
        if form["grant_type"] == "password":
            if (form["username"], form["password"]) != (PERSON, PASSWORD):
                return 400, {"error": "invalid_grant", "error_description": "the password is wrong"}, {}
        elif (form["client_id"], form["client_secret"]) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "invalid_client", "error_description": "the secret is wrong"}, {}
        tokens = {
            f"{self.fake.control}//.default": "arm-token",
            "https://containerregistry.azure.net/.default": "acr-token",
        }
        return 200, {"access_token": tokens[form["scope"]], "token_type": "Bearer", "expires_in": 3600}, {}

    def _subscription(self, path: str, query: dict[str, str], sent: Any) -> Answer:
        state = self.fake.state
        if path == "/resources":
            assert query["$filter"] == "resourceType eq 'Microsoft.ContainerRegistry/registries'"
            keys = ("id", "name", "type", "location")
            return 200, {"value": [{key: found[key] for key in keys} for found in state.registries.values()]}, {}
        if path == "/providers/Microsoft.ContainerRegistry/registries":
            return 200, {"value": list(state.registries.values())}, {}
        if path == "/resourceGroups":
            return 200, {"value": list(state.groups.values())}, {}
        if path == "/providers/Microsoft.Insights/eventtypes/management/values":
            state.activity_asked.append(query)
            return 200, {"value": state.activity}, {}
        if path.startswith("/operations/"):
            return 200, None, {}
        provider = r"/providers/Microsoft\.ContainerRegistry/registries"
        match = re.fullmatch(rf"/resourceGroups/([^/]+)(?:{provider}(.*))?", path)
        assert match, path
        group = match[1].lower()
        if match[2] is None:
            return self._group(match[1], sent)
        if group not in state.groups:
            return _missing("ResourceGroupNotFound", f"no group {group}")
        if not match[2]:
            found = [r for r in state.registries.values() if f"/resourcegroups/{group}/" in r["id"].lower()]
            return 200, {"value": found}, {}
        name, _, rest = match[2][1:].partition("/")
        return self._registry(match[1], name, rest, query, sent)

    def _group(self, name: str, sent: Any) -> Answer:
        groups = self.fake.state.groups
        if self.command == "PUT":
            made = self.fake.add_group(name, sent["location"])
            made["tags"] = sent.get("tags", {})
            return 201, made, {}
        if name.lower() not in groups:
            return _missing("ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
        if self.command == "DELETE":
            del groups[name.lower()]
            location = f"{self.fake.control}/subscriptions/{SUBSCRIPTION}/operations/1?api-version=1"
            return 202, None, {"Location": location, "retry-after-ms": "1"}
        return 200, groups[name.lower()], {}

    def _registry(self, group: str, name: str, rest: str, query: dict[str, str], sent: Any) -> Answer:
        registries = self.fake.state.registries
        if self.command == "PUT" and not rest:
            made = self.fake.add_registry(name, group, **sent["properties"])
            made.update(location=sent["location"], sku=sent["sku"], tags=sent.get("tags", {}))
            return 201, made, {}
        found = registries.get(name.lower())
        if found is None:
            return _missing("ResourceNotFound", f"The Resource {name} was not found.")
        if not rest:
            if self.command == "DELETE":
                del registries[name.lower()]
                return 200, None, {}
            if self.command == "PATCH":
                found["properties"].update(sent.get("properties", {}))
                found.update({key: sent[key] for key in ("sku", "tags") if key in sent})
            return 200, found, {}
        if rest == "listCredentials":
            passwords = [{"name": "password", "value": "one"}, {"name": "password2", "value": "two"}]
            return 200, {"username": name, "passwords": passwords}, {}
        if rest == "regenerateCredential":
            return 200, {"username": name, "passwords": [{"name": sent["name"], "value": "new"}]}, {}
        if rest == "listUsages":
            return 200, {"value": [{"name": "Size", "limit": 100, "currentValue": 7, "unit": "Bytes"}]}, {}
        if rest.partition("/")[0] in ("scopeMaps", "tokens", "generateCredentials"):
            return self.fake.state.children.answer(self.command, found["id"], rest, sent)
        return self._tasks(found["id"], rest, query, sent)

    def _tasks(self, registry: str, rest: str, query: dict[str, str], sent: Any) -> Answer:
        state = self.fake.state
        blob = f"https://darsena.blob.core.{DOMAIN}:{self.fake.port}/container"
        if rest == "listBuildSourceUploadUrl":
            name = f"source/202601010000/{len(state.sources)}.tar.gz"
            return 200, {"uploadUrl": f"{blob}/{name}?sv=1&sig=a%2Bb%3D", "relativePath": name}, {}
        if rest == "scheduleRun":
            run_id = f"ca{len(state.runs) + 1}"
            run = state.next_run()
            run.resource.update(id=f"{registry}/runs/{run_id}", name=run_id)
            for image in run.final.get("outputImages", []):
                image["registry"] = self.fake.login_server(registry.rpartition("/")[2])
            run.resource["properties"].update(runId=run_id)
            state.runs[run_id] = run
            state.scheduled.append(sent)
            return 200, run.resource, {}
        if rest == "runs":
            found = [run.resource for run in reversed(state.runs.values())][: int(query.get("$top", 100))]
            return 200, {"value": found}, {}
        _, run_id, *action = rest.split("/")
        if run_id not in state.runs:
            return _missing("ResourceNotFound", f"The resource {run_id} could not be found.")
        run = state.runs[run_id]
        if action == ["listLogSasUrl"]:
            return 200, {"logLink": f"{blob}/logs/{run_id}/rawtext.log?sv=1&sig=a%2Bb%3D"}, {}
        if action == ["cancel"]:
            if run.ended:
                return 409, {"error": {"code": "Conflict", "message": f"the run {run_id} has ended"}}, {}
            run.ended, run.word, run.chunks = True, "canceled", []
            run.resource["properties"]["status"] = "Canceled"
            return 200, None, {}
        if not run.log and run.looks_before_start == 0 and not run.word:
            run.look()
        return 200, run.resource, {}

    # --- blob host --------------------------------------------------------------------------------------------------

    def _blob(self, body: bytes) -> Answer:
        state = self.fake.state
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        assert query["sig"] == "a+b=", self.path
        if self.command == "PUT":
            name = url.path.removeprefix("/container/")
            if query.get("comp") == "block":
                state.blocks[query["blockid"]] = body
            elif query.get("comp") == "blocklist":
                identifiers = re.findall("<Latest>([^<]*)</Latest>", body.decode())
                state.sources[name] = b"".join(state.blocks[identifier] for identifier in identifiers)
            else:
                assert self.headers["x-ms-blob-type"] == "BlockBlob"
                state.sources[name] = body
            return 201, None, {"ETag": '"1"'}
        run = state.runs[url.path.split("/")[3]]
        if self.command == "HEAD":
            run.look()
            if not run.log and not run.ended:
                return 404, None, {"x-ms-error-code": "BlobNotFound", "Content-Length": "0"}
            complete = {"x-ms-meta-complete": run.word} if run.ended else {}
            return 200, None, {"Content-Length": str(len(run.log)), **complete}
        first, last = map(int, self.headers["x-ms-range"].removeprefix("bytes=").split("-"))
        part = run.log[first : last + 1]
        return 206, part, {"Content-Range": f"bytes {first}-{last}/{len(run.log)}"}

    # --- login server -------------------------------------------------------------------------------------------------

    def _login_server(self, host: str, body: bytes) -> Answer:
        url = urlsplit(self.path)
        if url.path == "/oauth2/exchange":
            form = dict(parse_qsl(body.decode()))
            assert (form["service"], form["access_token"]) == (host, "acr-token")
            return 200, {"refresh_token": "refresh.token.1"}, {}
        if url.path == "/oauth2/token":
            form = dict(parse_qsl(body.decode()))
            assert form["refresh_token"] == "refresh.token.1"
            return 200, {"access_token": base64.b64encode(form["scope"].encode()).decode()}, {}
        scope = base64.b64decode(self.headers["Authorization"].removeprefix("Bearer ")).decode()
        return self._data(unquote(url.path), parse_qs(url.query), scope)

    def _data(self, path: str, query: Query, scope: str) -> Answer:
        state = self.fake.state
        if path == "/acr/v1/_catalog":
            assert scope == "registry:catalog:*"
            return self._page("repositories", sorted(state.repositories), str, "/acr/v1/_catalog", query)
        if path.startswith("/v2/"):
            match = re.fullmatch(r"/v2/(.+)/manifests/(.+)", path)
            assert match
            return self._v2(match[1], match[2], scope)
        match = re.fullmatch(r"/acr/v1/(.+?)(?:/(_tags|_manifests)(?:/(.+))?)?", path)
        assert match
        return self._acr(match[1], match[2], match[3], query, scope)

    def _page(self, key: str, items: list[Any], name: Callable[[Any], str], path: str, query: Query) -> Answer:
        last, size = query.get("last", [""])[0], min(int(query["n"][0]), self.fake.state.page)
        rest = [item for item in items if name(item) > last]
        headers = {}
        if len(rest) > size:
            next_ = f"<{path}?last={quote(name(rest[size - 1]), safe='')}&n={size}&orderby=>"
            headers["Link"] = f'{next_}; rel="next"'
        return 200, {key: rest[:size]}, headers

    def _v2(self, repository: str, reference: str, scope: str) -> Answer:
        state = self.fake.state
        digest = state.repositories[repository].get(reference, reference)
        if digest not in state.manifests:
            return 404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}, {}
        if self.command == "DELETE":
            assert scope == f"repository:{repository}:delete"
            tags = state.repositories[repository]
            state.repositories[repository] = {tag: found for tag, found in tags.items() if found != digest}
            del state.manifests[digest]
            return 202, None, {}
        assert scope == f"repository:{repository}:pull"
        return 200, state.manifests[digest], {}

    def _acr(self, repository: str, kind: str | None, name: str | None, query: Query, scope: str) -> Answer:
        state = self.fake.state
        if repository not in state.repositories:
            return 404, {"errors": [{"code": "NAME_UNKNOWN", "message": "repository name not known to registry"}]}, {}
        tags = state.repositories[repository]
        if self.command == "DELETE":
            assert scope == f"repository:{repository}:delete"
            if kind is None:
                del state.repositories[repository]
                return 202, {"manifestsDeleted": sorted(set(tags.values())), "tagsDeleted": sorted(tags)}, {}
            del tags[str(name)]
            return 202, None, {}
        assert scope == f"repository:{repository}:metadata_read"
        base = f"/acr/v1/{repository}/{kind}"
        if kind is None:
            return 200, {"imageName": repository, "tagCount": len(tags)}, {}
        if kind == "_tags":
            listed = [{"name": tag, "digest": digest} for tag, digest in sorted(tags.items())]
            if name is None:
                wanted = query.get("digest", [""])[0]
                chosen = [tag for tag in listed if wanted in ("", tag["digest"])]
                return self._page("tags", chosen, lambda tag: tag["name"], base, query)
            if name not in tags:
                return 404, {"errors": [{"code": "TAG_UNKNOWN", "message": "the specified tag does not exist"}]}, {}
            return 200, {"imageName": repository, "tag": {"name": name, "digest": tags[name]}}, {}
        attributes = [
            {"digest": digest, "imageSize": 2_100_000, "tags": [tag for tag, found in tags.items() if found == digest]}
            for digest in sorted(state.manifests)
        ]
        if name is None:
            return self._page("manifests", attributes, lambda row: row["digest"], base, query)
        found = [row for row in attributes if row["digest"] == name]
        if not found:
            return 404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}, {}
        return 200, {"imageName": repository, "manifest": found[0]}, {}


for method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"):
    setattr(Handler, f"do_{method}", Handler.answer)
