"""``bench data validate``: every problem of a data set at once."""

from __future__ import annotations

import json
import os

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from harness.dataset.layout import find_dataset
from harness.dataset.orientation import Orientation, name_of
from harness.dataset.problems import Level
from harness.dataset.validate import Report, validate_dataset
from harness.dataset.volumes import Depth
from harness.errors import DataError, UsageError

_STYLES = {Level.ERROR: "red", Level.WARNING: "yellow", Level.INFO: "cyan"}


@click.command()
@click.argument("path")
@click.option("--split", help="Check this split only.")
@click.option("--quick", is_flag=True, help="Read headers only: seconds, whatever the size.")
@click.option("--deep", is_flag=True, help="Read the CTs to their end too, not the masks alone.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=min(8, os.cpu_count() or 1),
    show_default="up to 8",
    help="Cases read at a time.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def validate(
    ctx: click.Context, path: str, split: str | None, jobs: int, *, quick: bool, deep: bool, as_json: bool
) -> None:
    """Report every problem of the data set at PATH, each with a fix; exit code 4 when there is an error.

    PATH is a folder, one of its indexes, or a name in the home's datasets.

    Example: bench data validate .bench/datasets/phantom-small
    """
    if quick and deep:
        raise UsageError("--quick and --deep exclude each other", fix="give one of them, or neither")
    depth = Depth.QUICK if quick else Depth.DEEP if deep else Depth.MASKS
    folder = find_dataset(path, ctx.obj.home)
    bar = Progress(
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=as_json or not Console(stderr=True).is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task("checking", total=None)
        report = validate_dataset(
            folder, split=split, depth=depth, jobs=jobs, progress=lambda _: bar.update(task, advance=1)
        )
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _show(report)
    if not report.ok:
        ctx.exit(DataError.exit_code)


def _show(report: Report) -> None:
    console = Console()
    if console.is_terminal:
        table = Table("level", "code", "where", "what", "fix", show_lines=True)
        for problem in report.problems:
            cells = (problem.code, problem.where, problem.what, problem.fix)
            table.add_row(Text(problem.level.value, style=_STYLES[problem.level]), *map(Text, cells))
        if report.problems:
            console.print(table)
    else:
        for problem in report.problems:
            click.echo(f"{problem.level.value} {problem.code} {problem.where}: {problem.what}\n  fix: {problem.fix}")
    if report.orientation is not None:
        click.echo(_orientation(report.orientation))
    counts = report.as_dict()["counts"]
    cases = sum(len(report.dataset.splits[split]) for split in report.splits)
    click.echo(
        f"{report.dataset.name}: {cases} cases in {', '.join(report.splits) or 'no split'}; "
        f"{counts['error']} errors, {counts['warning']} warnings, {counts['info']} notes"
    )


def _orientation(found: Orientation) -> str:
    if found.best is None:
        return "orientation of the masks: not told, too few findings in scans that show whole lungs"
    shares = ", ".join(f"{name_of(flip)} {share:.1%}" for flip, share in found.shares.items())
    return (
        f"orientation of the masks: {name_of(found.best)} (share of a finding inside the lungs, mean over "
        f"{found.findings} findings of {found.cases} cases: {shares})"
    )
