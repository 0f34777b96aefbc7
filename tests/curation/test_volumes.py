"""Volumes are read back as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.volumes import read_array, require_size
from harness.dataset.nifti import write_volume


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """The stored values, axes as in the file."""
    values = np.arange(4 * 3 * 5, dtype=np.int16).reshape(4, 3, 5)
    write_volume(tmp_path / "a.nii.gz", np.int16, values.shape, np.eye(4), np.moveaxis(values, 2, 0))
    assert np.array_equal(read_array(tmp_path / "a.nii.gz")[0], values)


@pytest.mark.parametrize(("shape", "itemsize"), [((2048, 2048, 1025), 2), ((1024, 1024, 1025), 8), ((2**40, 2**40), 1)])
def test_what_is_larger_than_any_ct_is_refused(shape: tuple[int, ...], itemsize: int) -> None:
    """By what its header says, before there is an array of that size; a large CT of our days has a tenth of it."""
    require_size((1024, 1024, 800), 2)
    with pytest.raises(ValueError, match=f"{shape[0]} x .* voxels of {itemsize} bytes are more"):
        require_size(shape, itemsize)
