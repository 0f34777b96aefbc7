"""DICOM series become volumes voxel by voxel, or are refused with what is wrong; SEG goes out and comes in."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import JPEGLSLossless, RLELossless

from curation.ct.dicom import find_series, read_names, read_stack
from harness.errors import DataError
from tests.curation.ct.series import SCAN, SPACING, write_series


def test_series_become_volumes(tmp_path: Path, bench: Any) -> None:
    """Straight, sagittal, compressed and copied ones: every voxel, on stated axes; patients have numbers."""
    source = tmp_path / "dicom"
    write_series(source / "straight")
    write_series(source / "sagittal", turn=(0, 1, 0, 0, 0, -1), PatientID="MRN-2", PatientAge="")
    write_series(source / "run-length", syntax=RLELossless)
    write_series(source / "jpeg", syntax=JPEGLSLossless)
    write_series(source / "copied" / "a")
    shutil.copytree(source / "copied/a", source / "copied/b")
    write_series(source / "gap", without=(2, 3))
    write_series(source / "several", prefix="a")
    second = write_series(source / "several", prefix="b", ConvolutionKernel="B31f")
    write_series(source / "straight" / "scout", SCAN[:1], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    (source / "straight/notes.txt").write_text("not an image")
    result = bench("intake", source, "--out", tmp_path / "ct", "--json", "--jobs", 1)
    assert result.exit_code == 4
    rows = {row["name"]: row for row in json.loads(result.stdout)["volumes"]}
    assert {name for name, row in rows.items() if not row["ok"]} == {"gap", "several"}
    assert "2 slices are missing" in rows["gap"]["reason"]
    assert "kernel B31f" in rows["several"]["reason"]
    assert "6 copies" in rows["copied"]["note"]
    for name in ("straight", "run-length", "jpeg", "copied"):
        made: Any = nib.load(tmp_path / f"ct/{name}.nii.gz")
        assert np.array_equal(np.asarray(made.dataobj), SCAN.transpose(2, 1, 0)), name
        assert np.allclose(made.affine, [[-0.7, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 2.5, -100], [0, 0, 0, 1]])
    turned: Any = nib.load(tmp_path / "ct/sagittal.nii.gz")
    assert nib.aff2axcodes(turned.affine) == ("L", "P", "S")
    (index,) = np.argwhere(np.asarray(turned.dataobj) == SCAN[3, 4, 5])
    place = np.array([-10, -20 + 5 * SPACING[1], -100 - 4 * SPACING[0]]) + np.array([-1, 0, 0]) * 3 * SPACING[2]
    assert np.allclose(turned.affine @ [*index, 1], [*(place * [-1, -1, 1]), 1], atol=1e-4)
    with (tmp_path / "ct/patients.csv").open() as stream:
        people = {row["case"]: row for row in csv.DictReader(stream)}
    assert people["straight"]["patient"] == people["jpeg"]["patient"] != people["sagittal"]["patient"]
    assert "MRN" not in (tmp_path / "ct/patients.csv").read_text()
    (tmp_path / "series.csv").write_text(f"series,case\n{second},chosen_1\n")
    result = bench("intake", source, "--out", tmp_path / "ct", "--series", tmp_path / "series.csv")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "ct/chosen_1.nii.gz").exists()
    assert "chosen_1,p1" in (tmp_path / "ct/patients.csv").read_text()


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"tilt": 12.0}, "tilted by 12.0 degrees"),
        ({"RescaleType": "US_OTHER"}, "not HU"),
        ({"RescaleSlope": None}, "RescaleSlope"),
        ({"without": (1, 2, 3, 4, 5)}, "a single slice"),
        ({"PixelData": b"12"}, "cannot be read"),
    ],
)
def test_series_that_are_no_stack(tmp_path: Path, about: dict[str, Any], said: str) -> None:
    """Each is refused in words that say what is wrong."""
    write_series(tmp_path / "s", **about)
    (series,), _ = find_series(tmp_path)
    with pytest.raises(DataError, match=said):
        read_stack(series)


def test_doubled_positions_and_two_acquisitions(tmp_path: Path) -> None:
    """Two phases, or two frames of reference, under one identifier are not one volume."""
    for name, frame in (("phases", "1.2.3"), ("frames", "1.2.4")):
        for n in (0, 1):
            write_series(
                tmp_path / name, prefix=str(n), SeriesInstanceUID="1.2.9" + name[0].replace("p", "1").replace("f", "2"),
                FrameOfReferenceUID=frame if name == "phases" or n else "1.2.5",
            )  # fmt: skip
    found = {series.name: series for series in find_series(tmp_path)[0]}
    with pytest.raises(DataError, match="two slices"):
        read_stack(found["phases"])
    with pytest.raises(DataError, match="FrameOfReferenceUID"):
        read_stack(found["frames"])


def test_tables_of_series(tmp_path: Path) -> None:
    """A name for two series, and a table without its columns, are refused."""
    for text in ("series,case\n1,a\n2,a\n", "uid,name\n1,a\n"):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(DataError):
            read_names(tmp_path / "t.csv")


def test_damaged_files_and_names(tmp_path: Path) -> None:
    """A file that broke off takes its folder out, as it may be the last slice; a wrong name does too."""
    write_series(tmp_path / "broken")
    broken = tmp_path / "broken/000"
    broken.write_bytes(broken.read_bytes()[:600])
    write_series(tmp_path / "a name", PatientAge="200Y")
    uid = write_series(tmp_path / "sound", PatientAge="200Y")
    series, refused = find_series(tmp_path)
    assert [item.name for item in series] == ["sound"]
    assert set(refused) == {"broken", "a name"}
    assert "damaged" in refused["broken"]
    assert series[0].facts()["age"] == ""
    series, refused = find_series(tmp_path, {uid: "chosen", "1.2.3": "lost"})
    assert [item.name for item in series] == ["chosen"]
    assert refused == {"lost": "there is no CT series 1.2.3"}
