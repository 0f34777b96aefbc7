"""One case: counts that a plain array computes, and a status for everything that can go wrong."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from harness.errors import DataError
from harness.masks import open_volume
from harness.rows import FindingDetails, MaskVerdict
from harness.scoring.case import CaseTask, score_case, score_together
from harness.status import Status


def plain_dice(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the Dice of two arrays as a textbook would."""
    a, b = truth > 0, prediction > 0
    return 1.0 if not a.any() and not b.any() else 2 * (a & b).sum() / (a.sum() + b.sum())


def arrays(shape: tuple[int, ...] = (3, 30, 12, 9)) -> tuple[np.ndarray, np.ndarray]:
    """Return a labelled ground truth and a prediction that overlaps it."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, shape) * (rng.random(shape) < 0.3)
    prediction = (rng.random(shape) < 0.3) | ((truth > 0) & (rng.random(shape) < 0.7))
    return truth, prediction.astype(np.uint8)


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("shape", [(3, 30, 12, 9), (1, 64, 8, 8), (5, 128, 5, 4), (2, 65, 3, 2), (4, 1, 1, 1)])
def test_counts_are_those_of_the_arrays(make_task, shape: tuple[int, ...], stacked: bool) -> None:
    """Voxels, intersection and Dice are exact, for one file a finding and for a stack alike."""
    truth, prediction = arrays(shape)
    for i, score in enumerate(score_case(make_task(truth, prediction, stacked=stacked)).findings):
        assert score.status is Status.OK
        assert score.verdict.level == "ok"
        assert score.truth_voxels == (truth[i] > 0).sum()
        assert score.truth_entities == len(set(truth[i].ravel().tolist()) - {0})
        assert score.pred_voxels == (prediction[i] > 0).sum()
        assert score.intersection == ((truth[i] > 0) & (prediction[i] > 0)).sum()
        assert score.dice == plain_dice(truth[i], prediction[i])


@pytest.mark.parametrize("most", [0, 100, 300])
@pytest.mark.parametrize("stacked", [False, True])
def test_dense_stacks_are_scored_in_groups(make_task, monkeypatch, stacked: bool, most: int) -> None:
    """However few findings are held at a time, every number, digest and verdict is the same."""
    truth, prediction = arrays((7, 30, 12, 9))
    task = make_task(truth, prediction, stacked=stacked)
    at_once = score_case(task)
    monkeypatch.setattr("harness.scoring.case.MAX_ENTRIES", most)
    assert score_case(task) == at_once


@pytest.mark.parametrize("most", [1, 300, 10**9])
def test_together_each_has_its_own_score(make_task, tmp_path: Path, monkeypatch, most: int) -> None:
    """Stacks, single masks and missing ones beside one truth, decoded in groups or at once: as each alone."""
    truth, prediction = arrays()
    single = make_task(truth, [prediction[0], None, prediction[2]])
    stacks = {"same": prediction, "empty": np.zeros_like(prediction), "perfect": (truth > 0).astype(np.uint8)}
    for name, stack in stacks.items():
        nib.save(nib.Nifti1Image(stack, np.eye(4)), tmp_path / f"{name}.nii.gz")
    tasks = [single, *(replace(single, masks={}, stack=tmp_path / f"{name}.nii.gz") for name in stacks)]
    alone = [score_case(task) for task in tasks]
    monkeypatch.setattr("harness.scoring.case.MAX_ENTRIES", most)
    assert score_together(tasks) == alone
    assert [score.findings[0].dice for score in alone] == [plain_dice(truth[0], prediction[0])] * 2 + [0.0, 1.0]


def test_together_the_truth_is_decoded_once(make_task, monkeypatch) -> None:
    """However many submissions there are."""
    truth, prediction = arrays()
    tasks = [make_task(truth, prediction, stacked=True)] * 5
    opened: list[Path] = []

    def spy(source: Path, **options: Any) -> Any:
        opened.append(source)
        return open_volume(source, **options)

    monkeypatch.setattr("harness.scoring.case.open_volume", spy)
    score_together(tasks)
    assert [opened.count(path.resolve()) for path in (tasks[0].truth, tasks[0].stack)] == [1, 5]


def test_empty_masks_have_declared_values(make_task) -> None:
    """Both empty is exactly 1, one empty is exactly 0."""
    full, empty = np.ones((1, 4, 4, 4)), np.zeros((1, 4, 4, 4))
    for truth, prediction, value in [(empty, empty, 1.0), (full, empty, 0.0), (empty, full, 0.0), (full, full, 1.0)]:
        (score,) = score_case(make_task(truth, prediction)).findings
        assert score.dice == value


def test_a_bad_mask_scores_zero_and_says_why(make_task) -> None:
    """A missing and a truncated mask leave the others unharmed."""
    truth, prediction = arrays()
    task = make_task(truth, [prediction[0], None, prediction[2]])
    path = task.masks["2"]
    path.write_bytes(path.read_bytes()[:-50])
    good, missing, cut = score_case(task).findings
    assert good.status is Status.OK
    assert (missing.status, missing.dice, missing.pred_voxels) == (Status.MISSING_OUTPUT, 0.0, None)
    assert (cut.status, cut.dice, cut.pred_voxels) == (Status.INVALID_OUTPUT, 0.0, None)
    assert "ends before" in cut.reason
    assert cut.verdict.problems[0].fix
    assert cut.truth_voxels == (truth[2] > 0).sum()


def test_a_file_that_vanished_is_missing(make_task) -> None:
    """A path without a file is a missing mask, not an error."""
    truth, prediction = arrays()
    task = make_task(truth, prediction)
    task.masks["0"].unlink()
    assert score_case(task).findings[0].status is Status.MISSING_OUTPUT


def test_records_travel_between_processes(make_task) -> None:
    """Tasks and scores survive pickling, verdicts and details JSON."""
    truth, prediction = arrays()
    task = pickle.loads(pickle.dumps(make_task(truth, prediction)))  # noqa: S301 - our own bytes
    score = score_case(task)
    assert pickle.loads(pickle.dumps(score)) == score  # noqa: S301 - our own bytes
    for finding in score.findings:
        assert MaskVerdict.from_json(json.loads(json.dumps(finding.verdict.to_json()))) == finding.verdict
        assert FindingDetails.from_json(json.loads(json.dumps(finding.details.to_json()))) == finding.details


@pytest.mark.parametrize(
    ("arrange", "words"),
    [
        (lambda m: m[::-1], "reversed along x"),
        (lambda m: m[:, ::-1], "reversed along y"),
        (lambda m: m[::-1, ::-1], "reversed along x and y"),
        (lambda m: m.transpose(1, 0, 2), "transposed in plane"),
    ],
)
def test_a_mirrored_mask_gets_a_hint(make_task, arrange, words: str) -> None:
    """A mask that fits only when mirrored scores 0, and the verdict names the flip."""
    truth = np.zeros((1, 70, 70, 6))
    truth[0, 3:12, 20:25, 1:5] = 1
    (score,) = score_case(make_task(truth, [arrange(truth[0])])).findings
    (problem,) = score.verdict.problems
    assert (score.dice, problem.code) == (0.0, "mirrored")
    assert words in problem.message


@pytest.mark.parametrize("axes", [(), (0,), (1,), (0, 1)])
def test_a_flipped_data_set_is_compared_on_the_truths_grid(make_task, axes: tuple[int, ...]) -> None:
    """A 3-D mask lies on the CT; where the ground truth is stored reversed, it is reversed before comparing."""
    truth, prediction = arrays()
    task = make_task(truth, [np.flip(mask, axes) for mask in prediction])
    for i, score in enumerate(score_case(replace(task, mask_flip=axes)).findings):
        assert score.dice == plain_dice(truth[i], prediction[i])


def test_a_bad_ground_truth_is_the_data_sets_fault(make_task, tmp_path: Path) -> None:
    """A ground truth that is absent, of another shape or damaged raises DataError with a fix."""
    truth, prediction = arrays()
    task: CaseTask = make_task(truth, prediction)
    for broken in (replace(task, truth=tmp_path / "absent.nii.gz"), replace(task, shape=(30, 12, 8))):
        with pytest.raises(DataError) as caught:
            score_case(broken)
        assert caught.value.fix
        assert caught.value.path == broken.truth
    task.truth.write_bytes(task.truth.read_bytes()[:-30])
    with pytest.raises(DataError):
        score_case(task)


def test_labels_of_a_prediction_are_foreground(make_task) -> None:
    """Entity labels in a prediction count as foreground, with a warning."""
    truth, _ = arrays()
    (first, *_) = score_case(make_task(truth, truth)).findings
    assert first.dice == 1.0
    assert [p.code for p in first.verdict.problems] == ["labels"]


def test_wide_types_are_read_with_a_warning(make_task) -> None:
    """A float mask of exact zeros and ones is scored."""
    truth, prediction = arrays()
    task = make_task(truth, prediction)
    nib.save(nib.Nifti1Image(prediction[0].astype(np.float64), np.array(task.affine)), task.masks["0"])
    score = score_case(task).findings[0]
    assert score.dice == plain_dice(truth[0], prediction[0])
    assert [p.code for p in score.verdict.problems] == ["dtype"]


def test_under_the_quirks_labels_wrap_in_the_truth_as_in_the_prediction(make_task) -> None:
    """Known answer of the evaluator, which casts the truth to a byte: 256 is nothing, and 257 is part of 1."""
    truth = np.zeros((1, 30, 12, 9), np.uint16)
    for place, label in ((2, 1), (12, 256), (22, 257)):
        truth[0, place : place + 5, 2:6, 2:5] = label
    task = make_task(np.zeros_like(truth), truth > 0)
    nib.save(nib.Nifti1Image(truth, np.eye(4)), task.truth)
    for quirks, dice, counts in ((False, 1.0, (3, 0, 0)), (True, 0.8, (1, 2, 0))):
        (score,) = score_case(replace(task, organiser_quirks=quirks)).findings
        found = score.instances.overlap
        assert (score.dice, (found.tp, found.fp, found.fn)) == (dice, counts)
