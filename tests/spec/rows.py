"""Rows of the tables: what a specification asks of a registry, in our words, and the requests that show it.

Every row has a repository of its own, furnished alike. In targets, headers and bodies `{name}` stands for a value of
`Names`, `{location}` for the last Location that the row was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from api_v2.world import Answer, Pushed, World, digest_of, image, manifest_of
from darsena.core import media_types

CONFIG = msgspec.json.encode({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}})
LAYER = b"0123456789" * 1000
NEW = b"abcdefghij" * 100
MISSING = digest_of(b"never pushed")
IMAGE = manifest_of(image(CONFIG, LAYER))
OTHER = manifest_of(image(CONFIG, LAYER, annotations={"other": "yes"}))
INDEX = manifest_of(
    {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_INDEX,
        "manifests": [IMAGE.descriptor()],
        "annotations": {"a": "b"},
    }
)
EMPTY = {"mediaType": media_types.OCI_EMPTY, "digest": digest_of(b"{}"), "size": 2, "data": "e30="}
SBOM, SIGNATURE = "application/vnd.example.sbom.v1", "application/vnd.example.signature.v1"


def artifact(subject: Pushed | str, artifact_type: str | None, **more: Any) -> Pushed:
    """An artifact in the form of the image-spec's guidelines, about `subject` (or a digest that nobody has)."""
    about = {"mediaType": media_types.OCI_MANIFEST, "digest": subject, "size": 7}
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": EMPTY,
        "layers": [EMPTY],
        "subject": subject.descriptor() if isinstance(subject, Pushed) else about,
        **more,
    }
    return manifest_of({name: value for name, value in document.items() if value is not None})


REFERRER = artifact(IMAGE, SBOM, annotations={"made": "by hand"})
SIGNED = artifact(IMAGE, SIGNATURE)


@dataclass(frozen=True)
class Ask:
    """One request and what is owed for it. A header of None must be absent, of "*" present."""

    method: str
    target: str
    status: int | tuple[int, ...]
    body: bytes | Pushed = b""
    sent: dict[str, str] = field(default_factory=dict)
    shows: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    content: bytes | None = None
    json: Any = None
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    says: str
    asks: list[Ask]


def names_of(repository: str) -> dict[str, str]:
    digests = {
        "config": digest_of(CONFIG),
        "layer": digest_of(LAYER),
        "new": digest_of(NEW),
        "new512": digest_of(NEW, "sha512"),
        "nothing": digest_of(b""),
        "missing": MISSING,
        "image": IMAGE.digest,
        "image512": digest_of(IMAGE.content, "sha512"),
        "other": OTHER.digest,
        "index": INDEX.digest,
        "referrer": REFERRER.digest,
        "signed": SIGNED.digest,
    }
    return digests | {"repo": f"/v2/{repository}", "name": repository, "beside": f"/v2/{repository}/beside"}


async def furnish(world: World, repository: str) -> None:
    """An image as `v1` and `v2`, an index as `multi`, two referrers of the image; an empty descriptor's content."""
    for content in (CONFIG, LAYER, b"{}"):
        await world.push_blob(repository, content)
    await world.push_blob(f"{repository}/beside", b"beside")
    for reference, manifest in (("v1", IMAGE), ("v2", IMAGE), ("multi", INDEX), (None, REFERRER), (None, SIGNED)):
        assert (await world.push_manifest(repository, reference, manifest)).status == 201


async def check(world: World, number: int, row: Row) -> None:
    names = names_of(f"row{number}/app")
    await furnish(world, names["name"])
    for ask in row.asks:
        await _check_one(world, row, ask, names)


async def _check_one(world: World, row: Row, ask: Ask, names: dict[str, str]) -> None:
    sent = {name: fill(value, names) for name, value in ask.sent.items()}
    body = ask.body
    if isinstance(body, Pushed):
        sent = {"content-type": body.media_type} | sent
        body = body.content
    answer = await world.ask(ask.method, fill(ask.target, names), body, sent)
    where = f"{row.says}: {ask.method} {ask.target} gave {answer.status} {answer.content[:300]!r}"
    assert answer.status in (ask.status if isinstance(ask.status, tuple) else (ask.status,)), where
    for name, value in ask.shows.items():
        found = answer.headers.get(name)
        assert (found is not None) if value == "*" else found == (value and fill(value, names)), f"{where}: {name}"
    assert ask.content is None or answer.content == ask.content, where
    assert ask.json is None or answer.json == fill_all(ask.json, names), where
    assert not ask.codes or tuple(answer.codes) == ask.codes, where
    remember(answer, names)


def remember(answer: Answer, names: dict[str, str]) -> None:
    if "location" in answer.headers:
        names["location"] = answer.headers["location"]
    if answer.next is not None:
        names["next"] = answer.next


def fill(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def fill_all(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        return fill(value, names)
    if isinstance(value, list):
        return [fill_all(item, names) for item in value]
    if isinstance(value, dict):
        return {key: fill_all(item, names) for key, item in value.items()}
    return value
