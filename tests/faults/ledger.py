"""What was acknowledged, written down outside of the process that is killed, and what may have happened besides.

A worker does one thing at a time in a repository of its own, so after a crash at most its last thing is in doubt:
it has happened whole, or not at all.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from oracles import Facts

Op = dict[str, Any]


@dataclass
class Shelf:
    """One repository as it must be."""

    tags: dict[str, str] = field(default_factory=dict[str, str])
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """Digest to its `children`, `subject` and `content`."""
    blobs: dict[str, float] = field(default_factory=dict[str, float])
    """Digest to when its push began: gc's time of grace is counted from no earlier moment."""
    uploads: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """Id to the `blob` that it will be and the acknowledged `offset`."""

    def doomed(self, digest: str) -> set[str]:
        """What goes with a manifest: all that refers to it, and to that."""
        found = {digest}
        while more := {name for name, known in self.manifests.items() if known["subject"] in found} - found:
            found |= more
        return found

    def is_child(self, digests: set[str]) -> bool:
        return any(digests & set(known["children"]) for name, known in self.manifests.items() if name not in digests)

    def apply(self, op: Op, answer: Any = None) -> None:
        match op["do"]:
            case "push":
                self.manifests[op["digest"]] = {key: op[key] for key in ("children", "subject", "content")}
                if op["tag"] is not None:
                    self.tags[op["tag"]] = op["digest"]
            case "untag":
                del self.tags[op["tag"]]
            case "delete":
                gone = self.doomed(op["digest"])
                self.manifests = {name: known for name, known in self.manifests.items() if name not in gone}
                self.tags = {name: digest for name, digest in self.tags.items() if digest not in gone}
            case "drop":
                self.tags, self.manifests, self.blobs = {}, {}, {}
            case "blob" | "mount":
                self.blobs[op["digest"]] = op["at"]
            case "unlink":
                self.blobs.pop(op["digest"], None)
            case "begin":
                self.uploads[answer] = {"blob": op["blob"], "offset": 0}
            case "append":
                self.uploads[op["upload"]]["offset"] = answer
            case "finish":
                del self.uploads[op["upload"]]
                self.blobs[op["digest"]] = op["at"]
            case "cancel":
                del self.uploads[op["upload"]]
            case other:
                raise AssertionError(other)


@dataclass
class Ledger:
    """`history` is appended to by whoever is killed; `base` is replaced by whoever checks, and never killed in it."""

    folder: Path
    shelves: dict[str, Shelf] = field(default_factory=dict[str, Shelf])
    told: Facts = field(default_factory=Facts)
    pending: dict[str, Op] = field(default_factory=dict[str, Op])
    counts: Counter[str] = field(default_factory=Counter[str])
    _history: int = -1

    @classmethod
    def load(cls, folder: Path, names: list[str]) -> Ledger:
        ledger = cls(folder, {name: Shelf() for name in names})
        if ledger._base.exists():
            known = json.loads(ledger._base.read_text())
            ledger.shelves = {name: Shelf(**shelf) for name, shelf in known["shelves"].items()}
            ledger.told = Facts(**known["told"])
            ledger.counts = Counter(known["counts"])
        if ledger._lines.exists():
            for line in ledger._lines.read_text().splitlines():
                ledger._replay(json.loads(line))
        ledger._history = os.open(ledger._lines, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return ledger

    def settle(self, shelves: dict[str, Shelf]) -> None:
        """The doubts are resolved: this is the truth to go on from."""
        self.shelves, self.pending = shelves, {}
        known = {
            "shelves": {name: asdict(shelf) for name, shelf in shelves.items()},
            "told": asdict(self.told),
            "counts": dict(self.counts),
        }
        self._base.write_text(json.dumps(known))
        os.ftruncate(self._history, 0)

    def intend(self, name: str, op: Op) -> None:
        op = op | {"at": time.time()}
        self._write({"name": name, "op": op})
        self.pending[name] = op

    def acknowledge(self, name: str, answer: Any = None) -> None:
        self._write({"name": name, "ok": answer})
        self.shelves[name].apply(self.pending.pop(name), answer)
        self.counts["acknowledged"] += 1

    def refuse(self, name: str) -> None:
        """Nothing has changed."""
        self._write({"name": name, "refused": True})
        del self.pending[name]
        self.counts["refused"] += 1

    def close(self) -> None:
        os.close(self._history)

    @property
    def _base(self) -> Path:
        return self.folder / "base.json"

    @property
    def _lines(self) -> Path:
        return self.folder / "history.jsonl"

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._history, json.dumps(line).encode() + b"\n")

    def _replay(self, line: dict[str, Any]) -> None:
        name = line["name"]
        if "op" in line:
            self.pending[name] = line["op"]
            return
        op = self.pending.pop(name)
        if "ok" in line:
            self.shelves[name].apply(op, line["ok"])
            self.counts["acknowledged"] += 1
        else:
            self.counts["refused"] += 1
