"""A client as the specification's conformance program has one: it knows a user name, and does what it is told.

Each request goes out without credentials; the challenge is answered with exactly the scope that it asks for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from api_v2.world import Answer, Pushed, World


@dataclass
class Reggie:
    world: World
    namespace: str
    location: str = ""
    """Of the last answer that had one."""

    async def do(
        self, method: str, target: str, body: bytes | Pushed = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        """`target` below the namespace, or whole when it begins with a slash."""
        sent = dict(headers or {})
        if isinstance(body, Pushed):
            sent["content-type"] = body.media_type
            body = body.content
        bearer = await self.sign_in(method, target, body, sent)
        answer = await self.world.ask(method, self._path(target), body, sent, auth=bearer)
        self.location = answer.headers.get("location", self.location)
        return answer

    async def sign_in(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        auth: bytes | None = None,
    ) -> bytes:
        """The header for what the challenge asks for."""
        refused = await self.world.ask(method, self._path(target), body, headers, auth=auth)
        assert refused.status == 401, (method, target, refused.status)
        return b"Bearer " + (await self._get_token(refused.headers["www-authenticate"])).encode()

    def _path(self, target: str) -> str:
        return target if target.startswith("/") else f"/v2/{self.namespace}/{target}"

    async def status(self, method: str, target: str, body: bytes | Pushed = b"", **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await self.do(method, target, body, named)).status

    async def _get_token(self, challenge: str) -> str:
        scheme, _, rest = challenge.partition(" ")
        found = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        assert (scheme, found["realm"].startswith("https://")) == ("Bearer", True)
        query = "&".join(f"{name}={quote(found[name])}" for name in ("service", "scope") if name in found)
        answer = await self.world.ask("GET", f"/oauth2/token?{query}")
        assert answer.status == 200, answer.content
        return answer.json["access_token"]
