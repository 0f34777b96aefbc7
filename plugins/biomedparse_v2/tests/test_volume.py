"""BiomedParse v2's pictures: what is drawn, and which neighbours are beside it."""

from __future__ import annotations

import numpy as np
import pytest
from groundbench_sdk.slices import Square

from plugins.biomedparse_v2 import volume


def test_a_slice_is_drawn_as_a_radiologist_sees_it() -> None:
    """Rows run to the back, columns to the patient's left; -1000 HU is black, 1000 HU is white, padding is black."""
    ct = np.full((40, 30), 1000, np.int16)
    ct[5, 20] = -1000
    picture = volume.draw(ct.T, Square(30, 40, 40), -1000, 1000)
    assert picture.dtype == np.uint8
    assert np.argwhere(picture[5:35] == 0).tolist() == [[20, 5]]
    assert not picture[:5].any()
    assert not picture[35:].any()


def test_values_that_resizing_overshoots_are_clipped() -> None:
    """A cubic rings at edges; grey values stay from 0 to 255."""
    hu = np.full((40, 40), -1000, np.int16)
    hu[10:30, 10:30] = 1000
    picture = volume.draw(hu, Square(40, 40, 96), -1000, 1000)
    assert picture.min() == 0
    assert picture.max() == 255
    assert picture[:, :10].max() == 0  # a wrapped -1 would be 255


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_neighbours_are_those_of_upstream(count: int) -> None:
    """An independent rule: whole stacks shifted by one, their missing end filled from the other side."""
    stack = np.arange(count)
    before = np.concatenate([stack[1:2], stack[:-1]]) if count > 1 else stack
    after = np.concatenate([stack[1:], stack[-2:-1]]) if count > 1 else stack
    expected = list(zip(stack.tolist(), before.tolist(), after.tolist(), strict=True))
    assert [volume.neighbours(index, count) for index in range(count)] == expected
