"""A run's own file: what goes in comes out, by key and by case, and the same rows give the same bytes."""

from __future__ import annotations

from leaderboard.published.run_file import RUN_TABLES, RunFile, make_run_file, table_of_runs

ABOUT = {"schema": "8", "run": "run-01"}
CASES = [[name, "ok", "", 1.5, None, None, 1, None, None, None, None] for name in ("b", "a")]
TRAINING = [[step, 20, "{}", None] for step in (10, 2)]


def test_rows_come_back_in_the_order_of_their_key() -> None:
    """Numbers as numbers; of one case where it is asked for; a table that was not given is empty."""
    file = RunFile(make_run_file(ABOUT, {"cases": CASES, "training": TRAINING}))
    assert [tuple(row) for row in file.rows("cases")] == [tuple(row) for row in reversed(CASES)]
    assert [row["step"] for row in file.rows("training")] == [2, 10]
    assert [tuple(row) for row in file.rows("cases", ["status", "seconds"], "b")] == [("ok", 1.5)]
    assert list(file.rows("scores")) == []
    file.close()


def test_the_same_rows_give_the_same_bytes() -> None:
    """And others give others, also where only the facts about the file differ."""
    made = make_run_file(ABOUT, {"cases": CASES})
    assert made == make_run_file(ABOUT, {"cases": CASES})
    assert made != make_run_file({**ABOUT, "run": "run-02"}, {"cases": CASES})
    assert made != make_run_file(ABOUT, {"cases": CASES[:1]})


def test_tables_of_many_runs_know_findings_by_number() -> None:
    """Where a row is of a single finding; all others keep their key, after the run's."""
    for name, table in RUN_TABLES.items():
        numbered = '"number" integer' in table_of_runs(name)
        assert numbered == ("finding" in table.key)
        assert '"run" text' in table_of_runs(name)
