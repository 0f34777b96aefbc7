"""Independent random streams: one for each purpose in each case, so that no draw moves another."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """Purpose of a random stream; the numbers are part of the phantom's definition."""

    PLAN = 1
    PATIENT = 2
    TREES = 3
    FINDING = 4
    NOISE = 5
    WORDING = 6


def stream(seed: int, number: int, purpose: Stream, part: int = 0) -> np.random.Generator:
    """Open the stream of a case (or block of cases) `number` for a purpose; `part` distinguishes findings."""
    return np.random.default_rng(np.random.SeedSequence([seed, number, int(purpose), part]))
