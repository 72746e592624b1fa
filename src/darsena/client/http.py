"""One HTTP client for all of a server's hosts: retries what is safe to retry, and turns every failure into words."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import httpx
import msgspec

from darsena import __version__
from darsena.client.errors import CallRefused, NotAllowed, NotFound, Unreachable
from darsena.client.profile import Profile
from darsena.client.shapes import Object, as_object, as_objects
from darsena.client.transport import make_tls, make_transport
from darsena.core.ids import new_guid

ATTEMPTS = 4
_SAFE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
"""Methods that may be sent twice; a POST is repeated only if it never reached the server."""

_BUSY = frozenset({429, 502, 503, 504})
_REFUSED_UNTOUCHED = frozenset({429, 503})
"""Answers after which even a POST may be sent again: nothing was done."""

_TIMEOUTS = httpx.Timeout(60.0, connect=5.0)
_UPLOAD_TIMEOUTS = httpx.Timeout(300.0, connect=5.0)
"""The server writes a body to disk durably before it answers."""


class Http:
    """`sleep` is called with seconds between two attempts; `retrying` hears of each further attempt and why."""

    def __init__(
        self,
        profile: Profile,
        *,
        sleep: Callable[[float], None] = time.sleep,
        retrying: Callable[[int, str], None] = lambda attempt, why: None,
    ) -> None:
        self._profile = profile
        self._sleep = sleep
        self._retrying = retrying
        transport = make_transport(profile)
        self._client = httpx.Client(
            transport=transport,
            verify=make_tls(profile) if transport is None else True,
            timeout=_TIMEOUTS,
            follow_redirects=False,
            headers={"User-Agent": f"darsena/{__version__}"},
        )

    def close(self) -> None:
        self._client.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object | None = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        expect: frozenset[int] = frozenset(),
    ) -> httpx.Response:
        """A 2xx answer, or one with a status of `expect`. Raise CallRefused for any other, Unreachable for none.

        The body must be small: it is sent again when an attempt fails. Larger ones go through `stream`.
        """
        sent = dict(headers or {})
        if json is not None:
            content = msgspec.json.encode(json)
            sent["Content-Type"] = "application/json"

        def call() -> httpx.Response:
            return self._client.request(method, url, headers=self._named(sent), content=content, data=form)

        return self._attempt(method, url, call, expect)

    def upload(
        self, url: str, headers: Mapping[str, str], body: Callable[[], Iterable[bytes]], size: int
    ) -> httpx.Response:
        """PUT a body of `size` bytes that `body()` opens anew for each attempt."""

        def call() -> httpx.Response:
            sent = {**self._named(headers), "Content-Length": str(size)}
            return self._client.request("PUT", url, headers=sent, content=body(), timeout=_UPLOAD_TIMEOUTS)

        return self._attempt("PUT", url, call, frozenset())

    def stream_lines(self, method: str, url: str, *, headers: Mapping[str, str], json: object) -> Iterator[str]:
        """The lines of a long answer as they come. Not repeated. Raise as `send` does."""
        sent = {**self._named(headers), "Content-Type": "application/json"}
        content = msgspec.json.encode(json)
        try:
            with self._client.stream(method, url, headers=sent, content=content) as response:
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                yield from response.iter_lines()
        except (httpx.TransportError, ssl.SSLError) as error:
            raise self._unreachable(url, error) from error

    def _attempt(
        self, method: str, url: str, call: Callable[[], httpx.Response], expect: frozenset[int]
    ) -> httpx.Response:
        attempt = 1
        while True:
            wait_s = min(0.5 * 2 ** (attempt - 1), 5.0)
            try:
                response = call()
            except (httpx.TransportError, ssl.SSLError) as error:
                if attempt >= ATTEMPTS or not _may_repeat(method, error):
                    raise self._unreachable(url, error) from error
                why = _words(error)
            else:
                if response.is_success or response.status_code in expect:
                    return response
                repeatable = _BUSY if method in _SAFE else _REFUSED_UNTOUCHED
                if attempt >= ATTEMPTS or response.status_code not in repeatable:
                    raise refusal(response)
                why = f"the server answered {response.status_code}"
                wait_s = _retry_after(response, wait_s)
            attempt += 1
            self._retrying(attempt, why)
            self._sleep(wait_s)

    @staticmethod
    def _named(headers: Mapping[str, str]) -> dict[str, str]:
        return {**headers, "x-ms-client-request-id": new_guid()}

    def _unreachable(self, url: str, error: Exception) -> Unreachable:
        host = httpx.URL(url).netloc.decode("ascii")
        text = _words(error)
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return Unreachable(
                f"the certificate of {host} is not trusted: {text}",
                hint="name the server's CA with `darsena login --ca-file FILE`; `darsena serve` prints where it is",
            )
        hint = "is `darsena serve` running there?" if self._profile.is_loopback else "check the address and the network"
        return Unreachable(f"{host} does not answer: {text}", hint=hint)


def _may_repeat(method: str, error: Exception) -> bool:
    if isinstance(error, httpx.ConnectTimeout):
        return True
    if isinstance(error, httpx.ConnectError):
        # A refused connection on loopback, or a wrong certificate, is as wrong a second later.
        return False
    return method in _SAFE and not isinstance(error, httpx.UnsupportedProtocol | httpx.ProxyError)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _retry_after(response: httpx.Response, otherwise: float) -> float:
    text = response.headers.get("retry-after", "")
    return min(float(text), 30.0) if text.isdigit() else otherwise


def request_id(response: httpx.Response) -> str:
    for name in ("x-ms-request-id", "x-ms-correlation-request-id"):
        value = response.headers.get(name)
        if value:
            return value
    return response.request.headers.get("x-ms-client-request-id", "")


def refusal(response: httpx.Response) -> CallRefused:
    """The error that the answer means, whichever of the three shapes (ARM, registry, directory) its body has."""
    code, message = _explained(response)
    status = response.status_code
    kind = NotFound if status == 404 else NotAllowed if status in (401, 403) else CallRefused
    if not message:
        request = response.request
        message = f"{request.method} {request.url.path} was answered with {status} {response.reason_phrase}"
    return kind(message, status=status, code=code, request_id=request_id(response), hint=_hint(status, code))


def _hint(status: int, code: str) -> str:
    if status == 403 or code in ("UNAUTHORIZED", "DENIED"):
        return "ask an owner of the registry for the right, or sign in as someone else with `darsena login`"
    if status == 401:
        return "sign in with `darsena login`"
    if status == 503:
        return "the server is busy or starting: try again"
    if status >= 500:
        return "give the request id to whoever runs the server: its log has the reason"
    return ""


def _explained(response: httpx.Response) -> tuple[str, str]:
    try:
        answer = as_object(msgspec.json.decode(response.content))
    except (msgspec.DecodeError, httpx.ResponseNotRead):
        return "", ""
    error: Any = answer.get("error")
    if isinstance(error, str):
        return error, str(answer.get("error_description") or error)
    explained = (as_objects(answer.get("errors")) or [as_object(error)])[0]
    return str(explained.get("code") or ""), str(explained.get("message") or "")


def read_object(response: httpx.Response) -> Object:
    """The body as a JSON object. Raise Unreachable when it is none: something else than the server answered."""
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Unreachable(
            f"{response.request.url.host} answered {response.status_code} with something that is no JSON object",
            hint="is there a proxy in between?",
            request_id=request_id(response),
        ) from error
