"""One judgement: whatever is wrong with the data, every command that makes a number of it says the same."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

import harness.dataset.judge
from harness.cli.score import score
from harness.cli.settings import Settings
from harness.dataset import open_dataset
from harness.dataset.judge import require_sound
from harness.dataset.validate import validate_dataset
from harness.errors import DataError

SHAPE = (40, 36, 20)
AFFINE = np.diag([-0.7, -0.8, 1.5, 1.0])
AFFINE[:3, 3] = 30, 40, -120


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


def scan(seed: int = 0) -> np.ndarray:
    hu = np.full(SHAPE, 40, np.int16)
    hu[4:18, 4:32] = hu[22:36, 4:32] = -850
    hu[:2] = -1000
    return (hu + np.random.default_rng(seed).integers(-20, 20, SHAPE)).astype(np.int16)


def truth() -> np.ndarray:
    labels = np.zeros((1, *SHAPE), np.uint8)
    labels[0, 8:12, 10:15, 6:10] = 1
    return labels


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a sound data set of two test cases and one train case, and perfect predictions beside it."""
    splits: dict[str, list[dict[str, object]]] = {"test": [], "train": []}
    for number, split in ((1, "test"), (2, "test"), (3, "train")):
        name = f"case_{number}_a_1.nii.gz"
        save(tmp_path / "ds/ct" / name, scan(number))
        save(tmp_path / "ds/seg" / name, truth(), np.eye(4))
        if split == "test":
            save(tmp_path / "pred" / name, truth(), np.eye(4))
        splits[split].append(
            {"name": name, "findings": {"0": "A nodule"}, "categories": {"0": "2d"}, "pixels": {"0": 80}}
        )
    (tmp_path / "ds/dataset.json").write_text(json.dumps(splits))
    return tmp_path / "ds"


def ct(root: Path) -> Path:
    return root / "ct" / "case_2_a_1.nii.gz"


def patch(root: Path, *changes: tuple[int, str, tuple[float, ...]]) -> None:
    """Write numbers into the header of the second case's CT."""
    raw = bytearray(gzip.decompress(ct(root).read_bytes()))
    for at, form, values in changes:
        struct.pack_into("<" + form, raw, at, *values)
    ct(root).write_bytes(gzip.compress(bytes(raw)))


def reindex(root: Path, change: Callable[[dict], object]) -> None:
    document = json.loads((root / "dataset.json").read_text())
    change(document)
    (root / "dataset.json").write_text(json.dumps(document))


def both_codes(root: Path, qform: np.ndarray) -> None:
    image = nib.Nifti1Image(scan(2), AFFINE)
    image.set_qform(qform, 1)
    image.set_sform(AFFINE, 1)
    image.header["pixdim"][1:4] = [0.7, 0.8, 1.5]
    nib.save(image, ct(root))


def one_code(root: Path) -> None:
    """Write the CT with a qform alone."""
    image = nib.Nifti1Image(scan(2), AFFINE)
    image.set_qform(AFFINE, 1)
    image.set_sform(None, 0)
    nib.save(image, ct(root))


def sized(root: Path, factor: float) -> None:
    """Write the CT with lengths in another unit than the header says."""
    save(ct(root), scan(2), np.diag([factor, factor, factor, 1.0]) @ AFFINE)


SHIFT = np.eye(4)
SHIFT[0, 3] = 3.0

CONTRADICTIONS: dict[str, tuple[Callable[[Path], object], str]] = {
    "sform and qform": (lambda r: both_codes(r, SHIFT @ AFFINE), "ct-affine"),
    "a qform that is turned": (lambda r: both_codes(r, AFFINE @ np.diag([-1, -1, 1, 1])), "ct-affine"),
    "voxel size and affine": (lambda r: patch(r, (80, "3f", (2, 2, 2))), "ct-affine"),
    "a voxel size of 0": (lambda r: patch(r, (80, "3f", (0, 0, 0))), "ct-affine"),
    "a negative voxel size": (lambda r: patch(r, (80, "3f", (0.7, -0.8, 1.5))), "ct-affine"),
    "a negative voxel size under a qform": (lambda r: (one_code(r), patch(r, (80, "f", (-0.7,)))), "ct-affine"),
    "a voxel size of infinity": (lambda r: patch(r, (80, "f", (np.inf,))), "ct-affine"),
    "metres that are not stated": (lambda r: sized(r, 0.001), "ct-spacing"),
    "micrometres that are not stated": (lambda r: sized(r, 1000.0), "ct-spacing"),
    "an origin of NaN": (lambda r: (both_codes(r, AFFINE), patch(r, (268, "f", (np.nan,)))), "ct-affine"),
    "a qform mirrored by pixdim[0]": (lambda r: (both_codes(r, AFFINE), patch(r, (76, "f", (-1.0,)))), "ct-affine"),
    "an intercept that is NaN": (lambda r: patch(r, (112, "2f", (1, np.nan))), "unreadable-ct"),
    "a folder in place of a CT": (lambda r: (ct(r).unlink(), ct(r).mkdir()), "missing-ct"),
    "complex numbers": (lambda r: save(ct(r), scan(2).astype(np.complex64)), "unreadable-ct"),
    "a truth of fractions": (
        lambda r: save(r / "seg/case_2_a_1.nii.gz", truth() * np.float32(0.5), np.eye(4)),
        "unreadable-seg",
    ),
    "a truth flipped by its affine": (
        lambda r: save(r / "seg/case_2_a_1.nii.gz", truth(), AFFINE @ np.diag([-1, 1, 1, 1])),
        "seg-affine",
    ),
    "a voxel size that is NaN": (lambda r: patch(r, (80, "3f", (np.nan, 1, 1))), "ct-affine"),
    "an sform of NaN": (lambda r: patch(r, (280, "f", (np.nan,))), "ct-affine"),
    "a quaternion that is not a rotation": (lambda r: patch(r, (252, "h", (1,)), (256, "3f", (1, 1, 1))), "ct-affine"),
    "an affine without volume": (lambda r: patch(r, (280, "4f", (0, 0, 0, 0))), "ct-affine"),
    "sheared axes": (lambda r: patch(r, (296, "4f", (0.0, -0.8, 0.6, 40))), "ct-affine"),
    "lengths in metres": (lambda r: patch(r, (123, "B", (1,))), "ct-units"),
    "lengths in micrometres": (lambda r: patch(r, (123, "B", (3,))), "ct-units"),
    "a series": (lambda r: save(ct(r), np.stack([scan(2)] * 2, axis=-1)), "ct-shape"),
    "NaN": (lambda r: save(ct(r), np.where(scan(2) < -900, np.nan, scan(2)).astype("f4")), "ct-not-finite"),
    "infinity": (lambda r: save(ct(r), np.where(scan(2) < -900, np.inf, scan(2)).astype("f4")), "ct-not-finite"),
    "stored values": (lambda r: save(ct(r), scan(2) + np.int16(1024)), "ct-not-hu"),
    "an intercept added twice": (lambda r: save(ct(r), scan(2) - np.int16(1024)), "ct-not-hu"),
    "the intercept of -8192": (lambda r: save(ct(r), scan(2) - np.int16(8192)), "ct-not-hu"),
    "grey values of 0 to 255": (
        lambda r: save(ct(r), ((scan(2) + 1100.0) / 1300 * 255).clip(0, 255).astype(np.uint8)),
        "ct-not-hu",
    ),
    "a truth with its own affine": (
        lambda r: save(r / "seg/case_2_a_1.nii.gz", truth(), np.diag([2.0, 2, 2, 1])),
        "seg-affine",
    ),
    "a truth below 0": (
        lambda r: save(r / "seg/case_2_a_1.nii.gz", -truth().astype(np.int16), np.eye(4)),
        "label-range",
    ),
    "another number of voxels": (
        lambda r: reindex(r, lambda d: d["test"][1]["pixels"].update({"0": 7})),
        "voxel-count",
    ),
    "an unknown category": (
        lambda r: reindex(r, lambda d: d["test"][1]["categories"].update({"0": "9z"})),
        "unknown-category",
    ),
    "a case in two splits": (lambda r: reindex(r, lambda d: d["train"].append(d["test"][1])), "case-in-two-splits"),
    "two files for one CT": (
        lambda r: save(r / "ct/case_2_a_1.nii", scan(7)),
        "two-cts",
    ),
    "a CT in another format": (lambda r: ct(r).rename(ct(r).with_name("case_2_a_1.nrrd")), "missing-ct"),
}


@pytest.mark.parametrize("kind", CONTRADICTIONS)
def test_validate_score_run_and_the_board_agree(root: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same code, with the same file, whichever command would make or show a number."""
    from harness.cli.run import run
    from leaderboard.commands.leaderboard import build

    spoil, code = CONTRADICTIONS[kind]
    spoil(root)
    problems = validate_dataset(root, split="test").problems
    errors = [problem for problem in problems if problem.level == "error"]
    assert {problem.code for problem in errors} == {code}
    home = Settings(root.parent / "home")
    masks = [str(root.parent / "pred"), "--dataset", str(root), "--jobs", "1"]
    commands = [(score, masks)]
    if code != "missing-ct":  # of the second case, which --limit leaves out
        commands.append((run, ["--plugin", "rules", "--dataset", str(root), "--engine", "local", "--limit", "1"]))
    for command, arguments in commands:
        ended = CliRunner().invoke(command, arguments, obj=home)
        assert isinstance(ended.exception, DataError), ended.exception
        assert code in ended.exception.message
        assert all(problem.what in ended.exception.message for problem in errors)
    if code in {"label-range", "missing-ct"}:
        return  # no version could make a row of it
    monkeypatch.setattr(harness.dataset.judge, "require_sound", lambda *_, **__: ())
    made = CliRunner().invoke(score, masks, obj=home)
    monkeypatch.undo()
    if made.exit_code == 0:
        ended = CliRunner().invoke(build, ["--out", str(root.parent / "site"), "--no-figures"], obj=home)
        assert isinstance(ended.exception, DataError), ended.output
        assert code in ended.exception.message


NEIGHBOURS: dict[str, Callable[[Path], object]] = {
    "padding of -8192": lambda r: save(ct(r), np.where(scan(2) < -900, -8192, scan(2)).astype(np.int16)),
    "padding of -2000": lambda r: save(ct(r), np.where(scan(2) < -900, -2000, scan(2)).astype(np.int16)),
    "a scale in the header": lambda r: scaled(r, 1024),
    "a slightly other qform": lambda r: both_codes(r, AFFINE + 1e-4),
    "unpacked": lambda r: unpack(ct(r)),
    "in capitals": lambda r: ct(r).rename(ct(r).with_name("case_2_a_1.NII.GZ")),
    "twice the same bytes": lambda r: (
        (r / "dataset/valid_fixed").mkdir(parents=True),
        shutil.copy(ct(r), ct(r).with_name("case_2_a_1.NII.GZ")),
    ),
    "units not stated": lambda r: patch(r, (123, "B", (0,))),
    "an affine of ITK for the truth": lambda r: save(r / "seg/case_2_a_1.nii.gz", truth(), np.diag([-1.0, -1, 1, 1])),
    "a blank text in train": lambda r: reindex(r, lambda d: d["train"][0]["findings"].update({"0": " "})),
    "an unknown category in train": lambda r: reindex(r, lambda d: d["train"][0]["categories"].update({"0": "9z"})),
    "a broken CT in train": lambda r: (r / "ct/case_3_a_1.nii.gz").write_bytes(b"x"),
}


def scaled(root: Path, shift: int) -> None:
    image = nib.Nifti1Image(scan(2) + np.int16(shift), AFFINE)
    nib.save(image, ct(root))
    patch(root, (112, "2f", (1.0, -shift)))


def unpack(path: Path) -> None:
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()


@pytest.mark.parametrize("kind", NEIGHBOURS)
def test_what_is_not_wrong_does_not_stop_a_score(root: Path, kind: str) -> None:
    """Neighbours of the faults above that are sound, or that are in a split that is not used."""
    NEIGHBOURS[kind](root)
    arguments = [str(root.parent / "pred"), "--dataset", str(root), "--jobs", "1", "--json"]
    ended = CliRunner().invoke(score, arguments, obj=Settings(root.parent / "home"))
    assert ended.exit_code == 0, ended.exception
    assert json.loads(ended.stdout)["metrics"]["dice"]["all"]["value"] == 1


WARNINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "an appended axis": (lambda r: save(ct(r), scan(2)[..., np.newaxis]), "ct-extra-axis"),
    "no affine": (lambda r: patch(r, (252, "2h", (0, 0))), "ct-affine"),
    "the identity of nibabel": (lambda r: save(ct(r), scan(2), np.eye(4)), "ct-affine"),
    "the identity of ITK": (lambda r: save(ct(r), scan(2), np.diag([-1.0, -1, 1, 1])), "ct-affine"),
    "a unit that does not exist": (lambda r: patch(r, (123, "B", (5,))), "ct-units"),
    "a truth of floats": (
        lambda r: save(r / "seg/case_2_a_1.nii.gz", truth().astype(np.float32), np.eye(4)),
        "seg-dtype",
    ),
}


@pytest.mark.parametrize("kind", WARNINGS)
def test_a_warning_stands_in_the_record_and_beside_the_row(root: Path, kind: str) -> None:
    """The number is made, and its reader learns what was odd about the data."""
    spoil, code = WARNINGS[kind]
    spoil(root)
    arguments = [str(root.parent / "pred"), "--dataset", str(root), "--jobs", "1"]
    home = Settings(root.parent / "home")
    ended = CliRunner().invoke(score, arguments, obj=home)
    assert f"data: {code}, 1 time" in ended.output
    document = json.loads(CliRunner().invoke(score, [*arguments, "--json"], obj=home).stdout)
    assert [warning["code"] for warning in document["data_warnings"]] == [code]
    with home.open_store(readonly=True) as store:
        assert store.run(document["run"]).record["data"] == {"judged": True, "warnings": {code: 1}}


def test_a_case_beyond_the_limit_need_not_be_there(root: Path) -> None:
    """Its absence contradicts nothing; that of a case in use does."""
    ct(root).unlink()
    data = open_dataset(root)
    first, second = data.split("test")
    assert require_sound(data, ["test"], used=[first]) == ()
    with pytest.raises(DataError, match="missing-ct"):
        require_sound(data, ["test"], used=[first, second])


def test_what_was_counted_is_remembered_until_the_file_changes(root: Path, tmp_path: Path) -> None:
    """The second judgement reads no voxels; a changed file is judged anew, with the same words."""
    for path in root.rglob("*.nii.gz"):
        os.utime(path, (1, 1))
    data = open_dataset(root, cache=tmp_path / "memory")
    assert require_sound(data, ["test"]) == ()
    lines = (tmp_path / "memory/measured.jsonl").read_text().splitlines()
    assert require_sound(data, ["test"]) == ()
    assert (tmp_path / "memory/measured.jsonl").read_text().splitlines() == lines
    save(ct(root), scan(2) + np.int16(1024))
    with pytest.raises(DataError, match="1024 HU too high"):
        require_sound(open_dataset(root, cache=tmp_path / "memory"), ["test"])
