"""Secrets do not reach the log, in whatever pieces a tool writes them."""

from __future__ import annotations

import base64

import pytest

from darsena.agent.log import RunLog
from darsena.agent.masking import Masker
from darsena.agent.protocol import RunOrder
from darsena.testing import FakeClock

SECRET = "s3cr3t value/with+signs"


class Kept(RunLog):
    """Keeps what would be sent."""

    def __init__(self, *secrets: str) -> None:
        self.kept = b""
        order: RunOrder = None  # pyright: ignore
        super().__init__(None, order, Masker(secrets), FakeClock())  # pyright: ignore

    def _put(self, data: bytes) -> None:
        self.kept += data


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 1000])
async def test_across_pieces(size: int) -> None:
    log = Kept(SECRET, "line one\nline two-long")
    encoded = base64.b64encode(SECRET.encode()).decode()
    text = f"a {SECRET} b\nurl s3cr3t%20value%2Fwith%2Bsigns\n{encoded}\nline one x\nline two-long\n'{SECRET}'\nend"
    output = log.output()
    for start in range(0, len(text), size):
        output(text.encode()[start : start + size])
        output.flush_stale(float("inf"))
    output.close()
    said = log.kept.decode().replace("\r\n", "\n")
    assert "s3cr3t" not in said
    assert encoded not in said
    assert said.startswith("a *** b\nurl ***\n***\n*** x\n***\n")
    assert said.endswith("end\n")


async def test_lines_end_with_crlf_and_a_long_line_is_sent_in_parts() -> None:
    log = Kept()
    output = log.output()
    output(b"one\r\ntwo\nthr")
    assert log.kept == b"one\r\ntwo\r\n"
    output(b"ee\n" + b"x" * 70_000)
    assert len(log.kept) > 65_536
    output.close()
    assert log.kept.endswith(b"x\r\n")


async def test_the_limit_leaves_room_for_the_trailer() -> None:
    log = Kept()
    log._size = 64 * 1024 * 1024 - 70_000
    output = log.output()
    output(b"y" * 10_000 + b"\n")
    output(b"z\n")
    log.trailer("Run ID: ca1 was successful after 5s")
    assert b"reached its limit" in log.kept
    assert b"z" not in log.kept
    assert log.kept.endswith(b"successful after 5s\r\n")


def test_short_secrets_are_masked_as_words() -> None:
    masker = Masker(["abc"])
    assert masker.mask(b"abc xabc abc.") == b"*** xabc ***."
