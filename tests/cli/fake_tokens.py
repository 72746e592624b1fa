"""Scope maps and tokens of the fake server."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
MADE = "2026-01-01T00:00:00.0000000+00:00"


class Children:
    """Of all registries: what they hold is told apart by their path."""

    def __init__(self) -> None:
        self.rows: dict[str, Json] = {}
        self.made = 0

    def answer(self, method: str, registry: str, rest: str, sent: Any) -> tuple[int, Any, dict[str, str]]:
        path = f"{registry}/{rest}"
        kind, _, name = rest.partition("/")
        if rest == "generateCredentials":
            return self._generate(sent)
        if not name:
            return 200, {"value": [row for key, row in self.rows.items() if key.startswith(f"{path}/".lower())]}, {}
        if method == "PUT":
            self.rows[path.lower()] = self._make(path, kind, name, sent["properties"])
        row = self.rows.get(path.lower())
        if method == "DELETE":
            self.rows.pop(path.lower(), None)
            return (204 if row is None else 200), None, {}
        if row is None:
            error = {"code": "ResourceNotFound", "message": f"The resource {name} could not be found."}
            return 404, {"error": error}, {}
        if method == "PATCH":
            row["properties"].update(sent["properties"])
        return 200, row, {}

    def _make(self, path: str, kind: str, name: str, sent: Json) -> Json:
        given: Json = {"type": "UserDefined"}
        if kind == "tokens":
            given = {"status": "enabled", "credentials": {"certificates": [], "passwords": []}}
        properties = {"creationDate": MADE, "provisioningState": "Succeeded", **given, **sent}
        return {"id": path, "name": name, "type": f"registries/{kind}", "properties": properties}

    def _generate(self, sent: Json) -> tuple[int, Any, dict[str, str]]:
        token = self.rows[sent["tokenId"].lower()]
        there = {row["name"]: row for row in token["properties"]["credentials"]["passwords"]}
        values: list[Json] = []
        for name in [sent["name"]] if "name" in sent else ["password1", "password2"]:
            self.made += 1
            there[name] = {"name": name, "creationTime": MADE}
            if "expiry" in sent:
                there[name]["expiry"] = sent["expiry"]
            values.append({**there[name], "value": f"secret{self.made}"})
        token["properties"]["credentials"]["passwords"] = [there[name] for name in sorted(there)]
        shown = {row["name"]: row for row in values}
        passwords = [shown.get(name, there[name]) for name in sorted(there)]
        return 200, {"username": token["name"], "passwords": passwords}, {}
