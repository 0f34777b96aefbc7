"""Masks that lie on the lungs only after an in-plane flip are reported, and others are not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from harness.dataset import open_dataset
from harness.dataset.orientation import FLIPS, crude_lungs, measure, shares_of
from harness.dataset.validate import validate_dataset
from harness.dataset.volumes import Depth
from harness.dataset.voxels import read_header
from harness.phantom.dataset import make_dataset


def flipped(labels: npt.NDArray[Any], flip: tuple[int, ...]) -> npt.NDArray[Any]:
    return np.flip(labels, flip) if flip else labels


def chest(maker: Any, flip: tuple[int, ...], cases: int = 2) -> Path:
    """Write scans of a chest whose masks were turned by `flip`."""
    for i in range(cases):
        maker.case("val", f"train_{i}_a_1", [flipped(m, flip) for m in maker.deep_nodules()], ct=maker.thorax())
    return Path(maker.write())


@pytest.mark.parametrize("flip", [(0, 1), (1,)])
def test_a_front_back_flip_is_an_error_with_the_measured_shares(maker: Any, flip: tuple[int, ...]) -> None:
    """Turned masks lie on the lungs only when turned back; the half turn, known from real copies, is proposed."""
    report = validate_dataset(chest(maker, flip))
    (problem,) = report.problems
    assert problem.code == "mask-flip"
    assert report.orientation is not None
    assert report.orientation.best == (0, 1)
    assert report.orientation.shares[0, 1] > 0.95
    assert report.orientation.shares[()] < 0.3
    assert '{"mask_flip": [0, 1]}' in problem.fix


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return four chests with findings of all 14 categories."""
    root = tmp_path_factory.mktemp("orientation") / "phantom"
    make_dataset(root, cases=4, size="small", seed=1)
    return root


@pytest.mark.costly
@pytest.mark.parametrize("flip", FLIPS)
def test_every_flip_of_the_phantom_is_told(phantom: Path, tmp_path: Path, flip: tuple[int, ...]) -> None:
    """With findings of all categories, even a swap of left and right alone shows."""
    root = tmp_path / "flipped"
    shutil.copytree(phantom, root)
    for path in (root / "seg").iterdir():
        image = nib.load(path)
        labels = flipped(np.asarray(image.dataobj), tuple(axis + 1 for axis in flip))
        nib.save(nib.Nifti1Image(labels, image.affine), path)
    report = validate_dataset(root)
    assert [problem.code for problem in report.problems] == (["mask-flip"] if flip else [])
    assert report.orientation is not None
    assert report.orientation.best == flip
    assert report.orientation.shares[flip] > 0.98


def test_dense_findings_are_left_out(maker: Any) -> None:
    """Consolidation hides the lung that it lies in: it would lie better, the more wrongly it lies."""
    maker.case("val", "train_1_a_1", maker.deep_nodules(), ct=maker.thorax(), category="2b")
    maker.case("val", "train_2_a_1", maker.deep_nodules()[:2], ct=maker.thorax(), category="2c")
    assert measure(open_dataset(maker.write())).findings == 2


def test_masks_that_lie_well_are_left_alone(maker: Any) -> None:
    """As stored is found to be right, and said."""
    report = validate_dataset(chest(maker, ()))
    assert report.problems == ()
    assert report.orientation is not None
    assert report.orientation.best == ()
    assert report.orientation.as_dict()["share_in_lungs"]["as stored"] > 0.95


def test_a_recorded_flip_is_what_is_measured_against(maker: Any) -> None:
    """Once recorded, the flip is not an error; recorded for masks that need none, it is."""
    root = chest(maker, (0, 1))
    (root / "groundbench.json").write_text(json.dumps({"mask_flip": [0, 1]}))
    assert validate_dataset(root).problems == ()
    chest(maker, (), cases=2)
    maker.document["val"] = maker.document["val"][:2]
    maker.write()
    assert [problem.code for problem in validate_dataset(root).problems] == ["mask-flip"]


def test_few_findings_tell_nothing(maker: Any) -> None:
    """Below five findings nothing is claimed, however clear it looks."""
    maker.case("val", "train_1_a_1", [np.flip(m, (0, 1)) for m in maker.deep_nodules()[:4]], ct=maker.thorax())
    report = validate_dataset(maker.write())
    assert report.problems == ()
    assert report.orientation is not None
    assert report.orientation.best is None


def test_a_crop_tells_nothing(sound: Any) -> None:
    """A scan whose air reaches its sides shows no whole lungs, and is passed over."""
    case = open_dataset(sound.root).split("test")[0]
    sound.save(case.ct, np.full((16, 14, 10), -850, np.int16))
    assert shares_of(open_dataset(sound.root).split("test")[0]) is None
    found = measure(open_dataset(sound.root).split("test"))
    assert (found.cases, found.best) == (0, None)


def test_quick_validation_does_not_measure(maker: Any) -> None:
    """Headers alone cannot tell where the masks lie."""
    report = validate_dataset(chest(maker, (0, 1)), depth=Depth.QUICK)
    assert (report.orientation, report.problems) == (None, ())


def test_the_shares_are_those_of_whole_arrays(maker: Any) -> None:
    """The streamed shares equal those counted on decoded and flipped arrays."""
    (case,) = open_dataset(chest(maker, (1,), cases=1)).split("val")
    lungs = crude_lungs(case.ct, read_header(case.ct))
    assert lungs is not None
    assert lungs.shape == (64, 56, 24)
    plain = [[lungs[flipped(np.flip(mask, 1), flip) > 0].mean() for flip in FLIPS] for mask in maker.deep_nodules()]
    assert np.array(shares_of(case)) == pytest.approx(np.array(plain))


def test_real_masks_lie_on_real_lungs_as_stored(real_data: Path) -> None:
    """On the real scans that show lungs, as stored beats every flip."""
    found = measure(open_dataset(real_data / "realct"))
    assert found.cases == 2
    assert all(found.shares[()] > found.shares[flip] + 0.1 for flip in FLIPS[1:])
