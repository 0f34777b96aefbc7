"""Segmentations as 3D Slicer writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.annotation.nrrd import Segment, read_segmentation, write_segmentation
from harness.errors import DataError
from tests.curation.annotation.conftest import AFFINE, truth


def test_slicer_files(tmp_path: Path) -> None:
    """What we write we read, in raw and gzip; Slicer's single voxel means nothing; other files are refused."""
    layers = np.stack([truth(0), truth(1)])
    path = tmp_path / "x.seg.nrrd"
    write_segmentation(path, layers, AFFINE, [Segment("a", 0, 1), Segment("b", 1, 2)])
    read = read_segmentation(path)
    assert np.array_equal(read.layers, layers)
    assert np.allclose(read.affine, AFFINE)
    assert np.array_equal(read.mask(read.segments[1]), truth(1) == 2)
    head = (
        "NRRD0004\n# a comment\ntype: unsigned char\ndimension: 3\nspace: right-anterior-superior\nsizes: 1 1 1\n"
        "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nencoding: raw\nSegment0_Name:=0: x\n\n"
    )
    path.write_bytes(head.encode() + b"\0")
    assert read_segmentation(path).is_empty
    for broken in (b"", b"NRRD0004\n\n", head.encode(), head.replace("raw", "bzip2").encode() + b"\0", b"PNG\n\n"):
        path.write_bytes(broken)
        with pytest.raises(DataError):
            read_segmentation(path)
