"""Conditions that a caller can cause or must hear of. One class per condition; the edge's table maps class to wire.

A message says what was wrong, with the value, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence


class Problem(Exception):
    """Anything that is answered to a client. `message` is for people; typed fields are for programs."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


# --- names and requests -----------------------------------------------------------------------------------------


class NameInvalid(Problem):
    """A name in a request body (or a command line) breaks the grammar."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the name {name!r} is not valid: {why}")
        self.name = name


class RequestInvalid(Problem):
    """The request's form is wrong: not JSON, a missing field, a value of the wrong type.

    `code` is ARM's word where it has one of its own (LocationRequired, InvalidSubscriptionId, ...).
    """

    def __init__(self, message: str, target: str | None = None, *, code: str | None = None) -> None:
        super().__init__(message)
        self.target = target
        self.code = code


class RequestTooLarge(Problem):
    """A body, header or parameter is over the limit that `limit_bytes` gives."""

    def __init__(self, what: str, limit_bytes: int) -> None:
        super().__init__(f"{what} is larger than the limit of {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class RequestTimedOut(Problem):
    """The body did not come in the time that the server waits for one."""


class RouteUnknown(Problem):
    """No route has this path."""


class MethodNotAllowed(Problem):
    """The path exists, the method does not."""

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        super().__init__(f"{method} is not allowed here; use {', '.join(allowed)}")
        self.allowed = tuple(allowed)


class NotImplementedHere(Problem):
    """A documented feature that this version does not have; the message names it."""


# --- data plane -------------------------------------------------------------------------------------------------


class RepositoryUnknown(Problem):
    def __init__(self, name: str) -> None:
        super().__init__(f"repository name not known to registry: {name}")
        self.name = name


class ManifestUnknown(Problem):
    def __init__(self, reference: str) -> None:
        super().__init__(f"manifest unknown: {reference}")
        self.reference = reference


class TagUnknown(Problem):
    def __init__(self, tag: str) -> None:
        super().__init__("the specified tag does not exist")
        self.tag = tag


class ManifestInvalid(Problem):
    """The manifest's bytes are no manifest that a registry accepts."""


class ManifestTooLarge(RequestTooLarge):
    """Over the limit of a manifest (distribution-spec, Pushing Manifests: 413)."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__("the manifest", limit_bytes)


class ManifestBlobUnknown(Problem):
    """The manifest references content that is not in the repository. Never raised for a missing `subject`."""

    def __init__(self, digests: Sequence[str]) -> None:
        super().__init__("manifest references content unknown to this repository: " + ", ".join(digests))
        self.digests = tuple(digests)


class BlobUnknown(Problem):
    def __init__(self, digest: str) -> None:
        super().__init__(f"blob unknown to registry: {digest}")
        self.digest = digest


class DigestInvalid(Problem):
    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"the digest {text!r} is not valid: {why}")
        self.text = text


class DigestMismatch(Problem):
    def __init__(self, expected: str, received: str) -> None:
        super().__init__(f"the content has digest {received}, not the digest {expected} that was named; send it again")
        self.expected = expected
        self.received = received


class SizeMismatch(Problem):
    def __init__(self, expected: int, received: int) -> None:
        super().__init__(f"the content has {received} bytes where {expected} were announced")
        self.expected = expected
        self.received = received


class UploadUnknown(Problem):
    def __init__(self, upload: str) -> None:
        super().__init__(f"blob upload unknown to registry: {upload}; start a new one")
        self.upload = upload


class UploadInvalid(Problem):
    """The upload's state or the request against it makes no sense."""


class RangeNotSatisfiable(Problem):
    """`size` is the number of bytes there are: an object's length, or an upload's durable offset."""

    def __init__(self, message: str, size: int) -> None:
        super().__init__(message)
        self.size = size


class Unsupported(Problem):
    """The operation is not one that this registry performs (distribution-spec code UNSUPPORTED)."""


class Locked(Problem):
    """An attribute of the repository, tag or manifest forbids the operation."""


class QuotaExceeded(Problem):
    """A limit of the registry's tier is reached."""


class Throttled(Problem):
    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


# --- who and whether --------------------------------------------------------------------------------------------


class Unauthenticated(Problem):
    """No credential, or one that does not hold. On the login server this is answered with a challenge."""


class AccessDenied(Problem):
    """The caller is known and may not. The login server answers it as 401 with a challenge, ARM as 403."""

    def __init__(self, message: str, *, missing: Sequence[tuple[str, str, str]] = ()) -> None:
        super().__init__(message)
        self.missing = tuple(missing)
        """(type, name, action) triples, as in a token scope."""


class NetworkDenied(Problem):
    """The caller's address is not allowed by the registry's network rules."""


# --- control plane ----------------------------------------------------------------------------------------------


class ResourceUnknown(Problem):
    """An ARM resource is not there. `code` is ARM's word for it (ResourceNotFound, ResourceGroupNotFound, ...)."""

    def __init__(self, message: str, *, code: str = "ResourceNotFound") -> None:
        super().__init__(message)
        self.code = code


class ChildUnknown(ResourceUnknown):
    """A resource below a registry is not there, in the registry provider's own words."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The resource {name[:80]} could not be found.")


class Conflict(Problem):
    """The operation collides with the present state. `code` is ARM's word (Conflict, AlreadyInUse, ...)."""

    def __init__(self, message: str, *, code: str = "Conflict") -> None:
        super().__init__(message)
        self.code = code


class PreconditionFailed(Problem):
    pass


# --- ourselves --------------------------------------------------------------------------------------------------


class Unavailable(Problem):
    """A part that the request needs cannot be used now; nothing was changed, try again."""

    def __init__(self, message: str, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DiskFailure(Unavailable):
    """The disk does not do what it is asked to: it fails, or the server has not the right."""


class StorageFull(Problem):
    """The disk is full: nothing was changed, reads go on."""

    retry_after_s = 60


class ContentCorrupt(Problem):
    """Stored bytes do not match their authentication tag or digest. Never served."""

    retry_after_s = 60


class StartFailure(Problem):
    """The process cannot start or a local command cannot go on; the message says what to do."""
