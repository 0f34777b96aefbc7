"""A data set again, with what no model should depend on changed: names, order, a few voxels at an edge, a little noise.

An image that knows its cases by heart, by the digest of a CT or by its name, finds none of them here. Each CT gets a
name that nothing follows from, loses one to three slices at one end of one axis, where the truth has no voxel, and
noise of less than half a Hounsfield unit; the truth loses the same slices.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.dataset import Case, Dataset
from harness.dataset.layout import NOTES
from harness.dataset.nifti import write_volume
from harness.dataset.voxels import labelled, read_header, stretches
from harness.errors import DataError

#: Slices that are cut, and HU that are added, at most; axes shorter than this are not cut.
_CUT: Final = (1, 2, 3)
_NOISE: Final = 0.5
_SHORTEST: Final = 24


@dataclass(frozen=True)
class _Crop:
    """So many slices less at the beginning or the end of one axis."""

    axis: int
    slices: int
    first: bool

    def kept(self, length: int) -> slice:
        """Return the slices that are kept of an axis of this length."""
        return slice(self.slices, length) if self.first else slice(0, length - self.slices)


def write_jittered(data: Dataset, split: str, folder: Path, seed: int, *, keep: bool) -> Mapping[str, str]:
    """Write a jittered split as a data set.

    Parameters
    ----------
    data, split
        The data set, with CTs and truth.
    folder
        A new folder.
    seed
        Of names, order, crop and noise; nothing of it follows from the data.
    keep
        Whether the other splits are there, too, as links: a checkpoint is known by what it was trained on.

    Returns
    -------
    Mapping
        Name of a case -> its name in the new data set.

    Raises
    ------
    DataError
        A case lacks its CT or its truth, or a file cannot be read.
    """
    rng = np.random.default_rng(seed)
    cases = data.split(split)
    numbers = rng.choice(10**8, size=len(cases), replace=False)
    names = {case.id: f"case_{number:08d}_a_1" for case, number in zip(cases, numbers, strict=True)}
    index: dict[str, list[dict[str, Any]]] = {split: []}
    for place in rng.permutation(len(cases)):
        index[split].append(_write(cases[int(place)], names[cases[int(place)].id], folder, data.mask_flip, rng))
    for other in (name for name in data.splits if keep and name != split):
        index[other] = [_linked(case, folder) for case in data.split(other)]
    (folder / "dataset.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / NOTES).write_text(json.dumps({"mask_flip": list(data.mask_flip)}), encoding="utf-8")
    return names


def _write(case: Case, name: str, folder: Path, flip: tuple[int, ...], rng: np.random.Generator) -> dict[str, Any]:
    import nibabel as nib

    if case.ct is None or case.truth is None or case.affine is None:
        raise DataError(f"{case.id} lacks its CT or its truth", fix="give the data set with both")
    crop = _choose(case, case.truth, flip, rng)
    volume: Any = nib.load(case.ct)
    voxels = np.asarray(volume.dataobj, np.float32)
    kept = tuple(crop.kept(n) if crop and axis == crop.axis else slice(0, n) for axis, n in enumerate(case.shape))
    begin = np.array([part.start for part in kept], np.float64)
    affine = np.array(case.affine, np.float64)
    affine[:3, 3] += affine[:3, :3] @ begin
    shape = tuple(part.stop - part.start for part in kept)

    def noisy() -> Iterator[npt.NDArray[Any]]:
        for place in range(kept[2].start, kept[2].stop):
            image = voxels[kept[0], kept[1], place]
            yield image + rng.uniform(-_NOISE, _NOISE, image.shape).astype(np.float32)

    write_volume(folder / "ct" / f"{name}.nii.gz", np.float32, shape, affine, noisy())
    channels = len(case.findings)
    mirrored = tuple(
        slice(n - part.stop, n - part.start) if axis in flip else part
        for axis, (part, n) in enumerate(zip(kept, case.shape, strict=True))
    )
    write_volume(
        folder / "seg" / f"{name}.nii.gz",
        read_header(case.truth).dtype,
        (channels, *shape),
        np.eye(4),
        _cut(case.truth, channels, case.shape, mirrored),
    )
    return _entry(case, name) | {"shape": list(shape)}


def _cut(
    truth: Path, channels: int, shape: tuple[int, int, int], kept: tuple[slice, ...]
) -> Iterator[npt.NDArray[Any]]:
    """Yield the slices (F, H, W) of a truth that are kept; it is never held whole."""
    place = 0
    for values in stretches(truth, channels * shape[0] * shape[1]):
        for image in values.reshape((-1, shape[1], shape[0], channels)).transpose(0, 3, 2, 1):
            if kept[2].start <= place < kept[2].stop:
                yield image[:, kept[0], kept[1]]
            place += 1


def _choose(case: Case, truth: Path, flip: tuple[int, ...], rng: np.random.Generator) -> _Crop | None:
    """Choose an end of an axis where the truth has no voxel; None where every end has some, or the CT is small."""
    ends = [[n, -1] for n in case.shape]
    for part in labelled(truth, len(case.findings)):
        places = np.unravel_index(part.voxel, case.shape, order="F")
        for axis, along in enumerate(places):
            ends[axis] = [min(ends[axis][0], int(along.min())), max(ends[axis][1], int(along.max()))]
    possible = []
    for axis, (low, high) in enumerate(ends):
        length = case.shape[axis]
        free = (low, length - 1 - high) if axis not in flip else (length - 1 - high, low)  # along the CT's axis
        possible += [
            _Crop(axis, number, first)
            for number in _CUT
            for first, room in ((True, free[0]), (False, free[1]))
            if length >= _SHORTEST and room >= number
        ]
    return possible[int(rng.integers(len(possible)))] if possible else None


def _linked(case: Case, folder: Path) -> dict[str, Any]:
    for kind, path in (("ct", case.ct), ("seg", case.truth)):
        if path is not None:
            (folder / kind / f"{case.id}.nii.gz").symlink_to(path.resolve())
    return _entry(case, case.id) | ({} if case.declared_shape is None else {"shape": list(case.declared_shape)})


def _entry(case: Case, name: str) -> dict[str, Any]:
    columns = {"entity_counts": "entities", "pixels": "voxels", "categories": "category", "prior": "prior"}
    facts = {
        key: {finding.id: getattr(finding, field) for finding in case.findings if getattr(finding, field) is not None}
        for key, field in columns.items()
    }
    return {
        "name": f"{name}.nii.gz",
        "findings": {finding.id: finding.text for finding in case.findings},
        **{key: found for key, found in facts.items() if found},
    }
