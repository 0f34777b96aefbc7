"""``bench data info``: a data set in the manner of the paper's Table 3."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from harness.cli.consoles import OwnConsole
from harness.cli.settings import Settings, json_option, pass_settings, print_json
from harness.cli.tables import print_table
from harness.dataset import Dataset, find_dataset, open_dataset
from harness.dataset.editions import EDITIONS, PAPER, PAPER_DEPTH, Fact, edition_of, facts, of_ct_rate
from harness.dataset.fingerprint import files_of, fingerprint_of
from harness.dataset.summary import Range, Summary, summarise


@click.command()
@click.argument("path")
@click.option("--split", help="Describe this split only.")
@click.option("--no-fingerprint", is_flag=True, help="Do not read the files for the fingerprint.")
@json_option
@pass_settings
def info(settings: Settings, path: str, split: str | None, *, no_fingerprint: bool, as_json: bool) -> None:
    """Describe the data set at PATH: splits, categories, grids, fingerprint.

    The fingerprint reads every file once; later calls read only files that changed.

    Example: bench data info .bench/datasets/phantom-small
    """
    dataset = open_dataset(find_dataset(path, settings.home), cache=settings.home / "datasets" / ".digests")
    summary = summarise(dataset, [split] if split else list(dataset.splits))
    fingerprint = None if no_fingerprint else _fingerprint(dataset, split)
    stated = list(facts(PAPER, dataset)) if of_ct_rate(dataset) else []
    if as_json:
        document = {
            "schema": 1,
            "dataset": dataset.name,
            "index": str(dataset.index),
            "licence": dataset.licence,
            "terms": dataset.terms.model_dump(mode="json"),
            "mask_flip": list(dataset.mask_flip),
            "fingerprint": fingerprint,
            "editions": {name: edition_of(dataset, name) for name in summary.splits},
            "paper": [asdict(fact) | {"agrees": fact.agrees} for fact in stated],
            **summary.as_dict(),
        }
        print_json(document)
        return
    click.echo(f"{dataset.name} ({dataset.index})")
    click.echo(f"licence: {dataset.licence or 'not stated'}")
    kinds = ("scores", "texts", "images", "masks", "derived", "commercial")
    click.echo("may be passed on: " + ", ".join(f"{kind} {getattr(dataset.terms, kind)}" for kind in kinds))
    if fingerprint:
        click.echo(f"fingerprint: {fingerprint}")
    _show(summary)
    if stated:
        _show_editions(dataset, summary, stated)


def _fingerprint(dataset: Dataset, split: str | None) -> str:
    console = OwnConsole(sys.stderr)
    columns = (*Progress.get_default_columns()[:2], DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(
        *columns,
        console=console,
        disable=not console.is_terminal,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        names = dataset.splits if split is None else [split]
        files = {file for name in names for case in dataset.split(name) for file in files_of(case)}
        task = bar.add_task("hashing", total=sum(file.stat().st_size for file in files if file.exists()))

        def advance(_: Path, n_bytes: int) -> None:
            bar.update(task, advance=n_bytes)

        return fingerprint_of(dataset, split, progress=advance)


def _show(summary: Summary) -> None:
    parts = {**summary.splits, **({"all": summary.total} if len(summary.splits) > 1 else {})}
    print_table(
        ["split", "cases", "patients", "findings", "entities", "CTs", "masks"],
        [
            [name, *(f"{n:,}" for n in (s.cases, s.patients, s.findings, s.entities, s.cts, s.masks))]
            for name, s in parts.items()
        ],
        right=range(1, 7),
    )
    if summary.total.unknown_patients:
        click.echo(
            f"patients: nothing says whose scans {summary.total.unknown_patients:,} of {summary.total.cases:,} cases "
            "are; each counts as another patient (patients.csv can state them)"
        )
    rows = [[row.group, row.code, row.name, f"{row.count:,}", f"{row.percent:.1f}"] for row in summary.categories]
    if summary.uncategorised:
        percent = 100 * summary.uncategorised / summary.total.findings
        rows.append(["None of these", "", "", f"{summary.uncategorised:,}", f"{percent:.1f}"])
    print_table(["category", "code", "subcategory", "count", "%"], rows, right=(3, 4))
    if summary.focal_percent is not None:
        click.echo(f"focal {summary.focal_percent:.1f} %, non-focal {100 - summary.focal_percent:.1f} %")
    if summary.depth_mean is not None:
        spread = f" ± {summary.depth_sd:.0f}" if summary.depth_sd is not None else ""
        click.echo(f"depth {summary.depth_mean:.0f}{spread} slices")
    click.echo(f"shape {_range(summary.shapes, 'voxels')}")
    click.echo(f"spacing {_range(summary.spacings, 'mm')}")


def _show_editions(dataset: Dataset, summary: Summary, stated: Sequence[Fact]) -> None:
    """Print which published edition each split is, and what differs from the paper's numbers."""
    for name in summary.splits:
        edition = edition_of(dataset, name)
        click.echo(f"{name}: by its content {EDITIONS[edition].title if edition else 'no published edition'}")
    agree = sum(fact.agrees for fact in stated)
    click.echo(f"{agree} of {len(stated)} numbers that the paper states of its set agree ({PAPER.source})")
    for fact in stated:
        if not fact.agrees:
            click.echo(f"  {fact.name}: {fact.found:,}, in the paper {fact.stated:,}")
    click.echo(f"  slices a scan in the paper: {PAPER_DEPTH[0]} ± {PAPER_DEPTH[1]}")


def _range(found: Range | None, unit: str) -> str:
    if found is None:
        return "not known"
    low, high = (" x ".join(f"{value:.4g}" for value in triple) for triple in (found.lowest, found.highest))
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"
