"""Progress: lines where a bar cannot move, and an estimate that does not take the start of a model for its pace."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.cli import watch
from harness.cli.watch import Bar, Lines, make_watcher
from harness.rows import CaseRow, RunRow


def _run(cases: int) -> RunRow:
    return cast("RunRow", SimpleNamespace(id="rules-zero-shot-0123456789", n_cases=cases, n_findings=2 * cases))


def test_the_first_case_gives_no_estimate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It waited for the container and the model; from the second on the pace of the cases counts."""
    clock = iter([600.0, 610.0])
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    lines = Lines()
    lines.begin(_run(4), done=0, kept=0)
    for number in (1, 2):
        lines.case(_run(4).id, CaseRow(f"case_{number}", number, "ok", seconds=10.0), number)
    first, second = capsys.readouterr().err.splitlines()[1:]
    assert "left" not in first
    assert second.endswith("20.00 s left")


@pytest.mark.parametrize(
    ("terminal", "name", "kind"), [(True, "xterm", Bar), (True, "dumb", Lines), (False, "xterm", Lines)]
)
def test_who_gets_a_bar(terminal: bool, name: str, kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot move its cursor gets lines, as a pipe does: progress is there in any case."""
    monkeypatch.setenv("TERM", name)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert isinstance(make_watcher(), kind)
