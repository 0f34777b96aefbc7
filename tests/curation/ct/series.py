"""DICOM series that tests write: a scan of random values, whole or with one fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

#: Slices, rows, columns of one scan, in HU.
SCAN = (np.random.default_rng(0).permutation(432).reshape(6, 9, 8) * 5 - 1024).astype(np.int16)  # each value once

SPACING = (0.8, 0.7, 2.5)  # mm between rows, columns, slices

_ABOUT = {
    "Modality": "CT", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "PatientName": "Made^Up", "PatientAge": "061Y",
    "PatientSex": "F", "PatientBirthDate": "", "StudyDate": "20200101", "StudyTime": "101010", "AccessionNumber": "",
    "ReferringPhysicianName": "", "StudyID": "1", "SeriesNumber": 2, "Manufacturer": "Maker", "KVP": "120",
    "ManufacturerModelName": "M1", "ConvolutionKernel": "B70f", "SliceThickness": "2.5", "PatientPosition": "HFS",
    "PositionReferenceIndicator": "", "SeriesDescription": "Chest", "PatientID": "MRN-1", "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
    "PixelRepresentation": 0, "RescaleIntercept": -1024, "RescaleSlope": 1, "RescaleType": "HU",
}  # fmt: skip


def write_series(
    folder: Path,
    hounsfield: npt.NDArray[np.int16] = SCAN,
    *,
    turn: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    tilt: float = 0.0,
    without: tuple[int, ...] = (),
    prefix: str = "",
    syntax: str = ExplicitVRLittleEndian,
    without_tags: tuple[str, ...] = (),
    **about: Any,
) -> str:
    """Write one file a slice, in an order that names do not follow; return the identifier of the series."""
    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame = (generate_uid() for _ in range(3))
    rows = np.array(turn, float).reshape(2, 3)
    step = np.cross(*rows) + rows[1] * np.tan(np.radians(tilt))
    for z, pixels in enumerate(hounsfield):
        if z in without:
            continue
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        of_slice = {
            "SOPClassUID": CTImageStorage, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID, "InstanceNumber": z + 1,
            "StudyInstanceUID": study, "SeriesInstanceUID": series, "FrameOfReferenceUID": frame,
            "ImagePositionPatient": [round(float(x), 6) for x in (-10, -20, -100) + step * SPACING[2] * z],
            "ImageOrientationPatient": list(turn), "PixelSpacing": list(SPACING[:2]),
            "Rows": pixels.shape[0], "Columns": pixels.shape[1], "PixelData": (pixels + 1024).astype("<u2").tobytes(),
        }  # fmt: skip
        for name, value in (_ABOUT | of_slice | about).items():
            setattr(image, name, value)
        for name in without_tags:
            delattr(image, name)
        if syntax != ExplicitVRLittleEndian:
            image.compress(syntax)
        image.save_as(folder / f"{prefix}{(z * 5) % len(hounsfield):03d}", enforce_file_format=True)
    return series
