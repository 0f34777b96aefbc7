"""A stranger's code is called in a copy of this process, and only records of the registry come back."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.registry import apart
from harness.registry.apart import Unanswered, read_apart
from harness.registry.declaration import Variant


def test_records_come_back_as_they_were() -> None:
    """A declaration is the same on this side."""
    sent = [Variant("a", {"x": 1.5}), Path("/somewhere"), {"names": ("b", None, True)}]
    assert read_apart(lambda: sent) == sent


def test_it_is_another_process() -> None:
    """What is changed there is not changed here."""
    assert read_apart(os.getpid) != os.getpid()


class Own:
    """A class that is not the registry's."""


@pytest.mark.parametrize("answer", [Own(), Own, os.system, time.sleep])
def test_nothing_else_is_accepted(answer: object) -> None:
    """Reading another's class or function could run its code here."""
    with pytest.raises(Unanswered, match="use the classes of `harness`"):
        read_apart(lambda: answer)


def test_a_large_answer_is_whole() -> None:
    """More than a pipe holds at once."""
    assert len(read_apart(lambda: "x" * 10**6)) == 10**6


def test_one_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time it is killed, and that is the reason."""
    monkeypatch.setattr(apart, "LIMIT_S", 0.3)
    began = time.monotonic()
    with pytest.raises(Unanswered, match="did not end within"):
        read_apart(lambda: time.sleep(60))
    assert time.monotonic() - began < 10
