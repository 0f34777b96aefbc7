"""Volumes are read back as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from curation.volumes import read_array
from harness.dataset.nifti import write_volume


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """The stored values, axes as in the file."""
    values = np.arange(4 * 3 * 5, dtype=np.int16).reshape(4, 3, 5)
    write_volume(tmp_path / "a.nii.gz", np.int16, values.shape, np.eye(4), np.moveaxis(values, 2, 0))
    assert np.array_equal(read_array(tmp_path / "a.nii.gz")[0], values)
