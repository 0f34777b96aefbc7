"""Instances of a labelled mask: sizes, centres, boxes and surfaces, beside plain arrays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from harness.scoring.regions import Regions
from tests.harness.conftest import bits_of


@pytest.fixture
def labels() -> np.ndarray:
    """Three instances; the second is in two pieces, the third ends at the border."""
    array = np.zeros((70, 8, 6), np.uint8)
    array[2:6, 1:4, 1:3] = 1
    array[10:12, 5:7, 0:2] = array[60:66, 5:7, 4:5] = 4
    array[68:70, 6:8, 5:6] = 9
    return array


def test_sizes_centres_and_boxes(labels: np.ndarray) -> None:
    """All are those of the positions of each label."""
    regions = Regions(bits_of(labels))
    assert len(regions) == 3
    for number, label in enumerate((1, 4, 9)):
        at = np.argwhere(labels == label)
        assert regions.sizes[number] == len(at)
        assert regions.centroids[number] == pytest.approx(at.mean(0))
        assert regions.boxes[number].tolist() == [at.min(0).tolist(), at.max(0).tolist()]


def test_the_surface_is_what_an_erosion_takes_away(labels: np.ndarray) -> None:
    """A voxel with one of six neighbours outside the instance, or outside the volume, is on its surface."""
    regions = Regions(bits_of(labels))
    for number, label in enumerate((1, 4, 9)):
        mask = labels == label
        expected = np.argwhere(mask & ~ndimage.binary_erosion(mask))
        found = np.concatenate(list(regions.surface(number).points(1000)))
        assert regions.surface(number).count == len(expected)
        assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))
