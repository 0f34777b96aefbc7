"""``bench curate sizes``: measure findings after isotropic resampling."""

from __future__ import annotations

import json
from dataclasses import asdict
from statistics import median

import click

from harness.cli.settings import Settings, json_option, pass_settings
from harness.cli.tables import counted, print_table


@click.command()
@click.argument("path")
@click.option("--split", help="Measure this split only.")
@click.option("--spacing", default=1.0, show_default=True, type=click.FloatRange(0.1, 20), help="mm of the grid.")
@json_option
@pass_settings
def sizes(settings: Settings, *, path: str, split: str | None, spacing: float, as_json: bool) -> None:
    """Measure the findings of the data set at PATH on an isotropic grid (paper, Figure S1 and section 5.2)."""
    from curation.ct.isotropic import finding_sizes
    from harness.dataset import find_dataset, open_dataset

    dataset = open_dataset(find_dataset(path, settings.home))
    cases = list(dataset.split(split)) if split else list(dataset)
    rows = []
    for number, case in enumerate(cases, start=1):
        rows += finding_sizes(case, spacing)
        click.echo(f"{number}/{len(cases)} {case.id}", err=True)
    if as_json:
        click.echo(json.dumps({"schema": 1, "spacing_mm": spacing, "findings": [asdict(row) for row in rows]}))
        return
    codes = sorted({row.category or "" for row in rows})
    print_table(
        ["category", "findings", "median voxels", "median ml", "median share"],
        [
            [
                code or "none",
                len(mine),
                f"{median(row.resampled for row in mine):.0f}",
                f"{median(row.millilitres for row in mine):.2f}",
                f"{median(row.ratio for row in mine):.2e}",
            ]
            for code in codes
            if (mine := [row for row in rows if (row.category or "") == code])
        ],
        title=f"{dataset.name}: {counted(len(rows), 'finding')} on a grid of {spacing:g} mm",
        right=(1, 2, 3, 4),
    )
