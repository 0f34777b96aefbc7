"""What annotators answer instead of drawing: that a finding is not visible on the CT, or cannot be localized."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from curation.annotation.tasks import ANSWERS, Task
from curation.reports import decode, delimiter_of
from harness.errors import DataError

Answer = Literal["not visible", "not localizable"]
#: Answer -> what it says of the finding.
WORDS: Final[Mapping[Answer, str]] = {
    "not visible": "it is not to be seen on the CT",
    "not localizable": "it has no place that could be drawn",
}


def answer_of(text: str) -> Answer | None:
    """Return the answer that a text is, and None where it is none."""
    plain = " ".join(text.lower().split())
    return next((word for word in WORDS if word == plain), None)


def read_answers(source: Path, task: Task) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Read ``<scan>/answers.csv``, in which annotators fill in the column ``answer``.

    Returns
    -------
    tuple
        Finding -> its answer, which may be none of :data:`WORDS`; and name and reason of each answer that was given to
        a text which is not in the task.

    Raises
    ------
    DataError
        The file is not such a table.
    """
    path = source / task.id / ANSWERS
    if not path.is_file():
        return {}, []
    text, _ = decode(path)
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter_of(text)))
    if any("finding" not in row or "answer" not in row for row in rows):
        raise DataError(f"{path} lacks the column finding or answer", fix="fill in the file of the export")
    by_mark = {finding.mark: finding.id for finding in task.findings}
    answers: dict[str, str] = {}
    others = []
    for row in rows:
        answer = (row["answer"] or "").strip()
        finding = by_mark.get((row["finding"] or "").strip().partition("-")[2])
        if answer and finding is None:
            others.append(
                (f"{ANSWERS}: {row['finding']}", f"{answer!r} was answered of a text that is not in this task")
            )
        elif answer and finding is not None:
            answers[finding] = answer
    return answers, others
