"""``bench curate statistics``: age, sex, scanner and depth, as the paper's section 3.5."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.settings import Settings, json_option, pass_settings
from harness.cli.tables import print_table

if TYPE_CHECKING:
    from curation.statistics import Spread


@click.command()
@click.argument("path")
@click.option(
    "--patients",
    type=click.Path(path_type=Path, dir_okay=False),
    help="patients.csv of `curate intake`, or CT-RATE's metadata: scanners, kernels, and ages and sexes that the "
    "index does not state.",
)
@json_option
@pass_settings
def statistics(settings: Settings, *, path: str, patients: Path | None, as_json: bool) -> None:
    """Say of the data set at PATH, by split: age, sex, depth, share of focal findings, and scanners.

    Means are over scans, with the sample standard deviation, beside those of the paper (section 3.5).
    """
    from curation.statistics import PAPER, as_document, describe, read_facts
    from harness.dataset import find_dataset, open_dataset

    groups = describe(open_dataset(find_dataset(path, settings.home)), read_facts(patients) if patients else {})
    if as_json:
        click.echo(json.dumps(as_document(groups), indent=1, ensure_ascii=False))
        return
    rows = [
        [
            name,
            group.scans,
            group.findings,
            _spread(group.age, group.scans),
            "—" if group.male is None else f"{group.male:.1f}{_of(group.sexes, group.scans)}",
            _spread(group.depth, group.scans),
            "—" if group.focal is None else f"{group.focal:.0f}",
        ]
        for name, group in groups.items()
    ]
    rows.append(["paper", *PAPER])
    columns = ["split", "scans", "findings", "age", "male, %", "slices", "focal, %"]
    print_table(columns, rows, right=(1, 2, 3, 4, 5, 6))
    for what, counts in (("scanner", groups["all"].scanners), ("kernel", groups["all"].kernels)):
        if set(counts) - {"not stated"}:
            print_table([what, "scans"], [[name, count] for name, count in counts.items()], right=(1,))


def _spread(value: Spread | None, scans: int) -> str:
    if value is None:
        return "—"
    return f"{value.mean:.1f}{'' if value.sd is None else f' ± {value.sd:.1f}'}{_of(value.n, scans)}"


def _of(known: int, scans: int) -> str:
    return "" if known == scans else f" ({known} known)"
