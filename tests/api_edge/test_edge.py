"""The outermost edge and its plumbing: framing, hosts, bodies, routes. In process, over plain ASGI."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from darsena.api import edge as edges
from darsena.api import http
from darsena.api.edge import Edge, Hosts
from darsena.api.held import Held
from darsena.api.http import Request, Response, Scope, Send, TooSlow, json_response
from darsena.api.router import Route, Router
from darsena.core.errors import (
    BlobUnknown,
    ContentCorrupt,
    MethodNotAllowed,
    RequestInvalid,
    RequestTooLarge,
    RouteUnknown,
    Throttled,
    Unavailable,
)
from darsena.identity.model import RegistryFacts

FACTS = RegistryFacts(
    uid="u" * 32,
    name="myreg",
    login_server="myreg.azurecr.localhost:8443",
    subscription_id="s",
    resource_group="g",
    resource_id="/r",
    region="local",
)
Message = dict[str, Any]


class Answer:
    def __init__(self, messages: list[Message]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])


def make_scope(method: str, path: str, headers: list[tuple[bytes, bytes]], query: bytes = b"") -> Scope:
    raw = path.encode()
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": raw,
        "query_string": query,
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }


async def ask(
    app: Any, method: str, path: str, headers: list[tuple[bytes, bytes]], body: list[Message] | None = None
) -> Answer:
    incoming = list(body or [{"type": "http.request", "body": b"", "more_body": False}])
    sent: list[Message] = []

    async def receive() -> Message:
        if incoming:
            return incoming.pop(0)
        await asyncio.Event().wait()  # the client stays
        raise AssertionError("unreachable")

    async def send(message: Message) -> None:
        sent.append(message)

    await app(make_scope(method, path, headers), receive, send)
    return Answer(sent)


class Registry:
    """A login server that says what it was asked."""

    def __init__(self) -> None:
        self.fast_fails = False

    async def fast(self, scope: Scope, send: Send, facts: RegistryFacts) -> bool:
        if self.fast_fails:
            raise RuntimeError("a defect")
        return False

    async def handle(self, request: Request, facts: RegistryFacts) -> Response:
        match request.raw_path:
            case "/unknown":
                raise BlobUnknown("sha256:x")
            case "/wait":
                raise Throttled("slow down", 7)
            case "/defect":
                raise RuntimeError("inside")
            case "/echo":
                return Response(200, await request.body(16))
            case "/corrupt":
                return Response(200, _broken(), length=6)
            case "/stream":
                return Response(200, _chunks(), length=6)
            case _:
                return json_response({"registry": facts.name, "path": request.raw_path})


async def _chunks() -> AsyncIterator[bytes]:
    yield b"abc"
    yield b"def"


async def _broken() -> AsyncIterator[bytes]:
    yield b"abc"
    raise ContentCorrupt("the second segment")


async def _control(request: Request) -> Response:
    return json_response({"control": request.host})


async def _blob(request: Request) -> Response:
    return json_response({"blob": request.host})


@pytest.fixture
def login() -> Registry:
    return Registry()


@pytest.fixture
def edge(login: Registry) -> Edge:
    return Edge(
        hosts=Hosts(
            control=frozenset({"localhost:8443", "127.0.0.1:8443"}),
            blob=frozenset({"darsena.blob.core.azurecr.localhost:8443"}),
            login_server_suffix=".azurecr.localhost:8443",
            control_name="localhost:8443",
        ),
        find_registry=lambda host: FACTS if host == FACTS.login_server else None,
        login_server=login,
        control=_control,
        blob=_blob,
        log_requests="none",
    )


HOST = (b"host", FACTS.login_server.encode())


async def test_a_registry_that_cannot_be_looked_up_now(edge: Edge) -> None:
    def fail(_host: str) -> RegistryFacts | None:
        raise Unavailable("the database does not answer")

    answer = await ask(dataclasses.replace(edge, find_registry=fail), "GET", "/v2/", [HOST])
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert msgspec.json.decode(answer.body)["errors"][0]["message"] == "the database does not answer"


@pytest.mark.parametrize(
    ("host", "status", "text"),
    [
        (b"localhost:8443", 200, b"control"),
        (b"LOCALHOST:8443", 200, b"control"),
        (b"127.0.0.1:8443", 200, b"localhost:8443"),  # links use the configured name
        (b"darsena.blob.core.azurecr.localhost:8443", 200, b"blob"),
        (b"myreg.azurecr.localhost:8443", 200, b"myreg"),
        (b"MyReg.azurecr.localhost:8443", 200, b"myreg"),
        (b"other.azurecr.localhost:8443", 404, b"no registry"),
        (b"localhost", 421, b""),
        (b"localhost:8444", 421, b""),
        (b"evil.example.com", 421, b""),
        (b"", 400, b"no Host"),
        (b"myreg.azurecr.localhost:8443.evil.com", 421, b""),
    ],
)
async def test_host_decides(edge: Edge, host: bytes, status: int, text: bytes) -> None:
    answer = await ask(edge, "GET", "/", [(b"host", host)])
    assert (answer.status, text in answer.body) == (status, True)


async def test_framing_duties(edge: Edge) -> None:
    assert (await ask(edge, "GET", "/", [])).status == 400
    assert (await ask(edge, "GET", "/", [HOST, HOST])).status == 400
    assert (await ask(edge, "GET", "/" + "a" * 9000, [HOST])).status == 414
    assert (await ask(edge, "GET", "/", [HOST, (b"x", b"y" * 70_000)])).status == 431


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ([(b"authorization", b"Basic x"), (b"authorization", b"Basic x")], b"more than one Authorization"),
        ([(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")], b"more than one Transfer-Encoding"),
        ([(b"transfer-encoding", b"gzip, chunked")], b"is chunked"),
        ([(b"transfer-encoding", b"identity")], b"is chunked"),
    ],
)
async def test_what_two_servers_could_read_in_two_ways(
    edge: Edge, headers: list[tuple[bytes, bytes]], text: bytes
) -> None:
    answer = await ask(edge, "POST", "/echo", [HOST, *headers])
    assert (answer.status, text in answer.body) == (400, True)
    assert (await ask(edge, "POST", "/echo", [HOST, (b"transfer-encoding", b"Chunked")])).status == 200


async def test_problems_are_rendered_by_the_host_that_was_asked(edge: Edge) -> None:
    answer = await ask(edge, "GET", "/unknown", [HOST])
    assert answer.status == 404
    assert msgspec.json.decode(answer.body)["errors"][0]["code"] == "BLOB_UNKNOWN"
    waited = await ask(edge, "GET", "/wait", [HOST])
    assert (waited.status, waited.headers["retry-after"]) == (429, "7")


async def test_a_defect_gives_500_and_no_internals(edge: Edge) -> None:
    answer = await ask(edge, "GET", "/defect", [HOST])
    assert answer.status == 500
    assert b"inside" not in answer.body
    assert answer.headers["x-ms-correlation-request-id"].encode() in answer.body


async def test_a_defect_on_the_hot_path_costs_no_pull(edge: Edge, login: Registry) -> None:
    login.fast_fails = True
    assert (await ask(edge, "GET", "/v2/", [HOST])).status == 200


async def test_a_body_that_breaks_off_is_400(edge: Edge) -> None:
    body = [{"type": "http.request", "body": b"abc", "more_body": True}, {"type": "http.disconnect"}]
    answer = await ask(edge, "POST", "/echo", [HOST], body)
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert msgspec.json.decode(answer.body)["errors"][0]["code"] == "UNSUPPORTED"


async def test_a_body_ends_where_it_was_announced_to(edge: Edge) -> None:
    """The library tells of the end by another piece, of nothing: nobody waits for it."""
    body = [{"type": "http.request", "body": piece, "more_body": True} for piece in (b"abc", b"def")]
    assert (await ask(edge, "POST", "/echo", [HOST, (b"content-length", b"6")], body)).body == b"abcdef"
    body[-1]["more_body"] = False
    headers = [HOST, (b"content-length", b"3"), (b"transfer-encoding", b"chunked")]  # which is what counts then
    assert (await ask(edge, "POST", "/echo", headers, body)).body == b"abcdef"


async def test_a_body_that_is_too_slow_is_408_and_leaves_nothing_in_memory(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Held(2)
    for module in (http, edges):
        monkeypatch.setattr(module, "HELD", room)
    sent: list[Message] = []
    pieces: list[Message] = [{"type": "http.request", "body": b"ab", "more_body": True}]
    read_on, never = asyncio.Event(), asyncio.Event()

    async def receive() -> Message:
        if not pieces:
            read_on.set()
            await never.wait()
        return pieces.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    slow = asyncio.ensure_future(edge(make_scope("POST", "/echo", [HOST]), receive, send))
    await read_on.wait()
    for _ in range(2):  # the room is free again after each
        body = [{"type": "http.request", "body": b"cd", "more_body": False}]
        assert (await ask(edge, "POST", "/echo", [HOST], body)).status == 200
    await slow
    assert Answer(sent).status == 408


def test_a_header_holds_no_control_character() -> None:
    assert Response().header("link", "a\r\nb: c\x7fd\xe9").headers == [(b"link", b"a??b: c?d\xe9")]


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_413(edge: Edge, announced: bool) -> None:
    headers = [HOST, (b"content-length", b"17")] if announced else [HOST, (b"transfer-encoding", b"chunked")]
    body = [{"type": "http.request", "body": b"x" * 17, "more_body": False}]
    assert (await ask(edge, "POST", "/echo", headers, body)).status == 413


async def test_head_has_the_headers_of_get_and_no_body(edge: Edge) -> None:
    got, head = await ask(edge, "GET", "/stream", [HOST]), await ask(edge, "HEAD", "/stream", [HOST])
    assert (got.body, head.body) == (b"abcdef", b"")
    assert head.headers["content-length"] == got.headers["content-length"] == "6"


async def test_a_body_that_cannot_be_read_on_is_cut_off(edge: Edge) -> None:
    """The connection ends short of the announced length: no client takes it for the whole."""
    answer = await ask(edge, "GET", "/corrupt", [HOST])
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"abc", "6")


# --- routes ------------------------------------------------------------------------------------------------------


def routed(*patterns: str, ignore_case: bool = False) -> Router:
    async def handler(request: Request) -> Response:
        return json_response(request.params)

    rows = [Route(method="GET", pattern=pattern, handler=handler, summary=pattern) for pattern in patterns]
    return Router(rows, ignore_case=ignore_case)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/Subscriptions/ABC/resourcegroups/g1", {"s": "ABC", "g": "g1"}),
        ("/subscriptions/a%2Fb/resourceGroups/g%20x", {"s": "a/b", "g": "g x"}),
        ("/subscriptions/a/resourceGroups/list", {"s": "a"}),
        ("/files/a/b%2Fc/d", {"rest": "a/b/c/d"}),
    ],
)
def test_paths_find_their_route(path: str, params: dict[str, str]) -> None:
    router = routed(
        "/subscriptions/{s}/resourceGroups/{g}",
        "/subscriptions/{s}/resourceGroups/list",
        "/files/{rest*}",
        ignore_case=True,
    )
    assert router.find("GET", path)[1] == params


def test_what_no_route_has() -> None:
    router = routed("/a/{b}")
    with pytest.raises(RouteUnknown):
        router.find("GET", "/a/b/c")
    with pytest.raises(RouteUnknown):
        router.find("GET", "/a/")
    with pytest.raises(MethodNotAllowed):
        router.find("PUT", "/a/b")
    assert router.find("HEAD", "/a/b")[1] == {"b": "b"}
    with pytest.raises(RequestInvalid):
        router.find("GET", "/a/%FF")
    with pytest.raises(RequestInvalid):
        router.find("GET", "/a/%00")


# --- bodies ------------------------------------------------------------------------------------------------------


async def read(body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> Request:
    incoming = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return incoming.pop(0)

    return Request(make_scope("POST", "/", headers or []), receive)


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[1]", b'"x"', b"[" * 100_000, b'{"a": 1e999999}'])
async def test_json_that_is_none(body: bytes) -> None:
    class Wanted(msgspec.Struct):
        a: int = 0

    request = await read(body)
    with pytest.raises(RequestInvalid):
        await request.json(Wanted)


async def test_forms_are_bounded() -> None:
    assert await (await read(b"a=1&b=%2B&a=2")).form() == [("a", "1"), ("b", "+"), ("a", "2")]
    with pytest.raises(RequestInvalid):
        await (await read(b"&".join(b"a=1" for _ in range(300)))).form()
    with pytest.raises(RequestTooLarge):
        await (await read(b"a=" + b"x" * 200_000)).form()
    with pytest.raises(RequestInvalid):
        await (await read(b"a=%ff")).form()


async def test_a_body_that_trickles_is_cut_off() -> None:
    """Each piece comes in time, the whole never."""

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"", "more_body": True}

    request = Request(make_scope("POST", "/", []), receive)
    with pytest.raises(TooSlow, match="did not come within"):
        await request.body(16, whole_s=0.05)


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"+5", b"0x10", "٣".encode()])
async def test_lengths_that_are_no_numbers(length: bytes) -> None:
    with pytest.raises(RequestInvalid):
        _ = (await read(b"", [(b"content-length", length)])).content_length
