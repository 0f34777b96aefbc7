"""What is trained on: slices with truth and a share of slices without it, and how they are kept on disk."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from groundbench_sdk.records import Rejected


class Samples:
    """Numbers the samples of one pass: every slice with truth once, then slices of the same findings without it.

    Parameters
    ----------
    truth
        Case, finding and slice of every slice with truth, (N, 3).
    depths
        Slices of each case.
    negatives
        Share of slices without truth among all samples, from 0 to below 1.
    """

    def __init__(self, truth: np.ndarray, depths: Sequence[int], negatives: float) -> None:
        if not 0 <= negatives < 1:
            raise Rejected(f"the parameter negatives must be from 0 to below 1, not {negatives!r}")
        self._truth, self._depths = truth, depths
        self._length = len(truth) + round(len(truth) * negatives / (1 - negatives))
        self._held: dict[tuple[int, int], set[int]] = {}
        for case, finding, index in truth.tolist():
            self._held.setdefault((case, finding), set()).add(index)

    def __len__(self) -> int:
        """Return how many samples one pass has."""
        return self._length

    def pick(self, number: int, rng: np.random.Generator) -> tuple[int, int, int]:
        """Return case, finding and slice of a sample; a slice without truth is drawn, from a finding that is drawn.

        Where a finding is in every slice of its case there is none without it, and one with it is returned.
        """
        positive = number < len(self._truth)
        case, finding, index = self._truth[number if positive else rng.integers(len(self._truth))].tolist()
        if not positive:
            others = sorted(set(range(self._depths[case])) - self._held[case, finding])
            index = int(rng.choice(others)) if others else index
        return case, finding, index


def pack(pictures: np.ndarray) -> np.ndarray:
    """Return pictures of one byte a pixel compressed, as bytes (N,): a CT takes two fifths, labels next to nothing."""
    return np.frombuffer(zlib.compress(pictures.astype(np.uint8).tobytes(), 1), np.uint8)


def unpack(kept: np.ndarray, side: int) -> np.ndarray:
    """Return what :func:`pack` was given, as (N, side, side)."""
    return np.frombuffer(zlib.decompress(kept.tobytes()), np.uint8).reshape(-1, side, side)
