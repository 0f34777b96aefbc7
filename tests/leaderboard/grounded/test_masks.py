"""A mask is written in the grid of its CT, and measured as a person would count it, however the CT is stored."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel import orientations

from harness.dataset import Case
from harness.errors import DataError
from leaderboard.gallery.scans import Scan, read_scan
from leaderboard.grounded.masks import Measured, measure, read_voxels, write_mask

#: The patient's grid on axes to the left, the back and the head: voxels, mm, and where its first voxel lies (RAS+).
GRID, SPACING, ORIGIN = (9, 7, 8), (2.0, 3.0, 5.0), (40.0, 30.0, -100.0)


def _scan(folder: Path, axes: str) -> Scan:
    """Return a CT of that grid, stored along other axes."""
    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    affine[:3, 3] = ORIGIN
    stored = nib.Nifti1Image(np.zeros(GRID, np.int16), affine).as_reoriented(
        orientations.ornt_transform(orientations.axcodes2ornt("LPS"), orientations.axcodes2ornt(axes))
    )
    nib.save(stored, folder / "ct.nii.gz")
    return read_scan(Case("case", "report", (), ct=folder / "ct.nii.gz"))


def _slow(places: list[tuple[int, int, int]]) -> tuple[float, int, tuple[float, float], tuple[float, ...], float]:
    """Measure voxels of the patient's grid one by one: ml, slices, heights, size of the box, share on the left."""
    heights = sorted(ORIGIN[2] + SPACING[2] * z for _, _, z in places)
    box = tuple((max(p[a] for p in places) - min(p[a] for p in places) + 1) * SPACING[a] for a in range(3))
    left = 0.0
    for x, _, _ in places:
        left += 1.0 if x > 4 else 0.5 if x == 4 else 0.0  # the fifth of nine is the middle
    ml = len(places) * SPACING[0] * SPACING[1] * SPACING[2] / 1000
    return ml, len(set(heights)), (heights[0], heights[-1]), box, left / len(places)


SCENES = {
    "left": [(6, 1, 2), (7, 1, 2), (7, 2, 3)],
    "right": [(0, 0, 0)],
    "both": [(0, 3, 1), (4, 3, 1), (8, 3, 7), (8, 6, 7), (3, 2, 4)],
}


@pytest.mark.parametrize("axes", ["LPS", "RAS", "PLS", "SAR", "LPI"])
@pytest.mark.parametrize("scene", SCENES)
def test_measured_as_counted(tmp_path: Path, axes: str, scene: str) -> None:
    """Volume, slices, box and side are those of the patient, on every stored order of the axes."""
    places, scan = SCENES[scene], _scan(tmp_path, axes)
    inside = np.zeros(GRID, bool)
    inside[tuple(np.transpose(places))] = True
    turn = orientations.ornt_transform(orientations.axcodes2ornt("LPS"), orientations.axcodes2ornt(axes))
    voxels = np.argwhere(orientations.apply_orientation(inside, turn)).astype(np.int64)
    found = measure(voxels, scan.turned(*voxels.T), scan)
    ml, slices, heights, extent, left = _slow(places)
    assert isinstance(found, Measured)
    assert (found.voxels, found.slices) == (len(places), slices)
    assert found.ml == pytest.approx(ml)
    assert found.heights == pytest.approx(heights)
    assert found.extent == pytest.approx(extent)
    assert found.left == pytest.approx(left)
    assert found.first == tuple(voxels.min(axis=0))
    assert found.last == tuple(voxels.max(axis=0))


def test_a_mask_is_written_in_the_grid_of_the_ct(tmp_path: Path) -> None:
    """Whatever affine a model wrote: the file has the CT's, the same voxels, and bytes that depend on nothing else."""
    scan = _scan(tmp_path, "PLS")
    mask = np.random.default_rng(0).random(scan.case.shape) < 0.2
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), np.eye(4)), tmp_path / "delivered.nii.gz")
    voxels = read_voxels(tmp_path / "delivered.nii.gz", scan, root=tmp_path)
    digest = write_mask(tmp_path / "a.nii.gz", voxels, scan)
    written = nib.load(tmp_path / "a.nii.gz")
    assert np.array_equal(np.asarray(written.dataobj), mask)
    assert written.get_data_dtype() == np.uint8
    for affine in (written.get_sform(), written.get_qform()):
        np.testing.assert_allclose(affine, np.array(scan.case.affine), atol=1e-5)
    assert digest == hashlib.sha256((tmp_path / "a.nii.gz").read_bytes()).hexdigest()
    assert write_mask(tmp_path / "b.nii.gz", voxels[::-1], scan) == digest


def test_an_empty_mask_is_written_too(tmp_path: Path) -> None:
    """A model that marks nothing has a mask without a voxel."""
    scan = _scan(tmp_path, "LPS")
    write_mask(tmp_path / "a.nii.gz", np.empty((0, 3), np.int64), scan)
    assert not np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj).any()


def test_a_mask_that_has_changed_is_told(tmp_path: Path) -> None:
    """A file that is damaged after it was judged is no mask."""
    scan = _scan(tmp_path, "LPS")
    (tmp_path / "m.nii.gz").write_bytes(b"nothing")
    with pytest.raises(DataError, match="has changed"):
        read_voxels(tmp_path / "m.nii.gz", scan, root=tmp_path)
