"""The patient around the findings."""

from __future__ import annotations

import numpy as np
import pytest

from harness.phantom.case import PhantomCase, make_case
from harness.phantom.grid import grid_for
from harness.phantom.patient import Patient
from harness.phantom.segments import SEGMENTS
from harness.phantom.streams import Stream, stream

pytestmark = pytest.mark.costly


def test_small_is_small(cases: list[PhantomCase]) -> None:
    """Around 96 x 80 x 64 voxels of 3.5 x 3.5 x 4.5 mm, not the same for every patient."""
    shapes = {case.ct.shape for case in cases}
    assert len(shapes) > 1
    assert all(np.allclose(shape, (96, 80, 66), atol=12) for shape in shapes)
    assert {case.grid.spacing for case in cases} == {(3.5, 3.5, 4.5)}


def test_full_is_clinical() -> None:
    """512 x 512 pixels of about 0.7 mm, and at least 300 slices of 1 mm."""
    for seed in range(20):
        grid = grid_for("full", *Patient.draw(stream(seed, 0, Stream.PATIENT)).field_of_view)
        assert grid.shape[:2] == (512, 512)
        assert grid.shape[2] >= 300
        assert 0.55 < grid.spacing[0] < 0.85
        assert grid.spacing[2] == 1.0


def test_left_and_front_are_where_the_affine_says(cases: list[PhantomCase]) -> None:
    """The heart lies to the left (-x in RAS), the spine at the back (-y), the liver low (-z) on the right."""
    for case in cases:
        world = case.grid.affine
        assert np.diag(world)[:2].max() < 0 < world[2, 2]
        labels = {
            name: np.argwhere(np.isin(case.anatomy, lobes)) for name, lobes in {"r": (1, 2, 3), "l": (4, 5)}.items()
        }
        centre = {name: (world[:3, :3] @ voxels.mean(axis=0) + world[:3, 3]) for name, voxels in labels.items()}
        assert centre["l"][0] < 0 < centre["r"][0]
        bone = np.argwhere(case.ct[:, :, case.ct.shape[2] // 2] > 300)
        middle = bone[np.abs(bone[:, 0] - case.ct.shape[0] / 2) < 8]
        assert (middle[:, 1] > case.ct.shape[1] / 2).sum() > (middle[:, 1] < case.ct.shape[1] / 2).sum()
        heart_level = np.argmin(np.abs(world[2, 2] * np.arange(case.ct.shape[2]) + world[2, 3] + 68))
        dense = np.argwhere((case.ct[:, :, heart_level] > 10) & (case.ct[:, :, heart_level] < 90))
        front = dense[(dense[:, 1] > 0.3 * case.ct.shape[1]) & (dense[:, 1] < 0.55 * case.ct.shape[1])]
        inner = front[np.abs(front[:, 0] - case.ct.shape[0] / 2) < 0.22 * case.ct.shape[0]]
        assert world[0, 0] * inner[:, 0].mean() + world[0, 3] < -5


def test_all_segments_and_lobes_exist(cases: list[PhantomCase]) -> None:
    """Every patient has five lobes of a plausible share, about 3 to 7 litres of lung, and airways."""
    for case in cases:
        if any(finding.category == "2g" for finding in case.plan.findings):
            continue
        voxels = np.bincount(case.anatomy.ravel(), minlength=7)
        shares = voxels[1:6] / voxels[1:6].sum()
        assert (shares > 0.05).all()
        assert (shares < 0.4).all()
        assert 2.5 < voxels[1:6].sum() * np.prod(case.grid.spacing) / 1e6 < 7
        assert voxels[6] > 0


@pytest.mark.parametrize("seed", range(5))
def test_every_segment_has_points_to_place_findings(seed: int) -> None:
    """A healthy patient's cloud reaches all 18 segments."""
    cloud = Patient.draw(stream(seed, 9, Stream.PATIENT)).cloud(stream(seed, 9, Stream.TREES))
    assert set(cloud.segments.tolist()) == {segment.number for segment in SEGMENTS}
    assert (cloud.depths >= 0).all()


def test_tissues_have_their_attenuation(cases: list[PhantomCase]) -> None:
    """Air outside, lung near -850 HU and denser towards the back, bone above 300 HU, soft tissue in between."""
    for case in cases:
        lung = (case.anatomy >= 1) & (case.anatomy <= 5) & (case.finding == 0)
        rows = np.broadcast_to(np.arange(case.ct.shape[1])[None, :, None], case.ct.shape)
        front, back = (
            np.median(case.ct[lung & half]) for half in (rows < rows[lung].mean(), rows >= rows[lung].mean())
        )
        assert -920 < front < back < -780
        assert abs(np.median(case.ct[:3, :3]) + 1000) < 12
        assert (case.ct > 300).mean() > 0.005
        assert ((case.ct > 0) & (case.ct < 100)).mean() > 0.1
        assert case.ct.dtype == np.int16


def test_a_case_is_drawn_in_a_moment() -> None:
    """A small case takes well under the minute that a slow machine may need."""
    import time

    started = time.process_time()
    make_case(11, 0, "small")
    assert time.process_time() - started < 10


@pytest.mark.slow
def test_full_size_shows_the_same_patient() -> None:
    """The full size has the texts (but for measured sizes), lobes and findings of the small one."""
    small, full = make_case(0, 1, "small"), make_case(0, 1, "full")
    assert full.ct.shape[:2] == (512, 512)
    assert full.ct.shape[2] >= 300
    volumes = []
    for case in (small, full):
        volume = np.prod(case.grid.spacing)
        lobes = np.bincount(case.anatomy.ravel(), minlength=7)[1:6] * volume
        owned = np.bincount(case.finding.ravel(), minlength=9)[1:] * volume
        volumes.append((lobes, owned))
    assert np.allclose(volumes[0][0], volumes[1][0], rtol=0.06)
    for index, planned in enumerate(full.plan.findings):
        assert full.plan == small.plan
        assert (full.finding == index + 1).any()
        if planned.category in {"1c", "2b", "2c", "2e", "2f", "2g"}:
            assert volumes[0][1][index] == pytest.approx(volumes[1][1][index], rel=0.25)
        if planned.category == "1c":
            assert (full.ct[full.finding == index + 1] < -950).mean() > 0.7
