"""Labelled runs along y and z, beside the same voxels word by word."""

from __future__ import annotations

import numpy as np
import pytest

from harness.scoring.regions import Entries
from harness.scoring.streaks import Ends, Streaks
from tests.harness.conftest import bits_of


def streaks_of(labels: np.ndarray, axis: int) -> Streaks:
    """Return the runs along one axis, found voxel by voxel; no two labels touch along it."""
    h, w, d = labels.shape
    moved = np.moveaxis(labels, axis, 0)
    empty = np.zeros_like(moved[:1])
    before, after = np.concatenate([empty, moved[:-1]]), np.concatenate([moved[1:], empty])
    ends = []
    for beside in (before, after):
        at = np.moveaxis((moved > 0) & (beside == 0), 0, axis)
        x, y, z = np.nonzero(at)
        ends.append(Ends(((z * w + y) * (-(-h // 64) * 64) + x).astype(np.int32), labels[at].astype(np.int32)))
    return Streaks((h, w, d), axis, *ends)  # type: ignore[arg-type]


@pytest.mark.parametrize("axis", [1, 2])
def test_streaks(axis: int) -> None:
    """Sizes, moments, boxes, profiles and voxels are those of the words."""
    rng = np.random.default_rng(axis)
    labels = np.zeros((130, 9, 7), np.uint8)
    labels[rng.random(labels.shape) < 0.4] = 1
    labels *= (rng.integers(0, 3, 130) * 2).astype(np.uint8)[:, np.newaxis, np.newaxis]  # labels 2 and 4 only
    found, expected = streaks_of(labels, axis), Entries(bits_of(labels))
    n = 5
    assert found.labels.tolist() == expected.labels.tolist() == [1, 3]
    for name in ("sizes", "moments", "boxes"):
        assert np.array_equal(getattr(found, name)(n), getattr(expected, name)(n)), name
    assert all(map(np.array_equal, found.profiles(), expected.profiles()))
    for label in (1, 3):
        assert all(map(np.array_equal, found.of(label), expected.of(label)))
    assert [int(piece.labels[0]) for piece in found.pieces()] == [2, 4]
