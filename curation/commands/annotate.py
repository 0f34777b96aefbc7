"""``bench curate annotate``: hand tasks to annotators, and take their masks back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from harness.cli.settings import json_option
from harness.cli.tables import counted, print_table, printable
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
@click.option(
    "--most-entities",
    type=click.IntRange(1),
    help="Entities to draw of each finding (the release's training scans: 3); such scans stay in train.",
)
@json_option
@click.pass_context
def export(
    ctx: click.Context,
    *,
    selected: Path,
    cts: Path,
    out: Path,
    kind: Any,
    copy: bool,
    most_entities: int | None,
    as_json: bool,
) -> None:
    """Write one folder a scan of SELECTED (select.jsonl) for the program that annotators use.

    nifti: save <scan>/<finding>.nii.gz under the names of findings.txt, or one label map <scan>/<scan>.nii.gz with
    labels.txt (ITK-SNAP). slicer: open <scan>/<scan>.seg.nrrd beside ct.nii.gz and draw into its segments. redbrick:
    upload items.json. Where there is nothing to draw, write "not visible" or "not localizable" into <scan>/answers.csv.

    Scans are added to a folder that has tasks already, and nothing there is overwritten. A scan that is there with
    other findings stays as it is, and is named; the exit code is then 4.
    """
    from curation.annotation.tasks import export_tasks
    from curation.pipeline import read_records
    from curation.records import SelectedReport

    records = read_records(selected, SelectedReport)
    exported = export_tasks(
        records, cts, out, kind, lambda name: click.echo(name, err=True), copy=copy, most_entities=most_entities
    )
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
    OUT/import.json. Exit code 4 unless every finding has its mask or an answer, and no drawn voxel was left over.
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
            if row.reason:
                click.echo(printable(f"{row.case} finding {row.finding}: {row.state}: {row.reason}"))
        for item in result.unused:
            size = "" if item.voxels is None else f" ({counted(item.voxels, 'voxel')})"
            where = f"{item.case}: " if item.case else ""
            click.echo(printable(f"{where}{item.name}{size}: not used: {item.reason}"))
        states = Counter(row.state for row in result.findings)
        click.echo(f"{out}: {', '.join(f'{count} {state}' for state, count in states.items()) or 'nothing'}")
    if not result.is_complete:
        ctx.exit(DataError.exit_code)


@annotate.command("compare")
@click.argument("tasks", type=_folder)
@click.argument("first", type=_folder)
@click.argument("second", type=_folder)
@click.option("--out", required=True, type=_folder, help="Folder for adjudication.csv.")
@click.option(
    "--agree", default=0.6, show_default=True, type=click.FloatRange(0, 1), help="Dice from which masks agree."
)
@json_option
def compare_(*, tasks: Path, first: Path, second: Path, out: Path, agree: float, as_json: bool) -> None:
    """Compare the masks of two readers of TASKS, FIRST and SECOND being folders of `annotate import`.

    Prints Dice and kappa by category, and writes OUT/adjudication.csv, in which a third reader decides where the two
    differ: 1, 2, 3 (a mask of the third reader's own), not visible or not localizable.
    """
    from curation.annotation.readings import ADJUDICATION, agreement, compare, write_adjudication
    from curation.annotation.tasks import read_tasks

    pairs = compare(read_tasks(tasks), first, second)
    table = agreement(pairs)
    waiting = write_adjudication(out / ADJUDICATION, pairs, agree)
    if as_json:
        click.echo(json.dumps({"schema": 1, "agreement": table, "findings": len(pairs), "to_decide": waiting}))
        return
    names = ["findings", "kappa", "drawn", "dice", "kappa_voxels"]
    print_table(
        ["category", "by both", "kappa", "drawn by both", "mean Dice", "kappa of voxels"],
        [[code, *(_number(row[name]) for name in names)] for code, row in table.items()],
        right=(1, 2, 3, 4, 5),
    )
    click.echo(f"{out / ADJUDICATION}: {waiting} of {counted(len(pairs), 'finding')} to decide")


def _number(value: float | None) -> str:
    return "—" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"


@annotate.command("settle")
@click.argument("tasks", type=_folder)
@click.argument("sheet", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--masks", "folders", multiple=True, required=True, type=_folder,
    help="Folders of the first, the second and a third reader, in this order; repeat the option.",
)  # fmt: skip
@click.option("--out", required=True, type=_folder, help="Folder of masks to write.")
@json_option
@click.pass_context
def settle_(
    ctx: click.Context, *, tasks: Path, sheet: Path, folders: tuple[Path, ...], out: Path, as_json: bool
) -> None:
    """Write the masks that count, by the decisions in SHEET; exit code 4 while decisions are open."""
    from curation.annotation.readings import settle
    from curation.annotation.tasks import read_tasks

    result = settle(read_tasks(tasks), sheet, folders, out)
    if as_json:
        click.echo(json.dumps({"schema": 1, **result.as_dict()}))
    else:
        for row in result.findings:
            if row.state in {"missing", "refused"}:
                click.echo(printable(f"{row.case} finding {row.finding}: {row.state}: {row.reason}"))
        states = Counter(row.state for row in result.findings)
        click.echo(f"{out}: {', '.join(f'{count} {state}' for state, count in states.items()) or 'nothing'}")
    if not result.is_complete:
        ctx.exit(DataError.exit_code)


@annotate.command("seg")
@click.argument("tasks", type=_folder)
@click.option("--masks", required=True, type=_folder, help="Folder of `annotate import`.")
@click.option("--dicom", required=True, type=_folder, help="Folder of the original series, as `curate intake` got it.")
@click.option(
    "--series", type=click.Path(path_type=Path, dir_okay=False), help="Table of series, as `curate intake` takes it."
)
@click.option("--out", required=True, type=_folder, help="Folder for <scan>.dcm.")
@click.pass_context
def seg(ctx: click.Context, *, tasks: Path, masks: Path, dicom: Path, series: Path | None, out: Path) -> None:
    """Write the masks of TASKS as DICOM segmentations, which refer to the series that the CTs were made of.

    Every entity is a segment, named by its finding. A file that is there stays; exit code 4 where a scan has no series.
    """
    from curation.annotation.dicom_seg import write_task
    from curation.annotation.tasks import read_tasks
    from curation.ct.dicom import find_series, read_names

    found, refused = find_series(dicom, read_names(series) if series else None)
    files = {item.name: item.files for item in found}
    failed = 0
    for task in read_tasks(tasks).tasks:
        reason = refused.get(task.id, f"there is no series of this name below {dicom}; name it with --series")
        try:
            done = write_task(task, tasks, masks, files[task.id], out) if task.id in files else ""
        except DataError as error:
            done, reason = "", error.message
        if done:
            click.echo(f"{task.id}: {done}")
        else:
            failed += 1
            click.echo(printable(f"{task.id}: failed: {reason}"), err=True)
    if failed:
        ctx.exit(DataError.exit_code)


@annotate.command("guideline")
@click.option("--out", required=True, type=_folder, help="Folder for guideline.html.")
@click.option(
    "--size", type=click.Choice(["small", "full"]), default="small", show_default=True, help="Of the CTs shown."
)
@click.option("--most-entities", type=click.IntRange(1), help="Entities to draw of each finding  [default: all]")
def guideline(*, out: Path, size: Any, most_entities: int | None) -> None:
    """Write the guideline for annotators: by category what to draw, how many entities, what to skip, with pictures.

    The pictures are drawn from the phantom, which takes seconds, or some minutes with --size full.
    """
    from curation.annotation.guideline import write_guideline

    path = write_guideline(
        out,
        size=size,
        most_entities=most_entities,
        progress=lambda n, of: click.echo(f"picture {n + 1}/{of}", err=True),
    )
    click.echo(f"{path}")
