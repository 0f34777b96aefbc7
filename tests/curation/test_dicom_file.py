"""A DICOM file costs what its size says, or is refused."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

from curation import dicom_file
from curation.dicom_file import read_dicom


def _written(path: Path, syntax: str) -> Path:
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID, image.Rows = CTImageStorage, generate_uid(), 7
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    image.save_as(path, enforce_file_format=True)
    return path


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    """With the options of the parser."""
    path = _written(tmp_path / "a.dcm", ExplicitVRLittleEndian)
    assert read_dicom(path).Rows == 7
    assert "Rows" not in read_dicom(path, specific_tags=["SOPClassUID"])


def test_a_deflated_file_is_refused(tmp_path: Path) -> None:
    """One of 600 kB unpacked to 600 MB, twice in memory, before its first tag was read."""
    with pytest.raises(ValueError, match="deflated as a whole"):
        read_dicom(_written(tmp_path / "a.dcm", DeflatedExplicitVRLittleEndian))


def test_what_is_not_dicom_is_told_from_what_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the parser raises for the second is a ValueError."""
    (tmp_path / "text").write_text("no DICOM")
    with pytest.raises(InvalidDicomError):
        read_dicom(tmp_path / "text")
    path = _written(tmp_path / "a.dcm", ExplicitVRLittleEndian)

    def fails(*_: object, **__: object) -> None:
        raise RecursionError("sequences without end")

    monkeypatch.setattr(dicom_file.pydicom, "dcmread", fails)
    with pytest.raises(ValueError, match="RecursionError: sequences"):
        read_dicom(path)
    assert pydicom is dicom_file.pydicom
