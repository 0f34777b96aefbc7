"""Masks as people have them: other formats, letters, links, archives, and one mask in several places."""

from __future__ import annotations

import gzip
import json
import zipfile
import zlib
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest

from harness.dataset import Dataset, open_dataset
from harness.errors import DataError
from harness.scoring.case import FindingScore, score_case
from harness.scoring.submission import Submission, open_submission

SHAPE = (24, 20, 6)
AFFINE = np.diag([-0.7, -0.8, 1.5, 1.0])
AFFINE[:3, 3] = 30, 40, -120
CASE = "case_1_a_1"


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def truth() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:9, 4:10, 1:4] = 1
    return labels


def prediction() -> np.ndarray:
    return np.roll(truth(), 1, axis=1)


@pytest.fixture(params=[False, True], ids=["as stored", "flipped"])
def data(tmp_path: Path, request: pytest.FixtureRequest) -> Dataset:
    """Make a data set of one case with one finding, whose truth lies on the CT, or half a turn away."""
    rng = np.random.default_rng(0)
    ct = np.where(truth() > 0, 40, -850).astype(np.int16)
    ct[:, :2] = 40
    save(tmp_path / "ds/ct" / f"{CASE}.nii.gz", (ct + rng.integers(-20, 20, SHAPE)).astype(np.int16))
    on_grid = truth()[::-1, ::-1] if request.param else truth()
    save(tmp_path / "ds/seg" / f"{CASE}.nii.gz", on_grid[np.newaxis], np.eye(4))
    case = {"name": f"{CASE}.nii.gz", "findings": {"0": "A nodule"}, "categories": {"0": "2d"}}
    (tmp_path / "ds/dataset.json").write_text(json.dumps({"test": [case]}))
    if request.param:
        (tmp_path / "ds/groundbench.json").write_text('{"mask_flip": [0, 1]}')
    return open_dataset(tmp_path / "ds")


def on_truth(data: Dataset, mask: np.ndarray) -> np.ndarray:
    """Return a mask on the truth's own grid, where stacks lie."""
    return mask[::-1, ::-1] if data.mask_flip else mask


def submitted(data: Dataset, folder: Path) -> Submission:
    return open_submission(folder, data.split("test"))


def scored(data: Dataset, folder: Path) -> FindingScore:
    (case,) = data.split("test")
    (finding,) = score_case(submitted(data, folder).task(case, data.mask_flip)).findings
    return finding


RIGHT = 2 * (truth() & prediction()).sum() / (truth().sum() + prediction().sum())


@pytest.mark.parametrize("name", [f"{CASE}/0.nii.gz", f"{CASE}.nii.gz", f"deep/er/{CASE}.nii", f"{CASE}/0.NII.GZ"])
@pytest.mark.parametrize("affine", [AFFINE, np.eye(4), np.diag([-1.0, -1, 1, 1])])
def test_a_mask_scores_the_same_wherever_it_lies(data: Dataset, tmp_path: Path, name: str, affine: np.ndarray) -> None:
    """A 3-D mask lies on the CT, in a case's folder and as the case's file, whatever the data set's flip."""
    path = save(
        tmp_path / "made.nii.gz" if name.lower().endswith(".gz") else tmp_path / "made.nii", prediction(), affine
    )
    target = tmp_path / "pred" / name
    target.parent.mkdir(parents=True)
    path.rename(target)
    assert scored(data, tmp_path / "pred").dice == pytest.approx(RIGHT)


@pytest.mark.parametrize("name", [f"{CASE}/0.nii.gz", f"{CASE}.nii.gz"])
def test_a_stack_of_one_scores_the_same_wherever_it_lies(data: Dataset, tmp_path: Path, name: str) -> None:
    """A stack lies on the truth's own grid; as a finding's own file, that is said."""
    save(tmp_path / "pred" / name, on_truth(data, prediction())[np.newaxis], np.eye(4))
    found = scored(data, tmp_path / "pred")
    assert found.dice == pytest.approx(RIGHT)
    assert ("stack_of_one" in {problem.code for problem in found.verdict.problems}) == (name == f"{CASE}/0.nii.gz")


LPS = {
    "space": "left-posterior-superior",
    "space directions": np.diag([0.7, 0.8, 1.5]),
    "space origin": [-30.0, -40.0, -120.0],
}


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("space", [{}, LPS])
@pytest.mark.parametrize("suffix", [".nrrd", ".seg.nrrd"])
def test_nrrd_masks_are_read(
    data: Dataset, tmp_path: Path, encoding: str, space: dict[str, object], suffix: str
) -> None:
    """As pynrrd writes them, with the geometry of the CT or without any."""
    (tmp_path / "pred" / CASE).mkdir(parents=True)
    nrrd.write(str(tmp_path / "pred" / CASE / f"0{suffix}"), prediction(), {"encoding": encoding, **space})
    assert scored(data, tmp_path / "pred").dice == pytest.approx(RIGHT)


def test_a_nrrd_mask_of_another_place_is_refused(data: Dataset, tmp_path: Path) -> None:
    """Its geometry is held against the CT's, as that of a NIfTI is."""
    (tmp_path / "pred").mkdir()
    moved = {**LPS, "space": "right-anterior-superior"}
    nrrd.write(str(tmp_path / "pred" / f"{CASE}.nrrd"), prediction(), moved)
    assert scored(data, tmp_path / "pred").status == "invalid_output"


META = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = {zip}\n"
    "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = {offset}\nElementSpacing = {spacing}\nDimSize = 24 20 6\n"
    "ElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(("offset", "spacing"), [("-30 -40 -120", "0.7 0.8 1.5"), ("0 0 0", "1 1 1")])
def test_meta_images_are_read(data: Dataset, tmp_path: Path, compressed: bool, offset: str, spacing: str) -> None:
    """As ITK writes them, compressed or not, with the geometry of the CT or without any."""
    voxels = prediction().tobytes("F")
    text = META.format(zip=compressed, offset=offset, spacing=spacing)
    (tmp_path / "pred").mkdir()
    (tmp_path / "pred" / f"{CASE}.mha").write_bytes(text.encode() + (zlib.compress(voxels) if compressed else voxels))
    assert scored(data, tmp_path / "pred").dice == pytest.approx(RIGHT)


@pytest.mark.parametrize("text", ["NRRD0004\n", "NRRD0004\ntype: uchar\n\n", "ObjectType = Image\nDimSize = x\n" * 3])
def test_a_broken_text_header_is_refused(data: Dataset, tmp_path: Path, text: str) -> None:
    """With a verdict, never with a traceback."""
    (tmp_path / "pred").mkdir()
    (tmp_path / "pred" / f"{CASE}.nrrd").write_text(text)
    assert scored(data, tmp_path / "pred").status == "invalid_output"


@pytest.mark.parametrize("place", ["file", "case folder", "top folder"])
def test_what_lies_behind_a_link_is_refused_as_a_link(data: Dataset, tmp_path: Path, place: str) -> None:
    """One rule for a linked file, a linked case folder and a linked folder of cases: refused, never missing."""
    save(tmp_path / "elsewhere" / CASE / "0.nii.gz", prediction())
    pred = tmp_path / "pred"
    target = {"file": f"{CASE}/0.nii.gz", "case folder": CASE, "top folder": ""}[place]
    link = pred / (target or "run_7")
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere" / target)
    found = scored(data, pred)
    assert (found.status, [problem.code for problem in found.verdict.refusals]) == ("invalid_output", ["link"])


@pytest.mark.parametrize("leads_to", ["/nowhere", CASE, "empty"])
def test_a_linked_case_folder_that_leads_nowhere_is_refused_as_a_link(
    data: Dataset, tmp_path: Path, leads_to: str
) -> None:
    """The folder is not there, is the link itself, or is empty: what a person must know is that links are not read."""
    (tmp_path / "pred/empty").mkdir(parents=True)
    (tmp_path / "pred" / CASE).symlink_to(leads_to)
    submission = submitted(data, tmp_path / "pred")
    (case,) = data.split("test")
    assert submission.nbytes(case) >= 0  # `bench score` begins with the largest
    found = scored(data, tmp_path / "pred")
    assert (found.status, [problem.code for problem in found.verdict.refusals]) == ("invalid_output", ["link"])


NOT_READ = {
    f"{CASE}.nii.gz.gz": f"gunzip {CASE}.nii.gz.gz",
    f"{CASE}.nii.bz2": f"bunzip2 {CASE}.nii.bz2",
    f"{CASE}.nii.xz": f"unxz {CASE}.nii.xz",
    f"{CASE}.nii.zst": f"unzstd {CASE}.nii.zst",
    f"{CASE}.zip": f"unzip {CASE}.zip",
    "all.tar.gz": "tar -xf all.tar.gz",
    f"{CASE}.mhd": "SimpleITK",
    f"{CASE}.nhdr": "SimpleITK",
    f"{CASE}.img": "SimpleITK",
    f"{CASE}.npz": "nibabel.save",
    f"{CASE.upper()}.nii.gz": f"that of case {CASE}?",
    f"{CASE}_0000.nii.gz": f"that of case {CASE}?",
    f"{CASE}/1.nii.gz": f"the findings of {CASE} are 0",
    f"{CASE}/finding_0.nii.gz": f"the findings of {CASE} are 0",
    f"._{CASE}.nii.gz": "name stacks",
    "results.json": "written as NIfTI",
}


@pytest.mark.parametrize("name", NOT_READ)
def test_what_is_there_in_place_of_masks_is_named_with_what_to_do(data: Dataset, tmp_path: Path, name: str) -> None:
    """A folder that holds something is never called empty, and the step from it to masks is that of its kind."""
    save(tmp_path / "made.nii.gz", prediction())
    target = tmp_path / "pred" / name
    target.parent.mkdir(parents=True)
    (tmp_path / "made.nii.gz").rename(target)
    with pytest.raises(DataError) as caught:
        submitted(data, tmp_path / "pred")
    assert name in caught.value.message
    assert "empty" not in caught.value.message
    assert NOT_READ[name] in str(caught.value.fix)


def test_a_volume_that_was_compressed_twice_is_named_one(data: Dataset, tmp_path: Path) -> None:
    """Its name says once, its content twice."""
    path = save(tmp_path / "pred" / f"{CASE}.nii.gz", prediction())
    path.write_bytes(gzip.compress(path.read_bytes()))
    (problem,) = scored(data, tmp_path / "pred").verdict.refusals
    assert "compressed twice" in problem.message
    assert "gunzip" in problem.fix


def test_the_folder_that_is_named_may_be_a_link(data: Dataset, tmp_path: Path) -> None:
    """Who names it follows it."""
    save(tmp_path / "elsewhere" / CASE / "0.nii.gz", prediction())
    (tmp_path / "pred").symlink_to(tmp_path / "elsewhere")
    assert scored(data, tmp_path / "pred").status == "ok"


def test_a_link_in_an_archive_is_refused_as_a_link(data: Dataset, tmp_path: Path) -> None:
    """An archive keeps a link as the text of where it leads."""
    with zipfile.ZipFile(tmp_path / "pred.zip", "w") as archive:
        info = zipfile.ZipInfo(f"{CASE}/0.nii.gz")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert [problem.code for problem in scored(data, tmp_path / "pred.zip").verdict.refusals] == ["link"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["inner.zip"], ["inner.zip", "unzip inner.zip"]),
        (["masks.tar.gz"], ["masks.tar.gz", "tar -xf"]),
        (["a.npz", "b.npz", "log.txt"], ["2 .npz files (a.npz", "1 .txt file (log.txt)"]),
        ([f"{CASE}.dcm"], [".dcm", "SimpleITK"]),
        ([f"{CASE}x.nii.gz"], [f"{CASE}x.nii.gz", f"that of case {CASE}?"]),
        ([], ["it is empty"]),
    ],
)
def test_a_folder_without_masks_says_what_it_holds(
    data: Dataset, tmp_path: Path, names: list[str], words: list[str]
) -> None:
    """And how to come from that to masks."""
    (tmp_path / "pred").mkdir()
    for name in names:
        (tmp_path / "pred" / name).write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        submitted(data, tmp_path / "pred")
    assert all(word in caught.value.message + caught.value.fix for word in words), caught.value.message
