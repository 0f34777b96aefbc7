"""``bench score``: masks made elsewhere, scored and stored as a submitted row."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.card import card_options, stated_card
from harness.cli.settings import Settings, cut_offs_option, json_option, pass_settings, print_json
from harness.cli.several import NotEnded, gather, one_by_one, several_document, worst_of
from harness.cli.streams import is_plain, say
from harness.errors import ModelError, UsageError

if TYPE_CHECKING:
    from harness.dataset import Case, Dataset
    from harness.registry.card import Card
    from harness.rows import FindingRow, RunRow
    from harness.scoring.profiles import Profile
    from harness.scoring.submission import Submission
    from harness.store.database import Store

#: Submissions scored together: their rows are in memory until each is stored, in one transaction.
AT_A_TIME = 32


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path), nargs=-1, required=True)
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
@card_options
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
    predictions: tuple[Path, ...],
    *,
    dataset: str,
    split: str,
    profile: str,
    name: str | None,
    card: Path | None,
    who: str | None,
    prompt: str | None,
    trained_on: tuple[str, ...],
    licence: str | None,
    jobs: int | None,
    rows: Path | None,
    instances: Path | None,
    cut_offs: tuple[float, ...],
    organiser_quirks: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Score masks made elsewhere: folders, or archives in the challenge's form, which are read in place.

    Each of PREDICTIONS contains one stack per case (<case>.nii.gz, the findings first) or one folder per case
    (<case>/<finding>.nii.gz), and becomes a row of its own. A card, or options, state what the masks were made with.
    What is not stated is not known: a row without its prompt or its training has no rank.

    Several are scored together, so that the ground truth is read once. One that cannot be scored does not stop the
    others, and the worst exit code counts.
    """
    from harness.dataset import find_dataset, open_dataset
    from harness.dataset.judge import require_sound
    from harness.runs.document import run_document
    from harness.runs.likeness import likenesses
    from harness.runs.submitted import quirk_difference
    from harness.scoring.lesions import recall_by_size
    from harness.scoring.profiles import profile_on
    from harness.scoring.submission import open_submission

    named = _named(predictions, name)
    stated = stated_card(card, who=who, prompt=prompt, trained_on=trained_on, licence=licence)
    _check_tables({"--rows": rows, "--instances": instances}, len(named))
    chosen = replace(profile_on(profile, split), organiser_quirks=organiser_quirks)
    if organiser_quirks and chosen.instances is None:
        raise UsageError("--organiser-quirks applies to miccai2026 only", fix="add --profile miccai2026")
    data = open_dataset(find_dataset(dataset, settings.home), cache=settings.home / "datasets" / ".digests")
    cases = data.split(split)
    warnings = require_sound(data, [split], jobs=jobs)
    opened, failures = gather(named, lambda one: (one, open_submission(named[one], cases)))
    for failed in failures:
        click.echo(f"error: {failed.line}; the others are scored", err=True)
    for _, submission in opened:
        _describe(submission, split)
    documents, notes = [], []
    with settings.open_store() as store:
        work = partial(_scored_and_kept, store, data=data, cases=cases, profile=chosen, jobs=jobs, split=split)
        for ended in work(opened, home=settings.home, data_warnings=warnings, card=stated):
            if isinstance(ended, NotEnded):
                failures.append(ended)
                continue
            every = store.findings(ended.id)
            alike = [row for row in store.runs() if (row.fingerprint, row.split) == (ended.fingerprint, split)]
            said = likenesses(store, alike)[ended.id]
            notes += [
                f"warning: {ended.plugin}: {text}"
                for text in dict.fromkeys((*said.warnings, said.contradiction))
                if text
            ]
            documents.append({**run_document(store, ended, profile), "recall_by_size": recall_by_size(every, cut_offs)})
            notes += [f"note: {ended.plugin}: {text}"] if (text := quirk_difference(every, chosen)) else []
            _write_tables(every, rows, instances)
    if as_json:
        print_json(documents[0] if len(named) == 1 else several_document(documents, failures, "name"))
    else:
        _show(documents)
    for note in notes:
        say(note, fg="yellow", err=True)
    failures += filter(None, [_judged(document, strict=strict) for document in documents])
    if failures:
        raise worst_of(failures, len(named))


def _check_tables(files: Mapping[str, Path | None], submissions: int) -> None:
    """Raise UsageError where a file with the findings of one submission cannot be written."""
    from harness.runs.rows import check_format

    for option, file in files.items():
        if file is None:
            continue
        check_format(file)
        if submissions > 1:
            raise UsageError(
                f"{option} writes the findings of one submission, and {submissions} were given",
                fix="score the submission of interest alone",
            )


def _write_tables(every: Sequence[FindingRow], rows: Path | None, instances: Path | None) -> None:
    from harness.runs.rows import write_instances, write_rows

    if rows is not None:
        write_rows(rows, every)
    if instances is not None:
        write_instances(instances, every)


def _show(documents: Sequence[dict[str, Any]]) -> None:
    """Print one table for all rows; detection by size is that of a single one."""
    from harness.cli.report import print_documents, print_recall_by_size

    print_documents(documents)
    if len(documents) == 1:
        print_recall_by_size(documents[0])


def _named(predictions: Sequence[Path], name: str | None) -> dict[str, Path]:
    """Return the submissions by the names of their rows; raises UsageError where two would have one name."""
    if name is not None:
        if len(predictions) > 1:
            raise UsageError(
                f"--name names one row, and {len(predictions)} submissions were given",
                fix="leave it out, each row has the name of its folder or archive; or score one after the other",
            )
        return {_checked(name): predictions[0]}
    named: dict[str, Path] = {}
    for path in predictions:
        row_name = _name_of(path)
        if row_name in named:
            raise UsageError(
                f"{named[row_name]} and {path} would both be the row {row_name!r}",
                fix="rename one of them, or score them in two commands with --name",
            )
        named[row_name] = path
    return named


def _describe(submission: Submission, split: str) -> None:
    """Say what a submission holds beside masks."""
    if submission.strangers:
        say(
            f"warning: {len(submission.strangers)} files of {submission.path} belong to no finding of split {split!r} "
            f"and were not read, among them {submission.strangers[0]}",
            fg="yellow",
            err=True,
        )
    for line in submission.holds:
        click.echo(f"note: {submission.path} holds {line}", err=True)


def _scored_and_kept(
    store: Store,
    opened: Sequence[tuple[str, Submission]],
    *,
    data: Dataset,
    cases: tuple[Case, ...],
    profile: Profile,
    card: Card,
    jobs: int | None,
    **options: Any,
) -> Iterator[RunRow | NotEnded]:
    """Score and store submissions, some at a time; yield their rows, or why one has none."""
    from harness.cli import expected
    from harness.runs.submitted import Rows, keep_submission, score_submissions

    def keep(one: tuple[str, Submission, Rows | Exception]) -> RunRow:
        row_name, submission, found = one
        if isinstance(found, Exception):
            raise found
        return keep_submission(store, submission, found, data, name=row_name, profile=profile, card=card, **options)

    with _progress(len(cases) * len(opened)) as tick:
        for first in range(0, len(opened), AT_A_TIME):
            some = opened[first : first + AT_A_TIME]
            scored = score_submissions(
                [submission for _, submission in some],
                data,
                cases,
                jobs=jobs,
                organiser_quirks=profile.organiser_quirks,
                done=tick,
            )
            items = [(name, (name, submission, rows)) for (name, submission), rows in zip(some, scored, strict=True)]
            if len(opened) == 1:
                yield keep(items[0][1])  # what fails is raised as it is
            else:
                yield from one_by_one(items, keep, expected=expected, log=partial(click.echo, err=True))


def _judged(document: dict[str, Any], *, strict: bool) -> NotEnded | None:
    """Warn of findings without a valid mask, which score 0; with --strict, or where none has one, return a failure."""
    missed = {status: n for status, n in document["coverage"].items() if status != "ok" and n}
    if not missed:
        return None
    listed = ", ".join(f"{n} {status}" for status, n in missed.items())
    line = f"{document['coverage']['ok']} of {document['n_findings']} findings had a valid mask; scored 0: {listed}"
    fix = f"`bench results show {document['run']}` gives the reason for each finding"
    if strict or not document["coverage"]["ok"]:
        return NotEnded(document["plugin"], ModelError(line, fix=fix))
    say(f"warning: {document['plugin']}: {line}; {fix}", fg="red", bold=True, err=True)
    return None


def _checked(name: str) -> str:
    """Return the name of a row, which names a folder, too; raises UsageError where it cannot."""
    if not name.isprintable() or "/" in name or name.startswith(".") or not name.strip():
        raise UsageError(f"--name {name!r} cannot be the name of a folder", fix="use a name without slashes")
    return name


def _name_of(path: Path) -> str:
    stem = path.absolute().name.removesuffix(".zip")
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in stem).strip("-.") or "submission"


@contextmanager
def _progress(cases: int) -> Iterator[Callable[[int], None]]:
    """Show progress on standard error, at a terminal that can move its cursor only."""
    hidden = is_plain(sys.stderr)
    with click.progressbar(length=cases, label="scoring", file=sys.stderr, hidden=hidden) as bar:
        yield bar.update
