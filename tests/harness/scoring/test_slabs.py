"""Dense masks labelled slab by slab, beside the runs of the same masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.masks.bits import Bits
from harness.scoring.components import components
from harness.scoring.instances import shared_voxels
from harness.scoring.regions import Regions
from harness.scoring.slabs import is_dense, slabs
from tests.bench import bench_all

from .test_equality import draw_boxes, grid_of


def test_what_is_dense() -> None:
    """Stripes and noise are, and large solid bodies; specks and what holds nothing are not."""
    shape = (512, 512, 160)
    words = -(-shape[0] // 64) * shape[1] * shape[2]
    bits = {"stripes": 0x5555555555555555, "solid": 2**64 - 1, "specks": 1}
    found = {}
    for name, word in bits.items():
        step = 20 if name == "specks" else 1
        at = np.arange(0, words, step, dtype=np.int32)
        found[name] = is_dense(Bits(shape, at, np.ones(len(at), np.int32), np.full(len(at), word, np.uint64)))
    assert found == {"stripes": True, "solid": True, "specks": False}
    assert not is_dense(grid_of(np.zeros((64, 4, 4), np.uint8)))  # what a flood of one solid body leaves


def draw_dense(rng: np.random.Generator, shape: tuple[int, int, int], kind: str) -> np.ndarray:
    """Return noise, or a pattern that repeats itself, with or without specks in it."""
    if kind == "noise":
        return rng.random(shape) < rng.choice([0.02, 0.1, 0.14, 0.3, 0.6, 1.0])
    place = np.indices(shape)
    step = rng.integers(1, 4, 3)
    if kind == "stripes":
        mask = (place * rng.integers(0, 2, 3).reshape(3, 1, 1, 1)).sum(0) % int(step[0] + 1) == 0
    elif kind == "checkerboard":
        mask = (place // step.reshape(3, 1, 1, 1)).sum(0) % 2 == 0
    else:
        mask = ((place + rng.integers(0, 3, 3).reshape(3, 1, 1, 1)) % (step + 1).reshape(3, 1, 1, 1) > 0).all(0)
    return mask ^ (rng.random(shape) < rng.choice([0, 0, 0.002, 0.05]))


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 140), st.integers(1, 9), st.integers(1, 40)),
    kind=st.sampled_from(["noise", "stripes", "checkerboard", "blocks"]),
    connectivity=st.sampled_from([6, 18, 26]),
    slices=st.sampled_from([(1, 3), (4, 12), (8, 8)]),
    most=st.sampled_from([1, 5, 50]),
    large=st.sampled_from([1, 64, 1 << 16]),
    fewer=st.sampled_from([0.1, 1, 2]),
    share=st.sampled_from([0, 0.25, 2]),
    reached=st.sampled_from([0, 0.5]),
)
def test_slabs(
    *,
    seed: int,
    shape: tuple[int, int, int],
    kind: str,
    connectivity: int,
    slices: tuple[int, int],
    most: int,
    large: int,
    fewer: float,
    share: float,
    reached: float,
) -> None:
    """Slabs hold the components that runs do: voxels, order, sizes, centres, boxes, shared voxels and surfaces.

    So does a flood of whatever is the largest in some slices (share 0), of what has much there, and none (2).
    """
    rng = np.random.default_rng(seed)
    mask = grid_of(draw_dense(rng, shape, kind))
    rule = {"connectivity": connectivity, "min_voxels": int(rng.integers(1, 11)), "max_components": most}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.scoring.slabs.SLICES", slices)
        patch.setattr("harness.scoring.slabs._SAMPLED", 1 + seed % 7)
        patch.setattr("harness.scoring.slabs._LARGE", large)
        patch.setattr("harness.scoring.slabs._FEWER", fewer)
        patch.setattr("harness.scoring.flood.SLICES", 2 + seed % 4)
        patch.setattr("harness.scoring.flood._SAMPLED", 1 + seed % 7)
        patch.setattr("harness.scoring.flood._STEPS", seed % 3)
        patch.setattr("harness.scoring.flood._SHARE", share)
        patch.setattr("harness.scoring.flood._REACHED", reached)
        found = Regions(mask, slabs(mask, **rule))
    expected = Regions(components(mask, **rule))
    assert found.labels.tolist() == expected.labels.tolist()
    assert found.sizes.tolist() == expected.sizes.tolist()
    assert found.centroids.tolist() == expected.centroids.tolist()
    assert found.boxes.tolist() == expected.boxes.tolist()
    truth = Regions(grid_of(draw_boxes(rng, shape, 3)))
    assert shared_voxels(truth, found).tolist() == shared_voxels(truth, expected).tolist()
    assert all(map(np.array_equal, found.profiles, expected.profiles))
    for i in range(min(len(found), 4)):
        one, other = found.surface(i), expected.surface(i)
        assert np.array_equal(one.grid, other.grid)
        assert one.origin.tolist() == other.origin.tolist()


@pytest.mark.costly
def test_no_ratio_is_twice_as_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scoring small masks costs no more than twice the multiple of their decoding that is kept."""
    monkeypatch.setattr("sys.argv", ["bench_all.py", "--quick", "--work", str(tmp_path)])
    bench_all.main()
