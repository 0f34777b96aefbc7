"""``bench curate sizes``: measure findings after isotropic resampling."""

from __future__ import annotations

import math
from dataclasses import asdict
from statistics import median

import click

from harness.categories import is_focal
from harness.cli.settings import Settings, json_option, pass_settings, print_json
from harness.cli.tables import counted, print_table

#: Marks of the longest bar of the histogram: both kinds fit in 80 columns.
_WIDTH = 14


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
    from harness.scoring.sizes import volume_bins

    dataset = open_dataset(find_dataset(path, settings.home))
    cases = list(dataset.split(split)) if split else list(dataset)
    rows = []
    for number, case in enumerate(cases, start=1):
        rows += finding_sizes(case, spacing)
        click.echo(f"{number}/{len(cases)} {case.id}", err=True)
    bins = volume_bins((row.resampled, row.category) for row in rows)
    if as_json:
        found = [asdict(row) for row in rows]
        histogram = [asdict(one) for one in bins]
        print_json({"schema": 1, "spacing_mm": spacing, "findings": found, "histogram": histogram})
        return
    focal = [row for row in rows if row.category and is_focal(row.category)]
    rest = [row for row in rows if row.category and not is_focal(row.category)]
    codes = sorted({row.category or "" for row in rows})
    of_codes = [(code or "none", [row for row in rows if (row.category or "") == code]) for code in codes]
    print_table(
        ["category", "findings", "median voxels", "median ml", "median share"],
        [
            [
                name,
                len(mine),
                f"{median(row.resampled for row in mine):.0f}",
                f"{median(row.millilitres for row in mine):.2f}",
                f"{median(row.ratio for row in mine):.2e}",
            ]
            for name, mine in [("all", rows), ("focal", focal), ("non-focal", rest), *of_codes]
            if mine
        ],
        title=f"{dataset.name}: {counted(len(rows), 'finding')} on a grid of {spacing:g} mm",
        right=(1, 2, 3, 4),
    )
    click.echo("voxels: after resampling; share: of the scan, which size groups of scores go by")
    most = max((max(one.focal, one.non_focal) for one in bins), default=0)
    print_table(
        ["voxels", "to below", "focal", "", "non-focal", ""],
        [
            [
                _edge(one.low),
                _edge(one.high),
                one.focal,
                _bar(one.focal, most),
                one.non_focal,
                _bar(one.non_focal, most),
            ]
            for one in bins
        ],
        title=f"findings by voxels of {spacing:g} mm",
        right=(0, 1, 2, 4),
    )
    if empty := sum(row.resampled == 0 for row in rows):
        click.echo(f"in no bin: {counted(empty, 'finding')} without any voxel after resampling")


def _edge(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _bar(n: int, most: int) -> str:
    """Draw a count as a bar: the whole width is the largest one, and no finding is without a mark."""
    return "#" * math.ceil(_WIDTH * n / most) if n else ""
