"""SegVol's grid: what is sampled, where boxes land, and that every mask comes back to the voxels it came from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.segvol import volume

SIZE = (8, 32, 32)


def body(shape: tuple[int, int, int], pad: int = 3) -> Any:
    """Give a CT of air with tissue inside: every voxel its own value, so that a misplaced one is seen."""
    ct = np.full(shape, -1000.0, dtype=np.float32)
    inner = tuple(slice(pad, length - pad) for length in shape)
    ct[inner] = np.linspace(-200, 400, ct[inner].size, dtype=np.float32).reshape(ct[inner].shape)
    return ct


def test_normalisation_is_the_published_one() -> None:
    """The bright voxels' percentiles clip, then everything lies between 0 and 1."""
    ct = body((20, 30, 40))
    found = volume.normalise(ct)
    bright = ct[ct > ct.mean()]
    low, high = np.percentile(bright, 0.05), np.percentile(bright, 99.95)
    expected = np.clip(ct, low, high)
    expected = (expected - bright.mean()) / bright.std()
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.dtype == np.float32
    assert found.min() == 0
    assert found.max() == 1


@pytest.mark.parametrize("values", [(0.0, 0.0), (-1000.0, 40.0)])
def test_a_ct_without_contrast_is_refused_with_a_reason(values: tuple[float, float]) -> None:
    """Upstream crashes at an empty crop; here the case fails with a sentence."""
    ct = np.full((6, 6, 6), values[0], dtype=np.float32)
    ct[3:] = values[1]
    with pytest.raises(ValueError, match="SegVol"):
        volume.normalise(ct)


@given(st.integers(1, 700), st.integers(1, 300))
def test_sampling_is_nearest_at_the_centres(size: int, samples: int) -> None:
    """An independent rule: the sample's centre lies inside the voxel that it takes, up to float32."""
    picked = volume.nearest_exact(size, samples)
    centres = (np.arange(samples) + 0.5) * size / samples
    assert ((picked <= centres + 1e-3) & (picked >= centres - 1 - 1e-3)).all()


def test_the_grid_covers_what_is_above_zero() -> None:
    """The air around the patient is cropped, as upstream's crop does."""
    image = volume.normalise(body((20, 40, 50)))
    grid = volume.lay_grid(image, SIZE)
    inside = np.argwhere(image > 0)
    assert grid.starts == tuple(inside.min(0))
    assert grid.stops == tuple(inside.max(0) + 1)
    assert grid.sample(image).shape == SIZE


@pytest.mark.parametrize("shape", [(8, 32, 32), (37, 71, 53), (5, 20, 9), (64, 40, 90)])
def test_a_mask_comes_back_to_where_it_was_sampled(shape: tuple[int, int, int]) -> None:
    """A block that is large beside the sampling comes back with its own borders, up to one sample."""
    grid = volume.Grid(shape, (1, 2, 0), shape, SIZE)
    block = np.zeros(shape, dtype=bool)
    block[shape[0] // 4 + 1 :, : shape[1] // 2, shape[2] // 3 :] = True
    back = grid.restore(grid.sample(block))
    assert back.shape == shape
    assert not back[0].any()
    step = max(1, *(int(np.ceil(length / size)) for length, size in zip(shape, SIZE, strict=True)))
    wrong = np.argwhere(back[1:, 2:] != block[1:, 2:])
    borders = np.array([shape[0] // 4 + 1 - 1, shape[1] // 2 - 2, shape[2] // 3])
    assert (np.abs(wrong - borders).min(axis=1) <= step).all() if len(wrong) else True


@given(st.tuples(*(st.integers(2, size) for size in SIZE)))
def test_a_ct_smaller_than_the_input_comes_back_exactly(shape: tuple[int, int, int]) -> None:
    """Where every voxel is sampled, none is moved."""
    mask = np.random.default_rng(sum(shape)).random(shape) < 0.5
    grid = volume.Grid(shape, (0, 0, 0), shape, SIZE)
    np.testing.assert_array_equal(grid.restore(grid.sample(mask)), mask)


def test_a_box_lands_on_the_samples_inside_it() -> None:
    """Ends are included, as SegVol wants them: the samples of the box are those of its mask."""
    shape = (40, 90, 70)
    grid = volume.Grid(shape, (2, 5, 3), (38, 88, 66), SIZE)
    box = [10, 20, 30, 25, 60, 55]
    mask = np.zeros(shape, dtype=bool)
    mask[10:25, 20:60, 30:55] = True
    inside = np.argwhere(grid.sample(mask))
    assert grid.box(box) == [*inside.min(0), *inside.max(0)]


def test_what_falls_between_the_samples_is_kept() -> None:
    """A nodule of one voxel that no sample hits still gets a box and a label, at the sample nearest to it."""
    shape = (80, 90, 70)
    grid = volume.Grid(shape, (0, 0, 0), shape, SIZE)
    label = np.zeros(shape, dtype=bool)
    label[1, 2, 69] = True
    assert not grid.sample(label).any()
    marked = np.argwhere(grid.mark(label))
    assert len(marked) == 1
    assert grid.box([1, 2, 69, 2, 3, 70]) == [*marked[0], *marked[0]]
    for axis, at in enumerate((1, 2, 69)):
        samples = grid.samples(axis)
        assert abs(samples[marked[0][axis]] - at) == np.abs(samples - at).min()
    assert not grid.mark(np.zeros(shape, dtype=bool)).any()


def test_a_small_finding_leaves_a_share_of_a_sample() -> None:
    """What falls between the nearest samples is not lost: shares sum to its volume where samples share no voxel."""
    shape = (80, 96, 64)
    label = np.zeros(shape, dtype=bool)
    label[1, 2, 63] = True
    grid = volume.Grid(shape, (0, 0, 0), shape, SIZE)
    assert not grid.sample(label).any()
    assert grid.average(label).sum() == pytest.approx(SIZE[0] * SIZE[1] * SIZE[2] / label.size)
