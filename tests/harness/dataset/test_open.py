"""Opening data sets: layouts, what a case knows of its grid, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.dataset import Finding, find_dataset, open_dataset
from harness.dataset.index import MAX_INDEX_BYTES
from harness.errors import DataError, UsageError


def test_a_flat_data_set_opens_with_everything_in_its_place(sound: Any) -> None:
    """Splits, findings and files of the flat layout are read as they are."""
    dataset = open_dataset(sound.root)
    assert list(dataset.splits) == ["train", "val", "test"]
    assert dataset.name == "set"
    (case,) = dataset.split("test")
    assert (case.id, case.patient, case.split) == ("train_3_b_2", "train_3", "test")
    assert case.findings == (Finding(0, "0", "Nodule number 0 in the left lung", "2d", 2, 9),)
    assert case.ct == sound.root / "ct" / "train_3_b_2.nii.gz"
    assert case.truth == sound.root / "seg" / "train_3_b_2.nii.gz"
    assert [case.id for case in dataset] == ["train_1_a_1", "train_2_a_1", "train_3_b_2"]


def test_the_grid_comes_from_the_header_of_the_ct(sound: Any) -> None:
    """Shape, spacing and affine are the CT's, whatever the mask's identity affine says."""
    (case,) = open_dataset(sound.root).split("test")
    assert case.shape == (16, 14, 10)
    assert case.spacing == pytest.approx((0.7, 0.7, 1.25))
    assert np.array(case.affine) == pytest.approx(np.diag([-0.7, -0.7, 1.25, 1]))


@pytest.mark.parametrize("name", ["dataset.json", "MICCAI_challenge_dataset.json", "MLHC_dataset_version.json"])
def test_every_released_index_is_found_in_a_folder(maker: Any, name: str) -> None:
    """A folder opens by whichever of the three indexes it holds."""
    maker.case("val", "train_1_a_1")
    root = maker.write(name)
    assert open_dataset(root).index == root / name


def test_an_index_can_be_given_itself(sound: Any) -> None:
    """Where a folder holds several indexes, any of them can be named."""
    sound.document = {"test": sound.document["test"]}
    sound.write("MICCAI_challenge_dataset.json")
    assert list(open_dataset(sound.root / "MICCAI_challenge_dataset.json").splits) == ["test"]
    assert list(open_dataset(sound.root).splits) == ["train", "val", "test"]


@pytest.mark.parametrize("prefix", ["dataset", "ct/dataset", "ct", "CT-RATE/dataset", "."])
def test_ct_rates_nested_folders_are_found(maker: Any, prefix: str) -> None:
    """The released layout: masks in `segmentations`, CTs nested by split, patient and scan."""
    folder = f"{prefix}/train_fixed/train_1741/train_1741_b"
    maker.case("val", "train_1741_b_2", folders=(folder, "segmentations"))
    (case,) = open_dataset(maker.write()).split("val")
    assert case.ct == maker.root / folder / "train_1741_b_2.nii.gz"
    assert case.truth == maker.root / "segmentations" / "train_1741_b_2.nii.gz"


def test_raw_volumes_are_never_taken_for_cts(maker: Any) -> None:
    """The older folders hold raw values: their volumes are not used."""
    maker.case("val", "train_1741_b_2", folders=("dataset/train/train_1741/train_1741_b", "seg"))
    assert open_dataset(maker.write()).split("val")[0].ct is None


def test_a_data_set_without_cts_opens(sound: Any) -> None:
    """Masks, declared shapes and spacing.json are enough for everything that needs no intensities."""
    for path in (sound.root / "ct").iterdir():
        path.unlink()
    (sound.root / "spacing.json").write_text(
        json.dumps([{"name": "train_3_b_2.nii.gz", "patient_id": "x", "spacing_mm": [0.5, 0.5, 2]}])
    )
    dataset = open_dataset(sound.root)
    (case,) = dataset.split("test")
    assert (case.ct, case.affine, case.shape, case.spacing) == (None, None, (16, 14, 10), (0.5, 0.5, 2.0))
    assert dataset.split("val")[0].spacing is None


def test_the_mask_tells_the_shape_where_nothing_else_does(sound: Any) -> None:
    """Without a CT and a declared shape, the mask's last three axes are the grid."""
    (sound.root / "ct" / "train_3_b_2.nii.gz").unlink()
    del sound.document["test"][0]["shape"]
    (case,) = open_dataset(sound.write()).split("test")
    assert case.shape == (16, 14, 10)
    (sound.root / "seg" / "train_3_b_2.nii.gz").unlink()
    (case,) = open_dataset(sound.root).split("test")
    with pytest.raises(DataError, match="is unknown"):
        _ = case.shape


def test_a_split_without_masks_opens(sound: Any) -> None:
    """A test split whose truth is withheld can be predicted."""
    (sound.root / "seg" / "train_3_b_2.nii.gz").unlink()
    for key in ("pixels", "entity_counts"):
        del sound.document["test"][0][key]
    (case,) = open_dataset(sound.write()).split("test")
    assert case.truth is None
    assert (case.findings[0].entities, case.findings[0].voxels) == (None, None)


def test_findings_may_be_a_list_and_numbers_may_be_floats(sound: Any) -> None:
    """What other writers do to the same shape is understood."""
    entry = sound.document["test"][0]
    entry["findings"], entry["categories"] = ["one text"], ["1a"]
    entry["shape"], entry["pixels"] = [16.0, 14.0, 10.0], {"0": 9.0}
    (case,) = open_dataset(sound.write()).split("test")
    assert case.findings == (Finding(0, "0", "one text", "1a", 2, 9),)


def test_findings_are_ordered_by_channel(maker: Any) -> None:
    """Key "10" is the eleventh channel, not the second."""
    entry = maker.case("val", "train_1_a_1", [maker.boxes()] * 11)
    entry["findings"] = dict(sorted(entry["findings"].items()))
    assert [finding.index for finding in open_dataset(maker.write()).split("val")[0].findings] == list(range(11))


def test_seg_path_names_the_mask_by_its_last_part_only(sound: Any) -> None:
    """An evaluation index points at masks by path; only the file name counts, and nothing outside can be reached."""
    (sound.root / "seg" / "train_3_b_2.nii.gz").rename(sound.root / "seg" / "other.nii.gz")
    sound.document["test"][0]["seg_path"] = "../../../etc/other.nii.gz"
    assert open_dataset(sound.write()).split("test")[0].truth == sound.root / "seg" / "other.nii.gz"


@pytest.mark.parametrize(
    ("case", "patient"),
    [
        ("train_19753_a_2", "train_19753"),
        ("valid_7_aa_1", "valid_7"),
        ("phantom_3_a_1", "phantom_3"),
        ("realct_partsolid_a_1", None),
        ("phantom", None),
    ],
)
def test_the_patient_is_read_from_the_name(maker: Any, case: str, patient: str | None) -> None:
    """Scan letter and reconstruction are cut off; a name of another form does not tell the patient."""
    maker.case("val", case)
    assert open_dataset(maker.write()).split("val")[0].patient == patient


def test_notes_beside_the_index_name_the_set_its_licence_and_its_flip(sound: Any) -> None:
    """groundbench.json says what an index cannot."""
    (sound.root / "groundbench.json").write_text('{"name": "mine", "licence": "CC0", "mask_flip": [1, 0]}')
    dataset = open_dataset(sound.root)
    assert (dataset.name, dataset.licence, dataset.mask_flip) == ("mine", "CC0", (0, 1))


def test_an_unknown_split_names_the_nearest(sound: Any) -> None:
    """A misspelt split is a usage error with a suggestion."""
    with pytest.raises(UsageError, match="no split of set is named 'tset'") as caught:
        open_dataset(sound.root).split("tset")
    assert caught.value.fix == "did you mean test?"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../x.nii.gz"}, "name"),
        ({"name": "a/b.nii.gz"}, "name"),
        ({"name": "a\0.nii.gz"}, "name"),
        ({"name": "a.nii.gz\n"}, "name"),
        ({"name": "x.nii"}, "name"),
        ({"name": 7}, "name"),
        ({"name": None}, "name"),
        ({"findings": {"0": ""}}, "blank"),
        ({"findings": {"0": "a\x1b[31mb"}}, "control characters"),
        ({"findings": {"0": "\ud800"}}, "unicode"),
        ({"findings": {"0": "x" * 10_001}}, "at most 10000"),
        ({"findings": {"1": "text"}}, "numbered"),
        ({"findings": {"0": "text", "00": "text"}}, "findings"),
        ({"findings": {"-1": "text"}}, "findings"),
        ({"findings": "text"}, "dictionary"),
        ({"shape": [16, 14]}, "shape"),
        ({"shape": [16, 14, 0]}, "shape"),
        ({"shape": [16, 14, True]}, "shape"),
        ({"shape": [16, 14, 10.5]}, "shape"),
        ({"shape": [16, 14, 10**30]}, "shape"),
        ({"pixels": {"0": -1}}, "pixels"),
        ({"pixels": {"0": "9"}}, "pixels"),
        ({"categories": {"0": "2d\n"}}, "categories"),
        ({"categories": {"0": 2}}, "categories"),
        ({"seg_path": 3}, "seg_path"),
    ],
)
def test_a_wrong_entry_is_refused_by_field(sound: Any, change: dict[str, Any], message: str) -> None:
    """Types, ranges and names are checked, and the message tells which field of which entry."""
    sound.document["test"][0].update(change)
    data = open_dataset(sound.write())
    with pytest.raises(DataError, match=r"test\[0\].*" + message):
        data.split("test")
    assert data.split("val")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "list, not an object"),
        ("null", "NoneType, not an object"),
        ("3", "int, not an object"),
        ("{}", "does not contain any cases"),
        ('{"train": [], "test": []}', "does not contain any cases"),
        ('{"test": {}}', "dict, not a list"),
        ('{"te/st": []}', "not a valid name of a split"),
        ('{"test": [NaN]}', "NaN is not a number"),
        ('{"test": [1, "a", null]}', "3 problems"),
        ('{"test": [' + "1" * 5000 + "]}", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"test": [], "test": []}', "twice"),
        ('{"test": [{"name": "a.nii.gz", "name": "b.nii.gz", "findings": {}}]}', "'name' twice"),
        ('{"test": [{"name": "a.nii.gz", "findings": []}, {"name": "a.nii.gz", "findings": []}]}', "more than once"),
    ],
)
def test_a_file_that_is_no_index_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """Whatever the file holds, the refusal says what is wrong with it and what to do."""
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(tmp_path)
    assert caught.value.fix
    assert str(tmp_path) in caught.value.message


def test_every_fault_is_told_at_once(sound: Any) -> None:
    """Three faults in three splits make one message with all three."""
    sound.document["train"][0]["shape"] = "large"
    sound.document["val"][0]["name"] = ".."
    del sound.document["test"][0]["findings"]
    with pytest.raises(DataError, match="3 problems") as caught:
        open_dataset(sound.write())
    assert all(where in caught.value.message for where in ("train[0]", "val[0]", "test[0]"))
    assert "docs/data.md" in caught.value.fix


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x00" * 64])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, content: bytes) -> None:
    """An index that is not UTF-8 is bad data, not a traceback."""
    (tmp_path / "dataset.json").write_bytes(content)
    with pytest.raises(DataError, match="not JSON"):
        open_dataset(tmp_path)


def test_an_index_beyond_its_bound_is_not_read(tmp_path: Path) -> None:
    """A volume given by mistake is refused by size, before a byte is read."""
    with (tmp_path / "dataset.json").open("wb") as stream:
        stream.truncate(MAX_INDEX_BYTES + 1)
    with pytest.raises(DataError, match="more than 268,435,456 bytes"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spacing.json", "{}"),
        ("spacing.json", '[{"name": "../a.nii.gz", "spacing_mm": [1, 1, 1]}]'),
        ("spacing.json", '[{"name": "a.nii.gz", "spacing_mm": [1, 1, 0]}]'),
        ("groundbench.json", '{"mask_flip": [2]}'),
        ("groundbench.json", '{"mask_flop": [0]}'),
        ("groundbench.json", "{"),
    ],
)
def test_faults_of_the_files_beside_the_index_are_told(sound: Any, name: str, text: str) -> None:
    """Spacing and notes are checked as strictly as the index, and named."""
    (sound.root / name).write_text(text)
    with pytest.raises(DataError, match=name):
        open_dataset(sound.root)


def test_nothing_at_the_path_is_a_usage_error(tmp_path: Path) -> None:
    """A path with nothing at it is a slip of the caller (exit code 2)."""
    with pytest.raises(UsageError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")


def test_a_folder_without_an_index_is_bad_data(tmp_path: Path) -> None:
    """The message lists the names that were looked for."""
    with pytest.raises(DataError, match="MICCAI_challenge_dataset"):
        open_dataset(tmp_path)


def test_a_damaged_ct_is_told_when_its_grid_is_asked_for(sound: Any) -> None:
    """Opening reads no volume; asking for the grid names the file that cannot be read."""
    (sound.root / "ct" / "train_3_b_2.nii.gz").write_bytes(b"\x1f\x8b\x08\x00junk")
    (case,) = open_dataset(sound.root).split("test")
    with pytest.raises(DataError, match=r"ct/train_3_b_2\.nii\.gz"):
        _ = case.shape


def test_a_name_is_looked_up_in_the_home(sound: Any, tmp_path: Path) -> None:
    """A data set in the home's `datasets` needs no path; a slip gets the nearest name; a path stays a path."""
    home = tmp_path / "home"
    (home / "datasets").mkdir(parents=True)
    (home / "datasets" / "mine").symlink_to(sound.root)
    assert open_dataset(find_dataset("mine", home)).index == home / "datasets" / "mine" / "dataset.json"
    assert find_dataset("mine/dataset.json", home).is_file()
    assert find_dataset(str(sound.root), home) == sound.root
    with pytest.raises(UsageError, match="no data set is named 'mime'") as caught:
        find_dataset("mime", home)
    assert caught.value.fix == "did you mean mine?"
    with pytest.raises(UsageError, match="the data set a/b does not exist"):
        find_dataset("a/b", home)


def test_the_real_data_opens(real_data: Path) -> None:
    """Real chest CTs, and real masks without CTs, open with the grids that their sources state."""
    cases = {case.id: case for case in open_dataset(real_data / "realct")}
    assert cases["realct_lung1_a_1"].shape == (512, 512, 48)
    assert cases["realct_lung1_a_1"].spacing == pytest.approx((0.57, 0.57, 5), abs=0.01)
    lidc = open_dataset(real_data / "realct" / "lidc_masks")
    assert all(case.ct is None and case.truth is not None for case in lidc)
    assert lidc.split("test")[0].spacing == (0.859375, 0.859375, 2.5)


def test_real_prompts_pass_the_checks(real_data: Path, tmp_path: Path) -> None:
    """The 178 published validation cases are read without a fault."""
    prompts = json.loads((real_data / "text" / "rex_val_prompts.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps({"val": prompts["cases"]}))
    dataset = open_dataset(tmp_path)
    assert (len(dataset.split("val")), sum(len(case.findings) for case in dataset)) == (178, 341)
