"""``bench data scorable``: what can be scored of a split that lacks truths, under a name of its own."""

from __future__ import annotations

from dataclasses import asdict

import click

from harness.cli.settings import Settings, json_option, pass_settings, print_json
from harness.dataset import find_dataset, open_dataset
from harness.dataset.scorable import write_scorable


@click.command()
@click.argument("path")
@click.option("--split", required=True, help="The split that lacks truths.")
@json_option
@pass_settings
def scorable(settings: Settings, path: str, split: str, *, as_json: bool) -> None:
    """Write an index whose split SPLIT-with-truth has the cases of SPLIT that can be scored.

    It lies beside the index of the data set at PATH, and has every other split as it is. A score on a part of a split
    is one of another data set: it is never shown or ranked beside scores on the whole.

    Example: bench data scorable rexgroundingct:mlhc2025 --split test
    """
    made = write_scorable(open_dataset(find_dataset(path, settings.home)), split)
    if as_json:
        print_json({"schema": 1, **asdict(made), "index": str(made.index)})
        return
    click.echo(f"{made.index}: split {made.split} has {made.cases} of the {made.whole} cases of {split}")
    click.echo(f"next: bench run --plugin NAME --dataset {made.index} --split {made.split}")
