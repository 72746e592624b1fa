"""Pulling manifests and blobs (distribution-spec 1.1, Pull; RFC 9110, Range Requests; ACR data plane, section 5)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from darsena.core import media_types

from .world import Pushed, World, digest_of, image, manifest_of

LAYER = bytes(range(256)) * 5000
"""More than one segment of the store, and not a whole number of them."""
SIZE = len(LAYER)
EMPTY = b""


@dataclass
class Row:
    target: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)
    content: slice | bytes | None = None
    """Of the layer; or the bytes themselves."""
    code: str = ""


def ranged(header: str, start: int, stop: int) -> Row:
    return Row(
        "/v2/team/app/blobs/{layer}",
        206,
        {"content-range": f"bytes {start}-{stop - 1}/{SIZE}", "content-length": str(stop - start)},
        {"range": header},
        slice(start, stop),
    )


def unsatisfiable(header: str, target: str = "{layer}", size: int = SIZE) -> Row:
    return Row(f"/v2/team/app/blobs/{target}", 416, {"content-range": f"bytes */{size}"}, {"range": header}, b"")


def whole(header: str) -> Row:
    return Row("/v2/team/app/blobs/{layer}", 200, {"content-length": str(SIZE)}, {"range": header}, slice(0, SIZE))


MANIFEST = {"content-type": media_types.OCI_MANIFEST, "docker-content-digest": "{image}", "etag": '"{image}"'}
BLOB = {"content-type": "application/octet-stream", "docker-content-digest": "{layer}", "accept-ranges": "bytes"}

ROWS: dict[str, Row] = {
    # Pulling manifests: MUST be 200 with the digest; Accept never changes what is served
    "manifest by tag": Row("/v2/team/app/manifests/v1", 200, MANIFEST),
    "manifest by digest": Row("/v2/team/app/manifests/{image}", 200, MANIFEST),
    "manifest by an encoded digest": Row("/v2/team/app/manifests/{image%}", 200, MANIFEST),
    "manifest, encoded repository": Row("/v2/team%2Fapp/manifests/v1", 200, MANIFEST),
    "manifest, Accept of another type": Row(
        "/v2/team/app/manifests/v1", 200, MANIFEST, {"accept": media_types.DOCKER_LIST}
    ),
    "manifest, az's Accept": Row("/v2/team/app/manifests/v1", 200, MANIFEST, {"accept": "*/*, application/json"}),
    "manifest that the client has": Row(
        "/v2/team/app/manifests/v1", 304, {"etag": '"{image}"'}, {"if-none-match": '"{image}"'}, b""
    ),
    "one of several that the client has": Row(
        "/v2/team/app/manifests/v1", 304, {"etag": '"{image}"'}, {"if-none-match": '"x", W/"{image}"'}, b""
    ),
    "whatever the client has": Row("/v2/team/app/manifests/v1", 304, {}, {"if-none-match": "*"}, b""),
    "another that the client has": Row("/v2/team/app/manifests/v1", 200, MANIFEST, {"if-none-match": '"{layer}"'}),
    "a digest that is no tag": Row("/v2/team/app/manifests/v1", 200, MANIFEST, {"if-none-match": "{image}"}),
    "an unknown tag, whatever the client has": Row(
        "/v2/team/app/manifests/nope", 404, {}, {"if-none-match": "*"}, code="MANIFEST_UNKNOWN"
    ),
    "unknown tag": Row("/v2/team/app/manifests/nope", 404, code="MANIFEST_UNKNOWN"),
    "unknown digest": Row(f"/v2/team/app/manifests/{digest_of(b'no')}", 404, code="MANIFEST_UNKNOWN"),
    "unknown repository": Row("/v2/team/none/manifests/v1", 404, code="NAME_UNKNOWN"),
    "a tag that can be none": Row("/v2/team/app/manifests/-v1", 404, code="MANIFEST_UNKNOWN"),
    "a digest that is none": Row("/v2/team/app/manifests/sha256:abc", 400, code="DIGEST_INVALID"),
    "a layer is no manifest": Row("/v2/team/app/manifests/{layer}", 404, code="MANIFEST_UNKNOWN"),
    # Pulling blobs
    "blob": Row("/v2/team/app/blobs/{layer}", 200, BLOB | {"content-length": str(SIZE)}, content=slice(0, SIZE)),
    "blob by an encoded digest": Row("/v2/team%2fapp/blobs/{layer%}", 200, BLOB, content=slice(0, SIZE)),
    "empty blob": Row("/v2/team/app/blobs/{empty}", 200, {"content-length": "0"}, content=b""),
    "blob that the client has": Row("/v2/team/app/blobs/{layer}", 304, {}, {"if-none-match": '"{layer}"'}, b""),
    "one blob of several that the client has": Row(
        "/v2/team/app/blobs/{layer}", 304, {}, {"if-none-match": 'W/"a","{layer}"'}, b""
    ),
    "unknown blob": Row(f"/v2/team/app/blobs/{digest_of(b'no')}", 404, code="BLOB_UNKNOWN"),
    "blob of another repository": Row("/v2/team/app/blobs/{elsewhere}", 404, code="BLOB_UNKNOWN"),
    "blob in an unknown repository": Row("/v2/team/none/blobs/{layer}", 404, code="NAME_UNKNOWN"),
    "a manifest is no blob": Row("/v2/team/app/blobs/{image}", 404, code="BLOB_UNKNOWN"),
    "a blob's digest that is none": Row("/v2/team/app/blobs/latest", 400, code="DIGEST_INVALID"),
    # Pulling blobs, Range: RFC 9110, section 14
    "first to last": ranged("bytes=0-99", 0, 100),
    "in the middle": ranged("bytes=1048000-1049000", 1048000, 1049001),
    "one byte": ranged("bytes=5-5", 5, 6),
    "open": ranged("bytes=1000000-", 1_000_000, SIZE),
    "the whole as a range": ranged("bytes=0-", 0, SIZE),
    "past the end": ranged(f"bytes={SIZE - 1}-{SIZE + 5000}", SIZE - 1, SIZE),
    "suffix": ranged("bytes=-7", SIZE - 7, SIZE),
    "suffix longer than all": ranged(f"bytes=-{SIZE * 2}", 0, SIZE),
    "after the end": unsatisfiable(f"bytes={SIZE}-"),
    "after the end, closed": unsatisfiable(f"bytes={SIZE}-{SIZE + 9}"),
    "no suffix at all": unsatisfiable("bytes=-0"),
    "of an empty blob": unsatisfiable("bytes=0-", "{empty}", 0),
    "several": whole("bytes=0-1,5-6"),
    "another unit": whole("lines=0-1"),
    "several, spread": whole("bytes=0-1, -5, 7-"),
    "no unit": whole("0-1"),
    "backwards": unsatisfiable("bytes=9-1"),
    "nonsense": unsatisfiable("bytes=a-b"),
    "neither end": unsatisfiable("bytes=-"),
    "no numbers of ASCII": unsatisfiable("bytes=\u00b2-\u00b3"),
    "an end past counting": ranged(f"bytes=1-{'9' * 40}", 1, SIZE),
    "a start past counting": unsatisfiable(f"bytes={'9' * 40}-"),
    "a start of thousands of digits": unsatisfiable(f"bytes={'9' * 8000}-"),
    "the unit in capitals": ranged("Bytes=0-1", 0, 2),
    "If-Range of this blob": Row(
        "/v2/team/app/blobs/{layer}", 206, {}, {"range": "bytes=0-1", "if-range": '"{layer}"'}, slice(0, 2)
    ),
    "If-Range of another": Row(
        "/v2/team/app/blobs/{layer}", 200, {}, {"range": "bytes=0-1", "if-range": '"x"'}, slice(0, SIZE)
    ),
}


@pytest.fixture
async def names(world: World) -> dict[str, str]:
    """What stands in for the names in braces."""
    pushed = await world.push_image("team/app", "v1", layer=LAYER)
    empty = await world.push_blob("team/app", EMPTY)
    elsewhere = await world.push_blob("team/other", b"elsewhere")
    layer = digest_of(LAYER)
    found = {"image": pushed.digest, "layer": layer, "empty": empty, "elsewhere": elsewhere}
    return found | {f"{name}%": digest.replace(":", "%3A") for name, digest in found.items()}


def fill(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


async def test_pulls(world: World, names: dict[str, str]) -> None:
    """Twice each: the second may be answered from memory. HEAD has GET's status and headers, and no body."""
    manifest = (await world.ask("GET", "/v2/team/app/manifests/v1")).content
    for name, row in ROWS.items():
        target, sent = fill(row.target, names), {key: fill(value, names) for key, value in row.sent.items()}
        for _ in range(2):
            answer = await world.ask("GET", target, headers=sent)
            assert answer.status == row.status, name
            for header, value in row.headers.items():
                assert answer.headers.get(header) == fill(value, names), name
            if row.code:
                assert answer.codes == [row.code], name
            elif row.content is None:
                assert answer.content == manifest, name
            else:
                assert answer.content == (LAYER[row.content] if isinstance(row.content, slice) else row.content), name
        if "range" not in sent:
            head = await world.ask("HEAD", target, headers=sent)
            assert (head.status, plain(head.headers)) == (answer.status, plain(answer.headers)), name


def plain(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "x-ms-correlation-request-id"}


DOCUMENTS: list[dict[str, Any]] = [
    {"a": "\u00e9 <>&", "z": 1, "m": [1.0, 2e3]},
    {"os.version": "10.0.17763.1", "data": "e30="},
]


@pytest.mark.parametrize("extra", DOCUMENTS)
@pytest.mark.parametrize("media_type", [media_types.OCI_MANIFEST, media_types.DOCKER_MANIFEST])
async def test_exactly_the_bytes_that_were_pushed(world: World, extra: dict[str, Any], media_type: str) -> None:
    """Pushing manifests: the registry MUST store the manifest in the exact byte representation provided."""
    await world.push_image("team/app")
    config = msgspec.json.encode({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}})
    pushed = manifest_of(image(config, b"layer", **extra) | {"mediaType": media_type})
    untidy = pushed.content.replace(b"{", b"\n \t{ ") + b"\r\n"
    pushed = Pushed(untidy, media_type, digest_of(untidy))
    assert (await world.push_manifest("team/app", "untidy", pushed)).headers["docker-content-digest"] == pushed.digest
    for reference in ("untidy", pushed.digest):
        answer = await world.ask("GET", f"/v2/team/app/manifests/{reference}")
        assert answer.content == untidy
        assert answer.headers["content-type"] == media_type
        assert answer.headers["content-length"] == str(len(untidy))


async def test_a_manifest_by_its_sha512(world: World) -> None:
    """Content Digests: sha512 is a registered algorithm."""
    pushed = await world.push_image("team/app")
    digest = digest_of(pushed.content, "sha512")
    answer = await world.push_manifest("team/app", digest, pushed)
    assert (answer.status, answer.headers["docker-content-digest"]) == (201, digest)
    assert (await world.ask("GET", f"/v2/team/app/manifests/{digest}")).content == pushed.content


async def test_a_pull_sees_what_was_written_before(world: World) -> None:
    """R3: a read after a finished write sees it, whether or not the old answer is in memory."""
    for number in range(5):
        pushed = await world.push_image("team/app", "latest", layer=b"%d" % number)
        for _ in range(2):
            answer = await world.ask("GET", "/v2/team/app/manifests/latest")
            assert answer.headers["docker-content-digest"] == pushed.digest
    assert (await world.ask("DELETE", "/v2/team/app/manifests/latest")).status == 202
    assert (await world.ask("GET", "/v2/team/app/manifests/latest")).status == 404
    assert (await world.ask("GET", f"/v2/team/app/manifests/{pushed.digest}")).status == 200


async def test_a_pull_of_something_else_hides_no_write(world: World) -> None:
    """R3, where the first question after a write is for what was not asked for before."""
    await world.push_image("team/app", "v1", "v2", "v3")
    for tag in ("v1", "v1", "v3"):
        await world.ask("GET", f"/v2/team/app/manifests/{tag}")
    pushed = await world.push_image("team/app", "v1", layer=b"new")
    assert (await world.ask("GET", "/v2/team/app/manifests/v2")).status == 200
    for _ in range(2):
        answer = await world.ask("GET", "/v2/team/app/manifests/v1")
        assert answer.headers["docker-content-digest"] == pushed.digest
    assert (await world.ask("DELETE", "/v2/team/app/manifests/v2")).status == 202
    assert (await world.ask("HEAD", f"/v2/team/app/blobs/{digest_of(b'new')}")).status == 200
    assert (await world.ask("GET", "/v2/team/app/manifests/v2")).status == 404


async def test_two_registries_share_nothing(world: World) -> None:
    pushed = await world.push_image("team/app", "v1")
    for target in (f"manifests/{pushed.digest}", "manifests/v1", f"blobs/{digest_of(b'layer')}", "tags/list"):
        assert (await world.ask("GET", f"/v2/team/app/{target}", registry="regtwo")).status == 404
    assert (await world.ask("GET", "/v2/team/app/manifests/v1", auth=world.basic("regtwo"))).status == 401


def count_open_blobs() -> int:
    folder = Path("/proc/self/fd")
    return sum("/blobs/" in os.readlink(entry) for entry in folder.iterdir() if entry.is_symlink())


async def test_a_client_that_goes_away_leaves_no_file_open(world: World) -> None:
    digest = await world.push_blob("team/app", LAYER * 3)
    answer = await world.ask("GET", f"/v2/team/app/blobs/{digest}", gone=True)
    assert 0 < len(answer.content) < 3 * SIZE
    assert count_open_blobs() == 0
