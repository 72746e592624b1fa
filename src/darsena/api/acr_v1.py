"""`/acr/v1`: ACR's own view of repositories, tags and manifests (ACR data plane, section 6)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec

from darsena.api.http import Request, Response, json_response
from darsena.api.v2.access import check_action, hides_quarantined
from darsena.api.v2.paging import link_next, read_page
from darsena.api.v2.paths import Kind, Target
from darsena.core.clock import render_time
from darsena.core.digest import Digest
from darsena.core.errors import NameInvalid, RequestInvalid, TagUnknown
from darsena.core.names import TagName
from darsena.identity.model import Caller
from darsena.registry.model import (
    QUARANTINE_STATES,
    ManifestView,
    OrderBy,
    Pulls,
    Registry,
    RepositoryView,
    Tag,
)
from darsena.registry.service import RegistryService

Handler = Callable[[Request, Registry, Target, Caller], Awaitable[Response]]

_ORDERS = {"": "none", "none": "none", "timeasc": "timeasc", "timedesc": "timedesc"}
_DETAILS_LIMIT = 64 * 1024
_COLUMNS = {
    "deleteEnabled": "delete_enabled",
    "writeEnabled": "write_enabled",
    "listEnabled": "list_enabled",
    "readEnabled": "read_enabled",
}


class AttributesBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A PATCH: what is absent or null keeps its value; unknown members are ignored."""

    delete_enabled: bool | None = None
    write_enabled: bool | None = None
    list_enabled: bool | None = None
    read_enabled: bool | None = None
    quarantine_state: str | None = None
    quarantine_details: str | None = None

    def changes(self) -> dict[str, bool]:
        found = {column: getattr(self, column) for column in _COLUMNS.values()}
        return {column: value for column, value in found.items() if value is not None}


class AcrRoutes:
    def __init__(self, service: RegistryService) -> None:
        self._catalog = service.catalog
        self._deleting = service.deleting
        self.handlers: dict[Kind, dict[str, Handler]] = {
            "acr_catalog": {"GET": self.catalog},
            "acr_repository": {
                "GET": self.repository,
                "PATCH": self.patch_repository,
                "DELETE": self.delete_repository,
            },
            "acr_tags": {"GET": self.tags},
            "acr_tag": {"GET": self.tag, "PATCH": self.patch_tag, "DELETE": self.delete_tag},
            "acr_manifests": {"GET": self.manifests},
            "acr_manifest": {"GET": self.manifest, "PATCH": self.patch_manifest},
        }

    async def catalog(self, request: Request, registry: Registry, _target: Target, _caller: Caller) -> Response:
        limit, last = read_page(request)
        page = await self._catalog.list_repositories(registry, last=last, limit=limit)
        return link_next(json_response({"repositories": page.items}), request, page.last, limit, orderby="")

    # --- repositories -------------------------------------------------------------------------------------------

    async def repository(self, request: Request, registry: Registry, target: Target, _caller: Caller) -> Response:
        view = await self._catalog.get_repository(registry, target.repository)
        return json_response({**_names(request, target), **_render_repository(view)})

    async def patch_repository(self, request: Request, registry: Registry, target: Target, caller: Caller) -> Response:
        body = await request.json(AttributesBody)
        await self._catalog.set_repository_attributes(registry, target.repository, body.changes())
        return await self.repository(request, registry, target, caller)

    async def delete_repository(
        self, _request: Request, registry: Registry, target: Target, _caller: Caller
    ) -> Response:
        gone = await self._deleting.delete_repository(registry, target.repository)
        body = {"manifestsDeleted": gone.manifests, "tagsDeleted": gone.tags}
        return json_response(body, 202)

    # --- tags ---------------------------------------------------------------------------------------------------

    async def tags(self, request: Request, registry: Registry, target: Target, caller: Caller) -> Response:
        limit, last = read_page(request)
        order, text = _read_order(request)
        filter_ = request.query.get("digest")
        page = await self._catalog.list_tags(
            registry,
            target.repository,
            last=last,
            limit=limit,
            order=order,
            digest=Digest.parse(filter_) if filter_ else None,
            hide_quarantined=hides_quarantined(caller, registry, target),
        )
        body = {**_names(request, target), "tags": [_render_tag(tag) for tag in page.items]}
        more = {"orderby": text} | ({"digest": filter_} if filter_ else {})
        return link_next(json_response(body), request, page.last, limit, **more)

    async def tag(self, request: Request, registry: Registry, target: Target, caller: Caller) -> Response:
        hides = hides_quarantined(caller, registry, target)
        found, pulls = await self._catalog.get_tag(
            registry, target.repository, _tag_name(target), hide_quarantined=hides
        )
        return json_response({**_names(request, target), "tag": {**_render_tag(found), **_render_pulls(pulls)}})

    async def patch_tag(self, request: Request, registry: Registry, target: Target, caller: Caller) -> Response:
        body = await request.json(AttributesBody)
        await self._catalog.set_tag_attributes(registry, target.repository, _tag_name(target), body.changes())
        found, pulls = await self._catalog.get_tag(registry, target.repository, _tag_name(target))
        return json_response({**_names(request, target), "tag": {**_render_tag(found), **_render_pulls(pulls)}})

    async def delete_tag(self, _request: Request, registry: Registry, target: Target, _caller: Caller) -> Response:
        await self._deleting.delete_tag(registry, target.repository, _tag_name(target))
        return Response(202)

    # --- manifests ----------------------------------------------------------------------------------------------

    async def manifests(self, request: Request, registry: Registry, target: Target, caller: Caller) -> Response:
        limit, last = read_page(request)
        order, text = _read_order(request)
        page = await self._catalog.list_manifests(
            registry,
            target.repository,
            last=Digest.parse(last) if last else None,
            limit=limit,
            order=order,
            hide_quarantined=hides_quarantined(caller, registry, target),
        )
        body = {**_names(request, target), "manifests": [_render_manifest(view) for view in page.items]}
        return link_next(json_response(body), request, page.last, limit, orderby=text)

    async def manifest(self, request: Request, registry: Registry, target: Target, _caller: Caller) -> Response:
        digest = Digest.parse(target.reference)
        view, children, details = await self._catalog.get_manifest(registry, target.repository, digest)
        found = {**_render_manifest(view), **_render_pulls(view.pulls)}
        if children is not None:
            found["references"] = children
        if details is not None:
            found["changeableAttributes"]["quarantineDetails"] = details
        return json_response({**_names(request, target), "manifest": found})

    async def patch_manifest(self, request: Request, registry: Registry, target: Target, caller: Caller) -> Response:
        """Its state of quarantine is for those who may release it, where the registry has a quarantine."""
        body = await request.json(AttributesBody)
        state = _read_state(body)
        if registry.quarantine and (state is not None or body.quarantine_details is not None):
            check_action(caller, target, "quarantine_write")
        if body.changes() or not registry.quarantine:
            check_action(caller, target, "metadata_write")
        await self._catalog.set_manifest_attributes(
            registry,
            target.repository,
            Digest.parse(target.reference),
            body.changes(),
            quarantine_state=state,
            quarantine_details=body.quarantine_details,
        )
        return await self.manifest(request, registry, target, caller)


def _names(request: Request, target: Target) -> dict[str, str]:
    return {"registry": request.scope["darsena.facts"].login_server, "imageName": target.repository}


def _read_state(body: AttributesBody) -> str | None:
    """In its own spelling. Raises RequestInvalid."""
    if body.quarantine_details is not None and len(body.quarantine_details) > _DETAILS_LIMIT:
        raise RequestInvalid(f"quarantineDetails may have {_DETAILS_LIMIT} characters")
    if body.quarantine_state is None:
        return None
    given = body.quarantine_state
    for state in QUARANTINE_STATES:
        if given.lower() == state.lower():
            return state
    raise RequestInvalid(f"quarantineState {given[:40]!r} is none of {', '.join(QUARANTINE_STATES)}")


def _tag_name(target: Target) -> TagName:
    try:
        return TagName.parse(target.reference)
    except NameInvalid as error:
        raise TagUnknown(target.reference[:200]) from error


def _read_order(request: Request) -> tuple[OrderBy, str]:
    """The order, and its text as the Link repeats it."""
    text = request.query.get("orderby", "")
    if text.lower() not in _ORDERS:
        raise RequestInvalid(f"orderby={text[:40]!r} is none of none, timeasc, timedesc")
    return cast("OrderBy", _ORDERS[text.lower()]), text


def _render_repository(view: RepositoryView) -> dict[str, Any]:
    found = view.repository
    return {
        "createdTime": render_time(found.created_us),
        "lastUpdateTime": render_time(found.updated_us),
        "manifestCount": view.manifest_count,
        "tagCount": view.tag_count,
        "changeableAttributes": {**found.attributes.as_wire(), "teleportEnabled": False},
        **_render_pulls(view.pulls),
    }


def _render_pulls(pulls: Pulls | None) -> dict[str, Any]:
    """Ours, beside what ACR answers; absent until the first pull is noted, some seconds after it."""
    return {} if pulls is None else {"pullCount": pulls.number, "lastPullTime": render_time(pulls.last_us)}


def _render_tag(tag: Tag) -> dict[str, Any]:
    return {
        "name": tag.name,
        "digest": str(tag.digest),
        "createdTime": render_time(tag.created_us),
        "lastUpdateTime": render_time(tag.updated_us),
        "signed": False,
        "changeableAttributes": tag.attributes.as_wire(),
    }


def _render_manifest(view: ManifestView) -> dict[str, Any]:
    row = view.manifest
    attributes: dict[str, Any] = dict(row.attributes.as_wire())
    if row.quarantine_state is not None:
        attributes["quarantineState"] = row.quarantine_state
    found: dict[str, Any] = {
        "digest": str(row.digest),
        "imageSize": row.image_size,
        "createdTime": render_time(row.created_us),
        "lastUpdateTime": render_time(row.updated_us),
        "architecture": row.architecture,
        "os": row.os,
        "mediaType": row.media_type,
        "configMediaType": row.config_media_type,
        "tags": list(view.tags) or None,
        "changeableAttributes": attributes,
    }
    return {key: value for key, value in found.items() if value is not None}
