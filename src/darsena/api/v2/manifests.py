"""`/v2/<name>/manifests/<reference>`, tags, catalog, referrers."""

from __future__ import annotations

from typing import Any

from darsena.api.http import Request, Response, json_response
from darsena.api.v2.access import check_action, hides_quarantined, may_read_quarantined
from darsena.api.v2.conditions import is_known
from darsena.api.v2.paging import link_next, read_page
from darsena.api.v2.paths import Target
from darsena.core.digest import Digest
from darsena.core.errors import ManifestTooLarge, ManifestUnknown, NameInvalid, RequestInvalid, RequestTooLarge
from darsena.core.media_types import OCI_INDEX
from darsena.core.names import TagName
from darsena.identity.model import Caller
from darsena.registry.document import MANIFEST_LIMIT_BYTES
from darsena.registry.manifests import Reference, Served
from darsena.registry.model import Manifest, Registry
from darsena.registry.service import RegistryService


class ManifestRoutes:
    def __init__(self, service: RegistryService) -> None:
        self._service = service

    async def catalog(self, request: Request, registry: Registry, _target: Target, _caller: Caller) -> Response:
        limit, last = read_page(request)
        page = await self._service.catalog.list_repositories(registry, last=last, limit=limit)
        return link_next(json_response({"repositories": page.items}), request, page.last, limit, orderby="")

    async def tags(self, request: Request, registry: Registry, target: Target, caller: Caller) -> Response:
        limit, last = read_page(request)
        hides = hides_quarantined(caller, registry, target)
        page = await self._service.catalog.list_tag_names(
            registry, target.repository, last=last, limit=limit, hide_quarantined=hides
        )
        body = {"name": target.repository, "tags": page.items}
        return link_next(json_response(body), request, page.last, limit, orderby="")

    async def get(self, request: Request, registry: Registry, target: Target, caller: Caller) -> Response:
        """The exact bytes that were pushed, whatever Accept says: never converted, never 406. A GET is a pull."""
        served = await self._service.manifests.get(
            registry,
            target.repository,
            _for_reading(target.reference),
            sees_quarantined=may_read_quarantined(caller, target),
        )
        if not served.is_quarantined:
            check_action(caller, target, "pull")
        if request.method == "GET":
            self._service.pulls.count(served.repository_id, served.digest.stored)
        if is_known(request, served.digest):
            return Response(304, b"", manifest_headers(served)[1:])
        return Response(200, served.content, manifest_headers(served))

    async def put(self, request: Request, registry: Registry, target: Target, _caller: Caller) -> Response:
        """By digest under as many tags as the query names, each told in `OCI-Tag` (distribution-spec after 1.1)."""
        reference = _for_writing(target.reference)
        tags = _read_tags(request) if isinstance(reference, Digest) else ()
        try:
            content = await request.body(MANIFEST_LIMIT_BYTES)
        except RequestTooLarge as error:
            raise ManifestTooLarge(MANIFEST_LIMIT_BYTES) from error
        pushed = await self._service.manifests.put(
            registry, target.repository, reference, content, request.header("content-type"), tags
        )
        response = Response(201).header("location", f"/v2/{target.repository}/manifests/{pushed.digest}")
        response.header("docker-content-digest", str(pushed.digest))
        if pushed.subject is not None:
            response.header("oci-subject", str(pushed.subject))
        if tags:
            response.header("oci-tag", ", ".join(tags))
        return response

    async def delete(self, _request: Request, registry: Registry, target: Target, _caller: Caller) -> Response:
        """By digest with its tags and referrers; by tag the name only (distribution-spec, Deleting tags)."""
        reference = _for_writing(target.reference)
        if isinstance(reference, Digest):
            await self._service.deleting.delete_manifest(registry, target.repository, reference)
        else:
            await self._service.deleting.delete_tag(registry, target.repository, reference)
        return Response(202)

    async def referrers(self, request: Request, registry: Registry, target: Target, caller: Caller) -> Response:
        """An index of the manifests whose subject this is; empty for an unknown digest (Listing Referrers)."""
        subject = Digest.parse(target.reference)
        artifact_type = _media_type(request.query.get("artifactType", "")) or None
        limit, last = read_page(request)
        page = await self._service.catalog.list_referrers(
            registry,
            target.repository,
            subject,
            artifact_type=artifact_type,
            last=Digest.parse(last) if last else None,
            limit=max(limit, 1),
            hide_quarantined=hides_quarantined(caller, registry, target),
        )
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [_descriptor(*item) for item in page.items]}
        response = json_response(body)
        response.headers[-1] = (b"content-type", OCI_INDEX.encode())
        if artifact_type is None:
            return link_next(response, request, page.last, limit)
        response.header("oci-filters-applied", "artifactType")
        return link_next(response, request, page.last, limit, artifactType=artifact_type)


def manifest_headers(served: Served) -> list[tuple[bytes, bytes]]:
    digest = str(served.digest).encode()
    return [
        (b"content-type", served.media_type.encode()),
        (b"docker-content-digest", digest),
        (b"etag", b'"' + digest + b'"'),
    ]


def _descriptor(row: Manifest, annotations: dict[str, str] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"mediaType": row.media_type, "digest": str(row.digest), "size": row.size}
    if row.artifact_type:
        found["artifactType"] = row.artifact_type
    if annotations:
        found["annotations"] = annotations
    return found


def _media_type(text: str) -> str:
    """None has a blank: it was a `+` that somebody did not encode. A NUL is in no database."""
    return text.replace(" ", "+").replace("\0", "\ufffd")


def _for_reading(text: str) -> Reference:
    """What can be no tag or digest is simply not there."""
    if ":" in text:
        return Digest.parse(text)
    try:
        return TagName.parse(text)
    except NameInvalid as error:
        raise ManifestUnknown(text[:200]) from error


def _read_tags(request: Request) -> tuple[TagName, ...]:
    try:
        return tuple(dict.fromkeys(TagName.parse(value) for name, value in request.query_list if name == "tag"))
    except NameInvalid as error:
        raise RequestInvalid(error.message) from error


def _for_writing(text: str) -> Reference:
    if ":" in text:
        return Digest.parse(text)
    try:
        return TagName.parse(text)
    except NameInvalid as error:
        raise RequestInvalid(error.message) from error
