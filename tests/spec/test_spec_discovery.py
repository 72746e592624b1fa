"""OCI distribution-spec, Content Discovery and Content Management: each MUST and SHOULD of a registry (1.1; 1.0)."""

from __future__ import annotations

from typing import Any

import pytest

from api_v2.world import Pushed, World, image, manifest_of
from darsena.core import media_types

from .rows import (
    CONFIG,
    EMPTY,
    IMAGE,
    INDEX,
    LAYER,
    MISSING,
    REFERRER,
    SBOM,
    SIGNATURE,
    SIGNED,
    Ask,
    Row,
    artifact,
    check,
)

TAGGED = ["B", "a", "a.1", "a1", "b"]
"""More tags, in the order of their bytes; with those that every row has: B a a.1 a1 b multi v1 v2."""
ALL = [*TAGGED, "multi", "v1", "v2"]
TAG = [Ask("PUT", f"{{repo}}/manifests/{tag}", 201, IMAGE) for tag in reversed(TAGGED)]


def tags(query: str, expected: list[str], link: str | None = None) -> Ask:
    more = None if link is None else f'<{{repo}}/tags/list?{link}&orderby=>; rel="next"'
    answer = {"name": "{name}", "tags": expected}
    return Ask("GET", f"{{repo}}/tags/list{query}", 200, shows={"link": more}, json=answer)


def listed(digest: str, *manifests: dict[str, Any], query: str = "", filtered: bool = False) -> Ask:
    body = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_INDEX,
        "manifests": sorted(manifests, key=lambda found: found["digest"]),
    }
    shows = {
        "content-type": media_types.OCI_INDEX,
        "oci-filters-applied": "artifactType" if filtered else None,
        "link": None,
    }
    return Ask("GET", f"{{repo}}/referrers/{digest}{query}", 200, shows=shows, json=body)


def put(manifest: Pushed, reference: str | None = None) -> Ask:
    return Ask("PUT", f"{{repo}}/manifests/{reference or manifest.digest}", 201, manifest)


FIRST = REFERRER.descriptor(artifactType=SBOM, annotations={"made": "by hand"})
SECOND = SIGNED.descriptor(artifactType=SIGNATURE)
UNTYPED = artifact(MISSING, None, config={**EMPTY, "mediaType": media_types.OCI_CONFIG})
OF_INDEX = manifest_of(
    {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_INDEX,
        "manifests": [IMAGE.descriptor()],
        "subject": {"mediaType": media_types.OCI_MANIFEST, "digest": MISSING, "size": 7},
        "annotations": {"of": "index"},
    }
)
CONFIGURED = manifest_of(image(CONFIG, LAYER, subject=UNTYPED.descriptor()))

TABLE: dict[str, list[Row]] = {
    "Listing tags (end-8a, end-8b)": [
        Row("200 with the name and the tags in the order of their bytes", [*TAG, tags("", ALL)]),
        Row("no more than `n`, and a Link to what follows", [
            *TAG, tags("?n=3", ALL[:3], "last=a.1&n=3"), Ask("GET", "{next}", 200, shows={"link": "*"}),
            tags("?n=5&last=a.1", ALL[3:]), tags("?n=8", ALL), tags("?n=1", ALL[:1], "last=B&n=1"),
        ]),
        Row("`n` of 0: an empty list, no Link", [*TAG, tags("?n=0", []), tags("?n=0&last=a", [])]),
        Row("more than there are is all", [*TAG, tags("?n=999999999", ALL), tags("?n=1000", ALL)]),
        Row("`last` is left out, and need not exist", [
            *TAG, tags("?last=a", ALL[2:]), tags("?last=a0", ALL[3:]), tags("?last=v2", []), tags("?last=zzz", []),
            tags("?last=A&n=2", ["B", "a"], "last=a&n=2"), tags("?last=", ALL),
        ]),
        Row("an `n` that is no number of entries is 400", [
            Ask("GET", f"{{repo}}/tags/list?n={n}", 400)
            for n in ("-1", "x", "1.5", "0x1", "1e3", "+1", "%00", "%D9%A3")
        ]),
        Row("an unknown repository is 404", [Ask("GET", "/v2/no/where/tags/list", 404, codes=("NAME_UNKNOWN",))]),
        Row("a repository without tags has an empty list", [
            Ask("GET", "{beside}/tags/list", 200, json={"name": "{name}/beside", "tags": []}),
        ]),
        Row("a tag is there as soon as it was pushed, and gone as soon as it was deleted", [
            put(IMAGE, "now"), tags("", ["multi", "now", "v1", "v2"]),
            Ask("DELETE", "{repo}/manifests/now", 202), tags("", ["multi", "v1", "v2"]),
        ]),
    ],
    "Listing referrers (end-12a, end-12b)": [
        Row("200 with an index of descriptors, with artifactType and annotations", [listed("{image}", FIRST, SECOND)]),
        Row("nobody refers: an empty list, never 404", [
            listed("{missing}"), listed("{layer}"), listed("{index}"), listed("{new512}"),
            Ask("GET", "/v2/no/where/referrers/{image}", 200),
        ]),
        Row("a digest that is none is 400", [
            Ask("GET", f"{{repo}}/referrers/{digest}", 400, codes=("DIGEST_INVALID",))
            for digest in ("v1", "sha256:abc", "sha256:", "md5:00")
        ]),
        Row("filtered by artifactType, and the filter is named", [
            listed("{image}", FIRST, query=f"?artifactType={SBOM}", filtered=True),
            listed("{image}", SECOND, query="?artifactType=application%2Fvnd.example.signature.v1", filtered=True),
            *(
                listed("{image}", query=f"?artifactType={text}", filtered=True)
                for text in ("none", "%00", "%ff", "%27%20OR%201%3D1", "a" * 4000, "%F0%9F%90%B3", "*", SBOM.upper())
            ),
            listed("{image}", FIRST, SECOND, query="?artifactType="),
        ]),
        Row("without artifactType it is the config's media type", [
            put(UNTYPED), listed("{missing}", UNTYPED.descriptor(artifactType=media_types.OCI_CONFIG)),
            listed("{missing}", UNTYPED.descriptor(artifactType=media_types.OCI_CONFIG),
                   query=f"?artifactType={media_types.OCI_CONFIG}", filtered=True),
            put(CONFIGURED), listed(UNTYPED.digest, CONFIGURED.descriptor(artifactType=media_types.OCI_CONFIG)),
        ]),
        Row("an index without artifactType has none", [
            put(OF_INDEX), listed("{missing}", OF_INDEX.descriptor(annotations={"of": "index"})),
        ]),
        Row("in pages, a Link leads on and keeps the filter", [
            Ask("GET", "{repo}/referrers/{image}?n=1", 200, shows={"link": "*"}),
            Ask("GET", "{next}", 200, shows={"link": None}),
            put(artifact(IMAGE, SBOM)),
            Ask("GET", f"{{repo}}/referrers/{{image}}?n=1&artifactType={SBOM}", 200, shows={"link": "*"}),
            Ask("GET", "{next}", 200, shows={"link": None, "oci-filters-applied": "artifactType"}),
        ]),
        Row("what was deleted refers no more", [
            Ask("DELETE", "{repo}/manifests/{referrer}", 202), listed("{image}", SECOND),
        ]),
    ],
    "Deleting tags (end-9)": [
        Row("202; the tag is gone, the manifest and its other tags are not", [
            Ask("DELETE", "{repo}/manifests/v1", 202, content=b""),
            Ask("GET", "{repo}/manifests/v1", 404, codes=("MANIFEST_UNKNOWN",)),
            Ask("GET", "{repo}/manifests/v2", 200), Ask("GET", "{repo}/manifests/{image}", 200),
        ]),
        Row("a tag that is not there is 404", [
            Ask("DELETE", "{repo}/manifests/none", 404), Ask("DELETE", "/v2/no/where/manifests/v1", 404),
        ]),
    ],
    "Deleting manifests (end-9)": [
        Row("202; it is gone with its tags", [
            Ask("DELETE", "{repo}/manifests/{index}", 202, content=b""),
            Ask("GET", "{repo}/manifests/{index}", 404), Ask("HEAD", "{repo}/manifests/multi", 404),
            tags("", ["v1", "v2"]),
        ]),
        Row("what is not there is 404", [
            Ask("DELETE", "{repo}/manifests/{missing}", 404, codes=("MANIFEST_UNKNOWN",)),
            Ask("DELETE", "{repo}/manifests/{layer}", 404, codes=("MANIFEST_UNKNOWN",)),
            Ask("DELETE", "/v2/no/where/manifests/{image}", 404, codes=("MANIFEST_UNKNOWN",)),
        ]),
        Row("it can be pushed again", [
            Ask("DELETE", "{repo}/manifests/{index}", 202), put(INDEX, "multi"),
            Ask("GET", "{repo}/manifests/{index}", 200),
        ]),
    ],
    "Deleting blobs (end-10)": [
        Row("202; it is gone from this repository", [
            Ask("POST", "{repo}/blobs/uploads/?digest={nothing}", 201),
            Ask("DELETE", "{repo}/blobs/{nothing}", 202, content=b""),
            Ask("GET", "{repo}/blobs/{nothing}", 404), Ask("DELETE", "{repo}/blobs/{nothing}", 404),
        ]),
        Row("what is not there is 404", [
            Ask("DELETE", "{repo}/blobs/{missing}", 404, codes=("BLOB_UNKNOWN",)),
            Ask("DELETE", "/v2/no/where/blobs/{layer}", 404, codes=("BLOB_UNKNOWN",)),
        ]),
        Row("what a manifest needs may not go: 405", [
            Ask("DELETE", "{repo}/blobs/{layer}", 405, codes=("UNSUPPORTED",)), Ask("GET", "{repo}/blobs/{layer}", 200),
        ]),
        Row("after the manifests it may", [
            *(Ask("DELETE", f"{{repo}}/manifests/{digest}", 202) for digest in ("{index}", "{image}")),
            Ask("DELETE", "{repo}/blobs/{layer}", 202), Ask("HEAD", "{repo}/blobs/{layer}", 404),
            Ask("DELETE", "{repo}/blobs/{config}", 202), Ask("HEAD", "{repo}/blobs/{config}", 404),
        ]),
    ],
    "Listing repositories (Docker Registry 2.0)": [
        Row("200 with the names, in pages", [
            Ask("GET", "/v2/_catalog", 200),
            Ask("GET", "/v2/_catalog?n=1&last={name}", 200, json={"repositories": ["{name}/beside"]}),
            Ask("GET", "/v2/_catalog?n=0", 200, shows={"link": None}, json={"repositories": []}),
            Ask("GET", "/v2/_catalog?n=-1", 400), Ask("GET", "/v2/_catalog?last=zzz", 200, json={"repositories": []}),
        ]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("section", TABLE)
async def test_discovery_and_management(world: World, section: str) -> None:
    for number, row in enumerate(TABLE[section]):
        await check(world, number, row)
