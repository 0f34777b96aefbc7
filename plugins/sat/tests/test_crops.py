"""SAT's crops: where they are, which texts they ask, and an augmentation that keeps sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.random import default_rng


@pytest.fixture
def crops(load_plugin: Any) -> Any:
    """Return the module."""
    import sys
    from pathlib import Path

    load_plugin(Path(__file__).resolve().parents[1])
    return sys.modules["crops"]


SHAPE, SIZE = (40, 36, 20), (16, 16, 8)


def _case(*places: tuple[int, int, int]) -> tuple[Any, Any]:
    """Return an image whose values say where they are, and a mask of one voxel at each place."""
    image = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    masks = np.zeros((len(places), *SHAPE), np.uint8)
    for mask, place in zip(masks, places, strict=True):
        mask[place] = 1
    return image, masks


@pytest.mark.parametrize("place", [(20, 18, 10), (0, 0, 0), (39, 35, 19), (3, 30, 10)])
def test_the_voxel_is_in_the_middle_or_as_near_as_the_volume_lets_it(crops: Any, place: tuple[int, int, int]) -> None:
    """As upstream: side // 2 before it, then moved back inside; image and mask are cut alike."""
    image, masks = _case(place)
    crop, shown, chosen = crops.draw(image, masks, SIZE, default_rng(0))
    start = [min(max(0, at - side // 2), length - side) for at, side, length in zip(place, SIZE, SHAPE, strict=True)]
    inside = tuple(slice(at, at + side) for at, side in zip(start, SIZE, strict=True))
    np.testing.assert_array_equal(crop, image[inside])
    np.testing.assert_array_equal(shown[0], masks[0][inside])
    assert shown.sum() == 1
    assert chosen.tolist() == [0]


def test_absent_texts_are_at_most_half_of_the_present_ones(crops: Any) -> None:
    """Three near each other and three far away: one of the far ones, any of them; of one alone none."""
    near, far = [(5, 5, 5), (6, 5, 5), (5, 6, 5)], [(39, 35, 19), (38, 35, 19), (39, 34, 19)]
    image, masks = _case(*near, *far)
    absent = set()
    for seed in range(40):
        _, shown, chosen = crops.draw(image, masks, SIZE, default_rng(seed))
        held = {number for number, mask in zip(chosen.tolist(), shown, strict=True) if mask.any()}
        assert held in ({0, 1, 2}, {3, 4, 5})
        assert len(chosen) == 4
        absent |= set(chosen.tolist()) - held
    assert absent == set(range(6))
    image, masks = _case(near[0], far[0])
    assert {len(crops.draw(image, masks, SIZE, default_rng(seed))[2]) for seed in range(9)} == {1}


def test_half_of_the_crops_are_drawn_from_one_finding(crops: Any) -> None:
    """A large finding does not take all crops from a small one: half of half of them are the small one's."""
    image, masks = _case((2, 2, 2), (0, 0, 0))
    masks[1] = 0
    masks[1, 24:, 20:, :] = 1
    small = [0 in crops.draw(image, masks, SIZE, default_rng(seed))[2].tolist() for seed in range(400)]
    assert 0.18 < np.mean(small) < 0.33


def test_a_case_without_voxels_and_a_small_volume(crops: Any) -> None:
    """Anywhere, with all texts as absent; a volume smaller than the crop begins with it and ends in zeros."""
    image, masks = _case((1, 1, 1), (2, 2, 2))
    crop, shown, chosen = crops.draw(image, np.zeros_like(masks), SIZE, default_rng(0))
    assert crop.shape == SIZE
    assert not shown.any()
    assert sorted(chosen.tolist()) == [0, 1]
    crop, _, _ = crops.draw(image[:, :, :5], masks[:, :, :, :5], SIZE, default_rng(0))
    assert crop[..., :5].any()
    assert not crop[..., 5:].any()


def test_the_augmentation_keeps_sides_and_the_mask_on_its_voxels(crops: Any) -> None:
    """A bright ball right of the middle and its mask stay together, and right of the middle, whatever is drawn."""
    grid = np.stack(np.meshgrid(*map(np.arange, (48, 48, 24)), indexing="ij"))
    ball = sum((grid[axis] - at) ** 2 for axis, at in enumerate((33, 24, 12))) < 36
    image = ball * 2.0 - 1.0
    changed = 0
    for seed in range(60):
        found, masks = crops.augment(image.astype(np.float32), ball[None].astype(np.uint8), default_rng(seed))
        assert found.dtype == np.float32
        assert found.shape == image.shape
        assert set(np.unique(masks)) <= {0, 1}
        bright = np.argwhere(found > (found.min() + found.max()) / 2).mean(0)
        np.testing.assert_allclose(bright, np.argwhere(masks[0]).mean(0), atol=1.5)
        assert bright[0] > 27
        changed += not np.array_equal(found, image.astype(np.float32))
    assert 25 < changed < 55, "the chances together leave about a third as it is"


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.31])
def test_a_zoom_keeps_the_middle_and_the_size(crops: Any, factor: float) -> None:
    """By area for the image and by the nearest voxel for a mask; beyond the ends the outermost voxels are repeated."""
    volume = default_rng(0).random((21, 20, 11)).astype(np.float32)
    for nearest in (False, True):
        found = crops.zoom(volume, factor, nearest=nearest)
        assert found.shape == volume.shape
        if factor == 1.0:
            np.testing.assert_allclose(found, volume, rtol=1e-6)
    constant = np.full((9, 9, 9), 3.0, np.float32)
    np.testing.assert_allclose(crops.zoom(constant, factor), constant)


def test_known_answers_of_filters(crops: Any) -> None:
    """A constant is no less constant in the middle; contrast keeps the extremes, and a gamma of 2 squares a half."""
    constant = np.full((21, 21, 21), 2.0, np.float32)
    found = crops.sharpen(constant, (1.0,) * 3, (0.7,) * 3, 20.0)
    assert found[10, 10, 10] == pytest.approx(2.0, abs=0.01)
    values = np.array([[[-1.0, 0.0, 1.0]]], np.float32)
    np.testing.assert_allclose(crops.contrast(values, 2.0), [[[-1.0, -0.5, 1.0]]], atol=1e-5)
