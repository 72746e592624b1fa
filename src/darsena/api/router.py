"""The route table's rows and how a path finds its row. `/openapi.json` is made from the same rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from darsena.api.http import Request, Response, decode_segment
from darsena.core.errors import MethodNotAllowed, RouteUnknown

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`pattern` is a path with `{name}` segments, or `{name*}` at its end for all the rest (decoded, slashes kept)."""

    method: str
    pattern: str
    handler: Handler
    summary: str
    request: type[Any] | None = None
    """The msgspec Struct of the request's body, where there is one."""
    response: type[Any] | None = None
    tag: str = ""
    secured: bool = True
    """False for what answers without a credential."""


_Row = tuple[Route, tuple[str, ...]]
"""A route and the names that its path captured."""


class _Node:
    """One segment's place in the tree of patterns."""

    __slots__ = ("capture", "literal", "methods", "rest")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.capture: _Node | None = None
        self.methods: dict[str, _Row] = {}
        self.rest: dict[str, _Row] = {}


class Router:
    """Matches on raw segments, so an encoded slash stays inside its segment. Literal segments match without case
    when `ignore_case` is set, and win over captures. ARM also reads `//` as `/`: `az resource` sends such paths."""

    def __init__(self, routes: Sequence[Route], *, ignore_case: bool = False) -> None:
        self.routes = tuple(routes)
        self._ignore_case = ignore_case
        self._root = _Node()
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node = self._root
        names: list[str] = []
        for segment in route.pattern.strip("/").split("/") if route.pattern != "/" else []:
            if segment.startswith("{") and segment.endswith("*}"):
                node.rest[route.method] = (route, (*names, segment[1:-2]))
                return
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.capture = node.capture or _Node()
                node = node.capture
            else:
                node = node.literal.setdefault(segment.lower() if self._ignore_case else segment, _Node())
        node.methods[route.method] = (route, tuple(names))

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
        """Raises RouteUnknown or MethodNotAllowed. HEAD falls back to GET."""
        raw = raw_path.strip("/").split("/") if raw_path.strip("/") else []
        if self._ignore_case:
            raw = [segment for segment in raw if segment]
        methods, values = self._match(self._root, raw, 0, [])
        if methods is None:
            raise RouteUnknown(f"there is nothing at {raw_path}")
        row = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        if row is None:
            raise MethodNotAllowed(method, sorted(methods))
        route, names = row
        return route, dict(zip(names, values, strict=True))

    def _match(
        self, node: _Node, raw: list[str], index: int, values: list[str]
    ) -> tuple[dict[str, _Row] | None, list[str]]:
        if index == len(raw):
            if node.methods:
                return node.methods, values
            return None, values
        segment = decode_segment(raw[index])
        literal = node.literal.get(segment.lower() if self._ignore_case else segment)
        if literal is not None:
            found = self._match(literal, raw, index + 1, values)
            if found[0] is not None:
                return found
        if node.capture is not None and segment:
            found = self._match(node.capture, raw, index + 1, [*values, segment])
            if found[0] is not None:
                return found
        if node.rest:
            return node.rest, [*values, "/".join(decode_segment(part) for part in raw[index:])]
        return None, values

    async def dispatch(self, request: Request) -> Response:
        route, request.params = self.find(request.method, request.raw_path)
        return await route.handler(request)
