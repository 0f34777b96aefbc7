"""Tables: rich for a person at a terminal, plain columns otherwise."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from harness.cli.consoles import OwnConsole
from harness.host import sizes

#: Cells that a column of running text may be folded to, so that the others stay whole.
_NARROWEST = 20


def print_table(
    header: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    title: str = "",
    right: Sequence[int] = (),
    fold: Sequence[int] = (),
) -> None:
    """Print a table on standard output; on a terminal that is too narrow for it, one line a cell.

    Parameters
    ----------
    header, rows
        Texts; shown verbatim, never as markup, and without control characters.
    title
        Shown above.
    right
        Columns that are aligned to the right.
    fold
        Columns of running text, which may take several lines. All others stay whole: an id or a number that is cut
        cannot be used.
    """
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    natural = [max(map(cell_len, column)) for column in zip(header, *cells, strict=True)]
    person = sys.stdout.isatty()
    console = OwnConsole(sys.stdout, width=None if person else sum(natural) + 4 * len(natural) + len(title))
    least = [min(width, _NARROWEST) if number in fold else width for number, width in enumerate(natural)]
    if person and sum(least) + 3 * len(least) + 1 > console.width:
        _print_stacked(console, header, cells, title)
        return
    table = Table(
        title=Text(title) if title else None,
        title_justify="left",
        title_style="bold",
        box=(box.ROUNDED if console.encoding.startswith("utf") else box.ASCII2) if person else box.SIMPLE_HEAD,
        show_edge=person,
        pad_edge=False,
    )
    for number, name in enumerate(header):
        table.add_column(
            Text(name),
            justify="right" if number in right else "left",
            no_wrap=number not in fold,
            overflow="fold",
            min_width=least[number],
        )
    for row in cells:
        table.add_row(*map(Text, row))
    if person:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    lines = (line.rstrip() for line in captured.get().splitlines())
    sys.stdout.write("\n".join(line for line in lines if line) + "\n")


def _print_stacked(console: OwnConsole, header: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    """Print each row as a line for its first cell and one for each other, however narrow the terminal is."""
    if title:
        console.print(Text(title, "bold"), soft_wrap=True)
    for first, *rest in rows:
        console.print(Text(first, "bold"), soft_wrap=True)
        for name, cell in zip(header[1:], rest, strict=True):
            console.print(Text(f"  {name}: {cell}" if name else f"  {cell}"), soft_wrap=True)


def printable(text: str) -> str:
    """Return `text` without characters that could move the cursor or hide other text."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def one_line(value: Any) -> Any:
    """Return a document whose every text is one printable line: a name of a database may hold line breaks."""
    if isinstance(value, dict):
        return {one_line(key): one_line(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [one_line(inner) for inner in value]
    return printable(" ".join(value.split())) if isinstance(value, str) else value


def cell(metric: dict[str, Any] | None) -> str:
    """Format one metric with its interval, to three decimals; a dash where it was not measured."""
    if metric is None or metric["value"] is None:
        return "—"
    if metric["ci95"] is None:
        return f"{metric['value']:.3f}"
    low, high = metric["ci95"]
    return f"{metric['value']:.3f} [{low:.3f}\N{EN DASH}{high:.3f}]"


def seconds(value: float | None) -> str:
    """Format a duration; a dash where it is not known."""
    if value is None:
        return "—"
    return f"{value:.2f} s" if value < 60 else f"{int(value // 60)} min {value % 60:.0f} s"


def size(value: float | None) -> str:
    """Format bytes as kB, MB or GB; a dash where they are not known."""
    if value is None:
        return "—"
    return sizes.size(value)


def counted(n: int, noun: str) -> str:
    """Return a number with its noun: ``1 case``, ``2 cases``."""
    return f"{n} {noun}{'' if n == 1 else 's'}"
