"""``bench curate annotate``: hand tasks to annotators, and take their masks back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from harness.cli.settings import json_option
from harness.cli.tables import counted, printable
from harness.errors import DataError

#: The names of :data:`curation.annotation.tasks.FORMATS`, which cannot be imported here without numpy.
_FORMATS = ("nifti", "slicer", "redbrick")

_folder = click.Path(path_type=Path, file_okay=False)


@click.group(no_args_is_help=True)
def annotate() -> None:
    """Export tasks for annotators, and import their masks."""


@annotate.command("export")
@click.argument("selected", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--cts", required=True, type=_folder, help="Folder of the CTs, <id>.nii.gz in HU; may have folders inside."
)
@click.option("--out", required=True, type=_folder, help="Folder of tasks to make.")
@click.option("--format", "kind", type=click.Choice(_FORMATS), default="nifti", show_default=True, help="Program.")
@click.option("--copy", is_flag=True, help="Copy the CTs instead of linking them: for another machine.")
@json_option
@click.pass_context
def export(ctx: click.Context, *, selected: Path, cts: Path, out: Path, kind: Any, copy: bool, as_json: bool) -> None:
    """Write one folder a scan of SELECTED (select.jsonl) for the program that annotators use.

    nifti: save <scan>/<finding>.nii.gz under the names of findings.txt, or one label map <scan>/<scan>.nii.gz with
    labels.txt (ITK-SNAP). slicer: open <scan>/<scan>.seg.nrrd beside ct.nii.gz and draw into its segments. redbrick:
    upload items.json.

    Scans are added to a folder that has tasks already, and nothing there is overwritten. A scan that is there with
    other findings stays as it is, and is named; the exit code is then 4.
    """
    from curation.annotation.tasks import export_tasks
    from curation.pipeline import read_records
    from curation.records import SelectedReport

    records = read_records(selected, SelectedReport)
    exported = export_tasks(records, cts, out, kind, lambda name: click.echo(name, err=True), copy=copy)
    for name, reason in exported.no_ct.items():
        click.echo(f"{name}: left out: {printable(reason)}", err=True)
    for name, reason in exported.changed.items():
        click.echo(f"{name}: kept as it is: {printable(reason)}", err=True)
    if exported.changed:
        click.echo(f"fix: export into a new folder, and import there with --from {out}", err=True)
    tasks = exported.tasks.tasks
    findings = sum(len(task.findings) for task in tasks)
    if as_json:
        document = {
            "schema": 1, "tasks": len(tasks), "findings": findings, "left_out": exported.no_ct | exported.changed,
            "kept": exported.kept,
        }  # fmt: skip
        click.echo(json.dumps(document))
    else:
        left = len(exported.no_ct) + len(exported.changed)
        known = f" ({len(exported.kept)} were there already)" if exported.kept else ""
        click.echo(f"{out}: {counted(len(tasks), 'scan')}{known}, {counted(findings, 'finding')}; {left} left out")
    if exported.changed:
        ctx.exit(DataError.exit_code)


@annotate.command("import")
@click.argument("tasks", type=_folder)
@click.option("--from", "source", type=_folder, help="Folder of the annotators' files  [default: TASKS]")
@click.option("--out", required=True, type=_folder, help="Folder of masks to write.")
@click.option("--format", "kind", type=click.Choice(_FORMATS), help="Program  [default: that of the export]")
@json_option
@click.pass_context
def import_(ctx: click.Context, *, tasks: Path, source: Path | None, out: Path, kind: Any, as_json: bool) -> None:
    """Read the masks drawn for TASKS and write one label map a finding on the CT's grid.

    A drawing is known by its finding's text or the digest of it. A mask on another grid, with other values, or drawn
    for another text is refused with its reason; the rest goes on. Everything that was delivered is accounted for in
    OUT/import.json. Exit code 4 unless every finding has come in and no drawn voxel was left over.
    """
    from curation.annotation.masks import import_masks
    from curation.annotation.tasks import read_tasks

    exported = read_tasks(tasks)
    result = import_masks(
        exported,
        tasks,
        source or tasks,
        kind=kind or exported.format,
        out=out,
        progress=lambda name: click.echo(name, err=True),
    )
    if as_json:
        click.echo(json.dumps({"schema": 1, **result.as_dict()}))
    else:
        for row in result.findings:
            if row.state != "ok":
                click.echo(printable(f"{row.case} finding {row.finding}: {row.state}: {row.reason}"))
        for item in result.unused:
            size = "" if item.voxels is None else f" ({counted(item.voxels, 'voxel')})"
            where = f"{item.case}: " if item.case else ""
            click.echo(printable(f"{where}{item.name}{size}: not used: {item.reason}"))
        states = Counter(row.state for row in result.findings)
        click.echo(f"{out}: {', '.join(f'{count} {state}' for state, count in states.items()) or 'nothing'}")
    if not result.is_complete:
        ctx.exit(DataError.exit_code)
