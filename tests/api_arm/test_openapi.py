"""The OpenAPI document says of each route what the route table says."""

from __future__ import annotations

from typing import Any

import msgspec

from darsena.api.http import Request, Response
from darsena.api.openapi import make_document
from darsena.api.router import Route


async def handle(request: Request) -> Response:
    return Response(200)


class Thing(msgspec.Struct):
    name: str
    size: int | None = None


def route(method: str, pattern: str, **more: Any) -> Route:
    return Route(method=method, pattern=pattern, handler=handle, summary=f"{method} it", **more)


def test_rows_become_operations() -> None:
    document = make_document(
        [
            route("PUT", "/things/{name}", request=Thing, response=Thing, tag="Things"),
            route("GET", "/files/{path*}", response=bytes, secured=False),
        ],
        title="Test",
        server_url="https://localhost:8443",
    )
    assert document["openapi"] == "3.1.0"
    assert document["tags"] == [{"name": "Things"}]
    put = document["paths"]["/things/{name}"]["put"]
    reference = {"$ref": "#/components/schemas/Thing"}
    assert put["requestBody"]["content"]["application/json"]["schema"] == reference
    assert put["responses"]["2XX"]["content"]["application/json"]["schema"] == reference
    assert put["parameters"] == [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]
    assert put["security"] == [{"bearer": []}]
    get = document["paths"]["/files/{path}"]["get"]
    assert get["responses"]["2XX"]["content"] == {"application/octet-stream": {}}
    assert (get["security"], get["parameters"][0]["name"]) == ([], "path")
    assert document["components"]["schemas"]["Thing"]["required"] == ["name"]


def test_the_control_plane_is_described_whole(arm: Any) -> None:
    routes = arm.edge.routes
    document = make_document(routes, title="Test", server_url="https://localhost:8443")
    assert make_document(reversed(routes), title="Test", server_url="https://localhost:8443") == document
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert described == {(route.method, route.pattern) for route in routes}
    identifiers = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(set(identifiers)) == len(identifiers)
    schemas = document["components"]["schemas"]
    references = [
        text.partition('"')[0] for text in msgspec.json.encode(document).decode().split("#/components/schemas/")[1:]
    ]
    assert {*references} <= {*schemas}
    assert schemas["RegistryPropertiesView"]["properties"]["adminUserEnabled"] == {"type": "boolean"}
