"""Intake of volumes, and sizes on an isotropic grid, each against a slow way of saying the same."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from curation.ct.intake import Options, take_in
from curation.ct.isotropic import finding_sizes, new_length
from curation.ct.metadata import Scan, read_metadata
from curation.volumes import write_volume
from harness.dataset import Case, Finding
from harness.errors import DataError, UsageError

SHAPE = (7, 6, 5)
RAW = np.random.default_rng(0).integers(0, 3000, SHAPE).astype(np.int16)
SCAN = Scan(1.0, -1024.0, None)


def save(path: Path, values: Any = RAW, affine: Any = None) -> Path:
    """Write a raw volume."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.diag([0.7, 0.8, 1.5, 1]) if affine is None else affine), path)
    return path


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


def test_window_and_size(tmp_path: Path) -> None:
    """The paper's window gives 0 to 1; shrinking takes means and keeps every voxel's place in the patient."""
    source = save(tmp_path / "raw.nii.gz")
    take_in(source, tmp_path / "unit.nii.gz", SCAN, Options(axes=None, window=(-600, 1500)))
    unit: Any = nib.load(tmp_path / "unit.nii.gz")
    expected = np.clip((RAW - 1024.0 + 600) / 2100, 0, 1)
    assert np.allclose(np.asarray(unit.dataobj), expected, atol=1e-6)
    take_in(source, tmp_path / "small.nii.gz", SCAN, Options(axes=None, largest=4))
    small: Any = nib.load(tmp_path / "small.nii.gz")
    assert small.shape == (4, 3, 5)
    assert np.asarray(small.dataobj)[0, 0, 0] == np.rint(RAW[:2, :2, 0].mean() - 1024)
    assert np.allclose(small.affine @ [0, 0, 0, 1], np.diag([0.7, 0.8, 1.5, 1]) @ [0.5, 0.5, 0, 1])


def test_spacing_of_the_table(tmp_path: Path) -> None:
    """Where header and table differ, the table's spacing counts, and that is noted."""
    taken = take_in(save(tmp_path / "raw.nii.gz"), tmp_path / "o.nii.gz", Scan(1, -1024, (1.0, 1.0, 2.0)), Options())
    assert "from the table" in taken.note
    made: Any = nib.load(tmp_path / "o.nii.gz")
    assert np.allclose(made.header.get_zooms(), (1, 1, 2))


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


@pytest.mark.parametrize("options", [["--axes", "XYZ"], ["--assume", "LLS"], ["--window", "5,1"], ["--window", "a"]])
def test_wrong_options(tmp_path: Path, bench: Any, options: list[str]) -> None:
    """Directions and windows that are none are refused."""
    result = bench("intake", tmp_path, "--metadata", tmp_path / "m.csv", "--out", tmp_path / "o", *options)
    assert isinstance(result.exception, UsageError)


def test_tables_that_are_refused(tmp_path: Path) -> None:
    """A missing table, one without the columns, a slope of 0 and two different rows are told."""
    with pytest.raises(UsageError):
        read_metadata(tmp_path / "none.csv")
    path = tmp_path / "m.csv"
    path.write_text("a,b\n")
    with pytest.raises(DataError, match="RescaleSlope"):
        read_metadata(path)
    path.write_text("VolumeName,RescaleSlope,RescaleIntercept\na,0,0\nb,1,0\nb,2,0\nc,1,0\n")
    scans, faults = read_metadata(path)
    assert list(scans) == ["c"]
    assert set(faults) == {"a", "b"}


@pytest.mark.parametrize("target", [0.6, 1.0, 2.5])
def test_sizes_against_true_resampling(tmp_path: Path, target: float) -> None:
    """The sum of repeats equals the count in a volume that is really resampled, nearest neighbour."""
    masks = np.random.default_rng(1).integers(0, 3, (2, *SHAPE)).astype(np.uint8)
    affine = np.diag([0.7, 0.8, 1.5, 1])
    write_volume(tmp_path / "ct.nii.gz", np.int16, SHAPE, affine, np.moveaxis(RAW, 2, 0))
    write_volume(tmp_path / "seg.nii.gz", np.uint8, masks.shape, np.eye(4), np.moveaxis(masks, 3, 0))
    findings = (Finding(0, "0", "a", "2d"), Finding(1, "1", "b", None))
    case = Case("x", "test", findings, tmp_path / "ct.nii.gz", tmp_path / "seg.nii.gz")
    lengths = [new_length(n, mm, target) for n, mm in zip(SHAPE, (0.7, 0.8, 1.5), strict=True)]
    index = [[int((j + 0.5) * n / m) for j in range(m)] for n, m in zip(SHAPE, lengths, strict=True)]
    for number, size in enumerate(finding_sizes(case, target)):
        resampled = masks[number][np.ix_(*index)] > 0
        assert size.resampled == resampled.sum()
        assert size.ratio == pytest.approx(resampled.mean())
        assert size.millilitres == pytest.approx((masks[number] > 0).sum() * 0.7 * 0.8 * 1.5 / 1000)


def test_sizes_need_a_spacing(tmp_path: Path) -> None:
    """Without mask or spacing nothing can be measured."""
    with pytest.raises(DataError, match="no mask"):
        finding_sizes(Case("x", "test", (), declared_spacing=(1.0, 1.0, 1.0)))
