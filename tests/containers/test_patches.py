"""Patches for training, and the numbers that replace tokens."""

from __future__ import annotations

import numpy as np
from groundbench_sdk.patches import cut, place
from groundbench_sdk.stand_in import word_ids
from hypothesis import given
from hypothesis import strategies as st

SHAPES = st.tuples(*[st.integers(1, 12)] * 3)


@given(SHAPES, SHAPES, st.integers(0, 2**32 - 1))
def test_a_patch_holds_the_voxel_that_it_was_placed_for(
    shape: tuple[int, int, int], patch: tuple[int, int, int], seed: int
) -> None:
    """A lone target voxel is always inside, wherever it is and however small the volume."""
    rng = np.random.default_rng(seed)
    target = np.zeros(shape, dtype=bool)
    target[tuple(rng.integers(0, length) for length in shape)] = True
    found = cut(target, place(shape, patch, target, rng), patch)
    assert found.shape == patch
    assert found.sum() == 1


@given(SHAPES, SHAPES, st.integers(0, 2**32 - 1))
def test_a_patch_is_what_padding_and_slicing_give(
    shape: tuple[int, int, int], patch: tuple[int, int, int], seed: int
) -> None:
    """An independent rule: pad by a whole patch on every side, then slice."""
    rng = np.random.default_rng(seed)
    volume = rng.integers(1, 100, (2, *shape))
    starts = place(shape, patch, None, rng)
    padded = np.pad(volume, [(0, 0), *((side, side) for side in patch)])
    expected = padded[(slice(None), *(slice(s + p, s + 2 * p) for s, p in zip(starts, patch, strict=True)))]
    np.testing.assert_array_equal(cut(volume, starts, patch), expected)


def test_draws_repeat_and_differ() -> None:
    """The same seed gives the same place; seeds give different ones."""
    places = [place((50, 50, 50), (8, 8, 8), None, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert places[0] == places[1]
    assert places[0] != places[2]


def test_words_stand_for_themselves() -> None:
    """The same word is the same number everywhere; other words are others; all fit the table."""
    left, right = word_ids("Nodule, left", 1000), word_ids("nodule, right", 1000)
    assert left[:2] == right[:2]
    assert left[2] != right[2]
    assert word_ids("", 1000) == []
    assert all(4 <= number < 1000 for number in left + right)
