"""Answers that are known in advance, made from the ground truth; only the SDK, numpy and nibabel are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from groundbench_sdk import Adapter, Case, Job

#: Slices decoded at a time; a multiple of 8, as eight of them are packed into one byte.
_SLAB = 16


class KnownAnswer(Adapter):
    """Gives, for every finding, the answer that ``job.params["answer"]`` names."""

    def load(self, job: Job) -> None:
        """Choose the answer; raises KeyError for an unknown name."""
        self.params = job.params
        self.answer = ANSWERS[job.params["answer"]]

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield ``(finding id, mask)``, each mask (H, W, D) with values 0 and 1."""
        return self.answer(case, self.params)


def oracle(case: Case, _: dict[str, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the union of every finding's entities."""
    if case.truth is None:
        raise ValueError(f"case {case.id} comes without its ground truth, which this model was not granted")
    unions = read_unions(case.truth, case.shape)
    for finding, packed in zip(case.findings, unions, strict=True):
        yield finding.id, np.flip(np.unpackbits(packed, axis=-1, count=case.shape[2]), case.truth_flip)


def empty(case: Case, _: dict[str, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield no voxel."""
    for finding in case.findings:
        yield finding.id, np.zeros(case.shape, np.uint8)


def full(case: Case, _: dict[str, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield every voxel."""
    for finding in case.findings:
        yield finding.id, np.ones(case.shape, np.uint8)


def shifted(case: Case, params: dict[str, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the truth moved ``params["voxels"]`` voxels up array axis ``params["axis"]``, zeros moved in."""
    for finding, truth in oracle(case, params):
        moved = np.zeros_like(truth)
        source, target = np.moveaxis(truth, params["axis"], 0), np.moveaxis(moved, params["axis"], 0)
        target[params["voxels"] :] = source[: max(len(source) - params["voxels"], 0)]
        yield finding, moved


def flipped(case: Case, params: dict[str, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the truth mirrored along the array axis that runs between the patient's left and right."""
    left_right = int(np.argmax(np.abs(case.affine[0, :3])))
    for finding, truth in oracle(case, params):
        yield finding, np.flip(truth, left_right)


def dropped(case: Case, params: dict[str, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the truth of every finding but the last."""
    for finding, truth in oracle(case, params):
        if finding != case.findings[-1].id:
            yield finding, truth


ANSWERS: dict[str, Callable[[Case, dict[str, int]], Iterator[tuple[str, np.ndarray]]]] = {
    "oracle": oracle,
    "empty": empty,
    "full": full,
    "shifted": shifted,
    "flipped": flipped,
    "dropped": dropped,
}


def read_unions(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read the entity-agnostic union of every finding, eight slices to a byte.

    The file is Fortran-ordered, so a slab of slices is contiguous: it is decoded once, front to back, and at most
    one slab of it is held unpacked.

    Parameters
    ----------
    path
        Labels of shape (F, H, W, D): 0 is background, anything above it an entity.
    shape
        (H, W, D) of the case.

    Returns
    -------
    ndarray of uint8, shape (F, H, W, ceil(D / 8))
        ``np.unpackbits(packed, axis=-1, count=D)`` gives back 0 and 1.
    """
    image: Any = nib.load(str(path), keep_file_open=True)  # or every slab would decompress from the start again
    if image.shape[1:] != shape:
        raise ValueError(f"{path} has shape {image.shape}, the case has {shape}")
    depth = image.shape[3]
    packed = np.empty((*image.shape[:3], -(-depth // 8)), np.uint8, order="F")
    for first in range(0, depth, _SLAB):
        slab = np.asanyarray(image.dataobj[..., first : first + _SLAB])
        packed[..., first // 8 : (first + _SLAB) // 8] = np.packbits(slab > 0, axis=-1)
    return packed
