"""``bench data validate``: every problem of a data set at once."""

from __future__ import annotations

import sys
from collections import Counter

import click
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from harness.cli.consoles import OwnConsole
from harness.cli.settings import Settings, json_option, pass_settings, print_json
from harness.cli.streams import styled
from harness.cli.tables import counted, printable
from harness.dataset.layout import find_dataset
from harness.dataset.orientation import Orientation, name_of
from harness.dataset.problems import Level
from harness.dataset.validate import Report, validate_dataset
from harness.dataset.volumes import Depth
from harness.errors import DataError, UsageError
from harness.host.capacity import usable_cores

_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.INFO: "cyan"}


@click.command()
@click.argument("path")
@click.option("--split", help="Check this split only.")
@click.option("--quick", is_flag=True, help="Read headers only: seconds, whatever the size.")
@click.option(
    "--deep", is_flag=True, help="Read every volume again, also those that did not change since the last time."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Cases read at a time; one a core by default.",
)
@json_option
@pass_settings
@click.pass_context
def validate(
    ctx: click.Context,
    settings: Settings,
    path: str,
    split: str | None,
    jobs: int | None,
    *,
    quick: bool,
    deep: bool,
    as_json: bool,
) -> None:
    """Report every problem of the data set at PATH, each with a fix; exit code 4 when there is an error.

    PATH is a folder, one of its indexes, or a name in the home's datasets.

    Example: bench data validate .bench/datasets/phantom-small
    """
    if quick and deep:
        raise UsageError("--quick and --deep exclude each other", fix="give one of them, or neither")
    depth = Depth.QUICK if quick else Depth.FULL
    folder = find_dataset(path, settings.home)
    bar = Progress(
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=OwnConsole(sys.stderr),
        disable=as_json or not OwnConsole(sys.stderr).is_terminal,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with bar:
        task = bar.add_task("checking", total=None)
        report = validate_dataset(
            folder,
            split=split,
            depth=depth,
            jobs=jobs or usable_cores(),
            cache=settings.home / "datasets" / ".digests",
            again=deep,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        print_json(report.as_dict())
    else:
        _show(report)
    if not report.ok:
        ctx.exit(DataError.exit_code)


def _show(report: Report) -> None:
    for problem in report.problems:
        level = styled(problem.level, fg=_COLOURS[problem.level], bold=True)
        click.echo(f"{level} {problem.code} {printable(f'{problem.where}: {problem.what}')}")
        click.echo(f"  fix: {printable(problem.fix)}")
    if report.orientation is not None:
        click.echo(_orientation(report.orientation))
    counts = Counter(problem.level for problem in report.problems)
    cases = sum(len(report.dataset.splits[split]) for split in report.splits)
    found = (counted(counts[level], name) for level, name in zip(Level, ("error", "warning", "note"), strict=True))
    where = ", ".join(report.splits) or "no split"
    click.echo(f"{report.dataset.name}: {counted(cases, 'case')} in {where}; {', '.join(found)}")


def _orientation(found: Orientation) -> str:
    if found.best is None:
        return "orientation of the masks: unknown, too few findings in scans that show whole lungs"
    shares = ", ".join(f"{name_of(flip)} {share:.1%}" for flip, share in found.shares.items())
    return (
        f"orientation of the masks: {name_of(found.best)} (share of a finding inside the lungs, mean over "
        f"{found.findings} findings of {found.cases} cases: {shares})"
    )
