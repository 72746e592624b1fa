"""Image names on the command line: `repository:tag` or `repository@digest`, perhaps with a login server before it."""

from __future__ import annotations

from dataclasses import dataclass

from darsena.cli.exit_codes import UsageProblem
from darsena.core.digest import Digest
from darsena.core.names import RepositoryName, TagName


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageName:
    """`reference` is a tag, a digest, or empty. `host` is the login server that stood before, or empty."""

    host: str
    repository: RepositoryName
    reference: str

    @property
    def is_digest(self) -> bool:
        return ":" in self.reference


def split_host(text: str) -> tuple[str, str]:
    """The login server and the rest: the first part is one when a repository's name could not begin like it."""
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return "", text


def parse_image(text: str) -> ImageName:
    """Raise NameInvalid or DigestInvalid."""
    host, name = split_host(text)
    repository, at, digest = name.partition("@")
    if at:
        return ImageName(host=host, repository=RepositoryName.parse(repository), reference=str(Digest.parse(digest)))
    repository, colon, tag = name.partition(":")
    reference = TagName.parse(tag) if colon else ""
    return ImageName(host=host, repository=RepositoryName.parse(repository), reference=reference)


def parse_referenced(text: str) -> ImageName:
    """As parse_image, but raise UsageProblem when neither tag nor digest is named."""
    image = parse_image(text)
    if not image.reference:
        raise UsageProblem(f"the image {text!r} names neither a tag nor a digest", hint="write name:tag or name@digest")
    return image


def without_host(text: str, login_server: str) -> str:
    """An image as builds name it: without this registry's own login server, and otherwise as it was typed."""
    host, rest = split_host(text)
    return rest if host.lower() == login_server.lower() else text
