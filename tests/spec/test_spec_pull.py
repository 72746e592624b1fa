"""OCI distribution-spec, Pull: each MUST and SHOULD that a registry can keep or break (1.1; 1.0 where it differs)."""

from __future__ import annotations

import pytest

from api_v2.world import World
from darsena.core import media_types

from .rows import CONFIG, IMAGE, INDEX, LAYER, Ask, Row, check

OCI, LIST = media_types.OCI_MANIFEST, media_types.DOCKER_LIST
PULLED = {"content-type": OCI, "docker-content-digest": "{image}", "content-length": str(len(IMAGE.content))}
BLOB = {"docker-content-digest": "{layer}", "content-length": str(len(LAYER))}

TABLE: dict[str, list[Row]] = {
    "Determining Support (end-1)": [
        Row("a registry of this specification answers 200", [Ask("GET", "/v2/", 200)]),
        Row(
            "also without the last slash, and to HEAD", [Ask("GET", "/v2", 200), Ask("HEAD", "/v2/", 200, content=b"")]
        ),
    ],
    "Pulling manifests (end-3)": [
        Row(
            "an existing manifest is given with 200, by tag and by digest",
            [
                Ask("GET", "{repo}/manifests/v1", 200, shows=PULLED, content=IMAGE.content),
                Ask("GET", "{repo}/manifests/{image}", 200, shows=PULLED, content=IMAGE.content),
                Ask("GET", "{repo}/manifests/multi", 200, content=INDEX.content),
            ],
        ),
        Row(
            "Content-Type is the manifest's, whatever is accepted: nothing is converted, nothing is 406",
            [
                Ask("GET", "{repo}/manifests/v1", 200, sent={"accept": accept}, shows=PULLED, content=IMAGE.content)
                for accept in (OCI, LIST, "*/*", "text/html;q=0", f"{LIST}, {OCI};q=0.1", "nonsense")
            ],
        ),
        Row(
            "an unknown tag, digest or repository is 404",
            [
                Ask("GET", "{repo}/manifests/none", 404, codes=("MANIFEST_UNKNOWN",)),
                Ask("GET", "{repo}/manifests/{missing}", 404, codes=("MANIFEST_UNKNOWN",)),
                Ask("GET", "/v2/no/where/manifests/v1", 404, codes=("NAME_UNKNOWN",)),
            ],
        ),
        Row(
            "a reference that can be no tag names nothing",
            [
                Ask("GET", f"{{repo}}/manifests/{reference}", 404, codes=("MANIFEST_UNKNOWN",))
                for reference in (".INVALID_MANIFEST_NAME", "-x", "a" * 129, "a%20b", "%C3%A9")
            ],
        ),
        Row("a tag has up to 128 characters", [Ask("GET", f"{{repo}}/manifests/{'a' * 128}", 404)]),
        Row("a blob is no manifest", [Ask("GET", "{repo}/manifests/{layer}", 404, codes=("MANIFEST_UNKNOWN",))]),
        Row(
            "a name outside the grammar has no route",
            [
                Ask("GET", f"/v2/{name}/manifests/v1", 404, content=b"404 page not found\n")
                for name in ("A", "a_", "_a", "a//b", "a/", "a..b", "a.-b", "a___b", "%20", "a%2F%2Fb", "a" * 256)
            ],
        ),
        Row(
            "a name of the grammar has one",
            [
                Ask("GET", f"/v2/{name}/manifests/v1", 404, codes=("NAME_UNKNOWN",))
                for name in ("0", "a.b", "a_b", "a__b", "a-b", "a---b", "a/b/c/d", "a" * 255)
            ],
        ),
    ],
    "Pulling blobs (end-2)": [
        Row("an existing blob is given with 200", [Ask("GET", "{repo}/blobs/{layer}", 200, shows=BLOB, content=LAYER)]),
        Row(
            "an unknown blob is 404, also one that another repository has",
            [
                Ask("GET", "{repo}/blobs/{missing}", 404, codes=("BLOB_UNKNOWN",)),
                Ask("GET", "{beside}/blobs/{layer}", 404, codes=("BLOB_UNKNOWN",)),
                Ask("GET", "/v2/no/where/blobs/{layer}", 404, codes=("NAME_UNKNOWN",)),
            ],
        ),
        Row(
            "a digest outside the grammar is 400",
            [
                Ask("GET", f"{{repo}}/blobs/{digest}", 400, codes=("DIGEST_INVALID",))
                for digest in (
                    "latest",
                    "sha256:",
                    "sha256:abc",
                    f"sha256:{'A' * 64}",
                    f"md5:{'0' * 32}",
                    f"sha512:{'0' * 64}",
                )
            ],
        ),
        Row(
            "Range is honoured as RFC 9110 says",
            [
                Ask(
                    "GET",
                    "{repo}/blobs/{layer}",
                    206,
                    sent={"range": f"bytes={text}"},
                    shows={
                        "content-range": f"bytes {start}-{stop - 1}/{len(LAYER)}",
                        "content-length": str(stop - start),
                    },
                    content=LAYER[start:stop],
                )
                for text, start, stop in (("0-0", 0, 1), ("5-9", 5, 10), ("9990-", 9990, 10_000), ("-3", 9997, 10_000))
            ],
        ),
        Row(
            "a range outside the blob is 416 and says how long it is",
            [
                Ask("GET", "{repo}/blobs/{layer}", 416, sent={"range": text}, shows={"content-range": "bytes */10000"})
                for text in ("bytes=10000-", "bytes=-0", "bytes=20000-30000", "bytes=9-3", "bytes=x")
            ],
        ),
    ],
    "Checking if content exists in the registry": [
        Row(
            "HEAD is 200 for what is there, with the headers of GET and no body",
            [
                Ask("HEAD", "{repo}/manifests/v1", 200, shows=PULLED, content=b""),
                Ask("HEAD", "{repo}/manifests/{image}", 200, shows=PULLED, content=b""),
                Ask("HEAD", "{repo}/blobs/{layer}", 200, shows=BLOB, content=b""),
                Ask("HEAD", "{repo}/blobs/{config}", 200, shows={"content-length": str(len(CONFIG))}, content=b""),
            ],
        ),
        Row(
            "HEAD is 404 for what is not there",
            [
                Ask("HEAD", "{repo}/manifests/none", 404, content=b""),
                Ask("HEAD", "{repo}/manifests/{missing}", 404, content=b""),
                Ask("HEAD", "{repo}/manifests/.INVALID_MANIFEST_NAME", 404, content=b""),
                Ask("HEAD", "{repo}/blobs/{missing}", 404, content=b""),
                Ask("HEAD", "/v2/no/where/blobs/{layer}", 404, content=b""),
            ],
        ),
    ],
}


@pytest.mark.parametrize("section", TABLE)
async def test_pull(world: World, section: str) -> None:
    for number, row in enumerate(TABLE[section]):
        await check(world, number, row)
