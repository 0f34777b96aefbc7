"""``bench data phantom``: make a deterministic chest-CT data set with exact ground truth."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from harness.foreign import read_json_file

#: The names of :data:`harness.phantom.grid.SIZES`, which cannot be imported here without numpy.
_SIZES = ("small", "full")


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--cases", default=20, show_default=True, type=click.IntRange(min=1), help="How many cases to make.")
@click.option(
    "--size",
    default="small",
    show_default=True,
    type=click.Choice(_SIZES),
    help="small: about 96x80x64 voxels; full: 512x512 and 300 slices or more, about a minute a case.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="The same seed, the same bytes.")
@click.option("--force", is_flag=True, help="Replace OUT if it contains an earlier phantom, and only then.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def phantom(*, out: Path, cases: int, size: Any, seed: int, force: bool, as_json: bool) -> None:
    """Make a deterministic chest-CT data set with exact ground truth in the new folder OUT.

    It has the layout of ReXGroundingCT. Of each twenty cases the first four are test and show all 14 categories
    between them. No image of a real person is in it.
    """
    from harness.phantom.dataset import make_dataset

    started = time.monotonic()

    def progress(number: int, total: int, name: str) -> None:
        click.echo(f"{number + 1}/{total} {name} ({time.monotonic() - started:.0f} s)", err=True)

    make_dataset(out, cases=cases, size=size, seed=seed, force=force, progress=progress)
    index = read_json_file(out / "dataset.json")
    splits = {name: len(index[name]) for name in ("train", "val", "test")}
    entries = [entry for name in splits for entry in index[name]]
    categories = sorted({code for entry in entries for code in entry["categories"].values()})
    summary = {
        "path": str(out),
        "cases": len(entries),
        "findings": sum(len(entry["findings"]) for entry in entries),
        "categories": categories,
        "splits": splits,
        "size": size,
        "seed": seed,
    }
    if as_json:
        click.echo(json.dumps(summary))
        return
    shares = ", ".join(f"{name} {count}" for name, count in splits.items())
    click.echo(
        f"{out}: cases {len(entries)} ({shares}), findings {summary['findings']} of {len(categories)} categories"
    )
