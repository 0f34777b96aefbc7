"""Every rule of ``bench data validate`` fires on its fault, and on nothing else."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from harness.dataset import Level
from harness.dataset.measured import count_labels
from harness.dataset.validate import validate_dataset
from harness.dataset.volumes import Depth
from harness.dataset.voxels import read_header

TEST = "train_3_b_2"


def ct(maker: Any) -> Path:
    return Path(maker.root / "ct" / f"{TEST}.nii.gz")


def seg(maker: Any) -> Path:
    return Path(maker.root / "seg" / f"{TEST}.nii.gz")


def entry(maker: Any) -> dict[str, Any]:
    found: dict[str, Any] = maker.document["test"][0]
    return found


def found(maker: Any, depth: Depth = Depth.FULL, split: str | None = None) -> dict[tuple[str, str], str]:
    """Validate, and return (level, code) -> where; every problem must say what is wrong and how to fix it."""
    maker.write()
    problems = validate_dataset(maker.root, depth=depth, split=split).problems
    assert all(problem.what and problem.fix for problem in problems)
    return {(problem.level.value, problem.code): problem.where for problem in problems}


@pytest.mark.parametrize("depth", list(Depth))
def test_a_sound_data_set_has_no_problem(sound: Any, depth: Depth) -> None:
    """No rule fires where nothing is wrong."""
    assert found(sound, depth) == {}


def truncate(path: Path, keep: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


def save_labels(maker: Any, change: Callable[[Any], Any], affine: Any = None) -> None:
    """Write the mask of the test case again, changed."""
    maker.save(seg(maker), change(np.stack([maker.boxes()])), np.eye(4) if affine is None else affine)


def relabel(old: int, new: int) -> Callable[[Any], Any]:
    """Change one label, in a type that can hold the new one."""
    dtype = np.uint8 if 0 <= new <= 255 else np.int16
    return lambda labels: np.where(labels == old, dtype(new), labels.astype(dtype))


FILE_FAULTS: dict[str, tuple[Callable[[Any], object], set[str]]] = {
    "a CT that is not there": (lambda m: ct(m).unlink(), {"missing-ct"}),
    "a mask that is not there": (
        lambda m: (m.case("test", "train_4_a_1"), seg(m).unlink()),
        {"missing-seg"},
    ),
    "a CT whose link leads nowhere": (lambda m: (ct(m).unlink(), ct(m).symlink_to("/gone")), {"missing-ct"}),
    "a truncated CT": (lambda m: truncate(ct(m), 0.8), {"unreadable-ct"}),
    "a CT that ends within its header": (lambda m: truncate(ct(m), 0.1), {"unreadable-ct"}),
    "an empty CT": (lambda m: ct(m).write_bytes(b""), {"unreadable-ct"}),
    "a file that is not a CT": (lambda m: ct(m).write_bytes(gzip.compress(b"x" * 400)), {"unreadable-ct"}),
    "a truncated mask": (lambda m: truncate(seg(m), 0.8), {"unreadable-seg"}),
    "a CT of another shape": (lambda m: m.save(ct(m), m.scan((16, 14, 12))), {"ct-shape"}),
    "a CT of four axes": (lambda m: m.save(ct(m), m.scan()[..., None][..., [0, 0]]), {"ct-shape"}),
    "a mask of three axes": (lambda m: save_labels(m, lambda a: a[0]), {"seg-shape"}),
    "a mask with its findings last": (lambda m: save_labels(m, lambda a: np.moveaxis(a, 0, -1)), {"seg-shape"}),
    "a mask with transposed axes": (lambda m: save_labels(m, lambda a: a.transpose(0, 2, 1, 3)), {"seg-shape"}),
    "a mask with a finding more": (lambda m: save_labels(m, lambda a: np.repeat(a, 2, axis=0)), {"seg-shape"}),
    "a mask with another affine": (
        lambda m: save_labels(m, lambda a: a, np.diag([2.0, 2.0, 2.0, 1.0])),
        {"seg-affine"},
    ),
    "a mask of fractions": (lambda m: save_labels(m, lambda a: a.astype(np.float32)), {"seg-dtype"}),
    "labels below 0": (lambda m: save_labels(m, relabel(2, -1)), {"seg-dtype", "label-range"}),
    "labels above 255": (lambda m: save_labels(m, relabel(2, 300)), {"seg-dtype", "label-range"}),
    "labels with a gap": (lambda m: save_labels(m, relabel(2, 7)), {"label-gap"}),
    "a finding without voxels": (lambda m: save_labels(m, np.zeros_like), {"empty-finding"}),
    "another number of voxels": (lambda m: entry(m)["pixels"].update({"0": 10}), {"voxel-count"}),
    "another number of entities": (lambda m: entry(m)["entity_counts"].update({"0": 3}), {"entity-count"}),
    "a CT that is not in HU": (lambda m: m.save(ct(m), m.scan() + np.int16(1024)), {"ct-not-hu"}),
    "only a raw CT": (
        lambda m: (
            (m.root / "dataset/train/train_3/train_3_b").mkdir(parents=True),
            ct(m).rename(m.root / "dataset/train/train_3/train_3_b" / ct(m).name),
        ),
        {"raw-ct"},
    ),
    "no mask in a whole split": (lambda m: seg(m).unlink(), {"not-scorable"}),
}

INDEX_FAULTS: dict[str, tuple[Callable[[Any], object], set[str]]] = {
    "an unknown category": (lambda m: entry(m)["categories"].update({"0": "3a"}), {"unknown-category"}),
    "no category": (lambda m: entry(m).pop("categories"), {"no-category"}),
    "a key that is not a finding": (lambda m: entry(m)["pixels"].update({"5": 1}), {"orphan-key"}),
    "a case twice in a split": (lambda m: m.document["test"].append(entry(m)), {"duplicate-case"}),
    "a case in two splits": (lambda m: m.document["val"].append(entry(m)), {"case-in-two-splits"}),
    "a patient in two splits": (lambda m: m.case("test", "train_1_b_1"), {"patient-in-two-splits"}),
    "a wrong type": (lambda m: entry(m).update({"shape": "big"}), {"index"}),
}


@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_a_fault_of_the_files_is_found(sound: Any, fault: str) -> None:
    """One fault in the files of one case gives its code, at that case, and no other."""
    spoil, codes = FILE_FAULTS[fault]
    spoil(sound)
    problems = found(sound)
    assert {code for _, code in problems} == codes
    assert all(where.startswith("test") for where in problems.values())


@pytest.mark.parametrize("depth", [Depth.QUICK, Depth.FULL])
@pytest.mark.parametrize("fault", INDEX_FAULTS)
def test_a_fault_of_the_index_is_found(sound: Any, fault: str, depth: Depth) -> None:
    """One fault in the index gives its code and no other, however far the volumes are read."""
    spoil, codes = INDEX_FAULTS[fault]
    spoil(sound)
    assert {code for _, code in found(sound, depth)} == codes


def test_more_than_three_entities_in_train_are_a_fact(sound: Any) -> None:
    """The released train masks are partial; a data set of another kind is reported, not refused."""
    labels = np.zeros((16, 14, 10), np.uint8)
    labels[3, 3, 2:7] = [1, 2, 3, 4, 5]
    sound.case("train", "train_5_a_1", [labels])
    sound.case("val", "train_6_a_1", [labels])
    assert found(sound) == {("info", "train-entities"): "train/train_5_a_1 finding 0"}


def test_case_with_no_finding_is_a_warning(sound: Any) -> None:
    """A case without findings can be opened, and is reported."""
    entry(sound).update(findings={}, entity_counts={}, pixels={}, categories={})
    seg(sound).unlink()
    assert ("warning", "no-findings") in found(sound)


def test_levels_decide_whether_it_is_sound(sound: Any) -> None:
    """Facts and warnings leave a data set sound, an error does not."""
    seg(sound).unlink()
    assert validate_dataset(sound.write()).ok
    ct(sound).unlink()
    report = validate_dataset(sound.root)
    assert not report.ok
    assert [problem.level for problem in report.problems] == [Level.ERROR, Level.INFO]
    assert report.as_dict()["counts"] == {"error": 1, "warning": 0, "info": 1}


def test_every_problem_is_reported_at_once(sound: Any) -> None:
    """Faults of the index, of headers and of voxels come in one report."""
    entry(sound)["categories"]["0"] = "9z"
    sound.document["val"][0]["shape"] = None
    sound.document["val"].append({"name": 3})
    ct(sound).unlink()
    truncate(sound.root / "seg" / "train_1_a_1.nii.gz", 0.7)
    save_labels(sound, np.zeros_like)
    codes = {code for _, code in found(sound)}
    assert codes == {"unknown-category", "index", "missing-ct", "unreadable-seg", "empty-finding"}


def test_one_split_can_be_checked_alone(sound: Any) -> None:
    """Faults of other splits are left out, save a leak into the split asked for."""
    ct(sound).unlink()
    assert found(sound, split="val") == {}
    sound.case("test", "train_2_b_1")
    assert set(found(sound, split="val")) == {("error", "patient-in-two-splits")}
    assert ("error", "patient-in-two-splits") not in found(sound, split="train")


def test_no_ct_at_all_is_one_fact(sound: Any) -> None:
    """A data set without CTs is said once, and what is missing to know the grids by case."""
    for path in (sound.root / "ct").iterdir():
        path.unlink()
    names = [f"{case}.nii.gz" for case in ("train_1_a_1", "train_2_a_1")]
    (sound.root / "spacing.json").write_text(json.dumps([{"name": n, "spacing_mm": [1, 1, 1]} for n in names]))
    assert found(sound) == {("warning", "no-grid"): f"test/{TEST}", ("info", "no-cts"): str(sound.root)}


@pytest.mark.parametrize("depth", list(Depth))
def test_truncation_shows_without_reading_the_voxels(sound: Any, depth: Depth) -> None:
    """The size that gzip keeps at its end tells a truncated CT from a whole one, whatever the depth."""
    truncate(ct(sound), 0.9)
    assert set(found(sound, depth)) == {("error", "unreadable-ct")}


def test_a_file_of_several_gzip_members_is_whole(sound: Any) -> None:
    """Block-wise compressors end with an empty member; its size is not that of the volume."""
    content = gzip.decompress(ct(sound).read_bytes())
    ct(sound).write_bytes(gzip.compress(content[:500]) + gzip.compress(content[500:]) + gzip.compress(b""))
    assert found(sound) == {}


@pytest.mark.parametrize("depth", [Depth.FULL])
def test_damage_behind_the_header_shows_when_it_is_read(maker: Any, depth: Depth) -> None:
    """A flipped bit of the checksum is not seen in a header; both other depths reach the end of this CT."""
    volume = maker.scan((128, 128, 64)) + np.random.default_rng(1).integers(0, 999, (128, 128, 64), np.int16)
    maker.case("test", TEST, ct=volume)
    content = bytearray(ct(maker).read_bytes())
    content[-6] ^= 0xFF
    ct(maker).write_bytes(content)
    assert found(maker, Depth.QUICK) == {}
    assert set(found(maker, depth)) == {("error", "unreadable-ct")}


def test_a_ct_affine_that_contradicts_its_spacing_is_found(sound: Any) -> None:
    """The lengths of the affine's columns are the spacing, or one of the two is wrong."""
    image = nib.load(ct(sound))
    image.header["pixdim"][1:4] = [2, 2, 2]
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), ct(sound))
    affine = read_header(ct(sound)).affine
    assert affine is not None
    assert affine[0][0] == pytest.approx(-0.7)
    assert set(found(sound)) == {("error", "ct-affine")}


def test_a_ct_without_an_affine_is_a_warning(sound: Any) -> None:
    """With neither qform nor sform left and right are unknown."""
    image = nib.Nifti1Image(sound.scan(), None)
    image.header.set_zooms((0.7, 0.7, 1.25))
    image.header["qform_code"] = image.header["sform_code"] = 0
    raw = bytearray(image.to_bytes())
    raw[252:256] = bytes(4)
    ct(sound).write_bytes(gzip.compress(raw))
    assert set(found(sound)) == {("warning", "ct-affine")}


def test_a_mask_may_carry_the_affine_of_its_ct(sound: Any) -> None:
    """An identity, as released, or the CT's own: both are fine."""
    save_labels(sound, lambda labels: labels, np.diag([-0.7, -0.7, 1.25, 1.0]))
    assert found(sound) == {}


def test_the_order_of_the_report_does_not_depend_on_jobs(sound: Any) -> None:
    """One thread or four: the same report."""
    for name in ("train_1_a_1", "train_2_a_1", TEST):
        truncate(sound.root / "ct" / f"{name}.nii.gz", 0.5)
    reports = [validate_dataset(sound.root, jobs=jobs).as_dict() for jobs in (1, 4)]
    assert reports[0] == reports[1]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
@pytest.mark.parametrize("shape", [(1, 5, 4, 3), (3, 64, 64, 9), (7, 33, 17, 5)])
def test_labels_are_counted_as_a_whole_array_would(tmp_path: Path, shape: tuple[int, ...], dtype: type) -> None:
    """The streaming count equals the plain one on a decoded array (findings interleaved, slices slowest)."""
    rng = np.random.default_rng(20)
    labels = (rng.integers(0, 4, shape) * (rng.random(shape) < 0.2)).astype(dtype)
    nib.save(nib.Nifti1Image(labels, np.eye(4)), tmp_path / "mask.nii.gz")
    plain = []
    for channel in labels:
        values, counts = np.unique(channel[channel > 0], return_counts=True)
        plain.append(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    assert [dict(count) for count in count_labels(tmp_path / "mask.nii.gz", shape[0])] == plain


def test_the_real_data_has_no_error(real_data: Path) -> None:
    """Real CTs and masks pass to the last voxel; train masks with many entities are reported as facts."""
    report = validate_dataset(real_data / "realct", depth=Depth.FULL, jobs=2)
    assert report.ok
    assert {problem.code for problem in report.problems} == {"train-entities", "patients-unknown"}
    lidc = validate_dataset(real_data / "realct" / "lidc_masks", jobs=2)
    assert [problem.code for problem in lidc.problems] == ["no-cts"]
