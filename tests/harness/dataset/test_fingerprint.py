"""The fingerprint depends on content alone, and is cheap the second time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.dataset import open_dataset
from harness.dataset.fingerprint import fingerprint_of
from harness.dataset.validate import validate_dataset
from harness.errors import DataError


def age(root: Path, seconds: int = 3600) -> None:
    """Make every file look as if it was written some time ago."""
    for path in root.rglob("*"):
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - seconds * 10**9))


def test_it_is_the_hash_of_what_the_documentation_says(sound: Any) -> None:
    """An oracle in ten lines, written from docs/data.md, gives the same digits."""

    def sha(document: Any) -> str:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    splits = {}
    for split, entries in sound.document.items():
        (entry,) = entries
        keys = sorted(entry["findings"])
        record = {
            "id": entry["name"][:-7],
            "findings": [
                [entry[field][key] for field in ("findings", "categories", "entity_counts", "pixels")] for key in keys
            ],
            "shape": entry["shape"],
            "spacing": None,
            "ct": hashlib.sha256((sound.root / "ct" / entry["name"]).read_bytes()).hexdigest(),
            "seg": hashlib.sha256((sound.root / "seg" / entry["name"]).read_bytes()).hexdigest(),
        }
        splits[split] = sha({"fingerprint": 1, "mask_flip": [], "cases": [record]})
    dataset = open_dataset(sound.root)
    assert {split: fingerprint_of(dataset, split) for split in splits} == splits
    assert fingerprint_of(dataset) == sha({"fingerprint": 1, "splits": splits})


def test_place_times_links_and_layout_do_not_matter(sound: Any, tmp_path: Path) -> None:
    """A copy elsewhere, older, linked and nested as released has the same fingerprint."""
    wanted = fingerprint_of(open_dataset(sound.root))
    other = tmp_path / "elsewhere"
    other.mkdir()
    shutil.copytree(sound.root / "seg", other / "segmentations")
    age(other)
    for name in ("train_1_a_1", "train_2_a_1", "train_3_b_2"):
        scan, patient = name.rpartition("_")[0], "_".join(name.split("_")[:2])
        folder = other / "dataset" / "train_fixed" / patient / scan
        folder.mkdir(parents=True)
        (folder / f"{name}.nii.gz").symlink_to(sound.root / "ct" / f"{name}.nii.gz")
    (other / "MICCAI_challenge_dataset.json").write_text(json.dumps(sound.document, indent=8, sort_keys=True))
    assert fingerprint_of(open_dataset(other)) == wanted


def test_the_order_of_cases_does_not_matter(maker: Any) -> None:
    """The same cases in another order are the same split."""
    for name in ("train_1_a_1", "train_2_a_1"):
        maker.case("val", name)
    before = fingerprint_of(open_dataset(maker.write()))
    maker.document["val"].reverse()
    assert fingerprint_of(open_dataset(maker.write())) == before


@pytest.mark.parametrize("what", ["text", "category", "voxel", "ct", "flip", "spacing", "removed"])
def test_every_change_of_content_matters(sound: Any, what: str) -> None:
    """A letter, a code, a voxel, the flip, the declared spacing: each makes another data set."""
    before = fingerprint_of(open_dataset(sound.root), "test")
    entry = sound.document["test"][0]
    if what == "text":
        entry["findings"]["0"] += "."
    elif what == "category":
        entry["categories"]["0"] = "2h"
    elif what == "voxel":
        labels = sound.boxes()
        labels[0, 0, 0] = 1
        sound.save(sound.root / "seg" / entry["name"], labels[None], np.eye(4))
    elif what == "ct":
        sound.save(sound.root / "ct" / entry["name"], sound.scan() + np.int16(1))
    elif what == "flip":
        (sound.root / "groundbench.json").write_text('{"mask_flip": [0, 1]}')
    elif what == "spacing":
        (sound.root / "spacing.json").write_text(json.dumps([{"name": entry["name"], "spacing_mm": [1, 1, 1]}]))
    else:
        (sound.root / "seg" / entry["name"]).unlink()
    assert fingerprint_of(open_dataset(sound.write()), "test") != before


def test_a_split_depends_on_its_own_files_only(sound: Any) -> None:
    """Changing a train mask leaves the test split's fingerprint, and its files unread."""
    read: list[Path] = []
    before = fingerprint_of(open_dataset(sound.root), "test", progress=lambda path, _: read.append(path))
    assert {path.name for path in read} == {"train_3_b_2.nii.gz"}
    (sound.root / "seg" / "train_1_a_1.nii.gz").write_bytes(b"")
    assert fingerprint_of(open_dataset(sound.root), "test") == before


def test_the_second_time_nothing_is_read(sound: Any, tmp_path: Path) -> None:
    """Digests are remembered across processes; a changed file is read again, the others are not."""
    age(sound.root)
    read: list[str] = []

    def fingerprint() -> str:
        read.clear()
        dataset = open_dataset(sound.root, cache=tmp_path / "cache")
        return fingerprint_of(dataset, progress=lambda path, _: read.append(f"{path.parent.name}/{path.name}"))

    first = fingerprint()
    assert len(read) == 6
    assert (fingerprint(), read) == (first, [])
    changed = sound.root / "seg" / "train_1_a_1.nii.gz"
    changed.write_bytes(changed.read_bytes()[:-1] + b"\1")
    assert fingerprint() != first
    assert read == ["seg/train_1_a_1.nii.gz"]


def test_a_file_that_may_still_change_is_not_remembered(sound: Any, tmp_path: Path) -> None:
    """Within the clock's resolution a change could go unseen, so a fresh file is read again."""
    dataset = open_dataset(sound.root, cache=tmp_path)
    fingerprint_of(dataset)
    read: list[Path] = []
    fingerprint_of(dataset, progress=lambda path, _: read.append(path))
    assert len(read) == 6


def test_a_memory_cut_short_is_no_answer(sound: Any, tmp_path: Path) -> None:
    """What a killed process left of a line costs a read, never a wrong digest."""
    age(sound.root)
    wanted = fingerprint_of(open_dataset(sound.root, cache=tmp_path))
    memory = tmp_path / "digests.jsonl"
    memory.write_bytes(b"\xff\n[1, 2]\n{}\n" + memory.read_bytes()[:-40])
    assert fingerprint_of(open_dataset(sound.root, cache=tmp_path)) == wanted
    assert fingerprint_of(open_dataset(sound.root, cache=tmp_path)) == wanted


def test_a_vanished_file_is_bad_data(sound: Any) -> None:
    """A file that goes away after opening is named."""
    dataset = open_dataset(sound.root)
    (sound.root / "ct" / "train_3_b_2.nii.gz").unlink()
    with pytest.raises(DataError, match="train_3_b_2"):
        fingerprint_of(dataset, "test")


def test_what_validation_read_is_not_read_again(sound: Any, tmp_path: Path) -> None:
    """Digest, header and counts come of one pass, and the digests are those of the files."""
    age(sound.root)
    cache = tmp_path / "cache"
    validate_dataset(sound.root, cache=cache, jobs=2)
    read: list[Path] = []
    dataset = open_dataset(sound.root, cache=cache)
    found = fingerprint_of(dataset, progress=lambda path, _: read.append(path), jobs=2)
    assert not read
    assert found == fingerprint_of(open_dataset(sound.root))


@pytest.mark.parametrize("jobs", [1, 3])
def test_what_was_killed_goes_on(sound: Any, tmp_path: Path, jobs: int) -> None:
    """Each file is remembered once it is read; a line that a kill cut short costs that file alone."""
    age(sound.root)
    wanted = fingerprint_of(open_dataset(sound.root, cache=tmp_path / "cache"), jobs=jobs)
    (kept,) = (tmp_path / "cache").glob("*.jsonl")
    lines = kept.read_bytes().splitlines(keepends=True)
    kept.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    read: list[Path] = []
    dataset = open_dataset(sound.root, cache=tmp_path / "cache")
    assert fingerprint_of(dataset, progress=lambda path, _: read.append(path), jobs=jobs) == wanted
    assert len(read) == len(lines) - 3
