"""Submitted masks: scored in worker processes, stored as a row beside those measured here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.dataset import Case, Dataset
from harness.dataset.editions import edition_of
from harness.dataset.fingerprint import fingerprint_of
from harness.dataset.judge import data_record
from harness.dataset.problems import DataProblem
from harness.dataset.shared import shared_words
from harness.registry.card import Card
from harness.registry.licences import commercial_use
from harness.rows import CaseRow, FindingRow, RunRow
from harness.runs.from_boxes import made_from_boxes
from harness.runs.hardware import describe_hardware, describe_harness
from harness.runs.record import write_record
from harness.runs.rows import rows_of
from harness.runs.together import scored_together
from harness.scoring import SCORER_VERSION
from harness.scoring.case import CaseScore
from harness.scoring.profiles import Profile, profiles_on
from harness.scoring.sizes import cuts_on
from harness.scoring.submission import Submission
from harness.scoring.summary import summarise
from harness.status import UNKNOWN, Status
from harness.store.database import Store

#: Case -> its rows, in the order of the split.
Rows = dict[str, list[FindingRow]]


def score_submissions(
    submissions: Sequence[Submission],
    data: Dataset,
    cases: tuple[Case, ...],
    *,
    jobs: int | None = None,
    organiser_quirks: bool = False,
    done: Callable[[int], None] = lambda _: None,
) -> list[Rows | Exception]:
    """Score every case of every submission in worker processes, the largest first.

    A case is scored for all submissions together, so that its truth is decoded once.

    Parameters
    ----------
    submissions, data, cases
        The masks, and the data they are compared with.
    jobs
        Worker processes; as many as there are cores by default, with 1 everything runs in this process.
    organiser_quirks
        Read labels as the organisers' evaluator does.
    done
        Called with the number of cases that were just scored; a case of two submissions counts twice.

    Returns
    -------
    list
        The rows of every submission, or the error that ended its scoring; the others are not touched by it.

    Raises
    ------
    DataError
        A ground truth cannot be read.
    """
    tasks = [
        (case, [one.task(case, data.mask_flip, organiser_quirks=organiser_quirks) for one in submissions])
        for case in sorted(cases, key=lambda case: sum(one.nbytes(case) for one in submissions), reverse=True)
    ]
    found: list[dict[str, list[FindingRow]]] = [{} for _ in submissions]
    failed: dict[int, Exception] = {}
    for together, scores in scored_together(tasks, jobs):
        for i, score in zip(together.of, scores, strict=True):
            if isinstance(score, CaseScore):
                found[i][together.case.id] = rows_of(together.case, score)
            else:
                failed.setdefault(i, score)
        done(len(together.of))
    return [failed.get(i) or {case.id: rows[case.id] for case in cases} for i, rows in enumerate(found)]


def score_submission(
    submission: Submission,
    data: Dataset,
    cases: tuple[Case, ...],
    *,
    jobs: int | None = None,
    organiser_quirks: bool = False,
) -> Rows:
    """Score one submission as :func:`score_submissions` does; raises the error that ended its scoring."""
    (found,) = score_submissions([submission], data, cases, jobs=jobs, organiser_quirks=organiser_quirks)
    if isinstance(found, Exception):
        raise found
    return found


def quirk_difference(rows: Sequence[FindingRow], profile: Profile) -> str:
    """Return the values in which the organisers' evaluator and our rules differ on these findings, in words."""
    if profile.instances is None:
        return ""
    ours, theirs = (summarise(rows, replace(profile, organiser_quirks=quirks), resamples=1) for quirks in (False, True))
    found = [
        f"{metric} {group} {mine['value']:.4f} / {other['value']:.4f}"
        for metric, groups in ours.items()
        for group, mine in groups.items()
        if group in ("all", "per_case") and mine["value"] != (other := theirs[metric][group])["value"]
    ]
    if not found:
        return ""
    return (
        "our rules / the organisers' (missing cases leave the mean there, and precision without predictions is 1): "
        + ", ".join(found)
    )


def keep_submission(
    store: Store,
    submission: Submission,
    found: Mapping[str, Sequence[FindingRow]],
    data: Dataset,
    split: str,
    *,
    name: str,
    profile: Profile,
    home: Path,
    card: Card | None = None,
    data_warnings: Sequence[DataProblem] = (),
) -> RunRow:
    """Store a scored submission; the same masks with the same name and card on the same data are the same run.

    Its record is written first, then the row with everything in it at once: killed at any moment, a row that is there
    is whole.

    Parameters
    ----------
    store
        The open results database.
    submission, found
        The masks; case -> rows, in the order of the split.
    data, split
        The data they were compared with.
    name
        Name of the row.
    profile
        The requested profile; its switches count.
    home
        Its ``runs/`` gets a folder with the row's record; the masks stay where they are.
    card
        What is stated of the masks; by default nothing.
    data_warnings
        Warnings about the data behind the numbers.
    """
    card = card or Card()
    fingerprint = fingerprint_of(data, split)
    hashes = {f"{row.case}/{row.finding}": row.mask_sha256 for rows in found.values() for row in rows}
    every = [row for rows in found.values() for row in rows]
    cuts, cases = cuts_on(data, split, every), data.split(split)
    identity = {
        "kind": "submitted",
        "name": name,
        "fingerprint": fingerprint,
        "split": split,
        "scorer": SCORER_VERSION,
        "organiser_quirks": profile.organiser_quirks,
        "masks": _digest(hashes),
        **({"card": card.stated} if card.stated else {}),
        **({"shared_patients": shared} if (shared := shared_words(data.split(split), split)) else {}),
        **({"from_boxes": shapes} if card.prompt != "box" and (shapes := made_from_boxes(cases, found)) else {}),
    }
    key = _digest(identity)
    earlier = store.latest(key)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    run = RunRow(
        id=f"{name}-submitted-{key[:10]}",
        plan_key=key,
        attempt=1,
        kind="submitted",
        **columns_of(identity),
        profile=profile.name,
        dataset=data.name,
        fingerprint=fingerprint,
        split=split,
        created=now if earlier is None else earlier.created,
        finished=now,
        n_cases=len(found),
        n_findings=sum(map(len, found.values())),
        plan={**identity, "predictions": str(submission.path.absolute()), "dataset": str(data.index.absolute())},
        record={
            "harness": describe_harness(),
            "hardware": describe_hardware(()),
            "scorer": SCORER_VERSION,
            "seed": 0,
            **_stated(card),
            "dataset": {
                "name": data.name,
                "edition": edition_of(data, split),
                "licence": data.licence,
                "terms": data.terms.model_dump(mode="json", exclude_defaults=True),
            },
            **({} if cuts is None else {"sizes": cuts.to_json()}),
            **data_record(data_warnings),
        },
    )
    ended = [_case_row(case, ordinal, rows) for ordinal, (case, rows) in enumerate(found.items())]
    metrics = {
        used.name: summarise(every, used, cuts=cuts) for used in {**profiles_on(split), profile.name: profile}.values()
    }
    folder = home / "runs" / run.id
    folder.mkdir(parents=True, exist_ok=True)
    write_record(folder, run, ended, every)
    store.save_whole(run, list(zip(ended, found.values(), strict=True)), metrics)
    return run


def columns_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a submitted row that follow from its plan: they are not stated separately."""
    reasons = ["scored with the organisers' quirks"] if plan["organiser_quirks"] else []
    reasons += [plan["shared_patients"]] if "shared_patients" in plan else []
    reasons += [plan["from_boxes"]] if "from_boxes" in plan else []
    return {
        "plugin": plan["name"],
        "title": plan["name"],
        "plugin_version": "",
        "variant": "masks",
        "prompt": plan.get("card", {}).get("prompt", ""),
        "fine_tuned": False,
        "engine": "",
        "image_id": "",
        "rankable": not reasons,
        "unrankable": reasons,
        "state": "done",
    }


def _stated(card: Card) -> dict[str, Any]:
    """Return the part of a record that its card states, under the names that the record of a run has for it."""
    by = f"stated by {card.who}" if card.who else "stated with the masks"
    licences = {"code": card.licence, "sources": {}, "weights": {}, "commercial": commercial_use(card.licence)}
    return {
        "exposure": {"of": card.exposure, "origin": by if card.exposure != UNKNOWN else ""},
        "model": {"homepage": card.homepage, "citation": card.paper},
        **({"licences": licences} if card.licence else {}),
    }


def _case_row(case: str, ordinal: int, rows: Sequence[FindingRow]) -> CaseRow:
    """Return how a submitted case ended: as the first of its findings that is not ok."""
    status, reason = next(((row.status, row.reason) for row in rows if row.status != Status.OK), (Status.OK, ""))
    return CaseRow(case, ordinal, str(status), reason, scored=True)


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
