"""Only the mask that was scored is drawn."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np

from harness.store.database import Store
from leaderboard.gallery.delivered import Delivered, Mask
from leaderboard.gallery.scans import read_scan
from tests.leaderboard.gallery.conftest import GRID


def test_prediction_that_is_no_mask_is_left_out(make_dataset, tmp_path: Path) -> None:
    """A damaged file, a link, a file that is gone: nothing to draw, and no error."""
    dataset = make_dataset(tmp_path / "data", ["LPS"])
    scan = read_scan(dataset.split("test")[0])
    root = tmp_path / "masks"
    root.mkdir()
    (root / "bad.nii.gz").write_bytes(b"no mask")
    (root / "link.nii.gz").symlink_to(dataset.split("test")[0].ct)
    for name in ("bad.nii.gz", "link.nii.gz", "gone.nii.gz"):
        assert scan.prediction(Mask(root / name, root, "ab" * 32)) is None


def test_only_the_mask_that_was_scored_is_drawn(bench, store: Store, make_dataset, tmp_path: Path) -> None:
    """A submitted folder is found where it was scored; a mask that changed since, or was never scored, is not drawn."""
    dataset = make_dataset(tmp_path / "data", ["LPS"])
    scan = read_scan(dataset.split("test")[0])
    folder = tmp_path / "sent" / "case-0"
    folder.mkdir(parents=True)
    for finding in ("0", "1"):
        mask = np.zeros(GRID, np.uint8)
        mask[3:6, 4:8, 5:7] = 1
        nib.save(nib.Nifti1Image(mask, scan.affine), folder / f"{finding}.nii.gz")
    digests = {("case-0", "0"): hashlib.sha256((folder / "0.nii.gz").read_bytes()).hexdigest()}
    run = bench.add(kind="submitted", cases=1, digests=digests, plan={"predictions": str(folder.parent)})
    delivered = Delivered(store, tmp_path / "runs")
    assert delivered.find(run.id, "case-0", "1") is None
    assert delivered.find("run-99", "case-0", "0") is None
    found = delivered.find(run.id, "case-0", "0")
    assert found is not None
    assert len(scan.prediction(found)) == 3 * 4 * 2
    mask[0, 0, 0] = 1
    nib.save(nib.Nifti1Image(mask, scan.affine), folder / "0.nii.gz")
    assert scan.prediction(found) is None
