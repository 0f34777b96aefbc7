"""``bench curate intake``: bring CT-RATE volumes and DICOM series to HU."""

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
@click.option(
    "--metadata", type=click.Path(path_type=Path, dir_okay=False), help="CT-RATE's table, for its raw volumes."
)
@click.option("--hu", is_flag=True, help="The NIfTI volumes are in HU already, as those in folders named *_fixed.")
@click.option(
    "--series",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV with the columns series (SeriesInstanceUID) and case: the DICOM series to take, and their names  "
    "[default: the only one in each folder, by the folder's name]",
)
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
    metadata: Path | None,
    hu: bool,
    series: Path | None,
    out: Path,
    axes: str,
    assume: str | None,
    window: str | None,
    largest: int | None,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Bring the volumes below SOURCE to HU: raw ones of CT-RATE by its metadata table, and DICOM series.

    A DICOM series must be one regular stack of slices: one with missing or doubled slices, or a tilted gantry, is
    refused. What its headers state of patient and scanner goes into OUT/patients.csv, patients under numbers.

    Volumes that are there already are kept, so the same command goes on after an interruption. A volume that cannot
    be converted is listed with its reason; the exit code is then 4.
    """
    from curation.ct.cases import add_cases
    from curation.ct.dicom import Series, find_series, read_names
    from curation.ct.intake import IN_HU, Options, Taken, take_all
    from curation.ct.metadata import read_metadata

    options = Options(
        axes=None if axes == "keep" else _directions("--axes", axes),
        assumed=None if assume is None else _directions("--assume", assume),
        window=_window(window),
        largest=largest,
    )
    files = {path.name.removesuffix(".nii.gz"): path for path in sorted(source.rglob("*.nii.gz"))}
    known = {name for name, path in files.items() if hu or any(p.endswith("_fixed") for p in path.absolute().parts)}
    scans, faults = read_metadata(metadata) if metadata else ({}, {})
    found, refused = find_series(source, read_names(series) if series else None)
    if not files and not found and not refused:
        raise UsageError(
            f"{source} contains no .nii.gz file and no DICOM series of a CT", fix="give the folder of the volumes"
        )
    if files.keys() - known and not metadata:
        raise UsageError(
            f"nothing says how {counted(len(files.keys() - known), 'volume')} become HU",
            fix="give CT-RATE's table with --metadata, or --hu for volumes in HU",
        )
    scans |= dict.fromkeys(known, IN_HU)
    volumes: dict[str, Path | Series] = files | {item.name: item for item in found}

    def progress(done: int, total: int, taken: Taken) -> None:
        state = taken.note or "ok" if taken.ok else f"failed: {taken.reason}"
        click.echo(printable(f"{done}/{total} {taken.name}: {state}"), err=True)

    taken = take_all(
        volumes, scans, faults, out, options=options, jobs=jobs or min(4, usable_cores()), progress=progress
    )
    for name, reason in refused.items():
        taken.append(Taken(name, ok=False, reason=reason))
        click.echo(printable(f"{name}: failed: {reason}"), err=True)
    ready = {item.name for item in taken if item.ok}
    if kept := [item for item in found if item.name in ready]:
        add_cases(out, kept)
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
