"""`/openapi.json`, made from the same rows that requests are routed by, and the msgspec types they name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from darsena import __version__
from darsena.api.router import Route

Document = dict[str, Any]

_PARAMETER = re.compile(r"\{(\w+)\*?\}")
_REF = "#/components/schemas/{name}"


def make_document(routes: Iterable[Route], *, title: str, server_url: str) -> Document:
    """An OpenAPI 3.1 document. The same routes always give the same document."""
    rows = sorted(routes, key=lambda route: (route.pattern.lower(), route.method))
    types = _list_types(rows)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = {id(type_): schema for type_, schema in zip(types, schemas, strict=True)}
    paths: dict[str, Document] = {}
    for route in rows:
        paths.setdefault(_path(route.pattern), {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__},
        "servers": [{"url": server_url}],
        "tags": [{"name": tag} for tag in sorted({route.tag for route in rows if route.tag})],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _list_types(routes: Sequence[Route]) -> list[Any]:
    """Each type once, by identity: a list of views is not hashable on every version."""
    found: dict[int, Any] = {}
    for route in routes:
        for type_ in (route.request, route.response):
            if type_ is not None and type_ is not bytes:
                found.setdefault(id(type_), type_)
    return list(found.values())


def _operation(route: Route, schemas: dict[int, Document]) -> Document:
    operation: Document = {"operationId": _operation_id(route), "summary": route.summary}
    if route.tag:
        operation["tags"] = [route.tag]
    if names := _PARAMETER.findall(route.pattern):
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if route.request is not None:
        operation["requestBody"] = {"required": True, "content": _content(route.request, schemas)}
    success: Document = {"description": "Success"}
    if route.response is not None:
        success["content"] = _content(route.response, schemas)
    operation["responses"] = {"2XX": success, "4XX": {"description": "The request was refused; the body says why"}}
    operation["security"] = [{"bearer": []}] if route.secured else []
    return operation


def _content(type_: Any, schemas: dict[int, Document]) -> Document:
    if type_ is bytes:
        return {"application/octet-stream": {}}
    return {"application/json": {"schema": schemas[id(type_)]}}


def _path(pattern: str) -> str:
    """A pattern's `{rest*}` is an ordinary parameter in OpenAPI, which has no word for it."""
    return _PARAMETER.sub(r"{\1}", pattern)


def _operation_id(route: Route) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", " ", _PARAMETER.sub(r"by \1", route.pattern)).split()
    return "_".join([route.method.lower(), *words]) or route.method.lower()
