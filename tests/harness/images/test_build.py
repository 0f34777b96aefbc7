"""A builder's output is kept up to a bound, its last lines in any case, and shown as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.images import build as images
from harness.images.build import BuildLog


def test_short_log_is_kept_whole(tmp_path: Path) -> None:
    """What is said below the bound is in the file as it was said."""
    log = BuildLog()
    with log.kept_in(tmp_path / "log"):
        for number in range(20):
            log.add(f"Step {number}\n")
    assert (tmp_path / "log").read_text() == "".join(f"Step {number}\n" for number in range(20))
    assert list(log.tail) == [f"Step {number}" for number in range(12, 20)]


def test_endless_log_is_bounded_and_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that prints without end fills no disk, and its last words are there."""
    monkeypatch.setattr(images, "MAX_BUILD_LOG", 10_000)
    log = BuildLog()
    with log.kept_in(tmp_path / "log"):
        for _ in range(1000):
            log.add("x" * 1000 + "\n")
        log.add("y" * 10**6)
        log.add("\x1b[2JError: the wheel is not there\n")
    kept = (tmp_path / "log").read_text()
    assert len(kept) < 14_000
    assert kept.startswith("x" * 1000)
    assert kept.endswith("[2JError: the wheel is not there\n")
    assert "more output was dropped" in kept
    assert all(line.isprintable() and len(line) <= 300 for line in log.tail)


def test_log_of_a_build_that_breaks_off_has_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception on the way costs nothing of the log."""
    monkeypatch.setattr(images, "MAX_BUILD_LOG", 10)
    log = BuildLog()

    def break_off() -> None:
        with log.kept_in(tmp_path / "log"):
            log.add("0123456789abc\nlast\n")
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        break_off()
    assert (tmp_path / "log").read_text().endswith("last\n")
