"""CTs of other layouts become CTs of a data set: orientation, window, size, refusals."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from curation.ct.intake import Options, take_in
from curation.ct.metadata import Scan
from harness.errors import DataError, UsageError
from tests.curation.ct.conftest import RAW, SHAPE, save

SCAN = Scan(1.0, -1024.0, None)


@pytest.mark.parametrize(
    "codes", ["".join(p) for axes in itertools.permutations(["RL", "AP", "SI"]) for p in itertools.product(*axes)]
)
def test_any_orientation_against_nibabel(tmp_path: Path, codes: str) -> None:
    """All 48 orientations come out as LPS in HU, with values and affine that nibabel's own turning gives."""
    ornt = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes))
    image = nib.Nifti1Image(RAW, np.diag([0.7, 0.8, 1.5, 1])).as_reoriented(ornt)
    nib.save(image, tmp_path / "raw.nii.gz")
    take_in(tmp_path / "raw.nii.gz", tmp_path / "out.nii.gz", SCAN, Options())
    made: Any = nib.load(tmp_path / "out.nii.gz")
    back = nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt("LPS"))
    expected = image.as_reoriented(back)
    assert np.array_equal(np.asarray(made.dataobj), np.asarray(expected.dataobj) - 1024)
    assert np.allclose(made.affine, expected.affine)


def test_the_window(tmp_path: Path) -> None:
    """The paper's window gives 0 to 1."""
    source = save(tmp_path / "raw.nii.gz")
    take_in(source, tmp_path / "unit.nii.gz", SCAN, Options(axes=None, window=(-600, 1500)))
    unit: Any = nib.load(tmp_path / "unit.nii.gz")
    expected = np.clip((RAW - 1024.0 + 600) / 2100, 0, 1)
    assert np.allclose(np.asarray(unit.dataobj), expected, atol=1e-6)


def _by_counting(image: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    """Return the same means from a picture in which every old and every new pixel is a whole number of points."""
    points = np.kron(image, np.ones(sides))
    (height, width), (rows, columns) = image.shape, sides
    return points.reshape(rows, height, columns, width).mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("shape", "largest", "sides"),
    [
        ((8, 6), 4, (4, 3)),
        ((7, 6), 4, (4, 3)),
        ((6, 9), 8, (5, 8)),
        ((12, 12), 8, (8, 8)),
        ((15, 15), 8, (8, 8)),
        ((9, 1), 8, (8, 1)),
        ((4, 3), 4, (4, 3)),
        ((3, 2), 4, (3, 2)),
    ],
)
def test_slices_are_shrunk_to_the_side_that_was_asked_for(
    tmp_path: Path, shape: tuple[int, int], largest: int, sides: tuple[int, int]
) -> None:
    """Means over each new pixel's area, whole factor or not; the same place in the patient; what was done is said."""
    raw = np.random.default_rng(0).integers(0, 2000, (*shape, 3)).astype(np.int16)
    affine = np.diag([-0.7, 0.8, 1.5, 1])
    affine[:3, 3] = 10, -20, 5
    source = save(tmp_path / "raw.nii.gz", raw, affine)
    taken = take_in(source, tmp_path / "small.nii.gz", SCAN, Options(axes=None, largest=largest))
    small: Any = nib.load(tmp_path / "small.nii.gz")
    values = np.asarray(small.dataobj)
    assert values.shape == (*sides, 3)
    for z in range(3):
        assert np.abs(values[..., z] - (_by_counting(raw[..., z], sides) - 1024)).max() <= 0.5 + 1e-3
    for corner in ((-0.5, -0.5), (-0.5, 1), (1, -0.5)):  # -0.5: the lower edge; 1: the upper one
        ends = [
            np.array([-0.5 if c < 0 else n - 0.5 for c, n in zip(corner, of, strict=True)]) for of in (sides, shape)
        ]
        now, before = (a @ [*end, 1, 1] for a, end in zip((small.affine, affine), ends, strict=True))
        assert np.allclose(now, before, atol=1e-5)
    assert ("resampled" in taken.note) == (sides != shape)


def test_the_papers_slices(tmp_path: Path) -> None:
    """512 stays, and 600, 768, 1,024 become 512 (section 3.6)."""
    for side in (512, 600, 768, 1024):
        source = save(tmp_path / f"{side}.nii.gz", np.full((side, side, 1), 1024, np.int16), np.diag([0.6, 0.6, 1, 1]))
        taken = take_in(source, tmp_path / f"{side}-out.nii.gz", SCAN, Options(largest=512))
        assert taken.shape == (512, 512, 1)
        made: Any = nib.load(tmp_path / f"{side}-out.nii.gz")
        assert np.array_equal(np.asarray(made.dataobj), np.zeros((512, 512, 1)))


@pytest.mark.parametrize(
    ("values", "affine", "said"),
    [
        (RAW, np.eye(4), "does not state its orientation"),
        (np.full(SHAPE, -1000, np.int16), None, "in HU already"),
        (np.zeros((2, 2, 2, 2), np.int16), None, "not three axes"),
    ],
)
def test_volumes_that_are_refused(tmp_path: Path, values: Any, affine: Any, said: str) -> None:
    """No orientation, HU already, four axes: refused with the reason, and no file is left."""
    source = save(tmp_path / "raw.nii.gz", values, affine)
    with pytest.raises(DataError, match=said):
        take_in(source, tmp_path / "out/o.nii.gz", SCAN, Options())
    assert not list((tmp_path / "out").rglob("*")) if (tmp_path / "out").exists() else True


def test_scaled_twice(tmp_path: Path) -> None:
    """Header and table cannot both scale."""
    image = nib.Nifti1Image(RAW, np.diag([0.7, 0.8, 1.5, 1]))
    image.header.set_slope_inter(2, -1024)
    nib.save(image, tmp_path / "raw.nii.gz")
    with pytest.raises(DataError, match="both scale"):
        take_in(tmp_path / "raw.nii.gz", tmp_path / "o.nii.gz", SCAN, Options())


def test_the_command(tmp_path: Path, bench: Any) -> None:
    """Nested folders, a bad row, a broken file: told, the rest is made; a second call keeps what is there."""
    for name in ("v_1_a_1", "v_2_a_1", "v_3_a_1"):
        save(tmp_path / f"raw/v/{name}.nii.gz")
    (tmp_path / "raw/v_4_a_1.nii.gz").write_bytes(b"broken")
    table = tmp_path / "metadata.csv"
    table.write_text(
        "VolumeName,RescaleSlope,RescaleIntercept,XYSpacing,ZSpacing\n"
        'v_1_a_1.nii.gz,1,-1024,"[0.7, 0.8]",1.5\nv_2_a_1.nii.gz,1,-8192,"[0.7, 0.8]",1.5\n'
        'v_4_a_1.nii.gz,1,-1024,"[0.7, 0.8]",1.5\nv_3_a_1.nii.gz,zero,-1024,,\n'
    )
    options = ("--metadata", table, "--out", tmp_path / "ct", "--json")
    result = bench("intake", tmp_path / "raw", *options, "--jobs", 2)
    assert result.exit_code == 4
    rows = {row["name"]: row for row in json.loads(result.stdout)["volumes"]}
    assert [rows[name]["ok"] for name in sorted(rows)] == [True, True, False, False]
    assert "unusable" in rows["v_3_a_1"]["reason"]
    before = (tmp_path / "ct/v_1_a_1.nii.gz").read_bytes()
    again = bench("intake", tmp_path / "raw", *options, "--jobs", 1)
    assert {row["note"] for row in json.loads(again.stdout)["volumes"] if row["ok"]} == {"there already"}
    assert (tmp_path / "ct/v_1_a_1.nii.gz").read_bytes() == before


def test_volumes_in_hu(tmp_path: Path, bench: Any) -> None:
    """CT-RATE's ``*_fixed`` folders are taken as they are, others with --hu; what has no value below 0 is not in HU."""
    hounsfield = RAW - 1024
    fixed = save(tmp_path / "train_fixed/train_1/train_1_a/train_1_a_1.nii.gz", hounsfield)
    assert bench("intake", tmp_path / "train_fixed", "--out", tmp_path / "a", "--axes", "keep").exit_code == 0
    made: Any = nib.load(tmp_path / "a/train_1_a_1.nii.gz")
    assert np.array_equal(np.asarray(made.dataobj), hounsfield)
    save(tmp_path / "own/x.nii.gz", hounsfield)
    assert isinstance(bench("intake", tmp_path / "own", "--out", tmp_path / "b").exception, UsageError)
    assert bench("intake", tmp_path / "own", "--out", tmp_path / "b", "--hu").exit_code == 0
    save(fixed)
    result = bench("intake", tmp_path / "train_fixed", "--out", tmp_path / "c")
    assert result.exit_code == 4
    assert "not in HU" in result.output


@pytest.mark.parametrize("options", [["--axes", "XYZ"], ["--assume", "LLS"], ["--window", "5,1"], ["--window", "a"]])
def test_wrong_options(tmp_path: Path, bench: Any, options: list[str]) -> None:
    """Invalid directions and windows are refused."""
    result = bench("intake", tmp_path, "--metadata", tmp_path / "m.csv", "--out", tmp_path / "o", *options)
    assert isinstance(result.exception, UsageError)
