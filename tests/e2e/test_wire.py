"""Hostile bytes on the socket of a real server (decisions, section 8): every one is refused or understood in one way.

After all of them the server is the same: it answers, its log holds no defect, its memory is what it was.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stand import Stand, standing, wait_until
from wire import Answer, Wire, read_answer

REGISTRY = "wireregistry"
ABC = f"sha256:{hashlib.sha256(b'abc').hexdigest()}"
UPLOADS = "/v2/wire/app/blobs/uploads/"
PUSH = f"{UPLOADS}?digest={ABC}"
CHUNKED = "Transfer-Encoding: chunked"
GROWTH_BYTES = 120 * 1024 * 1024
REFUSED = {400, 404, 405, 408, 411, 413, 414, 417, 421, 431, 501, 505}


def memory_of(stand: Stand) -> int:
    pages = Path(f"/proc/{stand.worker_pid()}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with standing(tmp_path_factory.mktemp("wire"), "--no-build") as running:
        running.ok("group", "create", "-n", "tests")
        running.ok("create", "-g", "tests", "-n", REGISTRY, "--sku", "Premium", "--admin-enabled", "true")
        worker, before = running.worker_pid(), memory_of(running)
        yield running
        assert running.worker_pid() == worker, "the worker died of it"
        assert memory_of(running) - before < GROWTH_BYTES
        lines = [json.loads(line) for line in running.log.read_text().splitlines() if line.startswith("{")]
        assert [line for line in lines if line.get("level") in ("error", "critical") or line.get("status") == 500] == []
        assert running.stop() == 0


@pytest.fixture
def wire(stand: Stand) -> Iterator[Wire]:
    """A blob is there to be asked for; and after whatever was done the server still answers."""
    wire = Wire(stand, stand.login_server(REGISTRY))
    assert wire.ask("POST", PUSH, "Content-Length: 3", body=b"abc").status == 201
    yield wire
    assert wire.ask().status == 200


def refused(answer: Answer, what: object) -> None:
    assert answer.status in REFUSED | {0}, (what, answer)


# --- framing ----------------------------------------------------------------------------------------------------------


def test_request_lines(wire: Wire) -> None:
    for line in (
        b"GET /v2/\r\n\r\n",
        b"GET  /v2/ HTTP/1.1\r\n\r\n",
        b"GET /v2/ HTTP/3.0\r\n\r\n",
        b"GET /v2/ HTTP/1.1 x\r\n\r\n",
        b"\0\1\2\3\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"G\0T /v2/ HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"x" * 2_000_000,
    ):
        refused(wire.send([line, b"\r\n\r\n"]), line[:40])
    for method in ("get", "BREW", "M" * 4000, "CONNECT", "TRACE", "OPTIONS"):
        refused(wire.ask(method), method)
    assert wire.ask(version="HTTP/1.0").status == 200


def test_hosts(wire: Wire) -> None:
    """One, and a configured one."""
    assert wire.ask(host="").status == 400
    assert wire.ask("GET", "/v2/", f"Host: {wire.host}").status == 400
    assert wire.ask("GET", "/v2/", "Host: evil.example.com").status == 400
    for host in ("evil.example.com", "localhost", wire.host + ".evil.com", wire.host.partition(":")[0], "[::1", "a b"):
        assert wire.ask(host=host).status in (400, 421), host
    assert wire.ask(host=wire.host.upper()).status == 200
    answer = wire.ask(
        "GET", "/v2/", "X-Forwarded-Host: evil.example.com", "Forwarded: host=evil.example.com", auth=None
    )
    assert "evil" not in answer.headers["www-authenticate"]


def test_header_lines(wire: Wire) -> None:
    for line in (
        b"X-A : b",
        b"X-A: b\r\n folded",
        b"X-A: a\0b",
        b"X-A: a\rb",
        b"no colon",
        b": x",
        b"X A: b",
        b"\xff: x",
    ):
        refused(wire.ask("GET", "/v2/", line), line)
    for lines in ([f"X-{n}: 1" for n in range(300)], ["X-A: " + "a" * 70_000], ["X-A: " + "a" * 3_000_000]):
        assert wire.ask("GET", "/v2/", *lines).status in (0, 431)
    assert wire.ask("GET", "/v2/", *[f"X-{n}: 1" for n in range(80)]).status == 200
    assert wire.ask("GET", "/v2/", b"X-A: \xe9\xff").status == 200


def test_lengths(wire: Wire) -> None:
    """A length that is none, or not the only one, never lets a body be read in two ways."""
    for lines in (
        ["Content-Length: -1"],
        ["Content-Length: +3"],
        ["Content-Length: 0x3"],
        ["Content-Length: 3, 3"],
        ["Content-Length: 3 3"],
        ["Content-Length: 3", "Content-Length: 4"],
        ["Content-Length: 99999999999999999999999999"],
        ["Content-Length: three"],
        ["Content-Length: "],
        ["Transfer-Encoding: gzip"],
        ["Transfer-Encoding: chunked, gzip"],
        ["Transfer-Encoding: xchunked"],
    ):
        refused(wire.ask("POST", PUSH, *lines, body=b"abc"), lines)
    refused(wire.ask("POST", PUSH, CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n", version="HTTP/1.0"), "chunked in 1.0")


def test_a_body_of_two_lengths_is_read_by_its_chunks(wire: Wire) -> None:
    """RFC 9112, section 6.1. What would be a second request in the other reading is not answered."""
    smuggled = wire.request("GET", "/v2/wire/app/tags/list")
    for lines in (["Content-Length: 3", CHUNKED], [CHUNKED, "Content-Length: 300"]):
        answer = wire.ask("POST", PUSH, *lines, body=b"3\r\nabc\r\n0\r\n\r\n" + smuggled)
        assert answer.status in (201, 400)
        assert b"HTTP/1.1" not in answer.body


def test_chunks(wire: Wire) -> None:
    for body in (
        b"zz\r\nabc\r\n0\r\n\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"ffffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\nabc\n0\n\n",
        b"3;" + b"x" * 500_000 + b"\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\r\nX: " + b"x" * 500_000 + b"\r\n\r\n",
    ):
        refused(wire.ask("POST", PUSH, CHUNKED, body=body), body[:40])
    for body in (b"3\r\nabc\r\n0\r\n\r\n", b"1;x=y\r\na\r\n02\r\nbc\r\n0\r\nX-T: 1\r\n\r\n"):
        assert wire.ask("POST", PUSH, CHUNKED, body=body).status == 201, body


def test_bodies_that_are_too_short_or_too_long(wire: Wire) -> None:
    """What comes after a body of the announced length is not part of it; what is missing leaves nothing behind."""
    assert wire.ask("POST", PUSH, "Content-Length: 3", body=b"abcdef").status == 201
    digest = f"sha256:{hashlib.sha256(b'never there').hexdigest()}"
    for line in ("Content-Length: 11", CHUNKED):
        with wire.connect() as connection:
            body = b"never" if line != CHUNKED else b"5\r\nnever\r\n"
            connection.sendall(wire.request("POST", f"{UPLOADS}?digest={digest}", line, body=body))
    assert wire.ask("HEAD", f"/v2/wire/app/blobs/{digest}").status == 404


def test_a_push_goes_on_where_its_connection_broke(wire: Wire) -> None:
    """What the server took before is kept; the client asks how far it came (Pushing a blob in chunks)."""
    content = bytes(range(256)) * 8192
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    location = wire.ask("POST", UPLOADS, "Content-Length: 0").headers["location"]
    with wire.connect() as connection:
        head = wire.request("PATCH", location, f"Content-Length: {len(content)}")
        connection.sendall(head + content[:1_500_000])

    def ask() -> int:
        status = wire.ask("GET", location)
        assert status.status == 204
        return int(status.headers["range"].partition("-")[2])

    stands = wait_until(ask, "some of it has come") + 1
    assert stands <= 1_500_000
    rest = f"Content-Range: {stands}-{len(content) - 1}"
    answer = wire.ask("PATCH", location, rest, f"Content-Length: {len(content) - stands}", body=content[stands:])
    assert answer.status == 202
    assert wire.ask("PUT", f"{location}&digest={digest}", "Content-Length: 0").status == 201
    assert wire.ask("GET", f"/v2/wire/app/blobs/{digest}").body == content


# --- paths, queries, headers ------------------------------------------------------------------------------------------


def test_paths(wire: Wire) -> None:
    for target in (
        b"/v2/../v2/", b"//v2/", b"/v2//", b"/v2/wire/../wire/app/tags/list", b"/v2/wire/./app/tags/list",
        b"/v2/%2e%2e/tags/list", b"/v2/wire%2F..%2Fapp/tags/list", b"/v2/wire/app%00/tags/list",
        b"/v2/wire/app%ff/tags/list", b"/v2/\xff\xfe/tags/list", b"/v2/wire app/tags/list", b"/v2/wire\0app/tags/list",
        b"/v2/wire%252Fapp/tags/list", b"/v2/wire;a/tags/list", b"/v2/wire\\app/tags/list", b"/v2/WIRE/app/tags/list",
        b"/v2/wire/app/tags/list/", b"/v2/wire/app/tags%2Flist", b"/v2/%", b"/v2/%zz/tags/list", b"v2/", b"*", b"",
        b"/v2/" + b"a/" * 3000 + b"tags/list", b"/v2/" + b"a" * 100_000, b"/" + b"%2F" * 2500,
        b"/etc/passwd", b"/acr/v1/../../etc/passwd", b"/helm/v1/wire/index.yaml", b"/.git/config",
    ):  # fmt: skip
        refused(wire.ask("GET", target), target[:60])
    assert wire.ask("GET", "/v2/wire%2Fapp/tags/list").status == 200
    assert wire.ask("GET", f"/v2/wire%2fapp/blobs/{ABC.replace(':', '%3A')}").body == b"abc"


def test_queries(wire: Wire) -> None:
    tags, blob = "/v2/wire/app/tags/list", f"/v2/wire/app/blobs/{ABC}"
    for query in ("n=%zz", "n=-1", "n=1&n=x", "last=%00", "n=" + "9" * 5000, "&".join(["n=1"] * 2000)):
        assert wire.ask("GET", f"{tags}?{query}").status == 400, query[:40]
    for query in ("last=%ff%fe", "%00=%00", "=&=&&;", "x=" + "%F0%9F%90%B3" * 400):
        assert wire.ask("GET", f"{tags}?{query}").status == 200, query[:40]
    assert wire.ask("GET", f"{tags}?{'a' * 9000}").status == 414
    assert wire.ask("GET", f"{blob}?digest=%00&mount=../..").body == b"abc"


def test_ranges(wire: Wire) -> None:
    blob = f"/v2/wire/app/blobs/{ABC}"
    for text, status, body in (
        ("bytes=0-0", 206, b"a"), ("bytes=1-", 206, b"bc"), ("bytes=-2", 206, b"bc"), ("bytes=-99", 206, b"abc"),
        ("bytes=0-" + "9" * 50, 206, b"abc"), ("bytes=0-0,2-2", 200, b"abc"), ("lines=1-", 200, b"abc"),
        ("bytes=" + ",".join(["0-"] * 3000), 200, b"abc"), ("bytes=3-", 416, b""), ("bytes=-0", 416, b""),
        ("bytes=2-1", 416, b""), ("bytes=a-b", 416, b""), ("bytes=" + "9" * 30_000 + "-", 416, b""),
        ("bytes=--1", 416, b""), ("bytes=0-0-0", 416, b""),
    ):  # fmt: skip
        answer = wire.ask("GET", blob, f"Range: {text}")
        assert (answer.status, answer.body) == (status, body), text[:40]
    assert wire.ask("GET", blob, "Range: bytes=0-0", "Range: bytes=1-1").status in (200, 206)
    assert wire.ask("HEAD", blob, "Range: bytes=0-0").status == 200


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


def test_credentials(wire: Wire) -> None:
    """All are 401 with a challenge; none is taken for the anonymous caller or for somebody."""
    name, secret = wire.stand.credentials.encode().split(b":")
    for sent in (
        "Basic", "Basic !!!!", "Basic =", "Basic YQ", basic(b"nocolon"), basic(b":"), basic(b"a\0:b"),
        basic(b"\xe9:\xff"),
        basic(name + b"\0:" + secret), basic(name + b":" + secret + b"\0"), basic(name + b":" + secret[:-1]),
        basic(b" " + name + b":" + secret), basic(b"x" * 30_000 + b":y"), basic(b"a:" + b"y" * 30_000),
        basic(b"00000000-0000-0000-0000-000000000000:" + b"x" * 20_000), "Bearer", "Bearer a.b.c", "Bearer ..",
        "Bearer " + "a" * 40_000, "Bearer " + "." * 5000, "Bearer eyJhbGciOiJub25lIn0.e30.", "Negotiate x", "x", ",",
        "Basic YTpi, Bearer x", b"Bearer \xff\xfe", "Digest username=a",
    ):  # fmt: skip
        answer = wire.ask("GET", "/v2/wire/app/tags/list", auth=sent if isinstance(sent, bytes) else sent.encode())
        assert answer.status in (401, 429), sent[:40]
        assert answer.status == 429 or answer.headers["www-authenticate"].startswith("Bearer realm=")
    assert wire.ask("GET", "/v2/wire/app/tags/list").status == 200, "the owner is not locked out"


def forge(header: dict[str, object], claims: dict[str, object], signature: bytes = b"x" * 256) -> bytes:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return b"Bearer " + b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)


def test_forged_tokens(wire: Wire) -> None:
    """Nothing of a token is believed before its signature, least of all where its key is to be found."""
    answer = wire.ask("GET", "/oauth2/token?scope=repository:wire/app:pull")
    token = json.loads(answer.body)["access_token"]
    decoded = [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]
    header, claims = decoded
    for changed in (
        {"alg": "none"}, {"alg": "HS256"}, {"alg": "RS512"}, {"alg": ["RS256"]}, {"alg": None},
        {"kid": "../../etc/passwd"},
        {"kid": "x' OR 1=1"}, {"kid": "a\0b"}, {"kid": 1}, {"kid": "k" * 20_000}, {"jku": "https://evil.example.com/k"},
        {"jwk": {"kty": "oct", "k": "eA"}}, {"x5u": "file:///etc/passwd"}, {"crit": ["exp"]}, {"typ": "x"},
        {"b64": False},
    ):  # fmt: skip
        assert wire.ask("GET", "/v2/", auth=forge({**header, **changed}, claims)).status == 401, changed
    for changed in ({"exp": 1 << 70}, {"nbf": 0}, {"aud": "*"}, {"iss": "x"}, {"access": [{}]}, {"exp": "never"}):
        assert wire.ask("GET", "/v2/", auth=forge(header, {**claims, **changed})).status == 401, changed
    assert wire.ask("GET", "/v2/", auth=f"Bearer {token}".encode()).status == 200
    head, body, signature = token.split(".")
    for spoilt in (
        f"{head}.{body}.",
        f"{head}.{body}.{signature}=",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}",
    ):
        assert wire.ask("GET", "/v2/", auth=f"Bearer {spoilt}".encode()).status == 401


def test_forms_and_scopes(wire: Wire) -> None:
    kind = "Content-Type: application/x-www-form-urlencoded"

    def post(path: str, body: bytes) -> int:
        return wire.ask("POST", path, kind, f"Content-Length: {len(body)}", auth=None, body=body).status

    for path in ("/oauth2/token", "/oauth2/exchange"):
        assert post(path, b"grant_type=password&a=" + b"x" * 1_000_000) == 413
        assert post(path, b"&".join(b"a=1" for _ in range(5000))) == 400
        for body in (
            b"\xff\xfe",
            b"grant_type=%00",
            b"grant_type=x&grant_type=y",
            b"=",
            b"grant_type=password&username=%ff",
        ):
            assert post(path, body) == 400, body
    for scope in (
        "%00", "%ff", ":::", "repository::pull", "repository:" + "a" * 5000 + ":pull", "x" * 8000,
        "repository:../..:pull",
        "repository:a%00b:pull", "registry:catalog:*:*", "repository:*:*,*", "+".join(["repository:a:pull"] * 300),
    ):  # fmt: skip
        assert wire.ask("GET", f"/oauth2/token?scope={scope}").status in (200, 400, 414), scope[:40]
    many = "&".join(f"scope=repository:r{n}:pull" for n in range(150))
    assert wire.ask("GET", f"/oauth2/token?{many}").status == 200


# --- bodies -----------------------------------------------------------------------------------------------------------


def manifest(body: bytes) -> tuple[str, str, bytes]:
    return "Content-Type: application/vnd.oci.image.manifest.v1+json", f"Content-Length: {len(body)}", body


def test_hostile_json(wire: Wire) -> None:
    """Deep, wide, huge, twice, of no encoding: 400, in little time and memory."""
    config = f'"schemaVersion":2,"config":{{"digest":"{ABC}","size":3}},"layers":[]'.encode()
    for body in (
        b"[" * 2_000_000, b'{"a":' * 500_000, b"{" + config + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"{" + config + b',"x":' + b"9" * 3_000_000 + b"}", b"{" + config + b',"x":[' + b"{}," * 1_000_000 + b"{}]}",
        b"{" + config + b',"x":[' + b"[]," * 1_000_000 + b"[]]}",
        b"{" + config + b"," + config + b"}", b"\xef\xbb\xbf{" + config + b"}",
        b"{" + config + b',"mediaType":"\\ud800"}',
        b"{" + config + b',"artifactType":"a\\u0000b"}', b"{" + config + b',"\0":1}', b'{"schemaVersion":2}\0',
        ("{" + config.decode() + "}").encode("utf-16"), b"{" + config + b',"x":NaN}', b"{" + config + b',"x":Infinity}',
        b'{"schemaVersion":1e400}', b'{"schemaVersion":2,"layers":[' + b'{"digest":"","size":0},' * 100_000 + b"{}]}",
    ):  # fmt: skip
        *lines, content = manifest(body)
        answer = wire.ask("PUT", "/v2/wire/app/manifests/x", *lines, body=content)  # type: ignore[arg-type]
        assert (answer.status, b"MANIFEST_INVALID" in answer.body) == (400, True), body[:60]


def test_many_hostile_bodies_at_once(wire: Wire) -> None:
    """The memory of the server is held to a bound when its fixture ends."""
    wide = b'{"schemaVersion":2,"x":[' + b"1," * 2_000_000 + b"1]}"
    *lines, content = manifest(wide)
    statuses: list[int] = []

    def push() -> None:
        answer = wire.ask("PUT", "/v2/wire/app/manifests/x", *lines, body=content)  # type: ignore[arg-type]
        statuses.append(answer.status)

    threads = [threading.Thread(target=push) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [400] * 12


def test_slow_and_silent_clients_hold_up_nobody(wire: Wire) -> None:
    """Connections that stop in the middle of a line, of a header, of a body; others are answered at once."""
    beginnings = [
        b"",
        b"GET /v2/ HT",
        b"GET /v2/ HTTP/1.1\r\nHost: x",
        wire.request("POST", PUSH, "Content-Length: 3", body=b"a"),
    ]
    open_: list[socket.socket] = []
    try:
        for number in range(200):
            plain = socket.create_connection(("127.0.0.1", wire.stand.port))
            open_.append(plain)
            plain.sendall(beginnings[number % len(beginnings)][:50])  # not even a handshake
        with wire.connect() as first, wire.connect() as second:
            first.sendall(wire.request("POST", PUSH, "Content-Length: 3", body=b"a"))
            second.sendall(wire.request("PUT", "/v2/wire/app/manifests/x", "Content-Length: 100", body=b"{"))
            begun = time.monotonic()
            for _ in range(20):
                assert wire.ask("GET", f"/v2/wire/app/blobs/{ABC}").body == b"abc"
            assert time.monotonic() - begun < 10
            first.sendall(b"bc")
            assert read_answer(first).status == 201
    finally:
        for plain in open_:
            plain.close()


def test_pipelined_requests_are_answered_in_their_order(wire: Wire) -> None:
    asked = [wire.request("GET", f"/v2/wire/app/blobs/{ABC}").replace(b"Connection: close\r\n", b"") for _ in range(3)]
    with wire.connect() as connection:
        connection.sendall(b"".join(asked) + wire.request("GET", "/v2/none/such/tags/list"))
        data = b""
        while part := connection.recv(1 << 16):
            data += part
    assert data.count(b"HTTP/1.1 200") == 3
    assert data.rindex(b"HTTP/1.1 200") < data.index(b"HTTP/1.1 404")


# --- who, for how long ------------------------------------------------------------------------------------------------


def test_guessing_is_limited_and_the_owner_is_let_in(wire: Wire) -> None:
    """R: attempts are limited by name and address; a right secret always counts, so nobody is locked out."""
    name = wire.stand.credentials.partition(":")[0]
    wrong = [wire.ask("GET", "/oauth2/token", auth=basic(f"{name}:guess-{number}".encode())) for number in range(30)]
    assert {answer.status for answer in wrong} == {401, 429}
    assert wrong[-1].status == 429
    assert 0 < int(wrong[-1].headers["retry-after"]) <= 60
    assert wire.ask("GET", "/oauth2/token").status == 200
    assert wire.ask("GET", "/v2/").status == 200


def test_the_admin_user_is_out_within_a_second_of_being_disabled(wire: Wire) -> None:
    """Its password, and the tokens that it was given."""
    stand = wire.stand
    shown = stand.ok("credential", "show", "-n", REGISTRY, "-o", "json").json()
    admin = basic(f"{shown['username']}:{shown['passwords'][0]['value']}".encode())
    answer = wire.ask("GET", "/oauth2/token?scope=repository:wire/app:pull", auth=admin)
    bearer = b"Bearer " + json.loads(answer.body)["access_token"].encode()
    blob = f"/v2/wire/app/blobs/{ABC}"
    for sent in (admin.encode(), bearer):
        assert wire.ask("GET", blob, auth=sent).status == 200
    stand.ok("update", "-n", REGISTRY, "--admin-enabled", "false")
    for sent in (admin.encode(), bearer):
        wait_until(lambda sent=sent: wire.ask("GET", blob, auth=sent).status == 401, "it is out", within_s=1.5)
    stand.ok("update", "-n", REGISTRY, "--admin-enabled", "true")
