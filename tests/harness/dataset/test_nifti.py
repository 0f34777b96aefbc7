"""Volumes are written slice by slice: what goes in comes out, always as the same bytes, and complete or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from harness.dataset.nifti import write_volume

AFFINE = np.diag([-0.7, -0.7, 1.5, 1.0])
VOLUME = np.arange(2 * 3 * 4).reshape(2, 3, 4) - 5


def _slices(volume: Any) -> Iterator[Any]:
    return (volume[..., index] for index in range(volume.shape[-1]))


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    """Values, type, affine and unit, as another library reads them."""
    write_volume(tmp_path / "new" / "a.nii.gz", np.int16, VOLUME.shape, AFFINE, _slices(VOLUME))
    image: Any = nib.load(tmp_path / "new" / "a.nii.gz")  # type: ignore[attr-defined]
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), VOLUME)
    np.testing.assert_allclose(image.affine, AFFINE, rtol=1e-6)
    assert image.get_data_dtype() == np.int16
    assert image.header.get_xyzt_units()[0] == "mm"


def test_the_bytes_depend_on_the_volume_alone(tmp_path: Path) -> None:
    """Neither name nor time are in the file."""
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(tmp_path / name, np.int16, VOLUME.shape, AFFINE, _slices(VOLUME))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_file_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    """A slice that cannot be made leaves nothing behind."""

    def broken() -> Iterator[Any]:
        yield VOLUME[..., 0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_volume(tmp_path / "a.nii.gz", np.int16, VOLUME.shape, AFFINE, broken())
    assert list(tmp_path.iterdir()) == []
