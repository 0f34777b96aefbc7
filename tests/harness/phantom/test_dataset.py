"""The data set on disk."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harness.errors import PrerequisiteError, UsageError
from harness.phantom import dataset as module
from harness.phantom.dataset import make_dataset

pytestmark = pytest.mark.costly


def digests(root: Path) -> dict[str, str]:
    """Hash every file below a folder."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def entries(root: Path) -> dict[str, list[dict[str, dict[str, object]]]]:
    """Read ``dataset.json``."""
    result: dict[str, list[dict[str, dict[str, object]]]] = json.loads((root / "dataset.json").read_text())
    return result


def test_the_same_options_make_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    """Two data sets of one seed are equal byte for byte, and nothing else lies beside them."""
    again = make_dataset(tmp_path / "again", cases=6, size="small", seed=5)
    assert digests(again) == digests(dataset)
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_a_case_does_not_depend_on_how_many_there_are(dataset: Path, tmp_path: Path) -> None:
    """The first cases of a large data set are those of a small one."""
    two = digests(make_dataset(tmp_path / "two", cases=2, size="small", seed=5))
    six = digests(dataset)
    assert all(six[name] == digest for name, digest in two.items() if name.endswith(".nii.gz"))


def test_another_seed_is_another_patient(dataset: Path, tmp_path: Path) -> None:
    """Another seed makes other bytes."""
    other = digests(make_dataset(tmp_path / "other", cases=1, size="small", seed=6))
    assert other["ct/phantom_1_a_1.nii.gz"] != digests(dataset)["ct/phantom_1_a_1.nii.gz"]


def test_index_agrees_with_the_files(dataset: Path) -> None:
    """Shapes, entity counts and voxel counts in the index are those of the files."""
    for entry in (entry for split in entries(dataset).values() for entry in split):
        name = str(entry["name"])
        seg = np.asarray(nib.load(dataset / "seg" / name).dataobj)
        ct = nib.load(dataset / "ct" / name)
        assert list(ct.shape) == entry["shape"] == list(seg.shape[1:])
        assert sorted(entry["findings"]) == [str(number) for number in range(seg.shape[0])]
        for number in range(seg.shape[0]):
            labels = seg[number]
            assert entry["pixels"][str(number)] == np.count_nonzero(labels) > 0
            assert entry["entity_counts"][str(number)] == len(np.unique(labels)) - 1 == labels.max()
        assert (np.count_nonzero(seg, axis=0) <= 1).all()


def test_files_are_like_the_released_ones(dataset: Path) -> None:
    """CT: int16 HU, slope 1, LPS axes, spacing; masks: uint8 (F,H,W,D), identity affine; anatomy on the CT's grid."""
    name = "phantom_1_a_1.nii.gz"
    ct, seg, anatomy = (nib.load(dataset / folder / name) for folder in ("ct", "seg", "anatomy"))
    assert ct.get_data_dtype() == np.int16
    assert (ct.dataobj.slope, ct.dataobj.inter) == (1, 0)
    assert nib.aff2axcodes(ct.affine) == ("L", "P", "S")
    assert np.allclose(nib.affines.voxel_sizes(ct.affine), (3.5, 3.5, 4.5))
    assert seg.get_data_dtype() == np.uint8
    assert seg.ndim == 4
    assert np.array_equal(seg.affine, np.eye(4))
    assert np.array_equal(anatomy.affine, ct.affine)
    assert set(np.unique(np.asarray(anatomy.dataobj))) == set(range(7))


def test_splits_hold_different_patients(dataset: Path) -> None:
    """No patient is in two splits; of six cases four are test, one train, one val."""
    splits = entries(dataset)
    assert {name: len(split) for name, split in splits.items()} == {"test": 4, "train": 1, "val": 1}
    names = [str(entry["name"]) for split in splits.values() for entry in split]
    assert len(set(names)) == 6


def test_refuses_a_folder_that_is_not_a_phantom(tmp_path: Path) -> None:
    """A folder with anything else in it is left alone, forced or not, and so is a phantom with a stranger's file."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    for force in (False, True):
        with pytest.raises(UsageError, match="not a phantom"):
            make_dataset(tmp_path / "mine", cases=1, size="small", seed=0, force=force)
    phantom = make_dataset(tmp_path / "phantom", cases=1, size="small", seed=0)
    (phantom / "thesis.txt").write_text("all of it")
    with pytest.raises(UsageError, match="not a phantom"):
        make_dataset(phantom, cases=1, size="small", seed=0, force=True)
    assert (phantom / "thesis.txt").exists()


def test_replaces_its_own_folder_only_when_forced(tmp_path: Path) -> None:
    """An earlier phantom stays until --force; an empty folder is taken."""
    (tmp_path / "out").mkdir()
    out = make_dataset(tmp_path / "out", cases=1, size="small", seed=0)
    before = digests(out)
    with pytest.raises(UsageError, match="already contains a phantom") as raised:
        make_dataset(out, cases=1, size="small", seed=1)
    assert "--force" in raised.value.fix
    assert digests(out) == before
    make_dataset(out, cases=1, size="small", seed=1, force=True)
    assert digests(out) != before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "may not be written"),
    ],
)
def test_a_refusal_of_the_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, message: str
) -> None:
    """A full disk or a missing permission is explained, keeps an earlier phantom and leaves nothing half-written."""
    out = make_dataset(tmp_path / "out", cases=1, size="small", seed=0)
    before = digests(out)

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(module, "write_case", refuse)
    with pytest.raises(PrerequisiteError, match=message) as raised:
        make_dataset(out, cases=1, size="small", seed=1, force=True)
    assert raised.value.fix
    assert digests(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "options", [{"cases": 0}, {"seed": -1}, {"size": "medium"}], ids=["no cases", "negative seed", "unknown size"]
)
def test_options_that_make_no_sense(tmp_path: Path, options: dict[str, object]) -> None:
    """They are refused before anything is written."""
    with pytest.raises(UsageError):
        make_dataset(tmp_path / "out", **{"cases": 1, "size": "small", "seed": 0, **options})  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
