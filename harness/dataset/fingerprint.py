"""The content of a data set as one digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from harness.dataset.cases import Case, Dataset
from harness.digests import DigestCache


def fingerprint_of(
    dataset: Dataset,
    split: str | None = None,
    *,
    progress: Callable[[Path, int], None] | None = None,
    digests: DigestCache | None = None,
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

    Returns
    -------
    str
        ``"sha256:"`` and 64 hexadecimal digits. The digests of the files are cached by path, size, times and
        inode, so that a second call costs one ``stat`` per file.

    Raises
    ------
    UsageError
        The split does not exist.
    DataError
        A file vanished or cannot be read.
    """
    digests = digests or DigestCache(dataset.cache, progress)
    if split is not None:
        return _of_split(dataset.split(split), dataset.mask_flip, digests)
    splits = {name: _of_split(dataset.split(name), dataset.mask_flip, digests) for name in dataset.splits}
    return _sha256({"fingerprint": 1, "splits": splits})


def _of_split(cases: Iterable[Case], mask_flip: tuple[int, ...], digests: DigestCache) -> str:
    """Hash the content of a split, in an order that does not depend on the index's."""
    records = [
        {
            "id": case.id,
            "findings": [[f.text, f.category, f.entities, f.voxels] for f in case.findings],
            "shape": case.declared_shape,
            "spacing": case.declared_spacing,
            "ct": case.ct and digests.digest(case.ct),
            "seg": case.truth and digests.digest(case.truth),
        }
        for case in sorted(cases, key=lambda case: case.id)
    ]
    return _sha256({"fingerprint": 1, "mask_flip": list(mask_flip), "cases": records})


def _sha256(document: object) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
