"""What annotators answer is one of two things, however it is spaced and capitalised."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.annotation.answers import answer_of, read_answers
from curation.annotation.tasks import Task, TaskFinding
from harness.errors import DataError


def test_words() -> None:
    """Two answers, and nothing else."""
    assert answer_of(" Not  Visible ") == "not visible"
    assert answer_of("not localizable") == "not localizable"
    assert answer_of("no") is None


def test_tables(tmp_path: Path) -> None:
    """No file says nothing; one of other columns is refused; numbers may have changed, texts may not."""
    task = Task(id="s", findings=(TaskFinding(id="2-0123abcd", text="Nodule", category="2d"),))
    assert read_answers(tmp_path, task) == ({}, [])
    (tmp_path / "s").mkdir()
    path = tmp_path / "s/answers.csv"
    path.write_text("finding,text,answer\n5-0123abcd,Nodule,Not visible\n2-ffffffff,Cyst,not visible\n1-a,Cyst,\n")
    answers, others = read_answers(tmp_path, task)
    assert answers == {"2-0123abcd": "Not visible"}
    assert [name for name, _ in others] == ["answers.csv: 2-ffffffff"]
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError):
        read_answers(tmp_path, task)
