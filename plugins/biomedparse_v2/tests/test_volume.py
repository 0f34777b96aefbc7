"""BiomedParse v2's pictures: what is drawn, which neighbours stand beside it, and what is marked."""

from __future__ import annotations

import numpy as np
import pytest
from groundbench_sdk.records import Rejected
from groundbench_sdk.slices import Square

from plugins.biomedparse_v2 import volume


def test_a_slice_is_drawn_as_a_radiologist_sees_it() -> None:
    """Rows run to the back, columns to the patient's left; -1000 HU is black, 1000 HU is white, padding is black."""
    ct = np.full((40, 30, 2), 1000, np.int16)
    ct[5, 20, 1] = -1000
    square = volume.square_of(ct, 64)
    assert (square.rows, square.columns) == (30, 40)
    pictures = volume.draw(ct, Square(30, 40, 40), -1000, 1000)
    assert pictures.dtype == np.uint8
    assert np.argwhere(pictures[1, 5:35] == 0).tolist() == [[20, 5]]
    assert not pictures[:, :5].any()
    assert not pictures[:, 35:].any()


def test_values_that_resizing_overshoots_are_clipped() -> None:
    """A cubic rings at edges; grey values stay from 0 to 255."""
    ct = np.full((40, 40, 1), -1000, np.int16)
    ct[10:30, 10:30] = 1000
    picture = volume.draw(ct, volume.square_of(ct, 96), -1000, 1000)[0]
    assert picture.min() == 0
    assert picture.max() == 255
    assert picture[:, :10].max() == 0  # a wrapped -1 would be 255


@pytest.mark.parametrize("side", [0, 16, 500, -32])
def test_a_side_that_cannot_be_halved_five_times_is_refused(side: int) -> None:
    """The masks would come back at another size than the pictures."""
    with pytest.raises(Rejected, match="multiple of 32"):
        volume.square_of(np.zeros((4, 4, 4)), side)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_neighbours_are_those_of_upstream(count: int) -> None:
    """An independent rule: whole stacks shifted by one, their missing end filled from the other side."""
    stack = np.arange(count)
    before = np.concatenate([stack[1:2], stack[:-1]]) if count > 1 else stack
    after = np.concatenate([stack[1:], stack[-2:-1]]) if count > 1 else stack
    expected = list(zip(stack.tolist(), before.tolist(), after.tolist(), strict=True))
    assert [volume.neighbours(index, count) for index in range(count)] == expected


def test_a_slice_stands_before_its_neighbours() -> None:
    """The first of the three channels is the slice itself, whatever part of the stack is asked for."""
    pictures = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    stacked = volume.with_neighbours(pictures, range(3, 5))
    assert stacked.shape == (2, 3, 4, 4)
    assert stacked[:, :, 0, 0].tolist() == [[3, 2, 4], [4, 3, 3]]
