"""For models of single slices: a slice as a square picture and back, and the slices that hold something to learn."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Sequence

import numpy as np

from groundbench_sdk.grids import turn_to
from groundbench_sdk.records import TrainingCase
from groundbench_sdk.scratch import Scratch

#: Bound on the files of :func:`slices_with_truth`, bytes: far more than any data set needs.
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
        """Where the slice lies in the padded one; an odd row or column of padding comes after it."""
        top, left = (self.side - self.rows) // 2, (self.side - self.columns) // 2
        return slice(top, top + self.rows), slice(left, left + self.columns)

    def fit(self, image: np.ndarray) -> np.ndarray:
        """Return a slice (rows, columns) as a float32 picture (size, size): 0 around it, resized by cubic convolution.

        This overshoots at edges: values may lie beyond those of the slice.
        """
        padded = np.zeros((self.side, self.side), np.float32)
        padded[self._inside] = image
        return _resized(padded, self.size, cubic=True)

    def mark(self, mask: np.ndarray) -> np.ndarray:
        """Return a slice's mask (rows, columns), not 0 inside, on the picture: boolean (size, size).

        One that is too small for half a pixel marks the pixels that hold most of it.
        """
        share = self.fit(mask != 0)
        return np.asarray(share >= min(0.5, float(share.max()))) if mask.any() else np.zeros(share.shape, bool)

    def restore(self, picture: np.ndarray) -> np.ndarray:
        """Return a float32 picture (size, size) as a slice (rows, columns): resized linearly, without the padding."""
        return _resized(np.asarray(picture, np.float32), self.side, cubic=False)[self._inside]


def slices_with_truth(
    cases: Sequence[TrainingCase], codes: str, state: Path, *, rank: int = 0, world: int = 1, threads: int = 1
) -> np.ndarray:
    """List the slices in which findings have voxels.

    The masks of a case are read once and for all: what was seen is kept under `state`. Processes that share the folder
    begin at different cases and use what the others have seen.

    Parameters
    ----------
    cases
        With their masks.
    codes
        As in :func:`~groundbench_sdk.grids.turn_to`; slices are counted along the third of the turned axes.
    state
        The folder that stays when a training is interrupted (``Training.state``).
    rank, world
        Which of how many processes this is.
    threads
        Cases that are read at the same time.

    Returns
    -------
    ndarray, shape (N, 3), int32
        Number of the case, number of the finding in it, and slice; in this order.
    """
    scratch = Scratch(state / "slices", _INDEX_BYTES)

    def look(case: TrainingCase) -> np.ndarray:
        return scratch.get(f"{case.id} {codes}", lambda: {"slices": _slices_of(case, codes)})["slices"]

    first = rank * len(cases) // world
    order = [*range(first, len(cases)), *range(first)]
    with ThreadPoolExecutor(threads) as pool:
        found = dict(zip(order, pool.map(look, (cases[number] for number in order))))
    listed = [np.insert(found[number], 0, number, axis=1) for number in range(len(cases))]
    return np.concatenate([np.empty((0, 3), np.int32), *listed]).astype(np.int32)


def _slices_of(case: TrainingCase, codes: str) -> np.ndarray:
    """Return (finding, slice) of every slice with truth, (N, 2)."""
    turn = turn_to(codes, case.affine)
    held = np.any(case.labels(), axis=(turn.axes[0] + 1, turn.axes[1] + 1))
    return np.argwhere(held[:, ::-1] if turn.reverse[2] else held).astype(np.int32)


def _resized(square: np.ndarray, side: int, *, cubic: bool) -> np.ndarray:
    """Return a float32 square resized to another side; where that is the same, as it is."""
    if square.shape[0] == side:
        return square
    from PIL import Image

    method = Image.Resampling.BICUBIC if cubic else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(square).resize((side, side), method), np.float32)
