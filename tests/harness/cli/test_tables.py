"""How values are shown on a terminal and in a pipe."""

from __future__ import annotations

import io
import sys

import pytest
from rich.cells import cell_len

from harness.cli.tables import cell, counted, print_table, printable, seconds, size


def test_nothing_is_cut_in_a_pipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that reads the table gets whole names, whatever the width of the terminal was."""
    monkeypatch.setenv("COLUMNS", "40")
    name = "a-name-of-more-than-forty-letters-that-a-run-may-well-have"
    print_table(["run", "value"], [[name, 1.5]])
    assert name in capsys.readouterr().out


def test_markup_of_others_is_shown_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that looks like markup, or holds control characters, neither colours nor moves anything."""
    print_table(["name"], [["[red]x[/red]"], ["a\x1b[2Jb"]])
    shown = capsys.readouterr().out
    assert "[red]x[/red]" in shown
    assert "\x1b" not in shown
    assert printable("a\u202eb") == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ({"value": 0.5, "ci95": [0.25, 0.75], "n": 9}, "0.500 [0.250\N{EN DASH}0.750]"),
        ({"value": 0.5, "ci95": None, "n": 1}, "0.500"),
        ({"value": None, "ci95": None, "n": 0}, "—"),
        (None, "—"),
    ],
)
def test_a_metric_has_three_decimals_and_its_interval(metric: dict[str, object] | None, text: str) -> None:
    """What was not measured is a dash, never 0."""
    assert cell(metric) == text


def test_durations_and_sizes_have_their_units() -> None:
    """Seconds below a minute, megabytes below a gigabyte; a dash where nothing is known."""
    assert [seconds(value) for value in (None, 1.234, 125.0)] == ["—", "1.23 s", "2 min 5 s"]
    assert [size(value) for value in (None, 2e6, 2.5e9)] == ["—", "2 MB", "2.5 GB"]
    assert [counted(n, "case") for n in (0, 1, 2)] == ["0 cases", "1 case", "2 cases"]


class _Terminal(io.StringIO):
    """A terminal that keeps what it shows."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    """Return a terminal that is to show no colours."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    return _Terminal()


IDS = ["rules-zero-shot-0123456789", "a-" + "long-" * 20 + "name", "\u80ba\u7d50\u7bc0-\U0001fac1-0123456789"]


@pytest.mark.parametrize("columns", [200, 80, 40, 10])
def test_ids_and_numbers_are_whole_at_any_width(
    columns: int, terminal: _Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a table does not fit, each cell has a line; what is copied from the terminal is the whole id."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stdout", terminal)  # here: between fixture and test pytest sets its own
    text = "What it is, in a sentence that may take more than one line of a terminal."
    print_table(
        ["run", "Dice", "what it is"], [[name, "0.500 [0.250-0.750]", text] for name in IDS], right=(1,), fold=(2,)
    )
    shown = terminal.getvalue()
    assert "\u2026" not in shown
    assert all(name in shown for name in IDS)
    assert shown.count("0.500 [0.250-0.750]") == len(IDS)
    assert "\x1b[" not in shown, "NO_COLOR"


def test_running_text_is_folded_before_a_table_is_given_up(
    terminal: _Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table whose other columns fit stays a table, and no line is longer than the terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", terminal)
    print_table(["run", "what it is"], [["rules-zero-shot-0123456789", "word " * 60]], fold=(1,))
    lines = terminal.getvalue().splitlines()
    assert lines[0].startswith("\u256d")
    assert max(map(cell_len, lines)) <= 80
