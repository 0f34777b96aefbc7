"""Every number against the slow oracle, on random cases and on real masks."""

from __future__ import annotations

import tempfile
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.dataset import Finding
from harness.masks.bits import Bits, from_coordinates
from harness.scoring.case import CaseTask, score_case
from harness.scoring.components import components
from harness.scoring.distances import average_surface_distance
from harness.scoring.overlap import dice
from harness.scoring.regions import Regions

from .conftest import save
from .oracle import assd, evaluate, parts_of

SPACINGS = [(1.0, 1.0, 1.0), (0.75, 0.75, 1.5), (0.57, 0.57, 5.0), (3.0, 0.5, 1.1)]


def grid_of(labels: np.ndarray) -> Bits:
    """Return a whole (H, W, D) array of labels as the sparse grid that the scorer works on."""
    x, y, z = (axis.astype(np.int64) for axis in np.nonzero(labels))
    h, w, d = labels.shape
    return from_coordinates((h, w, d), x, y, z, labels[x, y, z].astype(np.int32))


def draw_boxes(rng: np.random.Generator, shape: tuple[int, ...], n: int) -> np.ndarray:
    """Return labelled boxes that may touch, nest and overlap, in up to two pieces each."""
    labels = np.zeros(shape, np.uint8)
    for label in range(1, n + 1):
        for _ in range(rng.integers(1, 3)):
            low = [int(rng.integers(0, extent)) for extent in shape]
            high = [a + int(rng.integers(1, 9)) for a in low]
            labels[tuple(map(slice, low, high))] = label
    return labels


def draw_case(seed: int, shape: tuple[int, ...], findings: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a ground truth and a prediction that is related to it, findings first."""
    rng = np.random.default_rng(seed)
    truths, predictions = [], []
    for _ in range(findings):
        truth = draw_boxes(rng, shape, int(rng.integers(0, 7)))
        guess = np.roll(truth > 0, rng.integers(-1, 2, 3), axis=(0, 1, 2)) & (rng.random(shape) > rng.choice([0, 0.2]))
        guess |= draw_boxes(rng, shape, int(rng.integers(0, 4))) > 0
        guess |= rng.random(shape) < rng.choice([0, 0, 0.02, 0.4])
        predictions.append(guess if rng.random() > 0.1 else np.zeros(shape, bool))
        truths.append(truth)
    return np.array(truths), np.array(predictions, np.uint8)


def check(truth: np.ndarray, prediction: np.ndarray, task: CaseTask) -> None:
    """Compare every count of a case with the oracle's."""
    for finding, score in zip(task.findings, score_case(task).findings, strict=True):
        focal = finding.category == "2d"
        expected = evaluate(truth[finding.index], prediction[finding.index], task.spacing, focal=focal)
        found = score.instances
        assert score.dice == expected.dice
        assert found.kept_voxels == expected.kept_voxels
        filtered = dice(score.truth_voxels, found.kept_voxels, found.kept_intersection, 1e-6)
        assert filtered == pytest.approx(expected.filtered_dice, abs=1e-12)
        assert astuple(found.overlap) == expected.overlap
        assert found.matched_dice == pytest.approx(expected.matched_dice, abs=1e-12)
        assert astuple(found.distance) == expected.distance


@settings(max_examples=600, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40)).filter(
        lambda shape: np.prod(shape) < 8000
    ),
    findings=st.integers(0, 6),
    spacing=st.sampled_from(SPACINGS),
    stacked=st.booleans(),
)
def test_random_cases(
    seed: int, shape: tuple[int, int, int], findings: int, spacing: tuple[float, float, float], stacked: bool
) -> None:
    """Touching, nested, broken and empty entities, anisotropic spacing, 0 to 6 findings: equal to the oracle."""
    truth, prediction = draw_case(seed, shape, max(findings, 1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stack = save(folder / "stack.nii.gz", prediction, np.eye(4))
        files = {}
        for i in range(0 if stacked else findings):
            files[str(i)] = save(folder / f"{i}.nii.gz", prediction[i], np.eye(4))
        task = CaseTask(
            case="case",
            truth=save(folder / "truth.nii.gz", truth, np.eye(4)),
            shape=shape,
            spacing=spacing,
            affine=None,
            findings=tuple(Finding(i, str(i), "", "2d" if (seed + i) % 2 else "1c") for i in range(findings)),
            masks=files,
            stack=stack if stacked else None,
        )
        check(truth, prediction, task)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 140), st.integers(1, 9), st.integers(1, 9)),
    density=st.sampled_from([0.02, 0.1, 0.3, 0.6, 1.0]),
    connectivity=st.sampled_from([6, 18, 26]),
    chunk=st.sampled_from([1, 8, 1 << 15]),
    entries=st.sampled_from([0, 10, 1 << 15]),
)
def test_components(
    seed: int, shape: tuple[int, int, int], density: float, connectivity: int, chunk: int, entries: int
) -> None:
    """Runs and union-find label as a plain labeller does, however the volume is cut into chunks."""
    mask = np.random.default_rng(seed).random(shape) < density
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.scoring.components.CHUNK_RUNS", chunk)
        patch.setattr("harness.scoring.components.CHUNK_SLICES", 1 + seed % 3)
        patch.setattr("harness.scoring.components.MAX_ENTRIES", entries)
        found = components(grid_of(mask), connectivity=connectivity, min_voxels=2, max_components=5)
    labels = np.zeros(shape, int)
    x, y, z = found.coordinates()
    labels[x, y, z] = np.repeat(found.labels, np.bitwise_count(found.bits))
    expected = np.zeros(shape, int)
    for number, part in enumerate(parts_of(mask, connectivity, 2, 5), 1):
        expected[part] = number
    assert np.array_equal(labels, expected)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 90), st.integers(1, 20), st.integers(1, 20)),
    spacing=st.sampled_from(SPACINGS),
    pooling=st.sampled_from(["pooled", "directed"]),
    offsets=st.sampled_from([1, 30, 250]),
    crowded=st.sampled_from([0.0, 0.5, np.inf]),
    at_a_time=st.sampled_from([1, 50, 1 << 15]),
)
def test_surface_distances(
    seed: int,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    pooling: str,
    offsets: int,
    crowded: float,
    at_a_time: int,
) -> None:
    """Near or far, overlapping or apart, by words or by points, the distance is that of the distance maps."""
    from harness.scoring import distances

    rng = np.random.default_rng(seed)
    a, b = (draw_boxes(rng, shape, 3) > 0 for _ in range(2))
    expected = assd(a, b, spacing, pooling)
    one, other = (Regions(grid_of(mask.astype(np.uint8))).surface(0) for mask in (a, b))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "MAX_OFFSETS", offsets)
        patch.setattr(distances, "MORE_OFFSETS", 2 * offsets)
        patch.setattr(distances, "_FEW", seed % 20 / 10)
        patch.setattr(distances, "_TRIED", at_a_time)
        patch.setattr(distances, "_STRUCK", at_a_time)
        patch.setattr(distances, "_CROWDED", crowded)
        patch.setattr(distances, "_POINTS", at_a_time)
        patch.setattr(distances, "_TREE_POINTS", at_a_time)
        distances._shells.cache_clear()
        found = average_surface_distance(one, other, spacing, pooling=pooling)
        limited = average_surface_distance(one, other, spacing, pooling=pooling, limit=1.5)
        distances._shells.cache_clear()
    assert found == pytest.approx(expected, abs=1e-12)
    assert limited == found or (found > 1.5 and limited == np.inf)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(20, 90), st.integers(5, 30), st.integers(5, 30)),
    spacing=st.sampled_from(SPACINGS),
    density=st.sampled_from([0.0005, 0.005, 0.05]),
    offsets=st.sampled_from([30, 8_000]),
    at_a_time=st.sampled_from([1, 7, 128]),
)
def test_either_way_to_the_nearest_voxel_gives_the_same_bits(
    seed: int,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    density: float,
    offsets: int,
    at_a_time: int,
) -> None:
    """Offsets from a few points, and trees of a large target, part by part: which is taken changes no number."""
    from harness.scoring import distances

    rng = np.random.default_rng(seed)
    target = rng.random(shape) < density
    target[:2, 0, 0] = True
    surface = Regions(grid_of(target.astype(np.uint8))).surface(0)
    points = rng.integers(-5, np.array(shape) + 5, (200, 3))
    found = []
    for tree in (1 << 18, min(20, surface.count - 1)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(distances, "MORE_OFFSETS", offsets)
            patch.setattr(distances, "_TRIED", at_a_time)
            patch.setattr(distances, "_TREE_POINTS", tree)
            patch.setattr(distances, "_FEW", 0)
            found.append(distances._nearest(points, surface, np.array(spacing)))
    assert np.array_equal(found[0], found[1])
