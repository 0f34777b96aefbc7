"""``bench curate review``: draw a sample for reviewers, and evaluate their reviews."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from harness.cli.settings import json_option
from harness.cli.tables import counted, print_table

_folder = click.Path(path_type=Path, file_okay=False)


@click.group(no_args_is_help=True)
def review() -> None:
    """Draw a sample for reviewers, and evaluate their reviews."""


@review.command()
@click.argument("run", type=_folder)
@click.option("--out", required=True, type=_folder, help="Folder for review.html and review.csv.")
@click.option("--n", default=100, show_default=True, type=click.IntRange(min=1), help="Reports to draw.")
@click.option("--seed", default=0, show_default=True, help="Of the draw.")
def sample(*, run: Path, out: Path, n: int, seed: int) -> None:
    """Draw reports from RUN (a folder of `bench curate run`) and write a sheet for a reviewer.

    Open review.html in any browser, straight from the disk, mark what is wrong, and save review.csv; or fill in
    review.csv in a spreadsheet.
    """
    from curation.review.sheet import HTML, make_sheet

    drawn = make_sheet(run, out, n=n, seed=seed)
    click.echo(f"{out / HTML}: {counted(drawn, 'report')}")


@review.command()
@click.argument("sheet", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("second", required=False, type=click.Path(path_type=Path, dir_okay=False))
@json_option
def report(*, sheet: Path, second: Path | None, as_json: bool) -> None:
    """Compute the paper's Table 2 and the categories' precision and recall from the filled-in SHEET.

    With a SECOND reviewer's sheet of the same sample, also how far the two agree.
    """
    from curation.review.report import PAPER, agreement, categories, read_sheet, table2

    filled = read_sheet(sheet)
    rates = table2(filled)
    quality = categories(filled)
    both = agreement(filled, read_sheet(second)) if second else None
    if as_json:
        rows = {
            name: {"step1": steps[0] and steps[0].as_dict(), "step2": steps[1] and steps[1].as_dict()}
            for name, steps in rates.items()
        }
        document: dict[str, Any] = {
            "schema": 1,
            "reports": len(filled.reports),
            "not_done": filled.open,
            "table2": rows,
        }
        document |= {"categories": quality and quality.as_dict(), "agreement": both}
        click.echo(json.dumps(document, indent=1))
        return
    print_table(
        ["error", "step 1", "step 2", "paper, step 1", "paper, step 2"],
        [
            [
                name,
                *(_cell((rate.value, rate.low, rate.high) if rate else None) for rate in steps),
                *map(_cell, PAPER[name]),
            ]
            for name, steps in rates.items()
        ],
        title=f"error rates, 95 % intervals ({counted(len(filled.reports), 'report')} done, {filled.open} not)",
    )
    if quality is not None:
        from curation.classifier.quality import table

        click.echo(table(quality))
    if both is not None:
        print_table(
            ["marked by two", "rows", "agreement", "kappa"],
            [[name, row["n"], f"{row['agreement']:.3f}", _kappa(row["kappa"])] for name, row in both.items()],
            right=(1, 2, 3),
        )


def _cell(rate: tuple[float, float, float] | None) -> str:
    return "—" if rate is None else f"{rate[0]:.2f} [{rate[1]:.2f}, {rate[2]:.2f}]"


def _kappa(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"
