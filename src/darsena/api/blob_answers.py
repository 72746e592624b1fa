"""What the blob host's answers carry: a blob's properties, the headers of every answer, errors as XML."""

from __future__ import annotations

import re

from darsena.api.http import Request, Response
from darsena.api.problems import wire_of, xml_text
from darsena.core import errors
from darsena.core.clock import render_http_date
from darsena.core.errors import Problem
from darsena.tasks.blobs import BlobState
from darsena.tasks.errors import SourceClaimed

SERVICE_VERSION = "2023-11-03"
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_CLIENT_ID = re.compile(r"[!-~]{1,128}\Z", re.ASCII)

_AUTHENTICATION_FAILED = (
    "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly "
    "including the signature."
)

_CODES: dict[type[Problem], tuple[int, str]] = {
    SourceClaimed: (403, "AuthorizationPermissionMismatch"),
    errors.AccessDenied: (403, "AuthenticationFailed"),
    errors.ResourceUnknown: (404, "BlobNotFound"),
    errors.RequestInvalid: (400, "InvalidInput"),
    errors.RequestTooLarge: (413, "RequestBodyTooLarge"),
    errors.RangeNotSatisfiable: (416, "InvalidRange"),
    errors.UploadInvalid: (400, "InvalidBlockList"),
    errors.PreconditionFailed: (412, "ConditionNotMet"),
    errors.Conflict: (409, "BlobAlreadyExists"),
    errors.Throttled: (503, "ServerBusy"),
    errors.Unavailable: (503, "ServerBusy"),
    errors.ContentCorrupt: (503, "ServerBusy"),
    errors.StorageFull: (507, "InsufficientStorage"),
}


def error_response(problem: Problem, request: Request) -> Response:
    status, code = next(
        (_CODES[cls] for cls in type(problem).__mro__ if cls in _CODES), (wire_of(problem).status, "InternalError")
    )
    message = problem.message
    if code == "AuthenticationFailed":
        message = _AUTHENTICATION_FAILED
    if isinstance(problem, errors.RequestInvalid | errors.Conflict):
        code = problem.code or code
    response = _xml(status, code, message, request)
    if isinstance(problem, errors.AccessDenied) and code == "AuthenticationFailed":
        response = _xml(status, code, message, request, detail=problem.message)
    if isinstance(problem, errors.RangeNotSatisfiable):
        response.header("content-range", f"bytes */{problem.size}")
    retry = getattr(problem, "retry_after_s", None)
    return response if retry is None else response.header("retry-after", str(retry))


def blob_not_found(request: Request) -> Response:
    return _xml(404, "BlobNotFound", "The specified blob does not exist.", request)


def _xml(status: int, code: str, message: str, request: Request, *, detail: str = "") -> Response:
    more = f"<AuthenticationErrorDetail>{xml_text(detail)}</AuthenticationErrorDetail>" if detail else ""
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{xml_text(code)}</Code>'
        f"<Message>{xml_text(message)}\nRequestId:{request.correlation_id}</Message>{more}</Error>"
    )
    return Response(status, text.encode(), content_type="application/xml").header("x-ms-error-code", code)


def describe(state: BlobState) -> list[tuple[bytes, bytes]]:
    """A blob's properties. The tag of a log changes with every byte that is added."""
    is_log = state.run is not None
    etag = f'"0x{state.modified_us:X}"' if not is_log else f'"0x{state.created_us:X}{state.size:X}{state.word or ""}"'
    headers = [
        (b"content-type", b"text/plain; charset=utf-8" if is_log else b"application/octet-stream"),
        (b"accept-ranges", b"bytes"),
        (b"etag", etag.encode()),
        (b"last-modified", render_http_date(state.modified_us).encode()),
        (b"x-ms-creation-time", render_http_date(state.created_us).encode()),
        (b"x-ms-blob-type", b"AppendBlob" if is_log else b"BlockBlob"),
        (b"x-ms-lease-status", b"unlocked"),
        (b"x-ms-lease-state", b"available"),
        (b"x-ms-server-encrypted", b"true"),
        (b"content-disposition", b"attachment"),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    ]
    if state.word is not None:
        headers.append((b"x-ms-meta-complete", state.word.encode()))
    return headers


def add_common_headers(response: Response, request: Request) -> Response:
    """On every answer. The version that a client speaks is answered back, as the service does."""
    version = request.header("x-ms-version")
    response.header("x-ms-request-id", request.correlation_id)
    response.header("x-ms-version", version if _VERSION.match(version) else SERVICE_VERSION)
    client_id = request.header("x-ms-client-request-id")
    if _CLIENT_ID.match(client_id):
        response.header("x-ms-client-request-id", client_id)
    return response
