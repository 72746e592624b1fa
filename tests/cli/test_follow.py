"""Following a log over everything that can happen to the connection, with time in the test's hands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.fake_server import FakeServer, successful_run
from darsena.client.arm import Arm
from darsena.client.directory import Directory
from darsena.client.errors import CallRefused, Unreachable
from darsena.client.follow import LogFollower
from darsena.client.http import Http
from darsena.client.profile import find_owner
from darsena.client.resources import Resources
from darsena.client.runs import Runs


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def http(server: FakeServer, tmp_path: Path, time: Time) -> Iterator[Http]:
    http = Http(find_owner(tmp_path / "data").profile, sleep=time.sleep)
    yield http
    http.close()


@pytest.fixture
def runs(server: FakeServer, tmp_path: Path, http: Http, time: Time) -> Runs:
    profile = find_owner(tmp_path / "data").profile
    arm = Arm(http, Directory(http, profile), sleep=time.sleep, clock=time.clock)
    return Runs(arm, http, Resources(arm).find_registry("contoso"))


def follow(runs: Runs, time: Time, lost: list[str]) -> tuple[list[str], str]:
    runs.schedule({})
    follower = LogFollower(runs, "ca1", lost=lost.append, sleep=time.sleep, clock=time.clock)
    return list(follower.lines()), follower.word


WHOLE = [
    "2026/01/01 00:00:01 Downloading source code...",
    "STEP 1/2: FROM mcr.local/base:1",
    "STEP 2/2: COPY . .",
    "--> Using cache 0123456789ab",
    "half a line ñ",
]


def test_lines_are_whole_and_all(server: FakeServer, runs: Runs, time: Time) -> None:
    lines, word = follow(runs, time, [])
    assert lines[:5] == WHOLE
    assert lines[-1] == "Run ID: ca1 was successful after 12s"
    assert word == "successful"


def test_a_last_line_without_an_end_is_not_lost(server: FakeServer, runs: Runs, time: Time) -> None:
    server.state.next_run = lambda: successful_run(chunks=[b"a\nb\r\n", b"", b"tail"])
    assert follow(runs, time, [])[0] == ["a", "b", "tail"]


def test_a_log_that_is_not_there_yet_is_waited_for(server: FakeServer, runs: Runs, time: Time) -> None:
    run = successful_run()
    run.looks_before_start = 5
    server.state.next_run = lambda: run
    assert follow(runs, time, [])[0][:5] == WHOLE
    assert 1 < time.now < 5


def test_an_expired_link_is_asked_for_anew(server: FakeServer, runs: Runs, time: Time) -> None:
    server.state.failures = [("GET /container/logs", 403)]
    assert follow(runs, time, [])[0][:5] == WHOLE
    assert sum("listLogSasUrl" in path for _, _, path in server.state.requests) == 2


def test_a_server_that_comes_back_goes_on_where_it_was(server: FakeServer, runs: Runs, time: Time) -> None:
    server.state.failures = [("GET /container/logs", 0)] * 9 + [("HEAD /container/logs", 503)] * 5
    lost: list[str] = []
    assert follow(runs, time, lost)[0][:5] == WHOLE
    assert len(lost) == 2


def test_a_server_that_stays_away_ends_it(server: FakeServer, runs: Runs, time: Time) -> None:
    server.state.failures = [("HEAD /container/logs", 0)] * 2000
    with pytest.raises(Unreachable):
        follow(runs, time, [])
    assert time.now > 120


def test_a_lost_right_ends_it(server: FakeServer, runs: Runs, time: Time) -> None:
    server.state.failures = [("HEAD /container/logs", 403)] * 2
    with pytest.raises(CallRefused):
        follow(runs, time, [])


def test_a_link_to_another_host_gets_no_token(server: FakeServer, http: Http, tmp_path: Path, time: Time) -> None:
    profile = find_owner(tmp_path / "data").profile
    arm = Arm(http, Directory(http, profile), sleep=time.sleep, clock=time.clock)
    with pytest.raises(Exception, match="another place"):
        arm._follow("https://localhost:1/subscriptions")  # pyright: ignore[reportPrivateUsage]


def test_a_post_is_not_sent_twice(server: FakeServer, runs: Runs, time: Time) -> None:
    server.state.failures = [("POST .*scheduleRun", 0)]
    with pytest.raises(Unreachable):
        runs.schedule({})
    assert server.state.scheduled == []
    assert sum("scheduleRun" in path for _, _, path in server.state.requests) == 1


def test_a_busy_server_is_asked_again_after_what_it_says(server: FakeServer, runs: Runs, time: Time) -> None:
    server.state.failures = [("POST .*scheduleRun", 429), ("POST .*scheduleRun", 503)]
    assert runs.schedule({})["name"] == "ca1"
