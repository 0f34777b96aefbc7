"""Masks as words of bits, beside plain arrays."""

from __future__ import annotations

import numpy as np
import pytest

from harness.masks.bits import from_coordinates, positions
from tests.harness.conftest import bits_of


@pytest.fixture
def labels() -> np.ndarray:
    """A random labelled mask whose rows need more than one word."""
    draw = np.random.default_rng(5)
    return np.where(draw.random((70, 6, 5)) < 0.2, draw.integers(1, 4, (70, 6, 5)), 0).astype(np.int32)


def test_the_coordinates_are_those_of_the_array(labels: np.ndarray) -> None:
    """What went in comes out, and is counted."""
    bits = bits_of(labels)
    assert bits.count == (labels > 0).sum()
    found = sorted(zip(*(axis.tolist() for axis in bits.coordinates()), strict=True))
    assert found == sorted(map(tuple, np.argwhere(labels > 0).tolist()))


@pytest.mark.parametrize("share", [0, 0.001, 0.019, 0.021, 0.05, 0.099, 0.101, 0.5, 1])
def test_the_positions_of_set_bits(share: float) -> None:
    """However few bits are set, each is found once, in order."""
    flags = np.random.default_rng(3).random((300, 64)) < share
    words = np.packbits(flags, axis=1, bitorder="little").view("<u8").reshape(-1).astype(np.uint64)
    entry, bit = positions(words)
    assert np.array_equal(np.stack([entry, bit], axis=1), np.argwhere(flags))


def test_the_intersection_is_counted(labels: np.ndarray) -> None:
    """Voxels that are foreground in both, whatever their labels."""
    other = np.roll(labels, 1, axis=0)
    assert bits_of(labels).intersection(bits_of(other)) == ((labels > 0) & (other > 0)).sum()


@pytest.mark.parametrize("few", [0, 1, 3, 400])
@pytest.mark.parametrize("many", [0, 2, 5000])
def test_the_intersection_of_few_with_many_is_counted(few: int, many: int) -> None:
    """However scattered the one and however full the other, in either order: as of the arrays."""
    draw = np.random.default_rng(few + many)
    arrays = [np.zeros((70, 40, 30), np.int32) for _ in range(2)]
    for array, n in zip(arrays, (few, many), strict=True):
        array.reshape(-1)[draw.choice(array.size, n, replace=False)] = 1
    arrays[1][arrays[0] > 0] = min(1, many)  # else so few would not meet
    first, second = map(bits_of, arrays)
    expected = (arrays[0] & arrays[1]).sum()
    assert first.intersection(second) == second.intersection(first) == expected


def test_flat_is_the_union_of_all_labels(labels: np.ndarray) -> None:
    """One label is left, and no voxel is lost."""
    flat = bits_of(labels).flat
    assert set(flat.labels.tolist()) == {1}
    assert flat.count == (labels > 0).sum()


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_flipping_is_flipping_the_array(labels: np.ndarray, axes: tuple[int, ...]) -> None:
    """The flipped mask has the flipped array's voxels."""
    expected = bits_of(np.ascontiguousarray(np.flip(labels, axes)))
    flipped = bits_of(labels).flipped(axes)
    assert flipped.count == expected.count == flipped.intersection(expected)


def test_voxels_may_come_in_any_order(labels: np.ndarray) -> None:
    """A mask made from shuffled voxels is the mask made from the array."""
    at = np.argwhere(labels > 0)
    at = at[np.random.default_rng(1).permutation(len(at))]
    x, y, z = at.T
    bits = from_coordinates((70, 6, 5), x, y, z, labels[x, y, z])
    assert np.array_equal(bits.words, bits_of(labels).words)
    assert np.array_equal(bits.bits, bits_of(labels).bits)
