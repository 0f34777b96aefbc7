"""A CT as BiomedParse v2 sees it: axial slices in one window, each between its two neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from groundbench_sdk.grids import window
from groundbench_sdk.records import Rejected
from groundbench_sdk.slices import Square
from numpy.typing import NDArray

#: Slices counted from the feet, rows to the back, columns to the patient's left: ``ct[:, :, i].T`` is slice i.
AXES = "LPS"


def square_of(ct: np.ndarray, side: int) -> Square:
    """Return how the slices of a turned CT (X, Y, Z) become pictures of `side` pixels, a multiple of 32."""
    if side < 32 or side % 32:
        raise Rejected(f"the parameter image_size must be a multiple of 32, not {side!r}")
    columns, rows, _ = ct.shape
    return Square(rows, columns, side)


def draw(ct: np.ndarray, square: Square, low: float, high: float) -> NDArray[np.uint8]:
    """Return the slices of a turned CT as grey pictures (Z, side, side), 0 at `low` HU and below, 255 at `high`."""
    pictures = np.empty((ct.shape[2], square.size, square.size), np.uint8)
    for index in range(ct.shape[2]):
        drawn = square.fit(window(ct[:, :, index].T, low, high))
        pictures[index] = np.clip(np.rint(drawn), 0, 255)
    return pictures


def neighbours(index: int, count: int) -> tuple[int, int, int]:
    """Return which slices are the three channels of slice `index` of `count`: itself, the one before, the one after.

    At either end the only neighbour stands on both sides; a single slice is its own.
    """
    if count == 1:
        return 0, 0, 0
    return index, index - 1 if index else 1, index + 1 if index + 1 < count else count - 2


def with_neighbours(pictures: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """Return pictures (Z, side, side) as inputs (B, 3, side, side) for the chosen slices."""
    return pictures[np.array([neighbours(index, len(pictures)) for index in chosen])]
