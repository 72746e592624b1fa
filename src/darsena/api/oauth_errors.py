"""How the directory refuses: OAuth's error (RFC 6749, section 5.2) with the members that Microsoft Entra adds to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from darsena.api.http import Request, Response, json_response
from darsena.core.clock import Clock
from darsena.core.errors import Problem, RequestTooLarge, Throttled, Unauthenticated
from darsena.identity.refusals import Reason, SignInRefused

NO_STORE: Final = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"), (b"x-content-type-options", b"nosniff"))
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")


class OAuthError(msgspec.Struct, frozen=True, kw_only=True):
    error: str
    error_description: str
    error_codes: list[int]
    timestamp: str
    trace_id: str
    correlation_id: str


class Refusal(Exception):
    """`code` is Entra's number, which `error_description` begins with as AADSTS."""

    def __init__(self, error: str, description: str, *, code: int, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.code = code
        self.status = status
        self.retry_after_s: int | None = None


INVALID_REQUEST: Final = 9002013
WRONG_CLIENT: Final = "the client id or the client secret is wrong, expired or disabled"
WRONG_PASSWORD: Final = "the user name or password is wrong, or the account is disabled"  # noqa: S105

REASONS: Final[Mapping[Reason, tuple[str, int, int]]] = {
    "client_unknown": ("invalid_client", 700016, 401),
    "client_secret_missing": ("invalid_client", 7000218, 401),
    "client_secret_wrong": ("invalid_client", 7000215, 401),
    "assertion_malformed": ("invalid_client", 50027, 401),
    "assertion_key_unknown": ("invalid_client", 700027, 401),
    "assertion_signature": ("invalid_client", 700027, 401),
    "assertion_audience": ("invalid_client", 700023, 401),
    "assertion_time": ("invalid_client", 700024, 401),
    "password_wrong": ("invalid_grant", 50126, 400),
    "grant_invalid": ("invalid_grant", 70000, 400),
    "grant_expired": ("invalid_grant", 700082, 400),
    "grant_revoked": ("invalid_grant", 50173, 400),
    "code_used": ("invalid_grant", 54005, 400),
    "redirect_mismatch": ("invalid_grant", 500112, 400),
    "verifier_wrong": ("invalid_grant", 501481, 400),
    "pending": ("authorization_pending", 70016, 400),
    "slow_down": ("slow_down", 70016, 400),
    "declined": ("authorization_declined", 65004, 400),
    "device_code_expired": ("expired_token", 70020, 400),
    "device_code_unknown": ("bad_verification_code", 70018, 400),
}
"""error, Entra's number, status."""


def to_refusal(problem: Problem) -> Refusal:
    """What the domain says, as OAuth says it."""
    if isinstance(problem, SignInRefused):
        error, code, status = REASONS[problem.reason]
        return Refusal(error, problem.message, code=code, status=status)
    if isinstance(problem, Unauthenticated):
        return Refusal("invalid_client", WRONG_CLIENT, code=7000215, status=401)
    if isinstance(problem, Throttled):
        refusal = Refusal("temporarily_unavailable", problem.message, code=50053, status=429)
        refusal.retry_after_s = problem.retry_after_s
        return refusal
    status = 413 if isinstance(problem, RequestTooLarge) else 400
    return Refusal("invalid_request", problem.message, code=INVALID_REQUEST, status=status)


def render(refusal: Refusal, request: Request, clock: Clock) -> Response:
    timestamp = datetime.fromtimestamp(clock.now_us() / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    correlation = request.header("client-request-id")
    correlation = correlation.lower() if _GUID.match(correlation) else request.correlation_id
    description = (
        f"AADSTS{refusal.code}: {refusal.description}. Trace ID: {request.correlation_id} "
        f"Correlation ID: {correlation} Timestamp: {timestamp}"
    )
    body = OAuthError(
        error=refusal.error,
        error_description=description,
        error_codes=[refusal.code],
        timestamp=timestamp,
        trace_id=request.correlation_id,
        correlation_id=correlation,
    )
    response = json_response(body, refusal.status, NO_STORE)
    response.header("x-ms-request-id", request.correlation_id).header("client-request-id", correlation)
    if refusal.status == 401:
        response.header("www-authenticate", 'Basic realm="directory"')
    if refusal.retry_after_s is not None:
        response.header("retry-after", str(refusal.retry_after_s))
    return response
