"""Images as OCI layouts on disk, made from nothing: what tests push, byte for byte known."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

Descriptor = dict[str, Any]


class Layout:
    """A folder that `skopeo copy oci:` reads. Each method answers with what it wrote as a descriptor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, content: bytes, media_type: str) -> Descriptor:
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / "blobs" / "sha256" / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def layer(self, files: Mapping[str, bytes]) -> tuple[Descriptor, str]:
        """The layer, and its diff id."""
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(content), 0o755
                tar.addfile(info, io.BytesIO(content))
        diff_id = "sha256:" + hashlib.sha256(plain.getvalue()).hexdigest()
        return self.blob(gzip.compress(plain.getvalue(), compresslevel=1, mtime=0), LAYER), diff_id

    def image(
        self,
        layers: Sequence[Mapping[str, bytes]],
        *,
        architecture: str = "amd64",
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Descriptor:
        made = [self.layer(files) for files in layers]
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Labels": dict(labels or {}), "Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in made]},
            "history": [{"created": "2026-01-01T00:00:00Z"} for _ in made],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(json.dumps(config).encode(), CONFIG),
            "layers": [layer for layer, _ in made],
            "annotations": dict(annotations or {}),
        }
        found = self.blob(json.dumps(manifest).encode(), MANIFEST)
        return {**found, "platform": {"os": "linux", "architecture": architecture}}

    def index(self, manifests: Sequence[Descriptor]) -> Descriptor:
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)}
        return self.blob(json.dumps(document).encode(), INDEX)

    def name(self, descriptor: Descriptor, tag: str = "latest") -> Descriptor:
        """Make it what the layout is called by `tag`; answers with the descriptor."""
        path = self.folder / "index.json"
        known = json.loads(path.read_text())["manifests"] if path.exists() else []
        entry = {**descriptor, "annotations": {"org.opencontainers.image.ref.name": tag}}
        path.write_text(json.dumps({"schemaVersion": 2, "manifests": [*known, entry]}))
        return descriptor

    def read(self, descriptor: Descriptor) -> bytes:
        return (self.folder / "blobs" / "sha256" / descriptor["digest"].partition(":")[2]).read_bytes()

    def blobs(self) -> dict[str, bytes]:
        """Every blob by digest."""
        return {f"sha256:{path.name}": path.read_bytes() for path in (self.folder / "blobs" / "sha256").iterdir()}
