"""Why a row has its score: its best and worst findings, what failed and whose fault that is, its single lesions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.scoring.placement import FOUND, NO_MASK, NOT_KNOWN
from harness.status import Status
from leaderboard.board.board import Row
from leaderboard.pages.page import case_address
from leaderboard.published.database import Published, PublishedFinding, PublishedScore

#: Findings of each list.
MOST: Final = 10

#: Whose fault a failure is, in words: the model's (of masks made elsewhere: the submission's), the harness's, unknown.
MODEL, HARNESS, UNKNOWN = "the model", "the harness", "not known"
SUBMISSION: Final = "the submission"

#: Status -> whose fault it is, and what happened.
FAILURES: Final[Mapping[str, tuple[str, str]]] = {
    Status.PLUGIN_ERROR: (MODEL, "it ended with an error"),
    Status.TIMEOUT: (MODEL, "it took longer than it declares"),
    Status.OOM: (MODEL, "it used more memory than it was given"),
    Status.INVALID_OUTPUT: (MODEL, "what it delivered is not a mask on the grid of the CT"),
    Status.MISSING_OUTPUT: (MODEL, "it delivered no file for the finding"),
    Status.INFRA_ERROR: (HARNESS, "the harness or the container engine failed"),
    "not recorded": (UNKNOWN, "nothing was recorded"),
}

#: Edges of the groups of single lesions by volume, in mm³.
_EDGES: Final = (100, 1_000, 10_000)


@dataclass(frozen=True)
class Failure:
    """What happened, and whose fault it is; ``status`` as it was stored."""

    status: str
    fault: str
    what: str


@dataclass(frozen=True)
class Judged:
    """One finding of one row.

    Attributes
    ----------
    finding, address
        The finding; its place on the page of its case, seen from the root of the site.
    dice, other
        Dice of the row, and in a comparison of the other row.
    why
        Why, in words.
    """

    finding: PublishedFinding
    address: str
    dice: float
    why: str
    other: float | None = None


@dataclass(frozen=True)
class Lesions:
    """Single lesions of one size, or components of masks: how many there are, and how many were matched."""

    size: str
    truths: int
    found: int
    components: int
    false: int


def failure_of(status: str, row: Row) -> Failure:
    """Return what a status of a row means."""
    fault, what = FAILURES.get(status, (UNKNOWN, status.replace("_", " ")))
    if fault == MODEL and not row.level.headline:
        fault, what = SUBMISSION, what.replace("it delivered", "there is").replace("what there is", "what it holds")
    return Failure(status, fault, what)


def addresses(findings: Sequence[PublishedFinding]) -> dict[int, str]:
    """Return the place of every finding of a data set, by number."""
    places: dict[str, int] = {}
    found = {}
    for finding in findings:
        places[finding.case] = place = places.get(finding.case, 0) + 1
        found[finding.number] = f"{case_address(finding.data_set, finding.case)}#finding-{place}"
    return found


def reason(row: Row, finding: PublishedFinding, score: PublishedScore) -> str:
    """Say why a finding has its Dice: what failed, where the mask lies, how much of it is right."""
    if score.status != Status.OK:
        failed = failure_of(score.status, row)
        return f"no mask: {failed.what} ({failed.fault})"
    said = [] if score.placement in {FOUND, NO_MASK, NOT_KNOWN} else [score.where]
    truth, mask, shared = finding.truth_voxels, score.pred_voxels, score.intersection
    if truth and mask == 0:
        said = ["an empty mask"]
    elif truth and mask and shared is not None:
        said.append(
            f"{shared / truth:.0%} of the reference is marked, {1 - shared / mask:.0%} of the mask lies outside it"
        )
    if score.tp is not None and score.fn is not None and score.fp is not None and score.tp + score.fn > 1:
        said.append(f"{score.tp} of {score.tp + score.fn} lesions found, {score.fp} false")
    return "; ".join(said)


def extremes(
    published: Published, row: Row, findings: Mapping[int, PublishedFinding], places: Mapping[int, str]
) -> tuple[list[Judged], list[Judged]]:
    """Return the worst and the best findings of a row of an open data set; none of a closed one."""
    assert row.run is not None  # noqa: S101 - rows of a data set are runs
    scores = sorted(published.scores(row.run.id).items(), key=lambda item: (item[1].dice, item[0]))

    def judge(number: int, score: PublishedScore) -> Judged:
        return Judged(findings[number], places[number], score.dice, reason(row, findings[number], score))

    best = sorted(scores[-MOST:], key=lambda item: (-item[1].dice, item[0]))
    return [judge(*one) for one in scores[:MOST]], [judge(*one) for one in best]


def lesions_of(published: Published, run: str) -> list[Lesions]:
    """Count single lesions of the reference and components of the masks by volume; empty where they are not known."""
    counts = [[0, 0, 0, 0] for _ in range(len(_EDGES) + 1)]
    for side, mm3, status in published.instances(run):
        if mm3 is None:
            continue
        group = counts[sum(mm3 >= edge for edge in _EDGES)]
        truth = side == "truth"
        group[0 if truth else 2] += 1
        group[1 if truth else 3] += status == ("found" if truth else "false")
    words = [f"below {_EDGES[0]} mm³", *(f"{a:,} to {b:,} mm³" for a, b in itertools.pairwise(_EDGES))]
    words.append(f"{_EDGES[-1]:,} mm³ and more")
    return [Lesions(size, *group) for size, group in zip(words, counts, strict=True) if any(group)]
