"""Why a sign-in was refused, in words that the directory's answers are made from."""

from __future__ import annotations

from typing import Literal

from darsena.core.errors import Unauthenticated

Reason = Literal[
    "client_unknown",
    "client_secret_missing",
    "client_secret_wrong",
    "assertion_malformed",
    "assertion_key_unknown",
    "assertion_signature",
    "assertion_audience",
    "assertion_time",
    "password_wrong",
    "grant_invalid",
    "grant_expired",
    "grant_revoked",
    "code_used",
    "redirect_mismatch",
    "verifier_wrong",
    "pending",
    "slow_down",
    "declined",
    "device_code_expired",
    "device_code_unknown",
]


class SignInRefused(Unauthenticated):
    """Nothing in the message helps to guess: an unknown name reads like a wrong password."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
