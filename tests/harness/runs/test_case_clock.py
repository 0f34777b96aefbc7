"""Each limit of time holds for its own stretch of a container's life, and a container's own time plays no part."""

from __future__ import annotations

import time

import pytest

from harness.registry.resources import Resources
from harness.runs.case_clock import CaseClock


class Told:
    """A clock and the moment that it shows, in seconds from the request for the container."""

    def __init__(self) -> None:
        self.clock = CaseClock(Resources(start_minutes=1, case_minutes=0.5))
        self.began = time.monotonic()

    def at(self, seconds: float) -> float:
        return self.began + seconds


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Stop the time, then make a clock."""
    monkeypatch.setattr(time, "monotonic", lambda: 500.0)
    return Told()


def test_without_a_sign_the_limits_of_one_case_hold(told: Told) -> None:
    """A program that writes no events may take what a start and one case may take, however many it has."""
    assert told.clock.late(told.at(90), 2) == ""
    assert told.clock.late(told.at(90.1), 2) == "the container reported nothing and did not end within 90 s"


def test_loading_is_timed_from_the_first_sign(told: Told) -> None:
    """However long it took to come, and whatever signs follow."""
    told.clock.start(told.at(50))
    told.clock.start(told.at(70))
    assert told.clock.late(told.at(110), 2) == ""
    assert told.clock.late(told.at(110.1), 2) == "loading did not end within 60 s"
    assert told.clock.start_s == 50


def test_a_case_is_timed_from_the_end_of_the_last(told: Told) -> None:
    """Announcing a case neither stops nor sets its clock."""
    told.clock.start(told.at(1))
    told.clock.load(told.at(10))
    assert told.clock.late(told.at(40.1), 2) == "no case was begun within 30 s"
    told.clock.begin("a", told.at(39))
    assert told.clock.late(told.at(40.1), 2) == "case a did not end within 30 s"
    told.clock.end(told.at(40))
    told.clock.begin("b", told.at(69))
    assert told.clock.late(told.at(70), 1) == ""
    assert told.clock.late(told.at(70.1), 1) == "case b did not end within 30 s"


def test_phases_are_believed_within_the_life_of_the_container(told: Told) -> None:
    """All together cannot have been computed and waited for longer; each case's own are all taken or none."""
    told.clock.start(told.at(1))
    first = {"read_s": 2.0, "compute_s": 6.0, "write_s": 1.0, "wait_s": 3.0}
    assert told.clock.phases(told.at(10), {**first, "seconds": 99.0}) == first
    assert told.clock.phases(told.at(12), {"compute_s": 4.0}) == {}
    assert told.clock.phases(told.at(12), {"compute_s": 2.5, "wait_s": None}) == {"compute_s": 2.5}
    assert told.clock.phases(told.at(20), {"compute_s": 1.0, "read_s": 20.5}) == {}
    assert told.clock.phases(told.at(20), {}) == {}


def test_after_the_last_case_there_is_half_a_minute(told: Told) -> None:
    """A container whose cases all have an outcome is to end."""
    told.clock.start(told.at(1))
    told.clock.end(told.at(5))
    assert told.clock.late(told.at(35), 0) == ""
    assert told.clock.late(told.at(35.1), 0) == "the container did not end after its last case within 30 s"


def test_a_case_without_loading_starts_the_clock_of_cases(told: Told) -> None:
    """A program need not say that it has loaded."""
    told.clock.start(told.at(1))
    told.clock.begin("a", told.at(50))
    assert told.clock.loaded
    assert told.clock.late(told.at(80), 2) == ""
    assert told.clock.late(told.at(80.1), 2) == "case a did not end within 30 s"
    assert told.clock.load_s is None


def test_a_claimed_time_plays_no_part(told: Told) -> None:
    """A case has taken what our clock saw go by, whatever the container says; so has loading."""
    told.clock.start(told.at(0))
    told.clock.load(told.at(10))
    assert told.clock.load_s == 10
    assert told.clock.done(told.at(20)) == 10
    told.clock.end(told.at(20))
    assert told.clock.done(told.at(20.01)) == pytest.approx(0.01)
    assert told.clock.first_case_s == 10
