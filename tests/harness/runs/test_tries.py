"""A mark outlives only a worker that is lost; it names the case that was in flight."""

from __future__ import annotations

from pathlib import Path

from harness.runs.tries import Mark, forget, lost_with


def test_a_mark_moves_with_the_case(tmp_path: Path) -> None:
    """One at a time, none in the end."""
    mark = Mark(tmp_path, "0")
    assert lost_with(tmp_path) == {}
    for case in ("a.1", "b", "b"):
        mark.move(case)
        assert lost_with(tmp_path) == {case: 1}
    mark.move(None)
    assert lost_with(tmp_path) == {}


def test_marks_of_lost_workers_add_up(tmp_path: Path) -> None:
    """Those of shards that run do not count, whichever worker carries them."""
    for name, case in (("0", "a"), ("0-1f", "a"), ("1", "a"), ("2", "b"), ("12", "b")):
        Mark(tmp_path, name).move(case)
    assert lost_with(tmp_path) == {"a": 3, "b": 2}
    assert lost_with(tmp_path, running={0, 2}) == {"a": 1, "b": 1}


def test_a_case_that_is_done_is_forgotten(tmp_path: Path) -> None:
    """And no other, whatever its name ends in."""
    for name, case in (("0", "a"), ("1", "a"), ("2", "b.a")):
        Mark(tmp_path, name).move(case)
    forget(tmp_path, "a")
    assert lost_with(tmp_path) == {"b.a": 1}
