"""The content of a data set as one digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.dataset.cases import Case, Dataset
from harness.digests import DigestCache
from harness.host.capacity import usable_cores


def fingerprint_of(
    dataset: Dataset,
    split: str | None = None,
    *,
    progress: Callable[[Path, int], None] | None = None,
    digests: DigestCache | None = None,
    jobs: int | None = None,
) -> str:
    """Identify the content of the data set: texts, categories, declared numbers, voxels, and the masks' flip.

    It depends on content alone: not on the files' paths, times, or whether they are
    links. A run on one split needs the fingerprint of that split only.

    Parameters
    ----------
    dataset
        An opened data set.
    split
        Hash the files of this split; None: of all, one after the other.
    progress
        Called with each file that had to be read, and its bytes.
    digests
        Digests of files; None: those that the data set's cache remembers.
    jobs
        Files read at a time; one a core by default.

    Returns
    -------
    str
        ``"sha256:"`` and 64 hexadecimal digits. The digests of the files are cached by path, size, times and
        inode, each as soon as it is known: a second call costs one ``stat`` per file, and one that was killed goes on.

    Raises
    ------
    UsageError
        The split does not exist.
    DataError
        A file vanished or cannot be read.
    """
    names = list(dataset.splits) if split is None else [split]
    splits = {name: dataset.split(name) for name in names}
    files = [file for cases in splits.values() for case in cases for file in files_of(case)]
    known = (digests or DigestCache(dataset.cache, progress)).digests(files, jobs=jobs or usable_cores())
    found = {name: _of_split(cases, dataset.mask_flip, known) for name, cases in splits.items()}
    return found[split] if split is not None else _sha256({"fingerprint": 1, "splits": found})


def files_of(case: Case) -> list[Path]:
    """Return the volumes of a case that are there."""
    return [path for path in (case.ct, case.truth) if path is not None]


def _of_split(cases: Sequence[Case], mask_flip: tuple[int, ...], digests: Mapping[Path, str]) -> str:
    """Hash the content of a split, in an order that does not depend on the index's."""
    records = [
        {
            "id": case.id,
            "findings": [[f.text, f.category, f.entities, f.voxels] for f in case.findings],
            "shape": case.declared_shape,
            "spacing": case.declared_spacing,
            "ct": case.ct and digests[case.ct],
            "seg": case.truth and digests[case.truth],
        }
        for case in sorted(cases, key=lambda case: case.id)
    ]
    return _sha256({"fingerprint": 1, "mask_flip": list(mask_flip), "cases": records})


def _sha256(document: object) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
