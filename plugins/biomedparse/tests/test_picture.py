"""A slice as a grey picture, against upstream's recipe written out, and masks that must not vanish."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from groundbench_sdk.slices import Square

from plugins.biomedparse import picture as module


def test_a_picture_is_windowed_stretched_and_padded() -> None:
    """Without resizing every pixel follows from the rule: window, the slice's own extremes, whole numbers, 0 around."""
    hu = np.random.default_rng(0).integers(-1500, 2500, (6, 9)).astype(np.int16)
    hu[0, 0], hu[0, 1] = -400, 300
    found = module.picture(np.clip(hu, -400, 300), Square(6, 9, 9), -1000, 1000)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[[0, 7, 8]], 0)
    expected = (np.clip(hu.astype(float), -400, 300) + 400) / 700 * 255
    np.testing.assert_allclose(found[1:7], expected, atol=1)
    assert found.max() == 255


@pytest.mark.parametrize("value", [-1024, 0, 3000])
def test_a_slice_without_contrast_is_black(value: int) -> None:
    """Upstream divides by 0 here."""
    assert not module.picture(np.full((5, 5), value, np.int16), Square(5, 5, 8), -1000, 1000).any()


def test_overshoot_is_cut_not_wrapped() -> None:
    """Cubic convolution goes beyond both ends at an edge; neither may come out at the other end."""
    hu = np.full((16, 16), -1000, np.int16)
    hu[:, 8:] = 1000
    found = module.picture(hu, Square(16, 16, 64), -1000, 1000).astype(int)
    assert (np.diff(found, axis=1) >= -30).all()
    assert (found[:, :24] < 30).all()
    assert (found[:, 40:] > 225).all()


@pytest.mark.parametrize("size", [16, 40, 64])
def test_no_mask_vanishes(size: int) -> None:
    """A single pixel is marked however small the picture, where it lies, and nothing is nothing."""
    mask: Any = np.zeros((64, 50), bool)
    square = Square(64, 50, size)
    assert not module.mark(mask, square).any()
    mask[30, 40] = True
    marked = np.argwhere(module.mark(mask, square))
    assert 1 <= len(marked) <= 4
    expected = (np.array([30, 40 + 7]) + 0.5) * size / 64 - 0.5
    np.testing.assert_allclose(marked.mean(0), expected, atol=1)
