"""The table of a CT collection's metadata: spacing, and tables that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from curation.ct.intake import Options, take_in
from curation.ct.metadata import Scan, read_metadata
from harness.errors import DataError, UsageError
from tests.curation.ct.conftest import save


def test_spacing_of_the_table(tmp_path: Path) -> None:
    """Where header and table differ, the table's spacing counts, and that is noted."""
    taken = take_in(save(tmp_path / "raw.nii.gz"), tmp_path / "o.nii.gz", Scan(1, -1024, (1.0, 1.0, 2.0)), Options())
    assert "from the table" in taken.note
    made: Any = nib.load(tmp_path / "o.nii.gz")
    assert np.allclose(made.header.get_zooms(), (1, 1, 2))


def test_tables_that_are_refused(tmp_path: Path) -> None:
    """A missing table, one without the columns, a slope of 0 and two different rows are reported."""
    with pytest.raises(UsageError):
        read_metadata(tmp_path / "none.csv")
    path = tmp_path / "m.csv"
    path.write_text("")
    with pytest.raises(DataError, match="no column"):
        read_metadata(path)
    path.write_text("a,b\n")
    with pytest.raises(DataError, match="RescaleSlope"):
        read_metadata(path)
    path.write_text("VolumeName,RescaleSlope,RescaleIntercept\na,0,0\nb,1,0\nb,2,0\nc,1,0\n")
    scans, faults = read_metadata(path)
    assert list(scans) == ["c"]
    assert set(faults) == {"a", "b"}
