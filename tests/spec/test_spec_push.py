"""OCI distribution-spec, Push: each MUST and SHOULD that a registry can keep or break (1.1; 1.0 where it differs)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from api_v2.world import Pushed, World, digest_of, image, manifest_of
from darsena.core import media_types
from darsena.registry.document import MANIFEST_LIMIT_BYTES

from .rows import CONFIG, EMPTY, IMAGE, INDEX, LAYER, MISSING, NEW, SBOM, Ask, Row, artifact, check

OCI = media_types.OCI_MANIFEST
BEGIN = Ask("POST", "{repo}/blobs/uploads/", 202, shows={"location": "*", "docker-upload-uuid": "*", "range": "0-0"})
CREATED = {"location": "{repo}/blobs/{new}", "docker-content-digest": "{new}"}
THERE = Ask("GET", "{repo}/blobs/{new}", 200, content=NEW)
NOT_THERE = Ask("HEAD", "{repo}/blobs/{new}", 404)
CLOSE = Ask("PUT", "{location}&digest={new}", 201, shows=CREATED)


def part(
    first: int, last: int, status: int = 202, range_: str | None = None, sent: Mapping[str, str] | None = None
) -> Ask:
    headers = {"content-range": f"{first}-{last}", "content-type": "application/octet-stream", **(sent or {})}
    shows = {"range": range_ or f"0-{last}", **({"location": "*"} if status == 202 else {})}
    return Ask("PATCH", "{location}", status, NEW[first : last + 1], headers, shows)


def put(reference: str, manifest: Pushed, status: int = 201, codes: tuple[str, ...] = (), **shows: str | None) -> Ask:
    found = {"location": "{repo}/manifests/" + manifest.digest, "docker-content-digest": manifest.digest}
    owed = {**found, **{name.replace("_", "-"): value for name, value in shows.items()}} if status == 201 else {}
    return Ask("PUT", f"{{repo}}/manifests/{reference}", status, manifest, shows=owed, codes=codes)


def of_size(size: int) -> Pushed:
    """The image with an annotation that makes it so long."""
    content = msgspec.json.encode(image(CONFIG, LAYER, annotations={"a": ""}))
    content = content.replace(b'{"a":""}', b'{"a":"' + b"x" * (size - len(content)) + b'"}')
    return Pushed(content, OCI, digest_of(content))


HERE = artifact(IMAGE, SBOM, annotations={"n": "new"})
NOWHERE = artifact(MISSING, SBOM)
UNTIDY = IMAGE.content.replace(b"{", b"{ \t\r\n") + b"\n"

TABLE: dict[str, list[Row]] = {
    "Pushing a blob monolithically: POST then PUT (end-4a, end-6)": [
        Row("202 with the session's Location, then 201 with the blob's", [
            BEGIN,
            Ask("PUT", "{location}&digest={new}", 201, NEW, {"content-type": "application/octet-stream"}, CREATED),
            THERE,
            Ask("GET", "{location}", 200, content=NEW),
        ]),
        Row("with sha512 just so", [
            BEGIN,
            Ask("PUT", "{location}&digest={new512}", 201, NEW, shows={"docker-content-digest": "{new512}"}),
            Ask("GET", "{repo}/blobs/{new512}", 200, content=NEW),
            NOT_THERE,
        ]),
        Row("an empty blob is a blob", [
            BEGIN,
            Ask("PUT", "{location}&digest={nothing}", 201),
            Ask("GET", "{repo}/blobs/{nothing}", 200, content=b"", shows={"content-length": "0"}),
        ]),
        Row("content that has another digest is refused and not kept", [
            BEGIN,
            Ask("PUT", "{location}&digest={new}", 400, b"other", codes=("DIGEST_INVALID",)),
            NOT_THERE,
        ]),
        Row("a digest is needed, and must be one", [
            BEGIN,
            Ask("PUT", "{location}", 400, NEW, codes=("DIGEST_INVALID",)),
            Ask("PUT", "{location}&digest=sha256:abc", 400, NEW, codes=("DIGEST_INVALID",)),
            Ask("PUT", "{location}&digest=crc32:abc", 400, NEW, codes=("DIGEST_INVALID",)),
            NOT_THERE,
        ]),
        Row("a blob may be pushed again", [
            BEGIN, Ask("PUT", "{location}&digest={layer}", 201, LAYER), Ask("GET", "{repo}/blobs/{layer}", 200),
        ]),
        Row("a session that is none is 404", [
            Ask(method, "{repo}/blobs/uploads/no-such-session?digest={new}", 404, codes=("BLOB_UPLOAD_UNKNOWN",))
            for method in ("GET", "PATCH", "PUT", "DELETE")
        ]),
    ],
    "Pushing a blob monolithically: single POST (end-4b)": [
        Row("201 with the blob's Location", [
            Ask("POST", "{repo}/blobs/uploads/?digest={new}", 201, NEW, shows=CREATED), THERE,
        ]),
        Row("with sha512 just so", [
            Ask("POST", "{repo}/blobs/uploads/?digest={new512}", 201, NEW),
            Ask("HEAD", "{repo}/blobs/{new512}", 200, shows={"docker-content-digest": "{new512}"}),
        ]),
        Row("content that has another digest is refused and not kept", [
            Ask("POST", "{repo}/blobs/uploads/?digest={new}", 400, b"other", codes=("DIGEST_INVALID",)), NOT_THERE,
        ]),
    ],
    "Pushing a blob in chunks (end-4a, end-5, end-6, end-13)": [
        Row("each chunk in its order is 202 with Location and Range; the session is closed by PUT", [
            BEGIN, part(0, 99), part(100, 499), part(500, 999), CLOSE, THERE,
        ]),
        Row("the last chunk may come in the PUT", [
            BEGIN, part(0, 99),
            Ask("PUT", "{location}&digest={new}", 201, NEW[100:], {"content-range": "100-999"}, CREATED),
            THERE,
        ]),
        Row("a first chunk that does not begin at 0 is 416", [BEGIN, part(100, 199, 416, "0-0"), part(0, 999), CLOSE]),
        Row("a chunk out of order, or sent again, is 416, and the upload goes on where it stands", [
            BEGIN, part(0, 99), part(200, 299, 416, "0-99"), part(0, 99, 416, "0-99"), part(50, 149, 416, "0-99"),
            Ask("GET", "{location}", 204, shows={"range": "0-99", "location": "*"}, content=b""),
            part(100, 999), CLOSE, THERE,
        ]),
        Row("the closing chunk out of order is 416", [
            BEGIN, part(0, 99),
            Ask("PUT", "{location}&digest={new}", 416, NEW[200:], {"content-range": "200-999"}, {"range": "0-99"}),
            NOT_THERE, part(100, 999), CLOSE,
        ]),
        Row("a Content-Range that is not FIRST-LAST, or not the body's length, is 400", [
            BEGIN,
            *(
                Ask("PATCH", "{location}", 400, NEW[:100], {"content-range": text}, codes=("BLOB_UPLOAD_INVALID",))
                for text in ("0-98", "0-100", "99-0", "0", "-99", "0-", "bytes=0-99,5-6", "a-b", "\u00b2-\u00b3")
            ),
            part(0, 999), CLOSE,
        ]),
        Row("a chunk of unknown length is held to its Content-Range all the same", [
            BEGIN, part(0, 99),
            Ask("PATCH", "{location}", 400, NEW[100:150], {"content-range": "100-199", "transfer-encoding": "chunked"},
                codes=("SIZE_INVALID",)),
            Ask("GET", "{location}", 204, shows={"range": "0-149"}),
            Ask("PATCH", "{location}", 400, NEW[150:], {"content-range": "150-199", "transfer-encoding": "chunked"},
                codes=("SIZE_INVALID",)),
            part(150, 999, sent={"transfer-encoding": "chunked"}), CLOSE, THERE,
        ]),
        Row("without Content-Range bytes are added where the upload stands (streamed, as docker pushes)", [
            BEGIN,
            Ask("PATCH", "{location}", 202, NEW[:500], {"transfer-encoding": "chunked"}, {"range": "0-499"}),
            Ask("PATCH", "{location}", 202, NEW[500:], shows={"range": "0-999"}),
            CLOSE, THERE,
        ]),
        Row("the status of a session is 204 with Location and Range", [
            BEGIN, Ask("GET", "{location}", 204, shows={"range": "0-0", "location": "*", "docker-upload-uuid": "*"}),
            part(0, 0), Ask("GET", "{location}", 204, shows={"range": "0-0"}),
            part(1, 9), Ask("GET", "{location}", 204, shows={"range": "0-9"}),
        ]),
        Row("a session can be given up (Docker Registry 2.0: Canceling an Upload)", [
            BEGIN, part(0, 99), Ask("DELETE", "{location}", 204, content=b""),
            Ask("GET", "{location}", 404, codes=("BLOB_UPLOAD_UNKNOWN",)),
            Ask("PATCH", "{location}", 404, b"x", codes=("BLOB_UPLOAD_UNKNOWN",)),
        ]),
    ],
    "Mounting a blob from another repository (end-11)": [
        Row("201 with the blob's Location in this repository", [
            Ask("POST", "{beside}/blobs/uploads/?mount={layer}&from={name}", 201,
                shows={"location": "{beside}/blobs/{layer}", "docker-content-digest": "{layer}"}),
            Ask("GET", "{beside}/blobs/{layer}", 200, content=LAYER),
        ]),
        Row("the blob may be found without `from`", [
            Ask("POST", "{beside}/blobs/uploads/?mount={layer}", 201, shows={"location": "{beside}/blobs/{layer}"}),
            Ask("HEAD", "{beside}/blobs/{layer}", 200),
        ]),
        Row("what cannot be mounted becomes an upload: 202 with a session that works", [
            Ask("POST", "{repo}/blobs/uploads/?mount={missing}&from={name}/beside", 202, shows={"location": "*"}),
            Ask("POST", "{repo}/blobs/uploads/?mount={missing}", 202, shows={"location": "*"}),
            Ask("POST", "{repo}/blobs/uploads/?mount={new}&from=no/where", 202, shows={"location": "*"}),
            Ask("PUT", "{location}&digest={new}", 201, NEW, shows=CREATED),
        ]),
        Row("a digest that is none is 400", [
            Ask("POST", "{repo}/blobs/uploads/?mount=sha256:abc&from={name}", 400, codes=("DIGEST_INVALID",)),
        ]),
    ],
    "Pushing manifests (end-7)": [
        Row("201 with a Location to pull from; by tag and by digest", [
            put("new", IMAGE), Ask("GET", "{location}", 200, content=IMAGE.content), put(IMAGE.digest, IMAGE),
            put("idx", INDEX), Ask("GET", "{repo}/manifests/idx", 200, content=INDEX.content),
        ]),
        Row("the exact bytes are kept", [
            Ask("PUT", "{repo}/manifests/untidy", 201, UNTIDY, {"content-type": OCI},
                {"docker-content-digest": digest_of(UNTIDY)}),
            Ask("GET", "{repo}/manifests/untidy", 200, content=UNTIDY),
            Ask("GET", f"{{repo}}/manifests/{digest_of(UNTIDY)}", 200, content=UNTIDY),
        ]),
        Row("by sha512 just so", [
            Ask("PUT", "{repo}/manifests/{image512}", 201, IMAGE, shows={"docker-content-digest": "{image512}"}),
            Ask("GET", "{repo}/manifests/{image512}", 200, shows={"docker-content-digest": "{image512}"}),
        ]),
        Row("by a digest that is not the content's, or none: 400", [
            Ask("PUT", "{repo}/manifests/{missing}", 400, IMAGE, codes=("DIGEST_INVALID",)),
            Ask("PUT", "{repo}/manifests/sha256:totallywrong", 400, IMAGE, codes=("DIGEST_INVALID",)),
            Ask("GET", "{repo}/manifests/{missing}", 404),
        ]),
        Row("what is no manifest is MANIFEST_INVALID", [
            Ask("PUT", "{repo}/manifests/new", 400, b"blablabla", {"content-type": OCI}, codes=("MANIFEST_INVALID",)),
            Ask("PUT", "{repo}/manifests/new", 400, b"", {"content-type": OCI}, codes=("MANIFEST_INVALID",)),
            Ask("PUT", "{repo}/manifests/new", 400, IMAGE, {"content-type": "text/html"}, codes=("MANIFEST_INVALID",)),
            Ask("PUT", "{repo}/manifests/new", 400, IMAGE, {"content-type": media_types.OCI_INDEX},
                codes=("MANIFEST_INVALID",)),
            Ask("GET", "{repo}/manifests/new", 404),
        ]),
        Row("what it references must be there: one MANIFEST_BLOB_UNKNOWN for each, and nothing is kept", [
            put("new", manifest_of(image(CONFIG, b"x", b"y")), 400, ("MANIFEST_BLOB_UNKNOWN",) * 2),
            put("new", manifest_of(image(b"x", LAYER)), 400, ("MANIFEST_BLOB_UNKNOWN",)),
            Ask("PUT", "{beside}/manifests/new", 400, INDEX, codes=("MANIFEST_BLOB_UNKNOWN",)),
            Ask("GET", "{repo}/manifests/new", 404), Ask("GET", "{beside}/manifests/new", 404),
        ]),
        Row("four megabytes are taken, more is 413", [
            put("big", of_size(4_000_000)),
            put("big", of_size(MANIFEST_LIMIT_BYTES)),
            Ask("HEAD", "{repo}/manifests/big", 200, shows={"content-length": str(MANIFEST_LIMIT_BYTES)}),
            put("big", of_size(MANIFEST_LIMIT_BYTES + 1), 413, ("MANIFEST_INVALID",)),
            Ask("HEAD", "{repo}/manifests/big", 200, shows={"content-length": str(MANIFEST_LIMIT_BYTES)}),
        ]),
        Row("an image without layers is an image", [
            put("empty", manifest_of(image(CONFIG))), Ask("GET", "{repo}/manifests/empty", 200),
        ]),
        Row("a tag that can be none is 400", [
            Ask("PUT", f"{{repo}}/manifests/{tag}", 400, IMAGE) for tag in ("-x", ".x", "a" * 129, "a%20b")
        ]),
        Row("by digest under several tags, which are told in OCI-Tag (after 1.1); by tag there is but that one", [
            Ask("PUT", "{repo}/manifests/{image512}?tag=one&tag=Two&tag=one", 201, IMAGE,
                shows={"oci-tag": "one, Two"}),
            Ask("HEAD", "{repo}/manifests/one", 200, shows={"docker-content-digest": "{image512}"}),
            Ask("HEAD", "{repo}/manifests/Two", 200, shows={"docker-content-digest": "{image512}"}),
            Ask("PUT", "{repo}/manifests/{image}?tag=one&tag=-x", 400, IMAGE, codes=("UNSUPPORTED",)),
            Ask("HEAD", "{repo}/manifests/one", 200, shows={"docker-content-digest": "{image512}"}),
            Ask("PUT", "{repo}/manifests/new?tag=three", 201, IMAGE, shows={"oci-tag": None}),
            Ask("HEAD", "{repo}/manifests/three", 404),
        ]),
        Row("a tag moves; what it named stays by its digest", [
            put("v1", INDEX), Ask("GET", "{repo}/manifests/v1", 200, content=INDEX.content),
            Ask("GET", "{repo}/manifests/{image}", 200, content=IMAGE.content),
        ]),
    ],
    "Pushing manifests with subject": [
        Row("OCI-Subject tells that the subject was understood, and the referrer is listed", [
            put(HERE.digest, HERE, oci_subject="{image}"),
            Ask("GET", "{repo}/referrers/{image}", 200, shows={"content-type": media_types.OCI_INDEX}),
        ]),
        Row("a subject that is not there is no error, and what refers to it is listed before it comes", [
            put(NOWHERE.digest, NOWHERE, oci_subject="{missing}"),
            Ask("GET", "{repo}/referrers/{missing}", 200,
                json={"schemaVersion": 2, "mediaType": media_types.OCI_INDEX,
                      "manifests": [NOWHERE.descriptor(artifactType=SBOM)]}),
        ]),
        Row("an index may have a subject too", [
            put("sub", manifest_of({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [],
                                    "subject": IMAGE.descriptor()}), oci_subject="{image}"),
        ]),
        Row("without a subject there is no OCI-Subject", [put("new", IMAGE, oci_subject=None)]),
    ],
    "Error codes": [
        Row("an error is JSON with code, message and detail; the code is one of the specification's", [
            Ask("GET", "{repo}/manifests/none", 404,
                json={"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown",
                                  "detail": {"reference": "none"}}]}),
            Ask("GET", "/v2/no/where/tags/list", 404,
                json={"errors": [{"code": "NAME_UNKNOWN", "message": "repository name not known to registry",
                                  "detail": {"name": "no/where"}}]}),
        ]),
        Row("a method that is not there is 405", [
            Ask("POST", "{repo}/manifests/v1", 405, codes=("UNSUPPORTED",), shows={"allow": "*"}),
            Ask("PUT", "{repo}/tags/list", 405, codes=("UNSUPPORTED",)),
        ]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("section", TABLE)
async def test_push(world: World, section: str) -> None:
    for number, row in enumerate(TABLE[section]):
        await check(world, number, row)


async def test_an_empty_descriptor_needs_its_two_bytes_once(world: World) -> None:
    """image-spec, Guidance for an Empty Descriptor: `data` does not stand for the blob."""
    manifest = manifest_of(image(CONFIG) | {"config": EMPTY, "artifactType": SBOM, "layers": [EMPTY]})
    assert (await world.push_manifest("x/y", "v1", manifest)).codes == ["MANIFEST_BLOB_UNKNOWN"]
    await world.push_blob("x/y", b"{}")
    assert (await world.push_manifest("x/y", "v1", manifest)).status == 201
