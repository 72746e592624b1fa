"""The exit codes of every command. They are stable: scripts may tell outcomes apart by them."""

from __future__ import annotations

from typing import Final

from darsena.client.errors import (
    Ambiguous,
    CallRefused,
    ClientProblem,
    NameUnknown,
    NotAllowed,
    NotFound,
    SignInFailed,
    Unreachable,
)
from darsena.core.errors import DigestInvalid, NameInvalid, Problem, RequestInvalid, StartFailure

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
NOT_ALLOWED: Final = 4
UNREACHABLE: Final = 5
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141

MEANINGS: Final[dict[int, str]] = {
    OK: "done",
    FAILED: "the operation failed: a run that did not succeed, a conflict, a refusal, a question answered with no",
    USAGE: "the command line is wrong: an unknown option, an invalid name, a confirmation that needs --yes; or the "
    "server or a local command cannot start: the folder is in use, a setting is wrong",
    NOT_FOUND: "what was named does not exist",
    NOT_ALLOWED: "not signed in, or without the right",
    UNREACHABLE: "the server does not answer, is not trusted, or cannot serve now",
    INTERRUPTED: "interrupted with Ctrl-C",
    PIPE_CLOSED: "whoever read the output stopped reading",
}


class UsageProblem(ClientProblem):
    """The command line asks for something that cannot be done as it stands."""


def exit_code(problem: Problem) -> int:
    if isinstance(problem, UsageProblem | Ambiguous | RequestInvalid | NameInvalid | DigestInvalid | StartFailure):
        return USAGE
    if isinstance(problem, NotFound | NameUnknown):
        return NOT_FOUND
    if isinstance(problem, NotAllowed | SignInFailed):
        return NOT_ALLOWED
    if isinstance(problem, Unreachable) or (isinstance(problem, CallRefused) and problem.status in (502, 503, 504)):
        return UNREACHABLE
    return FAILED
