"""``bench curate finalize``: make a data set in the benchmark's layout."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from harness.cli.settings import json_option
from harness.cli.streams import say
from harness.cli.tables import counted

_folder = click.Path(path_type=Path, file_okay=False)


class _AmountType(click.ParamType):  # type: ignore[type-arg]
    """A share of the patients (0.1), or a number of scans (200)."""

    name = "share|number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        """Return an int for a whole number of scans, and a float for a share."""
        if isinstance(value, float):
            return value
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if str(value).isdigit() and number:
            return int(value)
        if not 0 <= number < 1:
            self.fail(f"{value!r} is neither a share of the patients (0.1) nor a number of scans (200)", param, ctx)
        return number


_amount = _AmountType()


@click.command()
@click.option("--tasks", required=True, type=_folder, help="Folder of `annotate export`.")
@click.option("--masks", required=True, type=_folder, help="Folder of `annotate import`.")
@click.option("--out", required=True, type=_folder, help="Folder of the data set to make.")
@click.option("--val", default=0.05, show_default=True, type=_amount, help="Patients (0.05) or scans (100) for val.")
@click.option("--test", default=0.1, show_default=True, type=_amount, help="Patients (0.1) or scans (200) for test.")
@click.option("--seed", default=0, show_default=True, help="Of the split.")
@click.option("--stratify", is_flag=True, help="Keep the categories of val and test in proportion.")
@click.option(
    "--gate",
    type=click.Choice(["warning", "error", "every", "none"]),
    default="warning",
    show_default=True,
    help="Problems of the quality control that need a verdict; every: each finding does.",
)
@click.option(
    "--review",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The sheet of verdicts, OUT-qc/review.csv, filled in by a senior reader.",
)
@click.option("--anatomy", type=_folder, help="Folder of lobe masks for the quality control, as `curate qc` takes.")
@click.option("--copy", is_flag=True, help="Copy the CTs instead of linking them.")
@click.option(
    "--patients",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV with the columns case and patient, age or sex; or a metadata table of CT-RATE. Without it, patients are "
    "known only from names like train_19753_a_2.",
)
@click.option(
    "--curated",
    type=_folder,
    help="Folder of `curate run`: all phrases of its reports, normal ones too, go into reports_dataset.json.",
)
@json_option
def finalize(
    *,
    tasks: Path,
    masks: Path,
    out: Path,
    val: float,
    test: float,
    seed: int,
    stratify: bool,
    gate: Any,
    review: Path | None,
    anatomy: Path | None,
    copy: bool,
    patients: Path | None,
    curated: Path | None,
    as_json: bool,
) -> None:
    """Make a data set of CTs, 4-D masks and dataset.json, split by patient; then try `bench data validate OUT`.

    The quality control comes first: while a mask with a problem waits for a verdict, nothing is made, the exit code is
    4, and OUT-qc has pictures and review.csv, in which a senior reader writes accept or reject.
    """
    from curation.annotation.tasks import read_tasks
    from curation.finalize import finalize as make

    made = make(
        read_tasks(tasks), tasks, masks, out, val=val, test=test, seed=seed, stratify=stratify, gate=gate,
        review=review, anatomy=anatomy, copy=copy, patients=patients, curated=curated,
        progress=lambda name: click.echo(name, err=True),
    )  # fmt: skip
    for name, reason in made.left_out.items():
        click.echo(f"{name}: left out: {reason}", err=True)
    lacking = sum(made.splits.values()) - made.reports
    if curated is not None and lacking:
        say(
            f"warning: the report of {counted(lacking, 'case')} is not in {curated}, or the tasks are of an earlier "
            "version, which did not keep which it was",
            fg="yellow",
            err=True,
        )
    if made.unknown_patients:
        say(
            f"warning: nothing says whose scans {made.unknown_patients} cases are; each was taken for another patient, "
            "so scans of one may be in two splits; fix: give a table with --patients",
            fg="yellow",
            err=True,
        )
    if as_json:
        click.echo(json.dumps({"schema": 1, "path": str(out), **asdict(made)}))
    else:
        shares = ", ".join(f"{name} {count}" for name, count in made.splits.items())
        click.echo(f"{out}: {counted(made.findings, 'finding')}; cases: {shares}")
