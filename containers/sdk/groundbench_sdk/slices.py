"""For models of single slices: a slice as a square picture and back, and the slices to train on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Sequence

import numpy as np

from groundbench_sdk.finetuning import may_skip
from groundbench_sdk.grids import reorient_to
from groundbench_sdk.records import Rejected, TrainingCase
from groundbench_sdk.sample_cache import SampleCache

#: Bound on the files of :func:`slices_with_truth`, bytes; far more than any dataset needs.
_INDEX_BYTES = 2**30


class Square(NamedTuple):
    """A slice padded to a square, equally on both sides, and resized. Needs Pillow where the size changes."""

    rows: int  #: of the slice
    columns: int  #: of the slice
    size: int  #: side of the picture

    @property
    def side(self) -> int:
        """Pixels of the padded slice along each axis."""
        return max(self.rows, self.columns)

    @property
    def _inside(self) -> tuple[slice, slice]:
        """Where the slice is in the padded square; an odd row or column of padding comes after it."""
        top, left = (self.side - self.rows) // 2, (self.side - self.columns) // 2
        return slice(top, top + self.rows), slice(left, left + self.columns)

    def fit(self, image: np.ndarray) -> np.ndarray:
        """Return a slice (rows, columns) as a float32 picture (size, size), padded with 0 and resized cubically.

        Cubic convolution overshoots at edges: values may lie outside the range of the slice.
        """
        padded = np.zeros((self.side, self.side), np.float32)
        padded[self._inside] = image
        return _resized(padded, self.size, cubic=True)

    def mark(self, mask: np.ndarray) -> np.ndarray:
        """Return the mask of a slice (rows, columns), nonzero inside, on the picture: boolean (size, size).

        A mask that fills less than half of every pixel marks the pixels that it fills most.
        """
        filled = self.fit(mask != 0)
        return np.asarray(filled >= min(0.5, float(filled.max()))) if mask.any() else np.zeros(filled.shape, bool)

    def restore(self, picture: np.ndarray) -> np.ndarray:
        """Return a float32 picture (size, size) as a slice (rows, columns): resized linearly, without the padding."""
        return _resized(np.asarray(picture, np.float32), self.side, cubic=False)[self._inside]


def slices_with_truth(
    cases: Sequence[TrainingCase], codes: str, state: Path, *, rank: int = 0, world_size: int = 1, threads: int = 1
) -> np.ndarray:
    """List the slices in which findings have voxels.

    The masks of a case are read only once: the result is kept under `state`. Processes that share the folder begin at
    different cases and use each other's results. Up to a fiftieth of the cases may have masks that cannot be read; they
    have no slices then, with a warning.

    Parameters
    ----------
    cases
        Cases with their masks.
    codes
        As in :func:`~groundbench_sdk.grids.reorient_to`; slices are counted along the third of the reoriented axes.
    state
        Folder that is kept when a training is interrupted (``Training.state``).
    rank, world_size
        Number of this process, and how many train together.
    threads
        Number of cases read at the same time.

    Returns
    -------
    ndarray, shape (N, 3), int32
        Number of the case, number of the finding in it, and slice; ascending.

    Raises
    ------
    Rejected
        When the masks of more cases cannot be read.
    """
    cache = SampleCache(state / "slices", _INDEX_BYTES)
    unread = []

    def scan(case: TrainingCase) -> np.ndarray:
        try:
            return cache.get(f"{case.id} {codes}", lambda: {"slices": _slices_of(case, codes)})["slices"]
        except Rejected as error:
            unread.append(case)
            if len(unread) > may_skip(len(cases)):
                raise
            case.warn(f"left out: {error}")
            return np.empty((0, 2), np.int32)

    first = rank * len(cases) // world_size
    order = [*range(first, len(cases)), *range(first)]
    with ThreadPoolExecutor(threads) as pool:
        found = dict(zip(order, pool.map(scan, (cases[number] for number in order))))
    listed = [np.insert(found[number], 0, number, axis=1) for number in range(len(cases))]
    return np.concatenate([np.empty((0, 3), np.int32), *listed]).astype(np.int32)


def _slices_of(case: TrainingCase, codes: str) -> np.ndarray:
    """Return (finding, slice) of every slice with truth, (N, 2)."""
    reorientation = reorient_to(codes, case.affine)
    held = np.any(case.labels(), axis=(reorientation.axes[0] + 1, reorientation.axes[1] + 1))
    return np.argwhere(held[:, ::-1] if reorientation.reverse[2] else held).astype(np.int32)


def _resized(square: np.ndarray, side: int, *, cubic: bool) -> np.ndarray:
    """Return a float32 square resized to another side; unchanged if the side is the same."""
    if square.shape[0] == side:
        return square
    from PIL import Image

    method = Image.Resampling.BICUBIC if cubic else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(square).resize((side, side), method), np.float32)


class SliceSamples:
    """Numbers the samples of one epoch: every slice with truth once, then slices of the same findings without truth.

    Parameters
    ----------
    truth
        Case, finding and slice of every slice with truth, (N, 3), as from :func:`slices_with_truth`.
    depths
        Number of slices of each case.
    negatives
        Fraction of slices without truth among all samples, from 0 to below 1.

    Raises
    ------
    Rejected
        When the fraction is outside its range.
    """

    def __init__(self, truth: np.ndarray, depths: Sequence[int], negatives: float = 0.0) -> None:
        if not 0 <= negatives < 1:
            raise Rejected(f"the parameter negatives must be from 0 to below 1, not {negatives!r}")
        self._truth, self._depths = truth, depths
        self._length = len(truth) + round(len(truth) * negatives / (1 - negatives))
        self._with_truth: dict[tuple[int, int], set[int]] = {}
        for case, finding, index in truth.tolist():
            self._with_truth.setdefault((case, finding), set()).add(index)

    def __len__(self) -> int:
        """Return the number of samples of one epoch."""
        return self._length

    def pick(self, number: int, rng: np.random.Generator) -> tuple[int, int, int]:
        """Return case, finding and slice of a sample; a slice without truth is drawn, from a finding that is drawn.

        If a finding is in every slice of its case, a slice with truth is returned.
        """
        positive = number < len(self._truth)
        case, finding, index = self._truth[number if positive else rng.integers(len(self._truth))].tolist()
        if not positive:
            others = sorted(set(range(self._depths[case])) - self._with_truth[case, finding])
            index = int(rng.choice(others)) if others else index
        return case, finding, index
