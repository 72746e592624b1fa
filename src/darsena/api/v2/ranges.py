"""Byte ranges of a download (RFC 9110, section 14) and of an upload's chunk (distribution-spec, Pushing a blob)."""

from __future__ import annotations

import re

from darsena.core.errors import RangeNotSatisfiable, UploadInvalid

_BYTES = re.compile(r"bytes\s*=", re.IGNORECASE)
_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,64})\s*-\s*([0-9]{0,64})\s*\Z", re.IGNORECASE)
_CHUNK = re.compile(r"(?:bytes[ =])?\s*([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]{1,18}|\*))?\Z")


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """[start, stop) of a single range; None where the whole is to be sent (several ranges, another unit).

    Raises RangeNotSatisfiable(size) where nothing of it exists, and for what is no range.
    """
    header = header.strip()
    if not _BYTES.match(header) or "," in header:
        return None
    match = _RANGE.match(header)
    if match is None or not (match[1] or match[2]) or (match[1] and match[2] and int(match[2]) < int(match[1])):
        raise RangeNotSatisfiable(
            f"the range {header[:100]!r} is none: write bytes=FIRST-LAST, FIRST- or -LENGTH", size
        )
    if not match[1]:
        length = int(match[2])
        start, stop = max(size - length, 0), size
        satisfiable = length > 0 and size > 0
    else:
        start = int(match[1])
        stop = min(int(match[2]) + 1, size) if match[2] else size
        satisfiable = start < size
    if not satisfiable:
        raise RangeNotSatisfiable(f"the range {header[:100]!r} lies outside the {size} bytes that there are", size)
    return start, stop


def parse_content_range(header: str, content_length: int | None) -> tuple[int, int] | None:
    """Where a chunk begins and how long it is; None without the header. Raises UploadInvalid."""
    if not header:
        return None
    match = _CHUNK.match(header.strip())
    if match is None:
        raise UploadInvalid(f"Content-Range {header[:100]!r} is not FIRST-LAST")
    first, last = int(match[1]), int(match[2])
    if last < first or (content_length is not None and content_length != last - first + 1):
        raise UploadInvalid(f"Content-Range {header[:100]!r} does not fit the {content_length} bytes of the body")
    return first, last - first + 1
