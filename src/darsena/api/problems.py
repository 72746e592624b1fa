"""The one table from a condition to the wire, and its renderings: the login server's, ARM's, the blob host's.

Codes of the login server are the distribution-spec's fourteen and ACR's own; a test holds the table to that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from darsena.api.http import Request, Response, json_response
from darsena.core import errors
from darsena.core.errors import Problem


@dataclass(frozen=True, slots=True)
class Wire:
    """How one condition is answered. A code of "" means: this side never sends it, its parent's row is used."""

    status: int
    oci: str
    arm: str


TABLE: Mapping[type[Problem], Wire] = {
    errors.NameInvalid: Wire(400, "NAME_INVALID", "InvalidParameter"),
    errors.RequestInvalid: Wire(400, "UNSUPPORTED", "InvalidRequestContent"),
    errors.RequestTooLarge: Wire(413, "SIZE_INVALID", "RequestEntityTooLarge"),
    errors.RequestTimedOut: Wire(408, "UNSUPPORTED", "RequestTimeout"),
    errors.RouteUnknown: Wire(404, "NAME_UNKNOWN", "InvalidResourceType"),
    errors.MethodNotAllowed: Wire(405, "UNSUPPORTED", "HttpMethodNotSupported"),
    errors.NotImplementedHere: Wire(400, "UNSUPPORTED", "FeatureNotSupported"),
    errors.RepositoryUnknown: Wire(404, "NAME_UNKNOWN", "ResourceNotFound"),
    errors.ManifestUnknown: Wire(404, "MANIFEST_UNKNOWN", "ResourceNotFound"),
    errors.TagUnknown: Wire(404, "TAG_UNKNOWN", "ResourceNotFound"),
    errors.ManifestInvalid: Wire(400, "MANIFEST_INVALID", "BadRequest"),
    errors.ManifestTooLarge: Wire(413, "MANIFEST_INVALID", "RequestEntityTooLarge"),
    errors.ManifestBlobUnknown: Wire(400, "MANIFEST_BLOB_UNKNOWN", "BadRequest"),
    errors.BlobUnknown: Wire(404, "BLOB_UNKNOWN", "ResourceNotFound"),
    errors.DigestInvalid: Wire(400, "DIGEST_INVALID", "InvalidParameter"),
    errors.DigestMismatch: Wire(400, "DIGEST_INVALID", "BadRequest"),
    errors.SizeMismatch: Wire(400, "SIZE_INVALID", "BadRequest"),
    errors.UploadUnknown: Wire(404, "BLOB_UPLOAD_UNKNOWN", "ResourceNotFound"),
    errors.UploadInvalid: Wire(400, "BLOB_UPLOAD_INVALID", "BadRequest"),
    errors.RangeNotSatisfiable: Wire(416, "BLOB_UPLOAD_INVALID", "InvalidRange"),
    errors.Unsupported: Wire(405, "UNSUPPORTED", "BadRequest"),
    errors.Locked: Wire(405, "REGISTRY_DISALLOWED_OPERATION", "Conflict"),
    errors.QuotaExceeded: Wire(405, "REGISTRY_DISALLOWED_OPERATION", "QuotaExceeded"),
    errors.Throttled: Wire(429, "TOOMANYREQUESTS", "TooManyRequests"),
    errors.Unauthenticated: Wire(401, "UNAUTHORIZED", "AuthenticationFailed"),
    errors.AccessDenied: Wire(401, "UNAUTHORIZED", "AuthorizationFailed"),
    errors.NetworkDenied: Wire(403, "DENIED", "AuthorizationFailed"),
    errors.ResourceUnknown: Wire(404, "NAME_UNKNOWN", "ResourceNotFound"),
    errors.Conflict: Wire(409, "UNSUPPORTED", "Conflict"),
    errors.PreconditionFailed: Wire(412, "UNSUPPORTED", "PreconditionFailed"),
    errors.Unavailable: Wire(503, "TOOMANYREQUESTS", "ServiceUnavailable"),
    errors.StorageFull: Wire(507, "SIZE_INVALID", "InsufficientStorage"),
    errors.ContentCorrupt: Wire(503, "BLOB_UNKNOWN", "ServiceUnavailable"),
}

ARM_STATUS: Mapping[type[Problem], int] = {errors.AccessDenied: 403, errors.QuotaExceeded: 403, errors.Locked: 409}
"""Where ARM's status differs from the login server's."""

UNAUTHORIZED_TEXT = "authentication required, visit https://aka.ms/acr/authorization for more information."
DISALLOWED_TEXT = (
    "The operation is disallowed on this registry, repository or image. View troubleshooting steps at "
    "https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation"
)
NOT_FOUND_PAGE = b"404 page not found\n"


def wire_of(problem: Problem) -> Wire:
    """The row of the condition's class, or of its nearest parent."""
    for cls in type(problem).__mro__:
        if cls in TABLE:
            return TABLE[cls]
    return Wire(500, "UNSUPPORTED", "InternalServerError")


# --- login server -----------------------------------------------------------------------------------------------


def oci_response(problem: Problem, request: Request) -> Response:
    """`{"errors":[{code,message,detail}]}` (distribution-spec, section Error Codes; ACR data plane)."""
    if isinstance(problem, errors.RouteUnknown):
        page = Response(404, NOT_FOUND_PAGE, content_type="text/plain; charset=utf-8")
        return _with_retry(problem, add_login_server_headers(page, request))
    wire = wire_of(problem)
    rows = [{"code": wire.oci, "message": message, "detail": detail} for message, detail in _oci_rows(problem)]
    response = json_response({"errors": rows}, wire.status)
    if wire.status == 401:
        response.header("www-authenticate", challenge(request, problem))
    if isinstance(problem, errors.MethodNotAllowed):
        response.header("allow", ", ".join(problem.allowed))
    if isinstance(problem, errors.RangeNotSatisfiable):
        response.header("range", f"0-{max(problem.size - 1, 0)}").header("content-range", f"bytes */{problem.size}")
    return _with_retry(problem, add_login_server_headers(response, request))


def _oci_rows(problem: Problem) -> Sequence[tuple[str, Any]]:
    if isinstance(problem, errors.ManifestBlobUnknown):
        text = "manifest references content that is not in this repository: push it first"
        return [(text, {"digest": digest}) for digest in problem.digests]
    if isinstance(problem, errors.Unauthenticated | errors.AccessDenied):
        missing = problem.missing if isinstance(problem, errors.AccessDenied) else ()
        detail = [{"Type": type_, "Name": name, "Action": action} for type_, name, action in missing]
        return [(UNAUTHORIZED_TEXT, detail or None)]
    if isinstance(problem, errors.Locked | errors.QuotaExceeded):
        return [(DISALLOWED_TEXT, {"reason": problem.message})]
    if isinstance(problem, errors.ManifestUnknown):
        return [("manifest unknown", {"reference": problem.reference})]
    if isinstance(problem, errors.RepositoryUnknown):
        return [("repository name not known to registry", {"name": problem.name})]
    return [(problem.message, {})]


def challenge(request: Request, problem: Problem | None = None) -> str:
    """The Bearer challenge, without a blank after any comma: `az` splits on blanks."""
    facts = request.scope["darsena.facts"]
    parts = [f'realm="{request.scheme}://{facts.login_server}/oauth2/token"', f'service="{facts.login_server}"']
    scope = request.scope.get("darsena.challenge_scope")
    if scope:
        parts.append(f'scope="{scope}"')
    if scope and request.header("authorization").lower().startswith("bearer "):
        parts.append('error="invalid_token"')
    return "Bearer " + ",".join(parts)


_EXPOSED = ("Docker-Content-Digest", "WWW-Authenticate", "Link", "X-Ms-Correlation-Request-Id")
LOGIN_SERVER_HEADERS: list[tuple[bytes, bytes]] = [
    (b"docker-distribution-api-version", b"registry/2.0"),
    *((b"access-control-expose-headers", name.encode()) for name in _EXPOSED),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
]


def add_login_server_headers(response: Response, request: Request) -> Response:
    """The headers that every answer of a login server has (ACR data plane, section 3)."""
    response.headers += LOGIN_SERVER_HEADERS
    return response.header("x-ms-correlation-request-id", request.correlation_id)


# --- ARM --------------------------------------------------------------------------------------------------------


def arm_response(problem: Problem, request: Request | None = None) -> Response:
    """`{"error":{code,message,target?,details[],additionalInfo[]}}`."""
    wire = wire_of(problem)
    code = getattr(problem, "code", None) or wire.arm
    body: dict[str, Any] = {"code": code, "message": problem.message}
    if target := getattr(problem, "target", None):
        body["target"] = target
    whole: dict[str, Any] = {"error": body}
    if isinstance(problem, errors.ChildUnknown):
        whole["status"] = "Failed"  # as the registry provider has it
    status = next((ARM_STATUS[cls] for cls in type(problem).__mro__ if cls in ARM_STATUS), wire.status)
    response = json_response(whole, status)
    if isinstance(problem, errors.MethodNotAllowed):
        response.header("allow", ", ".join(problem.allowed))
    if request is not None:
        response.header("x-ms-request-id", request.correlation_id)
    return _with_retry(problem, response)


# --- blob host --------------------------------------------------------------------------------------------------

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """Escaped; what no XML may hold (XML 1.0, section 2.2) becomes a question mark."""
    return escape(_NOT_IN_XML.sub("?", text))


def plain_response(problem: Problem, request: Request) -> Response:
    """Azure Storage's XML error, for what the blob edge does not render itself."""
    wire = wire_of(problem)
    code = getattr(problem, "code", None) or wire.arm
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{xml_text(code)}</Code>'
        f"<Message>{xml_text(problem.message)}</Message></Error>"
    )
    response = Response(wire.status, text.encode(), content_type="application/xml")
    response.header("x-ms-error-code", code).header("x-ms-request-id", request.correlation_id)
    return _with_retry(problem, response)


# --- all --------------------------------------------------------------------------------------------------------


def internal_error(request: Request) -> Response:
    """A defect of ours: the request's id and nothing of what happened inside."""
    text = f"an internal error; the server's log tells more under {request.correlation_id}"
    body = {
        "error": {"code": "InternalServerError", "message": text},
        "errors": [{"code": "UNSUPPORTED", "message": text}],
    }
    return json_response(body, 500).header("x-ms-correlation-request-id", request.correlation_id)


def _with_retry(problem: Problem, response: Response) -> Response:
    retry = getattr(problem, "retry_after_s", None)
    return response if retry is None else response.header("retry-after", str(retry))
