"""What of a request may stand in a log."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from darsena.local.logs import mask


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"path": "/v2/team/app/manifests/v1"}, {"path": "/v2/team/app/manifests/v1"}),
        ({"path": "/v2/\u00c3\u00a9"}, {"path": "/v2/\u00c3\u00a9"}),
        ({"path": "/\u009b2J\u202e"}, {"path": r"/\u009b2J\u202e"}),
        ({"why": "\x1b[31mred\x07"}, {"why": r"\u001b[31mred\u0007"}),
        ({"exception": "one\n\ttwo"}, {"exception": "one\n\ttwo"}),
        ({"client_secret": "x", "refresh_token": "y"}, {"client_secret": "***", "refresh_token": "***"}),
        ({"url": "https://a/b?sig=abc&se=1"}, {"url": "https://a/b?sig=***&se=1"}),
        ({"why": "Bearer abc.def"}, {"why": "Bearer ***"}),
        ({"why": "it was eyJhbGci.eyJzdWIi.c2ln\u009b"}, {"why": r"it was ***\u009b"}),
    ],
)
def test_what_is_shown(given: dict[str, Any], shown: dict[str, Any]) -> None:
    assert mask(None, "info", dict(given)) == shown


def test_a_terminal_obeys_nothing_of_a_request() -> None:
    line = structlog.dev.ConsoleRenderer(colors=False)(
        None, "info", mask(None, "info", {"event": "x", "path": "/\x9bA"})
    )
    assert line.isprintable()
