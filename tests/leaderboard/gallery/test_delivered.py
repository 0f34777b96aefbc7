"""Only the masks that were scored are drawn, in whatever form they came; of all others there is the reason."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harness.store.database import Store
from leaderboard.gallery.delivered import CHANGED, GONE, NOT_RECORDED, UNREADABLE, Delivered
from leaderboard.gallery.scans import Scan, read_scan
from tests.leaderboard.conftest import lesion, stored
from tests.leaderboard.gallery.conftest import GRID

#: Middle of the first lesion on axes to the left, back and head.
MIDDLE = (33.0, 14.0, 16.5)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    """Return the folder that a submission lies in."""
    folder = tmp_path / "sent"
    folder.mkdir()
    return folder


def test_why_a_mask_is_not_drawn(bench, store: Store, make_dataset, tmp_path: Path, sent: Path) -> None:
    """A mask that was never scored, one that changed, is gone or cannot be read: each has its reason."""
    dataset = make_dataset(tmp_path / "data", ["LPS"])
    scan = Scan(dataset.split("test")[0], None)
    path = sent / "case-0" / "0.nii.gz"
    path.parent.mkdir()
    mask = np.zeros(GRID, np.uint8)
    mask[3:6, 4:8, 5:7] = 1
    nib.save(nib.Nifti1Image(mask, scan.affine), path)
    digests = {("case-0", "0"): digest(path)}
    run = bench.add(kind="submitted", cases=1, digests=digests, plan={"predictions": str(sent)})

    def found() -> dict[str, np.ndarray | str]:
        return Delivered(store, tmp_path / "runs", dataset).masks(run.id, scan)

    assert len(found()["0"]) == 3 * 4 * 2
    assert found()["1"] == NOT_RECORDED
    assert Delivered(store, tmp_path / "runs", dataset).masks("run-99", scan) == dict.fromkeys("01", NOT_RECORDED)
    mask[0, 0, 0] = 1
    nib.save(nib.Nifti1Image(mask, scan.affine), path)
    assert found()["0"] == CHANGED
    path.unlink()
    path.symlink_to(dataset.split("test")[0].ct)
    assert found()["0"] == UNREADABLE
    path.unlink()
    assert found()["0"] == GONE


@pytest.mark.parametrize("form", ["folder", "zip", "below"])
@pytest.mark.parametrize(("axes", "flip"), [("LPS", ()), ("RAS", (0, 1)), ("LPI", (1,))])
def test_stacks_and_archives_lie_where_they_are(
    bench, store: Store, make_dataset, tmp_path: Path, sent: Path, form: str, axes: str, flip: tuple[int, ...]
) -> None:
    """The challenge's form, a stack on the reference's own grid, as a folder, as a zip, or further down in one."""
    dataset = make_dataset(tmp_path / "data", [axes], flip=flip)
    case = dataset.split("test")[0]
    scan = read_scan(case)
    turned = np.flip(stored(lesion(0), axes)[0], axis=flip)
    path = tmp_path / "case-0.nii.gz"
    nib.save(nib.Nifti1Image(np.stack([turned, turned]).astype(np.uint8), np.eye(4)), path)
    digests = {("case-0", finding): digest(path) for finding in ("0", "1")}
    place = sent
    if form == "zip":
        place = tmp_path / "sent.zip"
        with zipfile.ZipFile(place, "w") as archive:
            archive.write(path, "masks/case-0.nii.gz")
    else:
        folder = sent / "further" / "down" if form == "below" else sent
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / "case-0.nii.gz")
    run = bench.add(kind="submitted", cases=1, digests=digests, plan={"predictions": str(place)})
    found = Delivered(store, tmp_path / "runs", dataset).masks(run.id, scan)
    for finding in ("0", "1"):
        assert found[finding].mean(axis=0) == pytest.approx(MIDDLE)
    assert sorted(map(tuple, found["0"])) == sorted(map(tuple, scan.truth(flip)[0].points))


def test_a_mask_alone_lies_on_the_ct(bench, store: Store, make_dataset, tmp_path: Path, sent: Path) -> None:
    """A 3-D mask lies on the CT's grid, not on that of the reference, whichever way the latter is reversed."""
    dataset = make_dataset(tmp_path / "data", ["RAS"], flip=(0, 1))
    scan = read_scan(dataset.split("test")[0])
    mask, affine = stored(lesion(0), "RAS")
    path = sent / "case-0" / "0.nii"
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), path)
    run = bench.add(kind="submitted", cases=1, digests={("case-0", "0"): digest(path)}, plan={"predictions": str(sent)})
    found = Delivered(store, tmp_path / "runs", dataset).masks(run.id, scan)
    assert found["0"].mean(axis=0) == pytest.approx(MIDDLE)
