"""What a curation remembers between two calls."""

from __future__ import annotations

from pathlib import Path

from curation.work import Answer, Outcome, Spent, Work, key_of


def test_a_key_depends_on_everything_and_on_no_order() -> None:
    """Other parts, another key; the same parts in another order, the same key."""
    assert key_of(step="split", text="a") == key_of(text="a", step="split")
    assert len({key_of(step="split", text="a"), key_of(step="split", text="b"), key_of(step="split")}) == 3


def test_an_outcome_is_there_after_the_file_was_closed(tmp_path: Path) -> None:
    """A killed run finds what it had done."""
    with Work(tmp_path / "work.db") as work:
        work.keep("k", "split", "report 1", Outcome({"id": "1"}))
    with Work(tmp_path / "work.db") as work:
        assert work.find("k") == Outcome({"id": "1"})
        assert work.find("other") is None


def test_what_was_set_aside_can_be_tried_again(tmp_path: Path) -> None:
    """Only items without a record are forgotten."""
    with Work(tmp_path / "work.db") as work:
        work.keep_many("split", {"good": ("1", Outcome({"id": "1"})), "bad": ("2", Outcome(None, "too long"))})
        assert work.forget_set_aside() == 1
        assert work.find("bad") is None
        assert work.find("good") is not None


def test_every_answer_is_paid_for(tmp_path: Path) -> None:
    """A wrong answer costs as much as a right one, and both are kept in their order."""
    with Work(tmp_path / "work.db") as work:
        work.keep_answer("k", 0, "m", Answer("first", ["wrong"], 10, 5, 0.25))
        work.keep_answer("k", 1, "m", Answer("second", [], 20, 5, 0.5))
        assert [answer.raw for answer in work.answers("k")] == ["first", "second"]
        assert work.spent() == Spent(2, 30, 10, 0.75)


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """It holds reports and raw answers: a new file, one of an earlier version, and SQLite's log beside it."""
    path = tmp_path / "work.db"
    for _ in range(2):
        with Work(path) as work:
            work.keep("k", "split", "report 1", Outcome({"id": "1"}))
            modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
        assert set(modes.values()) == {0o600}
        assert "work.db-wal" in modes
        path.chmod(0o644)
