"""Boxes lie around what is labelled, displaced by draws that belong to the entity alone."""

from __future__ import annotations

import itertools
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from harness.dataset import Case, Finding
from harness.dataset import boxes as prompts
from harness.dataset.boxes import MAX_ENTITIES, SHIFT, entity_boxes, simulate_boxes
from harness.errors import DataError
from harness.registry.protocol import BoxRule

SHAPE = (70, 61, 23)


def _case(folder: Path, labels: np.ndarray, name: str = "toy_1_a_1") -> Case:
    """Write a mask (F, H, W, D) and return its case; the grid is declared, as in a data set without CTs."""
    path = folder / f"{name}.nii.gz"
    nib.save(nib.Nifti1Image(labels, np.eye(4)), path)
    findings = tuple(Finding(i, str(i), "text") for i in range(len(labels)))
    return Case(name, "test", findings, truth=path, declared_shape=labels.shape[1:])


def _scattered(seed: int = 0, entities: int = 300) -> np.ndarray:
    """Return three findings: scattered blocks of many labels in pieces, one large block, nothing."""
    random = np.random.default_rng(seed)
    labels = np.zeros((3, *SHAPE), np.uint16)
    for label in range(1, entities + 1):
        for _ in range(2):
            at = [int(random.integers(0, length - 3)) for length in SHAPE]
            labels[0, at[0] : at[0] + 3, at[1] : at[1] + 2, at[2] : at[2] + 2] = label
    labels[1, 5:60, 7:55, 2:20] = 7
    return labels


def _oracle(labels: np.ndarray) -> dict[int, list[int]]:
    """Return the smallest box of every label of one (H, W, D) array, by scipy."""
    found = ndimage.find_objects(labels)
    return {
        label: [axis.start for axis in box] + [axis.stop for axis in box]
        for label, box in enumerate(found, 1)
        if box is not None
    }


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no box be displaced."""
    monkeypatch.setattr(prompts, "_draw", lambda *_: 0)


def test_boxes_before_the_shift_are_those_of_an_oracle(tmp_path: Path) -> None:
    """Three hundred labels in several pieces, one large one, none: as scipy finds them on the whole array."""
    labels = _scattered()
    assert entity_boxes(_case(tmp_path, labels)) == [_oracle(channel) for channel in labels]


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("flip", [(), (0,), (1,), (0, 1)])
def test_boxes_lie_on_the_ct(tmp_path: Path, flip: tuple[int, ...]) -> None:
    """Where the masks have to be reversed to lie on the CT, so are the boxes."""
    labels = _scattered(entities=20)
    boxes = simulate_boxes(_case(tmp_path, labels), rule=BoxRule.WIDENED, mask_flip=flip, seed=0)
    for channel, on_mask in enumerate(labels):
        expected = _oracle(np.flip(on_mask, flip))
        assert boxes[str(channel)] == [expected[label] for label in sorted(expected)]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A case with one finding of 576 entities, none of them near the border."""
    labels = np.zeros((1, 90, 90, 40), np.uint16)
    corners = [(x, y) for x in range(10, 80, 3) for y in range(10, 80, 3)]
    for label, (x, y) in enumerate(corners, 1):
        labels[0, x : x + 2, y : y + 2, 7:11] = label
    return _case(tmp_path_factory.mktemp("many"), labels)


def _displacements(case: Case, rule: BoxRule) -> np.ndarray:
    """Return by how many voxels every side was displaced, (entities, 6)."""
    tight = entity_boxes(case)[0]
    return np.array(simulate_boxes(case, rule=rule, seed=3)["0"]) - np.array([tight[i] for i in sorted(tight)])


def _uniform(drawn: np.ndarray, least: int) -> bool:
    """Whether every whole number from `least` to SHIFT occurs, about equally often, and no other."""
    counts = Counter(drawn.tolist())
    expected = len(drawn) / (SHIFT - least + 1)
    return set(counts) == set(range(least, SHIFT + 1)) and all(
        abs(count - expected) < 5 * expected**0.5 for count in counts.values()
    )


def _unrelated(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(abs(np.corrcoef(one, other)[0, 1]) < 0.15)


def test_a_widened_box_grows_by_one_draw_on_all_sides(many: Case) -> None:
    """From 0 to 5 voxels outwards in plane, the same on all four sides; along the slices the box stays."""
    by = _displacements(many, BoxRule.WIDENED)
    draw = by[:, 3]
    np.testing.assert_array_equal(by, draw[:, np.newaxis] * [-1, -1, 0, 1, 1, 0])
    assert _uniform(draw, 0)


def test_a_box_widened_by_side_grows_by_four_draws(many: Case) -> None:
    """From 0 to 5 voxels outwards in plane, each side on its own; along the slices the box stays."""
    by = _displacements(many, BoxRule.WIDENED_BY_SIDE) * [-1, -1, 1, 1, 1, 1]
    assert not by[:, [2, 5]].any()
    sides = [by[:, side] for side in (0, 1, 3, 4)]
    assert all(_uniform(side, 0) for side in sides)
    assert all(_unrelated(one, other) for one, other in itertools.combinations(sides, 2))


def test_a_moved_box_keeps_its_size(many: Case) -> None:
    """From -5 to 5 voxels along each in-plane axis, independently; along the slices the box stays."""
    by = _displacements(many, BoxRule.MOVED)
    np.testing.assert_array_equal(by[:, :3], by[:, 3:])
    assert not by[:, 2].any()
    assert _uniform(by[:, 0], -SHIFT)
    assert _uniform(by[:, 1], -SHIFT)
    assert _unrelated(by[:, 0], by[:, 1])


@pytest.mark.parametrize("rule", [BoxRule.WIDENED, BoxRule.WIDENED_BY_SIDE])
@pytest.mark.parametrize("flip", [(), (0,), (1,), (0, 1)])
def test_a_widened_box_contains_its_whole_entity(tmp_path: Path, rule: BoxRule, flip: tuple[int, ...]) -> None:
    """Whatever the seed and wherever the entity lies, none of its voxels is left outside (paper, section 4.1)."""
    labels = _scattered(entities=60)
    case = _case(tmp_path, labels)
    for seed in range(5):
        boxes = simulate_boxes(case, rule=rule, mask_flip=flip, seed=seed)
        for channel, on_mask in enumerate(labels):
            tight = _oracle(np.flip(on_mask, flip))
            wide = np.array(boxes[str(channel)]).reshape(-1, 6)
            near = np.array([tight[label] for label in sorted(tight)]).reshape(-1, 6)
            assert (wide[:, :3] <= near[:, :3]).all()
            assert (wide[:, 3:] >= near[:, 3:]).all()


@pytest.mark.parametrize(
    ("rule", "by"),
    [
        (BoxRule.WIDENED, [[0, 0, 0, 0], [-1, -1, 1, 1], [0, 0, 0, 0], [-1, -1, 1, 1], [-2, -2, 2, 2], [-4, -4, 4, 4]]),
        (BoxRule.WIDENED_BY_SIDE, [[-2, -5, 3, 5], [0, 0, 2, 2], [-5, -1, 3, 5]]),
        (BoxRule.MOVED, [[5, -1, 5, -1], [-2, 0, -2, 0], [-4, -3, -4, -3]]),
    ],
)
def test_the_draws_never_change(tmp_path: Path, rule: BoxRule, by: list[list[int]]) -> None:
    """Pinned: other draws would be another benchmark, and have to change the rule's words."""
    labels = np.zeros((1, 70, 70, 1), np.uint8)
    spots = [10 * label for label in range(1, len(by) + 1)]
    labels[0, spots, spots, 0] = range(1, len(by) + 1)
    boxes = np.array(simulate_boxes(_case(tmp_path, labels), rule=rule, seed=0)["0"])[:, [0, 1, 3, 4]]
    tight = [[spot, spot, spot + 1, spot + 1] for spot in spots]
    assert (boxes - tight).tolist() == by


def test_a_box_depends_on_seed_case_finding_and_label_alone(tmp_path: Path) -> None:
    """Other entities, findings and cases change nothing; another seed, case or finding does."""
    labels = _scattered(entities=40)
    labels[2] = labels[0]
    whole = simulate_boxes(_case(tmp_path, labels), rule=BoxRule.WIDENED, seed=1)
    without = labels.copy()
    without[0][without[0] <= 20] = 0
    without[1] = 0
    part = simulate_boxes(_case(tmp_path, without), rule=BoxRule.WIDENED, seed=1)
    assert part["0"] == whole["0"][20:]
    assert part["2"] == whole["2"]
    assert whole["2"] != whole["0"]
    assert simulate_boxes(_case(tmp_path, labels), rule=BoxRule.WIDENED, seed=2) != whole
    assert simulate_boxes(_case(tmp_path, labels, "toy_2_a_1"), rule=BoxRule.WIDENED, seed=1) != whole


@pytest.mark.parametrize("rule", list(BoxRule))
def test_boxes_at_the_border_stay_inside_and_never_empty(tmp_path: Path, rule: BoxRule) -> None:
    """One-voxel entities in every corner, a hundred seeds: at least a voxel of the box is left in the volume."""
    labels = np.zeros((1, 6, 4, 1), np.uint8)
    for label, (x, y) in enumerate([(0, 0), (5, 0), (0, 3), (5, 3)], 1):
        labels[0, x, y, 0] = label
    case = _case(tmp_path, labels)
    for seed in range(100):
        for x0, y0, z0, x1, y1, z1 in simulate_boxes(case, rule=rule, seed=seed)["0"]:
            assert 0 <= x0 < x1 <= 6
            assert 0 <= y0 < y1 <= 4
            assert (z0, z1) == (0, 1)


@pytest.mark.costly
def test_memory_does_not_grow_with_the_mask(tmp_path: Path) -> None:
    """A mask of 96 MB costs a few MB: it is read as a stream."""
    labels = np.zeros((6, 256, 256, 256), np.uint8)
    labels[:, 10:20, 30:40, 5:250] = 1
    case = _case(tmp_path, labels)
    del labels
    tracemalloc.start()
    boxes = entity_boxes(case)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert boxes == [{1: [10, 30, 5, 20, 40, 250]}] * 6
    assert peak < 24 * 2**20


def _other_grid(labels: np.ndarray) -> np.ndarray:
    return labels[:, :-1]


def _fractions(labels: np.ndarray) -> np.ndarray:
    return labels.astype(np.float32) / 2


def _negative(labels: np.ndarray) -> np.ndarray:
    return -labels.astype(np.int16)


@pytest.mark.parametrize(
    ("damage", "words"), [(_other_grid, "shape"), (_fractions, "fractions"), (_negative, "negative")]
)
def test_masks_without_labels_are_refused(tmp_path: Path, damage: Any, words: str) -> None:
    """Another grid, fractions, negative numbers: bad data, with the file's name."""
    labels = _scattered(entities=3)
    case = _case(tmp_path, damage(labels))
    case = Case(case.id, "test", case.findings, truth=case.truth, declared_shape=SHAPE)
    with pytest.raises(DataError, match=words) as raised:
        simulate_boxes(case, rule=BoxRule.WIDENED, seed=0)
    assert str(case.truth) in raised.value.message


def test_noise_in_place_of_labels_is_refused(tmp_path: Path) -> None:
    """More labels than any finding has entities end the reading, before boxes fill the memory."""
    labels = np.arange(1, 60 * 60 * 30 + 1, dtype=np.uint32).reshape(1, 60, 60, 30)
    with pytest.raises(DataError, match=f"more than {MAX_ENTITIES} labels"):
        simulate_boxes(_case(tmp_path, labels), rule=BoxRule.WIDENED, seed=0)


def test_a_case_without_truth_is_refused() -> None:
    """No mask, no boxes."""
    with pytest.raises(DataError, match="lacks the ground truth"):
        simulate_boxes(Case("a", "test", (), declared_shape=SHAPE), rule=BoxRule.WIDENED, seed=0)
