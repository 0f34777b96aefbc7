"""A slice as a grey picture, against upstream's recipe written out."""

from __future__ import annotations

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
