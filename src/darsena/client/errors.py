"""What can go wrong between this client and a server. Each says what, why, what to do, and the request's id."""

from __future__ import annotations

from darsena.core.errors import Problem


class ClientProblem(Problem):
    """`hint` says what to do next; `request_id` finds the request in the server's log."""

    def __init__(self, message: str, *, hint: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.request_id = request_id


class CallRefused(ClientProblem):
    """The server answered with an error. `code` is its own word for it."""

    def __init__(self, message: str, *, status: int, code: str, hint: str = "", request_id: str = "") -> None:
        super().__init__(message, hint=hint, request_id=request_id)
        self.status = status
        self.code = code


class NotFound(CallRefused):
    """404: the thing that was named is not there."""


class NotAllowed(CallRefused):
    """401 or 403: no valid credential, or one without the right."""


class SignInFailed(ClientProblem):
    """There is no credential to sign in with, or the directory refused it."""


class Unreachable(ClientProblem):
    """No answer: not connected, not trusted, timed out, or the server says that it cannot serve now."""


class Ambiguous(ClientProblem):
    """A name matches several things."""


class NameUnknown(ClientProblem):
    """A name matches nothing; told by this client after looking, without the server's 404."""


class OperationFailed(ClientProblem):
    """A long operation, or a program that was called, ended badly."""
