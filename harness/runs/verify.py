"""Recomputes a stored row from its masks, compares digit by digit, and compares its record with the database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from harness.dataset import Case, Dataset, find_dataset, open_dataset
from harness.dataset.fingerprint import fingerprint_of
from harness.dataset.judge import require_sound
from harness.digests import DigestCache
from harness.errors import DataError
from harness.rows import OF_DATA_SET, FindingRow, RunRow
from harness.runs.boxes import compare_boxes
from harness.runs.record import compare_record
from harness.runs.submitted import columns_of, score_submission
from harness.runs.sums import metrics_of
from harness.runs.training.finetune import SPLITS
from harness.scoring import SCORER_VERSION
from harness.scoring.profiles import PROFILES, profiles_on
from harness.scoring.sizes import SizeCuts, cuts_on
from harness.scoring.submission import Submission, open_submission
from harness.status import Status
from harness.store.database import Store, cells

#: Columns that are computed from the masks; the others are copied from the data set or written by inference.
_COMPUTED = ("dice", "truth_voxels", "pred_voxels", "intersection", "mask_sha256", "details")

#: Fields of a submission's plan in addition to its identity.
_PLACES = ("predictions", "dataset")

#: Columns that are copied from the data set.
_COPIED = ("category", "text")

#: Columns of a run that its plan, whose digest is its key, also contains.
_PLANNED = {
    "plugin": "plugin", "plugin_version": "plugin_version", "variant": "variant", "image_id": "image",
    "fingerprint": "fingerprint", "split": "split",
}  # fmt: skip

#: What nothing here can compute: said by the plugin, seen while the run went on, or chosen. Only the record knows it.
_STATED = {
    "measured": (
        "title", "prompt", "fine_tuned", "profile", "dataset", "engine", "rankable", "unrankable", "created",
        "finished", "timing", "record", "failed cases",
    ),
    "submitted": ("profile", "dataset", "created", "finished", "timing", "record"),
}  # fmt: skip

#: Kind of a row that came out of a text folder; entries of its plan and its record: which folder, and whence it came.
IMPORTED: Final = "imported"
FOLDER: Final = "folder"
TRAVELLED: Final = "travelled"

#: Outcomes that are decided by the mask alone.
_OF_MASKS = (Status.OK, Status.INVALID_OUTPUT, Status.MISSING_OUTPUT)


def verify_run(
    store: Store, run: RunRow, home: Path, *, masks: Path | None, dataset: str | None, jobs: int | None = None
) -> dict[str, Any]:
    """Score a run's masks again and compare with the stored values.

    Parameters
    ----------
    store, run
        The database and the row.
    home
        The folder that holds the runs' masks.
    masks, dataset
        Their new places; None: the recorded ones.
    jobs
        Worker processes.

    Returns
    -------
    dict
        ``{"run", "findings", "metrics", "stated", "differences"}``: columns that cannot be computed and are only held
        against the record, and a line for every value that is not the same.

    Raises
    ------
    DataError
        The masks or the data set are missing, or the data set is another one.
    """
    data = _data(run, home, dataset)
    kind = _kind(run)
    travelled = TRAVELLED in run.record
    stored = {(row.case, row.finding): row for row in store.findings(run.id)}
    names = {case for case, _ in stored}
    split = _cases_of(run, data)
    cases = tuple(case for case in split if case.id in names)
    quirks = bool(run.plan.get("organiser_quirks"))
    folder = masks or Path(run.plan.get("predictions") or home / "runs" / run.id / "masks")
    if not folder.exists():
        raise DataError(f"the masks of {run.id} are no longer at {folder}", fix="give their new place with --masks")
    nothing_delivered = all(row.mask_sha256 is None for row in stored.values())
    submission = Submission(folder, {}, {}, ()) if nothing_delivered else open_submission(folder, cases)
    found = score_submission(submission, data, cases, jobs=jobs, organiser_quirks=quirks)
    differences = [*compare_identity(run), *_whole(run, split, stored)]
    if kind == "submitted" or run.state == "done":
        differences += compare_record(home / "runs" / run.id, run, store.cases(run.id), list(stored.values()))
    if "prompts" in run.record:
        place, seed, prompts = home / "runs" / run.id, run.plan["seed"], run.record["prompts"]
        differences += compare_boxes(
            place, split, mask_flip=data.mask_flip, seed=seed, recorded=prompts, travelled=travelled
        )
    differences += [] if travelled else [*_trained_with(run, data, home), *changed_weights(run, home)]
    again = []
    for row in (row for rows in found.values() for row in rows):
        kept = stored.get((row.case, row.finding))
        if kept is None:
            continue  # named above
        if kept.status in _OF_MASKS:
            differences += _differences(f"{row.case}/{row.finding}", kept, row)
        else:
            # Inference failed: the mask decides nothing.
            differences += _differing(f"{row.case}/{row.finding}", kept, replace(kept, dice=0.0), ("dice",))
            row = replace(row, status=kept.status)  # noqa: PLW2901 - the value without what is named above
        withheld = travelled and not kept.text  # the fingerprint of the data set holds the texts as well
        differences += _differing(f"{row.case}/{row.finding}", kept, row, _COPIED[:1] if withheld else _COPIED)
        again.append(row)
    cuts = SizeCuts.recorded(run.record)
    differences += _cuts(cuts, data, run.split, again)
    compared = 0
    for name in PROFILES:
        kept_metrics = dict(cells(store.metrics(run.id, name)))
        due = bool(kept_metrics) or (run.state == "done" and name in {run.profile, *profiles_on(run.split)})
        computed = metrics_of(run, name, again, cuts) if due else {}
        compared += len(computed)
        for path in [*computed, *(kept_metrics.keys() - computed.keys())]:
            if kept_metrics.get(path) != computed.get(path):
                differences.append(f"{name} {path}: stored {kept_metrics.get(path)}, computed {computed.get(path)}")
    return {
        "run": run.id,
        "findings": len(again),
        "metrics": compared,
        "stated": list(_STATED[kind]),
        "differences": differences,
    }


def _data(run: RunRow, home: Path, dataset: str | None) -> Dataset:
    place = dataset or run.plan.get("dataset") or run.record.get("dataset", {}).get("path") or run.dataset
    data = open_dataset(find_dataset(place, home), cache=home / "datasets" / ".digests")
    require_sound(data, [run.split], used=_cases_of(run, data))
    digests = DigestCache(data.cache, again=True)  # what is verified is read, whatever is remembered of it
    fingerprint = fingerprint_of(data, run.split, digests=digests)
    if fingerprint != run.fingerprint:
        names = ", ".join(str(path) for path in digests.changed[:5])
        more = f" and {len(digests.changed) - 5} more" if len(digests.changed) > 5 else ""
        raise DataError(
            f"{run.id} was measured on {run.fingerprint}, but {data.root} is {fingerprint}"
            + (f"; changed since it was last read: {names}{more}" if names else ""),
            fix="put the changed files back, or give the data set of that run with --dataset",
        )
    return data


def _cases_of(run: RunRow, data: Dataset) -> tuple[Case, ...]:
    """Return the cases that a run was made of; older plans name only how many of the index they took."""
    split = data.split(run.split)
    chosen = run.plan.get("cases")
    if chosen is None:
        return split[: run.plan.get("limit")]
    known = {case.id: case for case in split}
    return tuple(known[name] for name in chosen if name in known)


def _cuts(recorded: SizeCuts | None, data: Dataset, split: str, rows: Sequence[FindingRow]) -> Iterator[str]:
    """Say where findings are divided by size otherwise than recorded; earlier versions recorded nothing."""
    if recorded is not None and (computed := cuts_on(data, split, rows)) != recorded:
        yield f"size groups: recorded {recorded}, computed {computed}"


def _trained_with(run: RunRow, data: Dataset, home: Path) -> Iterator[str]:
    """Name what is wrong with the boxes that the training of this run's checkpoint was given."""
    training = run.record.get("training", {})
    if "prompts" in training:
        cases = [case for name in SPLITS for case in data.splits.get(name, ())]
        place, seed = home / "checkpoints" / training["key"], run.plan["seed"]
        for line in compare_boxes(place, cases, mask_flip=data.mask_flip, seed=seed, recorded=training["prompts"]):
            yield f"training: {line}"


def changed_weights(run: RunRow, home: Path) -> Iterator[str]:
    """Name the weights of a run that lie in its home and are not what they were; each is read, whatever is known of it.

    A file that is no longer there, or that lay elsewhere, is not named: the row does not follow from it.
    """
    weights = run.plan.get("weights")
    files = weights.get("files", {}) if isinstance(weights, dict) else {}
    for name, digest in sorted(files.items()):
        path = home / "weights" / str(digest)
        if path.is_file() and (found := DigestCache(None).digest(path)) != digest:
            yield f"weights {name}: {path} has the SHA-256 {found[:12]}…, the run used {str(digest)[:12]}…"


def plan_digest(plan: Mapping[str, Any]) -> str:
    """Return the digest (SHA-256, hex) of the part of a plan that is the identity of its row."""
    of_masks = plan.get("kind") == "submitted"
    identity = {key: value for key, value in plan.items() if not (of_masks and key in _PLACES)}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def differing_from_plan(run: RunRow) -> Iterator[str]:
    """Yield a line for every value of a row that does not follow from its plan, whose digest is its key."""
    expected = IMPORTED if FOLDER in run.plan else _kind(run)
    if run.kind != expected:
        yield f"kind: {run.kind} in the row, {expected} by its plan"
    if (key := plan_digest(run.plan)) != run.plan_key:
        yield f"plan: its digest is {key[:10]}…, the row's key is {run.plan_key[:10]}…"
    for column, value in _planned(run).items():
        if getattr(run, column) != value:
            yield f"{column}: {getattr(run, column)} in the row, {value} in the plan"


def compare_identity(run: RunRow) -> Iterator[str]:
    """Return the values of a row that do not follow from its plan, and a scorer of another version."""
    yield from differing_from_plan(run)
    if run.plan_key[:10] not in run.id:
        yield f"id: {run.id} does not belong to the plan {run.plan_key[:10]}…"
    if run.record.get("scorer") != SCORER_VERSION:
        yield f"scorer: version {run.record.get('scorer')} made the row, this is version {SCORER_VERSION}"


def _kind(run: RunRow) -> str:
    """Return the kind of a row by its plan: only that of a submission names one."""
    return "submitted" if run.plan.get("kind") == "submitted" else "measured"


def _planned(run: RunRow) -> dict[str, Any]:
    """Return the columns of a row that its plan, whose digest is its key, decides."""
    if _kind(run) == "measured":
        return {column: run.plan.get(name) for column, name in _PLANNED.items()}
    if not {"name", "organiser_quirks", "fingerprint", "split"} <= run.plan.keys():
        return {}  # not a plan of a submission: its digest says so
    return {**columns_of(run.plan), **{name: run.plan[name] for name in ("fingerprint", "split")}}


def _whole(run: RunRow, split: Sequence[Case], stored: Mapping[tuple[str, str], FindingRow]) -> Iterator[str]:
    """Name the findings that a finished run lacks, and those that the data set does not have."""
    expected = {(case.id, finding.id) for case in split for finding in case.findings}
    for column, number in {"n_cases": len(split), "n_findings": len(expected)}.items():
        if getattr(run, column) != number:
            yield f"{column}: {getattr(run, column)} in the row, {number} in the split"
    for case, finding in sorted(stored.keys() - expected):
        yield f"{case}/{finding}: in the database, not in the split"
    for case, finding in sorted(expected - stored.keys()) if run.state == "done" else ():
        yield f"{case}/{finding}: in the split, not in the database"


def _differences(name: str, kept: FindingRow, computed: FindingRow) -> Iterator[str]:
    if kept.status != computed.status:
        yield f"{name} status: stored {kept.status}, computed {computed.status}"
    elif kept.status == Status.OK:
        if kept.details.others is None:  # of an earlier version, which did not look at the other findings
            computed = replace(computed, details=replace(computed.details, others=None))
        yield from _differing(name, kept, computed, _COMPUTED)


def _differing(name: str, kept: FindingRow, computed: FindingRow, columns: Sequence[str]) -> Iterator[str]:
    before, now = asdict(kept), asdict(computed)
    for fact in OF_DATA_SET:  # a data set may have begun to state it since
        if None in (before["details"][fact], now["details"][fact]):
            before["details"][fact] = now["details"][fact] = None
    for column in columns:
        if before[column] != now[column]:
            yield f"{name} {column}: stored {before[column]}, computed {now[column]}"
