"""What a pull request shows: a stranger's text is shown and not obeyed, and its size is bounded."""

from __future__ import annotations

import re

from harness.submissions.report import escaped, markdown_of
from harness.submissions.verify import SubmissionCheck

HOSTILE = (
    "![x](https://evil.example/a.png) <img src=x> @everyone #1 | `rm` | [a]: b\n\n# Heading \x1b[31m \u202e *b* ```"
)


def test_a_text_cannot_leave_its_cell() -> None:
    """No link, image, mention, table or markup is left, and no second line."""
    told = re.sub(r"&#\d+;", "", escaped(HOSTILE))
    assert not re.search(r"[\\`*_{}\[\]()#!|<>&@~:\n\x1b\u202e]", told)


def test_the_report_is_bounded() -> None:
    """Whatever is found, a comment can hold it."""
    checks = [SubmissionCheck("reads", "FAIL", HOSTILE * 1000, HOSTILE * 1000)] * 1000
    assert len(markdown_of(checks, None)) < 31_000
