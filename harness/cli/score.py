"""``bench score``: masks made elsewhere, scored and stored as a submitted row."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from harness.cli.settings import Settings, cut_offs_option, json_option, pass_settings, print_json
from harness.cli.streams import is_plain
from harness.errors import ModelError, UsageError


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option("--dataset", required=True, metavar="PATH|NAME", help="A data set's folder or index, or a name.")
@click.option("--split", default="test", show_default=True, help="Which split.")
@click.option(
    "--profile",
    type=click.Choice(["mlhc2025", "miccai2026"]),
    default="mlhc2025",
    show_default=True,
    help="Metrics to show; those of every profile are stored.",
)
@click.option("--name", metavar="N", help="Name of the row; by default that of the folder or archive.")
@click.option("--jobs", type=click.IntRange(1), help="Worker processes; as many as there are cores by default.")
@click.option(
    "--rows",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write one row per finding to this .csv, .json or .parquet file.",
)
@click.option(
    "--instances",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write one row an instance, of the truth and of the prediction, to such a file.",
)
@cut_offs_option
@click.option(
    "--organiser-quirks",
    is_flag=True,
    help="Follow the organisers' evaluator of miccai2026 also where ours differs; such a row is never ranked.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 when any finding is not ok.")
@json_option
@pass_settings
def score(
    settings: Settings,
    /,
    predictions: Path,
    *,
    dataset: str,
    split: str,
    profile: str,
    name: str | None,
    jobs: int | None,
    rows: Path | None,
    instances: Path | None,
    cut_offs: tuple[float, ...],
    organiser_quirks: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Score masks made elsewhere: a folder, or the challenge's zip archive, which is read in place.

    PREDICTIONS contains one stack per case (<case>.nii.gz, the findings first) or one folder per case
    (<case>/<finding>.nii.gz).
    """
    from harness.cli.report import print_documents, print_recall_by_size
    from harness.dataset import find_dataset, open_dataset
    from harness.dataset.judge import require_sound
    from harness.runs.document import run_document
    from harness.runs.rows import check_format, write_instances, write_rows
    from harness.runs.submitted import keep_submission, quirk_difference, score_submission
    from harness.scoring.lesions import recall_by_size
    from harness.scoring.profiles import profile_on
    from harness.scoring.submission import open_submission

    row_name = _name_of(predictions) if name is None else _checked(name)
    chosen = replace(profile_on(profile, split), organiser_quirks=organiser_quirks)
    if organiser_quirks and chosen.instances is None:
        raise UsageError("--organiser-quirks applies to miccai2026 only", fix="add --profile miccai2026")
    for file in (rows, instances):
        if file is not None:
            check_format(file)
    data = open_dataset(find_dataset(dataset, settings.home), cache=settings.home / "datasets" / ".digests")
    cases = data.split(split)
    warnings = require_sound(data, [split], jobs=jobs)
    submission = open_submission(predictions, cases)
    if submission.strangers:
        click.secho(
            f"warning: {len(submission.strangers)} files belong to no finding of split {split!r} and were not read, "
            f"among them {submission.strangers[0]}",
            fg="yellow",
            err=True,
        )
    for line in submission.holds:
        click.echo(f"note: {predictions} holds {line}", err=True)
    with _progress(len(cases)) as tick:
        found = score_submission(submission, data, cases, jobs=jobs, organiser_quirks=organiser_quirks, done=tick)
    with settings.open_store() as store:
        run = keep_submission(
            store,
            submission,
            found,
            data,
            split,
            name=row_name,
            profile=chosen,
            home=settings.home,
            data_warnings=warnings,
        )
        document = run_document(store, run, profile)
        every = store.findings(run.id)
    if rows is not None:
        write_rows(rows, every)
    if instances is not None:
        write_instances(instances, every)
    document["recall_by_size"] = recall_by_size(every, cut_offs)
    if as_json:
        print_json(document)
    else:
        print_documents([document])
        print_recall_by_size(document)
    if difference := quirk_difference(every, chosen):
        click.secho(f"note: {difference}", fg="yellow", err=True)
    _judge(document, strict=strict)


def _judge(document: dict[str, Any], *, strict: bool) -> None:
    """Warn of findings that scored 0 for lack of a valid mask; raise under --strict, or where no mask was valid."""
    missed = {status: n for status, n in document["coverage"].items() if status != "ok" and n}
    if not missed:
        return
    listed = ", ".join(f"{n} {status}" for status, n in missed.items())
    line = f"{document['coverage']['ok']} of {document['n_findings']} findings had a valid mask; scored 0: {listed}"
    fix = f"`bench results show {document['run']}` gives the reason for each finding"
    if strict or not document["coverage"]["ok"]:
        raise ModelError(line, fix=fix)
    click.secho(f"warning: {line}; {fix}", fg="red", bold=True, err=True)


def _checked(name: str) -> str:
    """Return the name of a row, which names a folder, too; raises UsageError where it cannot."""
    if not name.isprintable() or "/" in name or name.startswith(".") or not name.strip():
        raise UsageError(f"--name {name!r} cannot be the name of a folder", fix="use a name without slashes")
    return name


def _name_of(path: Path) -> str:
    stem = path.absolute().name.removesuffix(".zip")
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in stem).strip("-.") or "submission"


@contextmanager
def _progress(cases: int) -> Iterator[Callable[[], None]]:
    """Show progress on standard error, at a terminal that can move its cursor only."""
    hidden = is_plain(sys.stderr)
    with click.progressbar(length=cases, label="scoring", file=sys.stderr, hidden=hidden) as bar:
        yield lambda: bar.update(1)
