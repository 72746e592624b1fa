"""Names, parsed once at the edge and never re-validated inside. Each is a `str` that is known to be well formed."""

from __future__ import annotations

import re
from typing import Self

from darsena.core.errors import NameInvalid

_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_REGISTRY = re.compile(r"[A-Za-z0-9]{5,50}\Z")
_GROUP = re.compile(r"[\w().-]{0,89}[\w()-]\Z")


class RepositoryName(str):
    """A repository's path (distribution-spec, section Pulling manifests), at most 255 characters."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        if len(text) > 255:
            raise NameInvalid(text[:64] + "…", "a repository name has at most 255 characters")
        if not _REPOSITORY.match(text):
            raise NameInvalid(text, "use lower-case letters, digits and single separators (. _ - /) between them")
        return cls(text)


class TagName(str):
    """At most 128 characters of `[A-Za-z0-9._-]`, not starting with a dot or a dash."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        if not _TAG.match(text):
            raise NameInvalid(text[:160], "a tag has 1 to 128 of A-Z a-z 0-9 . _ - and starts with none of . -")
        return cls(text)


class RegistryName(str):
    """A registry's ARM name as typed: 5 to 50 letters and digits. `key` is what is compared."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        if not _REGISTRY.match(text) or not text.isascii():
            raise NameInvalid(text[:80], "a registry name has 5 to 50 letters and digits and nothing else")
        return cls(text)

    @property
    def key(self) -> str:
        return self.lower()


class GroupName(str):
    """A resource group's name: 1 to 90 letters, digits, `_ - . ( )`, not ending in a dot."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        if not _GROUP.match(text):
            raise NameInvalid(text[:120], "a group name has 1 to 90 letters, digits or _ - . ( ) and no dot at its end")
        return cls(text)

    @property
    def key(self) -> str:
        return self.lower()


def plain(value: object) -> str:
    """For msgspec's `enc_hook`: a name is written as the text that it is."""
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
