"""Where masks lie: known answers, each rule at its threshold, and the shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harness.dataset import Case, open_dataset
from harness.phantom.dataset import make_dataset
from harness.rows import FindingDetails, FindingRow, Other, Others
from harness.runs.rows import rows_of
from harness.runs.submitted import score_submission
from harness.scoring.case import CaseTask, score_case
from harness.scoring.placement import PLACEMENTS, Placement, placement, placement_shares
from harness.scoring.statistics import wilson
from harness.scoring.submission import Submission
from plugins.rules.grounding import segment

from .conftest import save

MakeTask = Callable[..., CaseTask]


def rows_for(make_task: MakeTask, truth: np.ndarray, masks: Sequence[np.ndarray | None], **more) -> list[FindingRow]:
    """Score a case as every command does, and return its rows."""
    task = make_task(truth, masks, **more)
    return rows_of(Case(task.case, "test", task.findings), score_case(task))


@pytest.fixture
def truth() -> np.ndarray:
    """Return three findings far from each other."""
    volume = np.zeros((3, 24, 8, 24), np.uint8)
    for i in range(3):
        volume[i, 4:16, 1:6, 8 * i : 8 * i + 5] = 1
    return volume


def words(rows: Sequence[FindingRow]) -> list[str]:
    return [placement(row).words for row in rows]


def test_an_entry_that_swaps_two_findings_is_told(make_task: MakeTask, truth: np.ndarray) -> None:
    """Each of the two is taken for the other, and the third is found."""
    assert words(rows_for(make_task, truth, truth[[1, 0, 2]])) == [
        "taken for finding 1 (Dice 1.000)",
        "taken for finding 0 (Dice 1.000)",
        "found",
    ]


@pytest.mark.parametrize("stacked", [False, True])
def test_an_entry_of_one_mask_for_all_is_told(make_task: MakeTask, truth: np.ndarray, stacked: bool) -> None:
    """The finding that the mask fits is found; every other text got the same mask, and not only another's place."""
    same = "the same mask as for finding {} (Dice 1.000)".format
    assert words(rows_for(make_task, truth, truth[[1, 1, 1]], stacked=stacked)) == [same(1), "found", same(0)]
    all_three = np.repeat(truth.max(axis=0)[np.newaxis], 3, axis=0)  # fits each as well as the next, Dice 0.5
    assert words(rows_for(make_task, truth, all_three, stacked=stacked)) == [same(1), same(0), same(0)]


def test_masks_that_are_right_empty_elsewhere_or_missing(make_task: MakeTask, truth: np.ndarray) -> None:
    """The rest of what can become of a mask."""
    elsewhere = np.zeros_like(truth[0])
    elsewhere[20:, 7] = 1
    assert words(rows_for(make_task, truth, truth)) == ["found"] * 3
    assert words(rows_for(make_task, truth, [elsewhere, elsewhere * 0, None])) == [
        "found elsewhere",
        "not found",
        "no valid mask",
    ]
    absent = truth.copy()
    absent[1] = 0
    assert words(rows_for(make_task, absent, truth)) == ["found", "nothing to find", "found"]


def test_a_finding_alone(make_task: MakeTask, truth: np.ndarray) -> None:
    """It is found, not found or found elsewhere; there is nothing to be taken for."""
    elsewhere = np.zeros_like(truth[:1])
    elsewhere[0, 20:, 7] = 1
    for mask, said in ((truth[:1], "found"), (elsewhere * 0, "not found"), (elsewhere, "found elsewhere")):
        assert words(rows_for(make_task, truth[:1], mask)) == [said]


def test_findings_that_overlap_are_no_mix_up(make_task: MakeTask, truth: np.ndarray) -> None:
    """One truth for two texts: one mask for both is right, and half of it is no mix-up either."""
    twice = truth[[0, 0, 2]]
    assert words(rows_for(make_task, twice, twice)) == ["found"] * 3
    half = twice.copy()
    half[0, 9:] = 0
    inside = truth.copy()
    inside[1] = 0
    inside[1, 4:6, 1:6, :5] = 1  # a sixth of finding 0
    assert words(rows_for(make_task, twice, half)) == ["found"] * 3
    assert words(rows_for(make_task, inside, inside[[0, 0, 2]])) == ["found"] * 3  # Dice 0.29 for finding 1


def test_equal_texts_are_no_mix_up(make_task: MakeTask, truth: np.ndarray) -> None:
    """A model that is asked the same twice may answer the same, or the other way round."""
    texts = ["a nodule", "A nodule", "a scar"]
    assert words(rows_for(make_task, truth, truth[[1, 0, 2]], texts=texts)) == ["found elsewhere"] * 2 + ["found"]
    assert words(rows_for(make_task, truth, truth[[0, 0, 2]], texts=texts)) == ["found", "found elsewhere", "found"]


@pytest.mark.costly
def test_rules_on_the_phantom(tmp_path: Path) -> None:
    """The two masks that fit another finding better than their own are told, and no other."""
    data = open_dataset(make_dataset(tmp_path / "phantom", cases=3, size="small", seed=0))
    cases = data.split("test")[1:]
    masks = {}
    for case in cases:
        ct = nib.load(case.ct)
        found = segment(np.asarray(ct.dataobj), ct.affine, [finding.text for finding in case.findings])
        for finding, mask in zip(case.findings, found, strict=True):
            name = case.id, finding.id
            masks[name] = save(tmp_path / case.id / f"{finding.id}.nii.gz", mask.astype(np.uint8), ct.affine)
    rows = score_submission(Submission(tmp_path, {}, masks, ()), data, cases, jobs=1)
    every = [one for of_case in rows.values() for one in of_case]
    assert len(every) == 9
    others = [one for one in every if placement(one).name != "found"]
    assert [(" ".join(one.text.split()[:3]), f"{one.dice:.3f}", placement(one).words) for one in others] == [
        ("Minimal paraseptal emphysema", "0.094", "taken for finding 2 (Dice 0.570)"),
        ("Subsegmental linear atelectases", "0.118", "taken for finding 2 (Dice 0.177)"),
    ]


def row(own: int, others: Others | None, *, truth: int = 100, pred: int = 100, status: str = "ok") -> FindingRow:
    """Return a finding of 100 voxels, of which `own` are in a mask of 100."""
    details = FindingDetails(others=others)
    counts = {"truth_voxels": truth, "pred_voxels": pred, "intersection": own, "dice": 2 * own / (truth + pred)}
    return FindingRow("c", "0", 0, "2d", "text", status, details=details, **counts)


def test_thresholds() -> None:
    """5 % is the paper's HIT, above it; another finding must fit better; from 0.9 on masks are the same."""
    assert placement(row(6, Others())).name == "found"
    assert placement(row(5, Others())).name == "elsewhere"  # Dice 0.05 is no hit; 5 % of either is apart
    assert placement(row(5, Others(), pred=99)).name == "found"
    assert placement(row(6, Others(), pred=1000)).name == "not_found"  # a mask that is too large lies not elsewhere
    assert placement(row(0, Others(), pred=0)).name == "not_found"
    assert placement(row(6, Others(Other("1", 0.06)))).name == "found"
    assert placement(row(6, Others(Other("1", 0.06), Other("1", 0.9)))).name == "same_mask"
    assert placement(row(6, Others(Other("1", 0.0601)))) == Placement("other_finding", Other("1", 0.0601))
    assert placement(row(0, Others(Other("1", 0.05)))).name == "elsewhere"
    assert placement(row(0, Others(Other("1", 0.5), Other("2", 0.9)))) == Placement("same_mask", Other("2", 0.9))
    assert placement(row(0, Others(Other("1", 0.5), Other("2", 0.899)))).name == "other_finding"
    assert placement(row(50, Others(None, Other("2", 1.0)))).name == "found"


def test_what_is_not_known_is_not_guessed() -> None:
    """A row of an earlier version; failures are known without any comparison."""
    assert placement(row(50, None)).name == "not_known"
    assert placement(row(50, None, status="timeout")).name == "no_mask"
    assert placement(row(0, None, truth=0)).name == "nothing_to_find"


def test_shares_are_of_what_is_known() -> None:
    """Counts of all, shares of those that say something about the model."""
    rows = [row(50, Others()), row(50, Others()), row(0, Others(), pred=0), row(0, None, truth=0), row(5, None)]
    shares = placement_shares(rows)
    assert list(shares) == list(PLACEMENTS)
    assert sum(share["count"] for share in shares.values()) == len(rows)
    assert (shares["found"]["count"], shares["found"]["n"], shares["found"]["value"]) == (2, 3, 2 / 3)
    assert sum(share["value"] for share in shares.values() if share["n"]) == pytest.approx(1)
    assert shares["not_known"] == {"count": 1, "n": None, "cases": None, "value": None, "ci95": None}
    nothing = placement_shares([])
    assert {share["value"] for share in nothing.values()} == {None}


def test_shares_have_the_intervals_of_cases() -> None:
    """Known answers: none of fewer than five cases; findings found case by case tell no more than cases."""
    alike = [replace(row(50 if case < 3 else 0, Others()), case=f"c{case}") for case in range(6) for _ in range(10)]
    found = placement_shares(alike)["found"]
    assert (found["n"], found["cases"], found["value"]) == (60, 6, 0.5)
    worth = 5  # (6 - 1) cases: p(1-p) over 6/5 of the variance between cases, which is p(1-p)/6
    assert found["ci95"] == pytest.approx(wilson(0.5 * worth, worth))
    assert placement_shares([one for one in alike if one.case < "c4"])["found"]["ci95"] is None
