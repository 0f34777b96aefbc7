"""Combine the two gated downloads of ReXGroundingCT: links to the masks, the texts and CT-RATE's volumes.

Masks and texts come from one gated repository, the CTs from another (about 400 GB for the 3,492 volumes of the
challenge), so nothing is copied.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.dataset.editions import PAPER
from harness.dataset.index import read_index
from harness.dataset.layout import INDEXES, NOTES, ct_paths, nested_ct, open_dataset
from harness.dataset.orientation import Orientation, measure
from harness.dataset.problems import refuse
from harness.errors import DataError, UnknownName, UsageError

NAME: Final = "rexgroundingct"
LICENCE: Final = "CC BY-NC-SA 4.0"
_MASKS: Final = "segmentations"

GUIDE: Final = """\
ReXGroundingCT comes in two gated parts. Both are free for research that is not commercial (CC BY-NC-SA 4.0); the terms
of each are accepted once, in a browser, with a Hugging Face account.

1. Accept the terms, then log in on this machine
     https://huggingface.co/datasets/rajpurkarlab/ReXGroundingCT
     https://huggingface.co/datasets/ibrahimhamamci/CT-RATE
     pip install huggingface_hub && hf auth login

2. Findings and masks (3.6 GB)
     hf download rajpurkarlab/ReXGroundingCT --repo-type dataset --local-dir ReXGroundingCT
   ReXGroundingCT/ then holds dataset.json, MICCAI_challenge_dataset.json, MLHC_dataset_version.json (the paper's 1,914
   scans) and segmentations/.

3. The CT volumes of these findings (400 GB for all 3,492 of the challenge; one split at a time is fine)
     bench data fetch rexgroundingct --rexgroundingct ReXGroundingCT/MICCAI_challenge_dataset.json --list --split val \\
       | xargs -n 50 hf download ibrahimhamamci/CT-RATE --repo-type dataset --local-dir CT-RATE
   CT-RATE/ then holds dataset/train_fixed/train_1741/train_1741_b/train_1741_b_2.nii.gz and so on. Only the volumes
   in `*_fixed` folders are in HU; those in the older folders of the same names are raw, and are not used.

4. Put them together: links only, nothing is copied
     bench data fetch rexgroundingct --rexgroundingct ReXGroundingCT --ct-rate CT-RATE
     bench data validate rexgroundingct:mlhc2025 --split val
     bench data info rexgroundingct:mlhc2025
   rexgroundingct:mlhc2025 is the paper's set, rexgroundingct:base the one of dataset.json, rexgroundingct:challenge the
   challenge's.
"""


@dataclass(frozen=True)
class Linked:
    """The result of linking."""

    folder: Path
    cases: int  #: cases in any index
    cts: int  #: of these, those whose CT was found
    raw: int  #: of the others, those with an uncorrected volume only
    orientation: Orientation
    name: str  #: name of the paper's set, or of the first that was downloaded
    whole: Mapping[str, bool]  #: split of that set -> whether all its CTs were found


def paper_set(home: Path) -> str | None:
    """Return the name of the paper's set where `bench data fetch` has put it together; None elsewhere."""
    there = (home / "datasets" / NAME / PAPER.index).exists()
    return f"{NAME}:{PAPER.id}" if there else None


def indexes_in(path: Path) -> list[Path]:
    """Return the indexes at `path`: the file itself, or all known ones in a folder.

    Raises
    ------
    UsageError
        `path` does not exist.
    DataError
        The folder does not contain an index.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(f"{path} does not exist", fix="give the folder of the download (step 2 of the guide)")
    found = [path / name for name in INDEXES if (path / name).is_file()]
    if not found:
        raise DataError(
            f"{path} does not contain any of {', '.join(INDEXES)}", fix="give the folder of the download of step 2"
        )
    return found


def names_in(indexes: Iterable[Path], split: str | None = None) -> list[str]:
    """Return the file names of all cases, sorted; raises DataError for an index with faults."""
    names: set[str] = set()
    known: set[str] = set()
    for path in indexes:
        index = read_index(path)
        used = [fault for name, found in index.faults.items() if split in {None, name} for fault in found]
        if index.problems or used:
            raise refuse([*index.problems, *used], str(path))
        known |= set(index.splits)
        for name, cases in index.splits.items():
            if split in {None, name}:
                names.update(case.name for case in cases)
    if split is not None and split not in known:
        raise UnknownName("split", split, known)
    return sorted(names)


def wanted_cts(indexes: Iterable[Path], split: str | None, ct_rate: Path | None) -> list[str]:
    """Return the paths, inside CT-RATE's repository, of the CTs that are named and not yet under `ct_rate`."""
    paths = []
    for name in names_in(indexes, split):
        nested = nested_ct(name)
        if nested is not None and not (ct_rate and any(path.is_file() for path in ct_paths(ct_rate, name))):
            paths.append(f"dataset/{nested}")
    return paths


def link(target: Path, rexgroundingct: Path, ct_rate: Path) -> Linked:
    """Make the folder `target` out of links to the two downloads, and record the orientation of the masks.

    The folder appears complete or not at all; an earlier one is replaced.

    Raises
    ------
    UsageError
        A path does not exist.
    DataError
        The index or the masks are missing, an index has faults, no CT was found, or `target` is something else.
    """
    if not ct_rate.is_dir():
        raise UsageError(
            f"the folder {ct_rate} does not exist", fix="give the folder of the download (step 3 of the guide)"
        )
    root = rexgroundingct if rexgroundingct.is_dir() else rexgroundingct.parent
    indexes = indexes_in(root)
    masks = root / _MASKS
    if not masks.is_dir():
        raise DataError(f"{root} does not contain the folder {_MASKS}", fix="download all of it (step 2 of the guide)")
    if target.exists() and not (target / NOTES).is_file():
        raise DataError(f"{target} was not made by this command", fix="move it away, or use another home")
    names = names_in(indexes)

    building = target.with_name(f".{target.name}.new")
    before = target.with_name(f".{target.name}.old")
    for left in (building, before):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    (building / "ct").mkdir(parents=True)
    try:
        for index in indexes:
            (building / index.name).symlink_to(index.absolute())
        (building / "seg").symlink_to(masks.absolute())
        missing = []
        for name in names:
            ct = next((path for path in ct_paths(ct_rate, name) if path.is_file()), None)
            if ct is None:
                missing.append(name)
            else:
                (building / "ct" / name).symlink_to(ct.absolute())
        raw = sum(any(path.is_file() for path in ct_paths(ct_rate, name, fixed=False)) for name in missing)
        if len(missing) == len(names):
            what = f"{ct_rate} does not contain any of the {len(names)} CTs"
            if raw:
                what += f"; it contains {raw} as raw values, which need CT-RATE's slope and intercept tables to be HU"
            raise DataError(what, fix="download the volumes in the `*_fixed` folders (step 3 of the guide)")
        orientation = measure(open_dataset(building), limit=16)
        notes = {"name": NAME, "licence": LICENCE, "mask_flip": list(orientation.best or ())}
        (building / NOTES).write_text(json.dumps(notes, indent=2) + "\n", encoding="utf-8")
        _swap(building, target, before)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    data = open_dataset(next((target / path.name for path in indexes if path.name == PAPER.index), target))
    whole = {split: all(case.ct for case in cases) for split, cases in data.splits.items() if cases}
    return Linked(target, len(names), len(names) - len(missing), raw, orientation, data.name, whole)


def _swap(building: Path, target: Path, before: Path) -> None:
    """Put the new folder in its place; the earlier one is moved away whole, as half of it would look like one."""
    if target.exists():
        target.rename(before)
    building.rename(target)
    shutil.rmtree(before, ignore_errors=True)
