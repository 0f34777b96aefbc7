"""``bench score``: masks made anywhere, scored and kept as a submitted row."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import Future, as_completed
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.settings import Settings, json_option, pass_settings
from harness.errors import EntrantError, UsageError

if TYPE_CHECKING:
    from harness.dataset import Case, Dataset
    from harness.scoring.case import CaseScore
    from harness.scoring.profiles import Profile
    from harness.scoring.submission import Submission
    from harness.store import FindingRow, RunRow


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option("--dataset", required=True, metavar="PATH|NAME", help="A data set's folder or index, or a name.")
@click.option("--split", default="test", show_default=True, help="Which split.")
@click.option(
    "--profile",
    type=click.Choice(["mlhc2025", "miccai2026"]),
    default="mlhc2025",
    show_default=True,
    help="Which metrics to show; those of every profile are kept.",
)
@click.option("--name", metavar="N", help="What the row is called; by default the name of the folder or archive.")
@click.option("--jobs", type=click.IntRange(1), help="Worker processes; as many as there are cores by default.")
@click.option(
    "--rows",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write one row a finding to this .csv, .json or .parquet file.",
)
@click.option(
    "--organiser-quirks",
    is_flag=True,
    help="miccai2026 as its organisers' evaluator does it, where we would not; such a row is never ranked.",
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
    organiser_quirks: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Score masks made elsewhere: a folder, or the challenge's zip archive, which is read in place.

    PREDICTIONS holds a stack a case (<case>.nii.gz, the findings first) or a folder a case (<case>/<finding>.nii.gz).
    """
    from harness.cli.report import print_documents
    from harness.dataset import find_dataset, open_dataset
    from harness.runs.document import run_document
    from harness.scoring.profiles import profile_named
    from harness.scoring.rows import check_format, write_rows
    from harness.scoring.submission import open_submission

    chosen = replace(profile_named(profile), organiser_quirks=organiser_quirks)
    if organiser_quirks and chosen.instances is None:
        raise UsageError("--organiser-quirks belongs to miccai2026", fix="add --profile miccai2026")
    if chosen.instances is not None and split == "train":
        raise UsageError(
            "training masks hold at most three entities a finding, so instances cannot be counted on them",
            fix="use --profile mlhc2025, or another split",
        )
    if rows is not None:
        check_format(rows)
    data = open_dataset(find_dataset(dataset, settings.home), cache=settings.home / "datasets" / ".digests")
    cases = data.split(split)
    submission = open_submission(predictions, cases)
    if submission.strangers:
        click.secho(
            f"warning: {len(submission.strangers)} files belong to no finding of split {split!r} and were not read, "
            f"among them {submission.strangers[0]}",
            fg="yellow",
            err=True,
        )
    found = score_submission(submission, data, cases, jobs=jobs, organiser_quirks=organiser_quirks)
    with settings.open_store() as store:
        run = _record(name or _name_of(predictions), submission, data, split, chosen, found)
        _keep(store, run, cases, found, chosen)
        document = run_document(store, run, profile)
        every = store.findings(run.id)
    if rows is not None:
        write_rows(rows, every)
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print_documents([document])
    for line in quirk_differences(every, chosen):
        click.secho(f"note: {line}", fg="yellow", err=True)
    _judge(document, strict=strict)


def score_submission(
    submission: Submission,
    data: Dataset,
    cases: tuple[Case, ...],
    *,
    jobs: int | None = None,
    organiser_quirks: bool = False,
) -> dict[str, list[FindingRow]]:
    """Score every case in worker processes, the largest first; returns case -> rows in the order of the split."""
    from harness.runs.score import Scorers
    from harness.scoring.rows import finding_rows

    tasks = [
        (case, submission.task(case, data.mask_flip, organiser_quirks=organiser_quirks))
        for case in sorted(cases, key=submission.nbytes, reverse=True)
    ]
    found: dict[str, list[FindingRow]] = {}
    with Scorers(jobs) as scorers:
        waiting: dict[Future[CaseScore], Case] = {scorers.submit(task): case for case, task in tasks}
        with click.progressbar(as_completed(waiting), length=len(waiting), label="scoring", file=_stderr()) as bar:
            for future in bar:
                case = waiting[future]
                found[case.id] = finding_rows(case, future.result())
    return {case.id: found[case.id] for case in cases}


def quirk_differences(rows: list[FindingRow], profile: Profile) -> list[str]:
    """Say where the organisers' evaluator and ours differ on these findings; one line a metric, none mostly."""
    from harness.scoring.summary import summarise

    if profile.instances is None:
        return []
    ours, theirs = (summarise(rows, replace(profile, organiser_quirks=quirks), resamples=1) for quirks in (False, True))
    lines = []
    for metric, groups in ours.items():
        for group in ("all", "per_case"):
            if group in groups and groups[group]["value"] != (other := theirs[metric][group])["value"]:
                lines.append(
                    f"{metric} ({group}) is {groups[group]['value']:.4f} over {groups[group]['n']} by our rules and "
                    f"{other['value']:.4f} over {other['n']} by the organisers' (missing cases leave the mean there, "
                    "and precision without predictions is 1)"
                )
    return lines


def _record(
    name: str,
    submission: Submission,
    data: Dataset,
    split: str,
    profile: Profile,
    found: dict[str, list[FindingRow]],
) -> RunRow:
    """Make the run's row; the same masks under the same name on the same data are the same run."""
    from harness.runs.hardware import describe_hardware, describe_harness
    from harness.scoring import SCORER_VERSION
    from harness.store import RunRow

    hashes = {f"{row.case_id}/{row.finding}": row.mask_sha256 for rows in found.values() for row in rows}
    identity = {
        "kind": "submitted",
        "name": name,
        "fingerprint": data.fingerprint(split),
        "split": split,
        "scorer": SCORER_VERSION,
        "organiser_quirks": profile.organiser_quirks,
        "masks": hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest(),
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return RunRow(
        id=f"{name}-submitted-{key[:10]}",
        plan_key=key,
        attempt=1,
        kind="submitted",
        plugin=name,
        title=name,
        plugin_version="",
        variant="masks",
        prompt="",
        fine_tuned=False,
        profile=profile.name,
        dataset=data.name,
        fingerprint=identity["fingerprint"],
        split=split,
        engine="",
        image_id="",
        rankable=not profile.organiser_quirks,
        unrankable=["scored with the organisers' quirks"] if profile.organiser_quirks else [],
        state="done",
        created=now,
        finished=now,
        n_cases=len(found),
        n_findings=sum(map(len, found.values())),
        plan={**identity, "predictions": str(submission.path.absolute()), "dataset": str(data.index.absolute())},
        record={"harness": describe_harness(), "hardware": describe_hardware(()), "scorer": SCORER_VERSION, "seed": 0},
    )


def _keep(store: Any, run: RunRow, cases: tuple[Case, ...], found: dict[str, list[FindingRow]], used: Profile) -> None:
    from harness.scoring.profiles import PROFILES
    from harness.scoring.summary import summarise
    from harness.store import CaseRow

    store.save_run(run)
    for ordinal, case in enumerate(cases):
        rows = found[case.id]
        status, reason = next(((row.status, row.reason) for row in rows if row.status != "ok"), ("ok", ""))
        store.save_case(run.id, CaseRow(case.id, ordinal, status, reason, scored=True), rows)
    every = [row for rows in found.values() for row in rows]
    for profile in (used if name == used.name else profile for name, profile in PROFILES.items()):
        if profile.instances is None or run.split != "train":
            store.save_metrics(run.id, profile.name, summarise(every, profile))


def _judge(document: dict[str, Any], *, strict: bool) -> None:
    """Say loudly what scored 0 for want of a valid mask; under --strict, or where nothing was valid, fail."""
    missed = {status: n for status, n in document["coverage"].items() if status != "ok" and n}
    if not missed:
        return
    listed = ", ".join(f"{n} {status}" for status, n in missed.items())
    line = f"{document['coverage']['ok']} of {document['n_findings']} findings had a valid mask; scored 0: {listed}"
    fix = f"`bench results show {document['run']}` says why, finding by finding"
    if strict or not document["coverage"]["ok"]:
        raise EntrantError(line, fix=fix)
    click.secho(f"warning: {line}; {fix}", fg="red", bold=True, err=True)


def _name_of(path: Path) -> str:
    stem = path.absolute().name.removesuffix(".zip")
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in stem).strip("-.") or "submission"


def _stderr() -> Any:
    return click.get_text_stream("stderr")
