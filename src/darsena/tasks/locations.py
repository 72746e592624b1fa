"""What a `sourceLocation` means: nothing, an uploaded source, a git repository, an archive on the web."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from darsena.core.errors import RequestInvalid

SourceKind = Literal["none", "upload", "git", "tarball"]

_LONGEST = 4096
_UPLOAD = re.compile(r"source/\d{12}/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\.tar\.gz\Z", re.ASCII)
_TARGET = "sourceLocation"


@dataclass(frozen=True, slots=True)
class Location:
    kind: SourceKind
    text: str = ""


def parse_location(text: str | None) -> Location:
    """Raises RequestInvalid for what no agent could fetch."""
    text = (text or "").strip()
    if text in ("", "/dev/null"):
        return Location("none")
    if len(text) > _LONGEST or not text.isprintable():
        raise RequestInvalid(f"'{_TARGET}' is longer than {_LONGEST} characters or holds control characters.", _TARGET)
    if text.startswith("source/"):
        return Location("upload", parse_upload(text))
    if text.lower().startswith("oci://"):
        raise RequestInvalid(
            f"The source '{text}' is an OCI artifact, and those are not in this version as a build source: "
            "use a local folder, a git repository or an archive's URL.",
            _TARGET,
        )
    if _is_git(text):
        return Location("git", text)
    if urlsplit_or_none(text) is not None:
        return Location("tarball", text)
    raise RequestInvalid(
        f"The value '{text[:200]}' of '{_TARGET}' is not understood: give the relative path of an uploaded "
        "archive, a git URL (https://host/path.git#ref:folder, git@host:path, git://host/path) or the https URL of "
        "an archive.",
        _TARGET,
    )


def parse_upload(text: str) -> str:
    """The name of an uploaded source, as `listBuildSourceUploadUrl` gave it out."""
    if not _UPLOAD.match(text):
        raise RequestInvalid(
            f"The source '{text[:200]}' is not a path that listBuildSourceUploadUrl gave out; ask it for one.", _TARGET
        )
    return text


def urlsplit_or_none(text: str) -> tuple[str, str] | None:
    """(host, path) in lower case of an http or https URL."""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return None
    return (host, parts.path.lower()) if parts.scheme.lower() in ("http", "https") and host else None


def _is_git(text: str) -> bool:
    if text.startswith(("git@", "git://", "github.com/")):
        return True
    parts = urlsplit_or_none(text)
    if parts is None:
        return False
    host, path = parts
    if path.removesuffix("/").endswith(".git"):
        return True
    if host == "dev.azure.com" or host.endswith(".visualstudio.com"):
        return "/_git/" in path and "?" not in text
    return host in ("github.com", "www.github.com") and len(path.strip("/").split("/")) == 2
