"""The blob host: what Azure's storage clients do with a signed URL, and what nobody may do without one."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from darsena.api.blob import BlobEdge
from darsena.api.router import Router
from darsena.core.errors import StorageFull
from darsena.tasks.blobs import SOURCE_LIMIT_BYTES
from darsena.tasks.model import Run
from runs_world import AGENT, Answer, World, ask

BLOCK = {"x-ms-blob-type": "BlockBlob", "x-ms-version": "2026-04-06"}


class Client:
    """A storage client: `target` is a signed URL's path and query."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.router = Router(BlobEdge(world.tasks.blobs).routes)

    async def upload_url(self, registry: str = "reg10") -> tuple[str, str]:
        row = await self.world.registry(registry)
        url, name = await self.world.tasks.blobs.create_upload(row.uid)
        return target_of(url), name

    async def log_url(self, run: Run) -> str:
        return target_of(await self.world.tasks.blobs.create_log_url(run))

    async def __call__(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await ask(self.router, method, target, body, names)

    async def put(self, target: str, body: bytes, **headers: str) -> Answer:
        names = BLOCK | {name.replace("_", "-"): value for name, value in headers.items()}
        return await ask(self.router, "PUT", target, body, names)


def target_of(url: str) -> str:
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("https", "darsena.blob.core.azurecr.localhost:8443")
    return f"{parts.path}?{parts.query}"


@pytest.fixture
def client(world: World) -> Client:
    return Client(world)


def code_of(answer: Answer) -> str:
    assert answer.headers["content-type"] == "application/xml"
    text = answer.content.decode()
    assert text.startswith('<?xml version="1.0" encoding="utf-8"?><Error><Code>')
    assert f"<Code>{answer.headers['x-ms-error-code']}</Code>" in text
    ElementTree.fromstring(text)
    return answer.headers["x-ms-error-code"]


# --- addresses ----------------------------------------------------------------------------------------------------


async def test_the_addresses_are_those_that_every_az_takes(client: Client) -> None:
    target, name = await client.upload_url()
    row = await client.world.registry()
    assert target.startswith(f"/container-{row.uid}/{name}?")
    assert name.startswith("source/202311142213/")
    assert name.endswith(".tar.gz")
    run = await client.world.schedule()
    assert (await client.log_url(run)).startswith(f"/container-{row.uid}/logs/{run.run_id}/rawtext.log?")


def _change(target: str, name: str, value: str) -> str:
    path, query = target.split("?")
    pairs = [pair.split("=", 1) for pair in query.split("&")]
    return f"{path}?" + "&".join(f"{key}={value if key == name else old}" for key, old in pairs)


TAMPERED: dict[str, Callable[[str], str]] = {
    "no query": lambda target: target.split("?")[0],
    "no signature": lambda target: target.split("&sig=")[0],
    "empty signature": lambda target: _change(target, "sig", ""),
    "other signature": lambda target: _change(target, "sig", "A" * 43),
    "longer life": lambda target: _change(target, "se", "2099-01-01T00:00:00Z"),
    "no expiry": lambda target: _change(target, "se", ""),
    "no expiry at all": lambda target: target.replace("&se=", "&xe="),
    "more rights": lambda target: _change(target, "sp", "rwd"),
    "fewer rights": lambda target: _change(target, "sp", "r"),
    "other key": lambda target: _change(target, "si", "0" * 32),
    "odd key": lambda target: _change(target, "si", "x"),
    "other version": lambda target: _change(target, "sv", "2015-04-05"),
    "http": lambda target: _change(target, "spr", "https,http"),
    "other path": lambda target: target.replace("source/2023", "source/2024"),
    "other container": lambda target: "/container-" + "0" * 32 + target[42:],
    "log of the same registry": lambda target: target.replace(target[43 : target.index("?")], "logs/ca1/rawtext.log"),
    "climbing": lambda target: target.replace("/source/", "/source/../source/"),
    "climbing, encoded": lambda target: target.replace("/source/", "/source/%2e%2e/source/"),
    "climbing out": lambda target: "/container-" + "0" * 32 + "/.." + target,
    "double slash": lambda target: target.replace("/source/", "//source/"),
    "a second path": lambda target: target.replace("?", "%3F?"),
    "NUL": lambda target: target.replace("?", "x?"),
    "a slash before": lambda target: f"/{target}",
    "a slash behind": lambda target: target.replace("?", "/?"),
    "a part twice": lambda target: target.replace("?", "?sp=r&"),
    "a signature twice": lambda target: target.replace("?", "?sig=x&"),
}


async def test_whatever_is_changed_is_refused(client: Client) -> None:
    target, _ = await client.upload_url()
    await client.put(target, b"mine")
    for how, change in TAMPERED.items():
        changed = change(target)
        assert changed != target, how
        for method in ("GET", "HEAD", "PUT"):
            answer = await client.put(changed, b"evil") if method == "PUT" else await client(method, changed)
            assert answer.status == 403, (how, method)
            assert answer.headers["x-ms-error-code"] == "AuthenticationFailed"
            assert b"mine" not in answer.content
    assert (await client("GET", target)).content == b"mine"


async def test_a_signature_of_one_registry_opens_nothing_of_another(client: Client) -> None:
    mine, _ = await client.upload_url("reg10")
    theirs, _ = await client.upload_url("reg20")
    await client.put(theirs, b"theirs")
    mixed = f"{theirs.split('?')[0]}?{mine.split('?')[1]}"
    assert (await client("GET", mixed)).status == 403
    assert code_of(await client.put(mixed, b"x")) == "AuthenticationFailed"


async def test_an_address_is_good_for_an_hour(client: Client) -> None:
    target, _ = await client.upload_url()
    client.world.pass_time(3599)
    assert (await client.put(target, b"x")).status == 201
    client.world.pass_time(1)
    assert code_of(await client.put(target, b"y")) == "AuthenticationFailed"
    assert (await client("GET", target)).status == 403


async def test_the_order_and_quoting_of_the_query_do_not_matter(client: Client) -> None:
    target, _ = await client.upload_url()
    path, query = target.split("?")
    turned = "&".join(reversed(query.replace("%3A", ":").split("&")))
    assert (await client.put(f"{path}?timeout=30&{turned}", b"x")).status == 201


async def test_keys_are_made_anew_and_old_addresses_still_work(client: Client) -> None:
    world = client.world
    world.pass_time(0)
    first, _ = await client.upload_url()
    world.pass_time(90 * 24 * 3600 - 1800)
    old, _ = await client.upload_url()
    world.pass_time(1801)
    new, _ = await client.upload_url()
    key = [pair for pair in old.split("&") if pair.startswith("si=")]
    assert key == [pair for pair in first.split("&") if pair.startswith("si=")]
    assert key != [pair for pair in new.split("&") if pair.startswith("si=")]
    assert (await client.put(old, b"x")).status == 201
    assert (await client.put(new, b"x")).status == 201


async def test_a_log_s_address_cannot_write(client: Client) -> None:
    target = await client.log_url(await client.world.schedule())
    for query in ("", "&comp=block&blockid=AAAA", "&comp=blocklist"):
        assert (await client.put(target + query, b"x")).status == 403


# --- sources --------------------------------------------------------------------------------------------------------


async def test_put_and_get(client: Client) -> None:
    target, _ = await client.upload_url()
    assert code_of(await client("GET", target)) == "BlobNotFound"
    assert (await client("HEAD", target)).status == 404
    put = await client.put(target, b"0123456789", x_ms_client_request_id="abc")
    assert put.status == 201
    assert put.headers["x-ms-request-server-encrypted"] == "true"
    assert put.headers["x-ms-version"] == "2026-04-06"
    assert put.headers["x-ms-client-request-id"] == "abc"
    assert put.headers["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    head = await client("HEAD", target)
    assert (head.status, head.content, head.headers["content-length"]) == (200, b"", "10")
    assert head.headers["etag"] == put.headers["etag"]
    assert head.headers["x-ms-blob-type"] == "BlockBlob"
    assert head.headers["accept-ranges"] == "bytes"
    assert (await client("GET", target)).content == b"0123456789"
    client.world.pass_time(1)
    assert (await client.put(target, b"again")).headers["etag"] != put.headers["etag"]
    assert (await client("GET", target)).content == b"again"
    assert (await client("GET", target, if_match=put.headers["etag"])).status == 412


RANGES: list[tuple[dict[str, str], int, bytes | None, str | None]] = [
    ({"range": "bytes=0-3"}, 206, b"0123", "bytes 0-3/10"),
    ({"x_ms_range": "bytes=8-4095"}, 206, b"89", "bytes 8-9/10"),
    ({"x_ms_range": "bytes=2-"}, 206, b"23456789", "bytes 2-9/10"),
    ({"x_ms_range": "bytes=9-9", "range": "bytes=0-0"}, 206, b"9", "bytes 9-9/10"),
    ({"range": "bytes=-3"}, 206, b"789", "bytes 7-9/10"),
    ({"range": "bytes=0-0,2-2"}, 200, b"0123456789", None),
    ({"range": "lines=0-1"}, 200, b"0123456789", None),
    ({"range": "bytes=5-2"}, 416, None, "bytes */10"),
    ({"x_ms_range": "bytes=10-20"}, 416, None, "bytes */10"),
    ({"range": "bytes=-0"}, 416, None, "bytes */10"),
]


async def test_ranges(client: Client) -> None:
    target, _ = await client.upload_url()
    await client.put(target, b"0123456789")
    headers: dict[str, Any]
    for headers, status, content, content_range in RANGES:
        answer = await client("GET", target, **headers)
        assert (answer.status, answer.headers.get("content-range")) == (status, content_range), headers
        if content is None:
            assert code_of(answer) == "InvalidRange"
        else:
            assert answer.content == content
            assert answer.headers["content-length"] == str(len(content))


async def test_blocks_and_their_list(client: Client) -> None:
    target, _ = await client.upload_url()
    names = [base64.b64encode(f"{index:032d}".encode()).decode() for index in range(3)]
    for name, content in zip(names, (b"aa", b"bb", b"cc"), strict=True):
        answer = await client.put(f"{target}&comp=block&blockid={name.replace('=', '%3D')}", content)
        assert answer.status == 201
    assert (await client("GET", target)).status == 404
    listed = "".join(f"<Latest>{name}</Latest>" for name in (names[0], names[2], names[1]))
    body = f'<?xml version="1.0" encoding="utf-8"?>\n<BlockList>{listed}</BlockList>'.encode()
    done = await client("PUT", f"{target}&comp=blocklist", body)
    assert done.status == 201
    assert done.headers["etag"]
    assert (await client("GET", target)).content == b"aaccbb"
    assert (await client("PUT", f"{target}&comp=blocklist", body)).status == 201  # the answer may have been lost
    other = b"<BlockList><Latest>AAAA</Latest></BlockList>"
    assert code_of(await client("PUT", f"{target}&comp=blocklist", other)) == "InvalidBlockList"


WRONG_PUTS: list[tuple[str, bytes, dict[str, str], int, str]] = [
    ("", b"x", {"x-ms-blob-type": "PageBlob"}, 400, "InvalidHeaderValue"),
    ("", b"x", {}, 400, "MissingRequiredHeader"),
    ("", b"", BLOCK | {"content-length": str(SOURCE_LIMIT_BYTES + 1)}, 413, "RequestBodyTooLarge"),
    ("", b"x", BLOCK | {"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, 400, "Md5Mismatch"),
    ("&comp=block", b"x", BLOCK, 400, "InvalidQueryParameterValue"),
    ("&comp=block&blockid=%2E%2E", b"x", BLOCK, 400, "InvalidQueryParameterValue"),
    ("&comp=block&blockid=" + "QUFB" * 40, b"x", BLOCK, 400, "InvalidQueryParameterValue"),
    ("&comp=block&blockid=QUFB&blockid=QUFC", b"x", BLOCK, 400, "InvalidQueryParameterValue"),
    ("&comp=block&comp=blocklist", b"x", BLOCK, 400, "InvalidQueryParameterValue"),
    ("&comp=appendblock", b"x", BLOCK, 400, "InvalidQueryParameterValue"),
    ("&comp=%01%3C", b"x", BLOCK, 400, "InvalidQueryParameterValue"),
    ("&comp=blocklist", b"not xml", {}, 400, "InvalidXmlDocument"),
    ("&comp=blocklist", b"<Blocks/>", {}, 400, "InvalidXmlDocument"),
    ("&comp=blocklist", b'<?xml version="1.0" encoding="none"?><BlockList/>', {}, 400, "InvalidXmlDocument"),
    ("&comp=blocklist", b'<?xml version="1.0" encoding="utf-7"?><BlockList/>', {}, 400, "InvalidXmlDocument"),
    ("&comp=blocklist", b"<BlockList><Newest>AAAA</Newest></BlockList>", {}, 400, "InvalidXmlDocument"),
    ("&comp=blocklist", b"<BlockList><Latest><b/></Latest></BlockList>", {}, 400, "InvalidXmlDocument"),
    (
        "&comp=blocklist",
        b'<!DOCTYPE x [<!ENTITY a "b">]><BlockList><Latest>&a;</Latest></BlockList>',
        {},
        400,
        "InvalidXmlDocument",
    ),
    (
        "&comp=blocklist",
        b"<BlockList>" + b"<Latest>AAAA</Latest>" * 50_001 + b"</BlockList>",
        {},
        400,
        "InvalidXmlDocument",
    ),
]


async def test_what_is_wrong_with_a_put_is_said(client: Client) -> None:
    target, _ = await client.upload_url()
    for query, body, headers, status, code in WRONG_PUTS:
        answer = await ask(client.router, "PUT", target + query, body, headers)
        assert (answer.status, code_of(answer)) == (status, code), (query, headers)
        assert (await client("GET", target)).status == 404


async def test_a_checksum_that_fits_is_accepted(client: Client) -> None:
    target, _ = await client.upload_url()
    md5 = base64.b64encode(hashlib.md5(b"content", usedforsecurity=False).digest()).decode()
    assert (await client.put(target, b"content", content_md5=md5)).status == 201


async def test_only_if_it_is_not_there(client: Client) -> None:
    target, _ = await client.upload_url()
    assert (await client.put(target, b"first", if_none_match="*")).status == 201
    assert code_of(await client.put(target, b"second", if_none_match="*")) == "BlobAlreadyExists"
    assert (await client("GET", target)).content == b"first"


async def test_the_limit_holds_without_an_announced_length(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darsena.tasks.blobs.SOURCE_LIMIT_BYTES", 10)
    target, _ = await client.upload_url()
    headers = BLOCK | {"transfer-encoding": "chunked", "content-length": ""}
    answer = await ask(client.router, "PUT", target, headers=headers, parts=[b"123456", b"7890x"])
    assert (answer.status, code_of(answer)) == (413, "RequestBodyTooLarge")
    assert (await client("GET", target)).status == 404
    for index in range(3):
        name = base64.b64encode(bytes([index])).decode().replace("=", "%3D")
        answer = await client.put(f"{target}&comp=block&blockid={name}", b"1234567")
        assert answer.status == (413 if index == 2 else 201)
    listed = "<Latest>AA==</Latest><Latest>AQ==</Latest>"
    body = f"<BlockList>{listed}</BlockList>".encode()
    assert (await client("PUT", f"{target}&comp=blocklist", body)).status == 413
    assert (await client("GET", target)).status == 404


async def test_once_a_run_has_claimed_it_nobody_writes_it(client: Client) -> None:
    target, name = await client.upload_url()
    await client.put(target, b"the source")
    await client.put(f"{target}&comp=block&blockid=AAAA", b"x")
    await client.world.schedule(sourceLocation=name)
    for query, body in [
        ("", b"changed"),
        ("&comp=block&blockid=AAAA", b"x"),
        ("&comp=blocklist", b"<BlockList><Latest>AAAA</Latest></BlockList>"),
    ]:
        answer = await client.put(target + query, body)
        assert answer.status == 403
        assert code_of(answer) == "AuthorizationPermissionMismatch"
    assert (await client("GET", target)).content == b"the source"


async def test_an_upload_in_progress_does_not_replace_what_a_run_claims(client: Client) -> None:
    target, name = await client.upload_url()
    await client.put(target, b"the source")
    row = await client.world.registry()
    query = dict(pair.split("=", 1) for pair in target.split("?")[1].replace("%3A", ":").split("&"))
    signed = await client.world.tasks.blobs.check(f"container-{row.uid}", name, query)

    async def slow():
        yield b"other"
        await client.world.schedule(sourceLocation=name)

    with pytest.raises(Exception, match="used by a run"):
        await client.world.tasks.blobs.put(signed, slow())
    assert (await client("GET", target)).content == b"the source"


async def test_a_full_disk_is_said(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> int:
        raise StorageFull("the disk is full")

    target, _ = await client.upload_url()
    monkeypatch.setattr(client.world.storage.sources, "put", full)
    answer = await client.put(target, b"x")
    assert (answer.status, code_of(answer)) == (507, "InsufficientStorage")


async def test_after_the_registry_is_gone_its_addresses_lead_nowhere(client: Client) -> None:
    target, _ = await client.upload_url()
    await client.put(target, b"x")
    log = await client.log_url(await client.world.schedule())
    await client.world.resources.delete_registry("11111111-2222-4333-8444-555555555555", "rg1", "reg10")
    assert (await client("GET", target)).status == 404
    assert code_of(await client.put(target, b"x")) == "BlobNotFound"
    assert code_of(await client("GET", log)) == "BlobNotFound"


# --- logs -----------------------------------------------------------------------------------------------------------


async def test_a_log_is_there_as_soon_as_its_run_is_scheduled(client: Client) -> None:
    target = await client.log_url(await client.world.schedule())
    head = await client("HEAD", target)
    assert (head.status, head.headers["content-length"]) == (200, "0")
    assert "x-ms-meta-complete" not in head.headers
    assert head.headers["x-ms-blob-type"] == "AppendBlob"
    assert code_of(await client("GET", target, x_ms_range="bytes=0-4095")) == "InvalidRange"
    assert (await client("GET", target)).content == b""


async def test_az_reads_a_log_while_it_grows(client: Client) -> None:
    """az's algorithm (tasks-wire, section 6): HEAD, ranged GETs of 4 KiB, whole CRLF lines, until Complete."""
    world = client.world
    await world.hello()
    run = await world.schedule()
    order = await world.claim()
    target = await client.log_url(run)
    written, read, word = b"", b"", ""
    etags: set[str] = set()
    for index in range(40):
        line = f"2023/11/14 22:13:20 line {index} {'·' * 100}\r\n".encode()
        await world.tasks.agents.append_log(order.run_uid, AGENT, order.fence, len(written), line)
        written += line
        if index == 39:
            await world.finish(order, "Failed", error="exit status 1")
        head = await client("HEAD", target)
        size = int(head.headers["content-length"])
        word = head.headers.get("x-ms-meta-complete", "")
        assert (word == "failed") is (index == 39)
        etags.add(head.headers["etag"])
        while len(read) < size:
            answer = await client("GET", target, x_ms_range=f"bytes={len(read)}-{len(read) + 4095}")
            assert answer.status == 206
            last = len(read) + len(answer.content) - 1
            assert answer.headers["content-range"] == f"bytes {len(read)}-{last}/{size}"
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            read += answer.content
    assert read == written
    assert len(etags) == 40
    assert (await client("GET", target)).content == written


async def test_the_word_of_completion_is_az_s_exit_status(client: Client) -> None:
    await client.world.hello()
    for status, word in [
        ("Succeeded", "successful"),
        ("Failed", "failed"),
        ("Canceled", "canceled"),
        ("Timeout", "timedout"),
        ("Error", "internalerror"),
    ]:
        run = await client.world.schedule()
        await client.world.finish(await client.world.claim(), status)
        head = await client("HEAD", await client.log_url(run))
        assert head.headers["x-ms-meta-complete"] == word


async def test_path_style_addresses_lead_to_the_same_blobs(client: Client) -> None:
    target, _ = await client.upload_url()
    router = Router(BlobEdge(client.world.tasks.blobs).list_routes("/darsena/v1/blobs"))
    assert (await ask(router, "PUT", f"/darsena/v1/blobs{target}", b"x", BLOCK)).status == 201
    assert (await client("GET", target)).content == b"x"
