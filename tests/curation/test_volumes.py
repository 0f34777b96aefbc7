"""Volumes are written as a stream and read back as they were."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from curation.volumes import read_array, write_volume

AFFINE = np.diag([-1.5, -1.5, 2.0, 1.0])


def test_what_was_written_is_what_others_read(tmp_path: Path) -> None:
    """Nibabel reads the values, the affine and the type; so do we."""
    values = np.arange(4 * 3 * 5, dtype=np.int16).reshape(4, 3, 5)
    write_volume(tmp_path / "a.nii.gz", np.int16, values.shape, AFFINE, np.moveaxis(values, 2, 0))
    image = nib.load(tmp_path / "a.nii.gz")
    assert np.array_equal(np.asarray(image.dataobj), values)
    assert np.array_equal(image.affine, AFFINE)
    assert np.array_equal(read_array(tmp_path / "a.nii.gz")[0], values)


def test_half_a_volume_is_no_volume(tmp_path: Path) -> None:
    """A writer that fails on the way leaves no file under the final name."""

    def slices():
        yield np.zeros((4, 3), np.int16)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_volume(tmp_path / "a.nii.gz", np.int16, (4, 3, 5), AFFINE, slices())
    assert not (tmp_path / "a.nii.gz").exists()
