"""``bench curate annotate``: hand tasks to annotators, and take their masks back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from harness.cli.settings import json_option
from harness.cli.tables import counted, printable

#: The names of :data:`curation.annotation.tasks.FORMATS`, which cannot be imported here without numpy.
_FORMATS = ("nifti", "slicer", "redbrick")

_folder = click.Path(path_type=Path, file_okay=False)


@click.group(no_args_is_help=True)
def annotate() -> None:
    """Export tasks for annotators, and import their masks."""


@annotate.command("export")
@click.argument("selected", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--cts", required=True, type=_folder, help="Folder of the CTs, <id>.nii.gz in HU.")
@click.option("--out", required=True, type=_folder, help="Folder of tasks to make.")
@click.option("--format", "kind", type=click.Choice(_FORMATS), default="nifti", show_default=True, help="Program.")
@json_option
def export(*, selected: Path, cts: Path, out: Path, kind: Any, as_json: bool) -> None:
    """Write one folder a scan of SELECTED (select.jsonl) for the program that annotators use.

    nifti: save <scan>/<finding>.nii.gz. slicer: open <scan>/<scan>.seg.nrrd beside ct.nii.gz and draw into its
    segments. redbrick: upload items.json.
    """
    from curation.annotation.tasks import export_tasks
    from curation.pipeline import read_records
    from curation.records import SelectedReport

    exported, left = export_tasks(
        read_records(selected, SelectedReport), cts, out, kind, lambda name: click.echo(name, err=True)
    )
    for name, reason in left.items():
        click.echo(f"{name}: left out: {printable(reason)}", err=True)
    findings = sum(len(task.findings) for task in exported.tasks)
    if as_json:
        click.echo(json.dumps({"schema": 1, "tasks": len(exported.tasks), "findings": findings, "left_out": left}))
    else:
        click.echo(
            f"{out}: {counted(len(exported.tasks), 'scan')}, {counted(findings, 'finding')}; {len(left)} left out"
        )


@annotate.command("import")
@click.argument("tasks", type=_folder)
@click.option("--from", "source", type=_folder, help="Folder of the annotators' files  [default: TASKS]")
@click.option("--out", required=True, type=_folder, help="Folder of masks to write.")
@click.option("--format", "kind", type=click.Choice(_FORMATS), help="Program  [default: that of the export]")
@json_option
def import_(*, tasks: Path, source: Path | None, out: Path, kind: Any, as_json: bool) -> None:
    """Read the masks drawn for TASKS and write one label map a finding on the CT's grid.

    A mask on another grid, with other values or from another scan is refused with its reason; the rest goes on.
    """
    from dataclasses import asdict

    from curation.annotation.masks import import_masks
    from curation.annotation.tasks import read_tasks

    exported = read_tasks(tasks)
    rows = import_masks(
        exported,
        tasks,
        source or tasks,
        kind=kind or exported.format,
        out=out,
        progress=lambda name: click.echo(name, err=True),
    )
    if as_json:
        click.echo(json.dumps({"schema": 1, "findings": [asdict(row) for row in rows]}))
        return
    for row in rows:
        if row.state != "ok":
            click.echo(printable(f"{row.case} finding {row.finding}: {row.state}: {row.reason}"))
    states = Counter(row.state for row in rows)
    click.echo(f"{out}: {', '.join(f'{count} {state}' for state, count in states.items()) or 'nothing'}")
