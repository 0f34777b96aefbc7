"""One mask, whoever wrote it: nibabel, SimpleITK, pynrrd and nnU-Net give the same figures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK

from harness.dataset import Case, open_dataset
from harness.phantom.dataset import make_dataset
from harness.scoring.case import CaseTask, FindingScore, score_case

pytestmark = pytest.mark.costly


def written(case: Case, mask: np.ndarray, folder: Path) -> dict[str, Path]:
    """Write one 3-D mask (H, W, D) in the ways that people do; with the geometry of the CT, or without any."""
    paths: dict[str, Path] = {}
    _by_nibabel(case, mask, folder, paths)
    _by_simpleitk(case, mask, folder, paths)
    _by_pynrrd(case, mask, folder, paths)
    return paths


def _by_nibabel(case: Case, mask: np.ndarray, folder: Path, paths: dict[str, Path]) -> None:
    affine = np.array(case.affine)
    floats = nib.Nifti1Header()
    floats.set_data_dtype(np.uint8)
    ct = nib.load(case.ct)
    made = {
        "nibabel": nib.Nifti1Image(mask, affine),
        "nibabel, the CT's header": nib.Nifti1Image(mask, ct.affine, ct.header, dtype=np.uint8),
        "nibabel, floats under an integer header": nib.Nifti1Image(mask.astype(np.float32), affine, floats),
        "nibabel, no geometry": nib.Nifti1Image(mask, np.eye(4)),
        "nibabel, NIfTI-2": nib.Nifti2Image(mask, affine),
    }
    for number, (name, image) in enumerate(made.items()):
        paths[name] = folder / f"nibabel{number}.nii.gz"
        nib.save(image, paths[name])


def _by_simpleitk(case: Case, mask: np.ndarray, folder: Path, paths: dict[str, Path]) -> None:
    ct = SimpleITK.ReadImage(str(case.ct))
    of_floats = SimpleITK.GetImageFromArray(mask.T.astype(np.float32))
    placed, bare = SimpleITK.GetImageFromArray(mask.T), SimpleITK.GetImageFromArray(mask.T)
    placed.CopyInformation(ct)
    of_floats.CopyInformation(ct)
    # nnU-Net v2, SimpleITKIO.write_seg: the spacing, origin and direction that it read from the CT
    nnunet = SimpleITK.GetImageFromArray(mask.T.astype(np.uint8, copy=False))
    nnunet.SetSpacing(ct.GetSpacing())
    nnunet.SetOrigin(ct.GetOrigin())
    nnunet.SetDirection(ct.GetDirection())
    images = {"": placed, ", floats": of_floats, ", no geometry": bare}
    for number, (name, image) in enumerate(images.items()):
        for suffix in (".nii.gz", ".nii", ".nrrd", ".mha"):
            path = paths[f"SimpleITK{name}, {suffix}"] = folder / f"itk{number}{suffix}"
            SimpleITK.WriteImage(image, str(path), useCompression=suffix != ".nii")
    paths["nnU-Net"] = folder / "nnunet.nii.gz"
    SimpleITK.WriteImage(nnunet, str(paths["nnU-Net"]), useCompression=True)


def _by_pynrrd(case: Case, mask: np.ndarray, folder: Path, paths: dict[str, Path]) -> None:
    lps = np.diag([-1.0, -1.0, 1.0]) @ np.array(case.affine)[:3]
    space = {"space": "left-posterior-superior", "space directions": lps[:, :3].T, "space origin": lps[:, 3]}
    for name, header in (("pynrrd", space), ("pynrrd, no geometry", {})):
        paths[name] = folder / f"{name}.seg.nrrd"
        nrrd.write(str(paths[name]), mask, header)


def scored(case: Case, path: Path) -> FindingScore:
    """Score the mask of a case's first finding."""
    task = CaseTask(
        case=case.id,
        truth=case.truth,
        shape=case.shape,
        spacing=case.spacing,
        affine=case.affine,
        findings=case.findings[:1],
        masks={case.findings[0].id: path},
    )
    (found,) = score_case(task).findings
    return found


def check_writers(case: Case, folder: Path) -> None:
    """Check that the figures do not depend on the writer, and that the rows of instances are what they are made of."""
    truth = np.asanyarray(nib.load(case.truth).dataobj)[0] > 0
    mask = np.ascontiguousarray((np.roll(truth, 2, axis=1)).astype(np.uint8))
    mask[:3, :3, :3] = 1  # an instance too many
    figures = {}
    for writer, path in written(case, mask, folder).items():
        found = scored(case, path)
        assert found.status == "ok", (writer, found.reason)
        figures[writer] = (found.pred_voxels, found.intersection, found.dice, found.instances, found.rows)
    assert len(figures) >= 20
    assert {writer for writer, figure in figures.items() if figure != figures["nibabel"]} == set()
    rows_are_the_counts(found)
    assert found.dice == pytest.approx(2 * (truth & (mask > 0)).sum() / (truth.sum() + mask.sum()))


def rows_are_the_counts(found: FindingScore) -> None:
    """Check the rows of a finding's instances against the numbers that the metrics are made of."""
    assert found.rows is not None
    assert found.instances is not None
    by_overlap = Counter(row.status for row in found.rows)
    counts = found.instances.overlap
    assert (by_overlap["found"], by_overlap["true"]) == (counts.tp, counts.tp)
    assert (by_overlap["false"], by_overlap["missed"]) == (counts.fp, counts.fn)
    of_truth = [row for row in found.rows if row.side == "truth"]
    assert sum(row.voxels for row in of_truth) == found.truth_voxels
    assert sum(row.voxels for row in found.rows if row.side == "prediction") == found.instances.kept_voxels
    assert sum(row.dice or 0 for row in of_truth) == pytest.approx(found.instances.matched_dice)
    if (near := found.instances.distance) is not None:
        by_distance = Counter(row.distance_status for row in found.rows)
        assert (by_distance["found"], by_distance["false"], by_distance["missed"]) == (near.tp, near.fp, near.fn)
    pairs = {(row.label, row.matched) for row in of_truth if row.matched}
    assert pairs == {(row.matched, row.label) for row in found.rows if row.side == "prediction" and row.matched}


@pytest.mark.parametrize("name", ["cip_a_1", "elastix_a_1", "ibsi_a_1", "lung1_a_1", "partsolid_a_1"])
def test_figures_do_not_depend_on_who_wrote_the_mask(real_data: Path, tmp_path: Path, name: str) -> None:
    """Dice, instances and distances of one mask on a real CT are the same whichever library wrote it."""
    data = open_dataset(real_data / "realct")
    check_writers(next(case for case in data if case.id == f"realct_{name}"), tmp_path)


def test_figures_on_the_phantom_do_not_depend_on_who_wrote_the_mask(tmp_path: Path) -> None:
    """The same on a CT that is always there."""
    data = open_dataset(make_dataset(tmp_path / "phantom", cases=1, size="small", seed=0))
    check_writers(data.split("test")[0], tmp_path)
