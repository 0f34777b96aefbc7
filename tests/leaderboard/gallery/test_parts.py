"""The parts of a mask: what hangs together, what is false, what is missed, how large and where."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from leaderboard.gallery.parts import LISTED, connected, model_layer, reference_layer
from leaderboard.gallery.scans import Marked, Scan, read_scan
from tests.leaderboard.gallery.conftest import GRID


@pytest.fixture(scope="module")
def scan(make_dataset, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """Return a scan of 3 x 4 x 5 mm."""
    return read_scan(make_dataset(tmp_path_factory.mktemp("parts"), ["LPS"]).split("test")[0])


def voxels(*boxes: tuple[slice, slice, slice]) -> np.ndarray:
    """Return the voxels (n, 3) of some boxes."""
    mask = np.zeros(GRID, bool)
    for box in boxes:
        mask[box] = True
    return np.argwhere(mask).astype(np.int16)


def test_parts_hang_together_by_a_corner() -> None:
    """As another program labels them, on noise: as many, as large, and each voxel with those that it belongs to."""
    noise = np.random.default_rng(0).random(GRID) < 0.08
    expected, number = ndimage.label(noise, np.ones((3, 3, 3)))
    found = connected(np.argwhere(noise).astype(np.int16), GRID)
    assert len(np.unique(found.labels)) == number
    pairs = {(int(expected[tuple(point)]), int(label)) for point, label in zip(*_columns(found), strict=True)}
    assert len(pairs) == number


def _columns(mask: Marked) -> tuple[np.ndarray, np.ndarray]:
    return mask.points, mask.labels


def test_what_is_false_and_what_is_missed(scan: Scan) -> None:
    """Each part of either, largest first, with its sizes in mm and a voxel of it."""
    truth = Marked(voxels(np.s_[10:14, 10:14, 10:12], np.s_[30:32, 10:12, 10:11]), np.repeat([7, 3], [32, 4]))
    mine = voxels(np.s_[10:16, 10:14, 10:12], np.s_[40:41, 30:31, 20:21])
    layer = model_layer("run", "Model", mine, scan, reference=truth, dice=0.5)
    assert (layer.false.number, layer.false.voxels) == (2, 2 * 4 * 2 + 1)
    assert (layer.missed.number, layer.missed.voxels) == (1, 4)
    strip, single = layer.false.listed
    assert strip.voxels == 16
    assert strip.size == pytest.approx((np.hypot(2 * 3, 4 * 4), 11.3, 2 * 5), abs=0.5)  # 11.3: across the diagonal
    assert single.at(range(24)) == (40, 30, 20)
    assert single.at(range(20)) is None
    x, y, z = strip.at(range(24))
    assert x in (14, 15)
    assert 10 <= y < 14
    assert z in (10, 11)
    reference = reference_layer(truth, scan)
    assert [part.voxels for part in reference.entities.listed] == [32, 4]
    assert sorted(set(reference.mask.labels)) == [1, 2]
    assert (reference.mask.labels == 1).sum() == 32


def test_an_empty_mask_has_no_part(scan: Scan) -> None:
    """All of the reference is missed."""
    truth = Marked(voxels(np.s_[1:3, 1:3, 1:3]), np.ones(8, np.int64))
    layer = model_layer("run", "Model", np.empty((0, 3), np.int16), scan, reference=truth)
    assert (layer.entities.number, layer.false.number, layer.missed.voxels) == (0, 0, 8)


def test_many_parts_are_counted_and_the_largest_listed(scan: Scan) -> None:
    """Beyond so many, parts are counted only."""
    points = np.argwhere(np.indices(GRID).sum(axis=0) % 6 == 0)
    points = points[(points % 2 == 0).all(axis=1)].astype(np.int16)
    layer = model_layer("run", "Model", points, scan)
    assert layer.entities.number > LISTED
    assert len(layer.entities.listed) == LISTED
    assert layer.entities.voxels == len(points)
