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


def test_stretched_over_the_window_a_grey_value_is_the_same_in_every_slice() -> None:
    """As in the paper's section 3.6: it follows from the Hounsfield unit alone."""
    bright, dull = (np.full((4, 4), value, np.int16) for value in (1000, -500))
    bright[0, 0] = dull[0, 0] = -600
    pictures = [module.picture(hu, Square(4, 4, 4), -1350, 150, "window") for hu in (bright, dull)]
    assert pictures[0][0, 0] == pictures[1][0, 0] == 127
    assert pictures[0][1, 1] == 255
    assert module.picture(dull, Square(4, 4, 4), -1350, 150)[0, 0] == 0
    with pytest.raises(ValueError, match="slice or window"):
        module.picture(dull, Square(4, 4, 4), -1350, 150, "both")


def test_overshoot_is_cut_not_wrapped() -> None:
    """Cubic convolution goes beyond both ends at an edge; neither may come out at the other end."""
    hu = np.full((16, 16), -1000, np.int16)
    hu[:, 8:] = 1000
    found = module.picture(hu, Square(16, 16, 64), -1000, 1000).astype(int)
    assert (np.diff(found, axis=1) >= -30).all()
    assert (found[:, :24] < 30).all()
    assert (found[:, 40:] > 225).all()


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.1])
@pytest.mark.parametrize("corner", [0.0, 0.3, 1.0])
def test_a_training_picture_is_rescaled_with_its_mask(scale: float, corner: float) -> None:
    """A bright square and its mask stay together and upright; what is lacking is grey below and on the right."""
    shown, mask = np.full((2, 100, 100), 10, np.uint8), np.zeros((100, 100), np.uint8)
    shown[:, 20:40, 60:90] = 210
    mask[20:40, 60:90] = 1
    found, marked = module.rescale(shown, mask, scale, corner)
    assert found.shape == shown.shape
    assert set(np.unique(marked)) == {0, 1}
    start = round(corner * max(0, round(100 * scale) - 100))
    rows, columns = np.nonzero(marked)
    np.testing.assert_allclose(
        [rows.min(), rows.max() + 1, columns.min(), columns.max() + 1],
        np.array([20, 40, 60, 90]) * scale - start,
        atol=1,
    )
    assert ((found[0] > 110) == (marked > 0))[: round(100 * min(scale, 1)), : round(100 * min(scale, 1))].mean() > 0.99
    if scale < 1:
        assert (found[:, 90:] == 128).all()
        assert (found[:, :, 90:] == 128).all()
    if scale == 1:
        np.testing.assert_array_equal(found, shown)
