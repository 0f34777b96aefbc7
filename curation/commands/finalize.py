"""``bench curate finalize``: make a data set in the benchmark's layout."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from harness.cli.settings import json_option
from harness.cli.tables import counted

_folder = click.Path(path_type=Path, file_okay=False)
_share = click.FloatRange(0, 1)


@click.command()
@click.option("--tasks", required=True, type=_folder, help="Folder of `annotate export`.")
@click.option("--masks", required=True, type=_folder, help="Folder of `annotate import`.")
@click.option("--out", required=True, type=_folder, help="Folder of the data set to make.")
@click.option("--val", default=0.05, show_default=True, type=_share, help="Share of the patients for validation.")
@click.option("--test", default=0.1, show_default=True, type=_share, help="Share of the patients for testing.")
@click.option("--seed", default=0, show_default=True, help="Of the split.")
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
    copy: bool,
    patients: Path | None,
    curated: Path | None,
    as_json: bool,
) -> None:
    """Make a data set of CTs, 4-D masks and dataset.json, split by patient; then try `bench data validate OUT`."""
    from curation.annotation.tasks import read_tasks
    from curation.finalize import finalize as make

    made = make(
        read_tasks(tasks), tasks, masks, out, val=val, test=test, seed=seed, copy=copy, patients=patients,
        curated=curated, progress=lambda name: click.echo(name, err=True),
    )  # fmt: skip
    for name, reason in made.left_out.items():
        click.echo(f"{name}: left out: {reason}", err=True)
    lacking = sum(made.splits.values()) - made.reports
    if curated is not None and lacking:
        click.secho(
            f"warning: the report of {counted(lacking, 'case')} is not in {curated}, or the tasks are of an earlier "
            "version, which did not keep which it was",
            fg="yellow",
            err=True,
        )
    if made.unknown_patients:
        click.secho(
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
