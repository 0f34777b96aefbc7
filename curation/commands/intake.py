"""``bench curate intake``: bring CT-RATE volumes to HU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from harness import LITERAL, LUNG
from harness.cli.settings import json_option
from harness.cli.tables import counted, printable
from harness.errors import DataError, UsageError
from harness.host.capacity import usable_cores

_WINDOWS = {"paper": LUNG, "literal": LITERAL}
_folder = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("source", type=_folder)
@click.option("--metadata", required=True, type=click.Path(path_type=Path, dir_okay=False), help="CT-RATE's table.")
@click.option("--out", required=True, type=_folder, help="Folder for <volume>.nii.gz.")
@click.option("--axes", default="LPS", show_default=True, help="Directions of the array axes written, or `keep`.")
@click.option("--assume", help="Axis directions of volumes whose header does not state them, e.g. LPS.")
@click.option(
    "--window",
    metavar="LOW,HIGH|paper|literal",
    help="Scale these HU to 0..1 instead of writing HU. The paper's window, read as level and width (paper: -1350,150) "
    "or as limits (literal: -600,1500).",
)
@click.option(
    "--largest", type=click.IntRange(min=16), help="Resample larger slices to this longer side (the paper: 512)."
)
@click.option("--jobs", type=click.IntRange(1), help="Volumes at a time; one a core by default, up to 4.")
@json_option
def intake(
    *,
    source: Path,
    metadata: Path,
    out: Path,
    axes: str,
    assume: str | None,
    window: str | None,
    largest: int | None,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Bring the raw volumes below SOURCE to HU, by the slopes and intercepts of the metadata table.

    Volumes that are there already are kept, so the same command goes on after an interruption. A volume that cannot
    be converted is listed with its reason; the exit code is then 4.
    """
    from curation.ct.intake import Options, Taken, take_all
    from curation.ct.metadata import read_metadata

    options = Options(
        axes=None if axes == "keep" else _directions("--axes", axes),
        assumed=None if assume is None else _directions("--assume", assume),
        window=_window(window),
        largest=largest,
    )
    scans, faults = read_metadata(metadata)
    volumes = {path.name.removesuffix(".nii.gz"): path for path in sorted(source.rglob("*.nii.gz"))}
    if not volumes:
        raise UsageError(f"{source} contains no .nii.gz file", fix="give the folder of the volumes")

    def progress(done: int, total: int, taken: Taken) -> None:
        state = taken.note or "ok" if taken.ok else f"failed: {taken.reason}"
        click.echo(printable(f"{done}/{total} {taken.name}: {state}"), err=True)

    taken = take_all(
        volumes, scans, faults, out, options=options, jobs=jobs or min(4, usable_cores()), progress=progress
    )
    failed = [item for item in taken if not item.ok]
    if as_json:
        click.echo(json.dumps({"schema": 1, "volumes": [vars(item) for item in taken]}))
    else:
        click.echo(f"{out}: {counted(len(taken) - len(failed), 'volume')}, {len(failed)} failed")
    if failed:
        click.get_current_context().exit(DataError.exit_code)


def _directions(option: str, text: str) -> str:
    text = text.upper()
    if len(text) != 3 or any(sum(letter in text for letter in pair) != 1 for pair in ("LR", "AP", "SI")):
        raise UsageError(f"{option} {text} names no three directions", fix="e.g. LPS or RAS")
    return text


def _window(text: str | None) -> Any:
    if text is None:
        return None
    if text in _WINDOWS:
        return _WINDOWS[text].limits
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = 0.0
    if not low < high:
        raise UsageError(f"--window {text} is not a range of HU", fix="e.g. --window -1000,400")
    return low, high
