"""What tables and bars draw reaches a terminal; what they are drawn of commands nothing."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import sys

import click
import pytest
from rich.control import Control
from rich.text import Text

from harness.cli.consoles import OwnConsole, printed_by
from harness.cli.streams import PatientStream, say


def test_colours_and_bars_are_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text in a colour, a table's and a bar's drawing reach a terminal; the same sequences inside of it do not."""
    evil = "a\x1b[35;5;7mb\x1b[7Ac\rd"
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with PatientStream(io.BufferedWriter(io.FileIO(theirs, "w")), encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        say(evil, fg="red")
        console = OwnConsole(stream, width=60)
        console.print(Text(evil, "bold"))
        console.print(evil, style="green", markup=False)
        console.control(Control.move(0, -1))
        monkeypatch.setenv("NO_COLOR", "1")
        say("plain", fg="red")
        monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    received = ""
    with contextlib.suppress(OSError):  # the terminal has hung up
        while chunk := os.read(ours, 4096):
            received += chunk.decode()
    os.close(ours)
    clean = "a\ufffd[35;5;7mb\ufffd[7Ac\ufffdd"
    drawn = clean.replace("c\ufffd", "c")  # rich leaves the carriage return out
    red, bold, green = (f"\x1b[{code}m{text}\x1b[0m\r\n" for code, text in ((31, clean), (1, drawn), (32, drawn)))
    assert received == f"{red}{bold}{green}\x1b[1Aplain\r\n"


def test_lines_that_are_printed_beside_a_bar_come_above_it() -> None:
    """Whole lines, from both streams, and only meanwhile."""
    lines: list[str] = []
    with printed_by(lines.append):
        click.echo("one\ntw", nl=False)
        click.echo("o", err=True)
        click.echo("rest", nl=False)
    assert lines == ["one", "two", "rest"]
