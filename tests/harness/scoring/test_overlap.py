"""Dice from counts of voxels."""

from __future__ import annotations

import pytest

from harness.scoring.overlap import dice


@pytest.mark.parametrize(
    ("truth", "prediction", "both", "value"),
    [(10, 10, 10, 1.0), (10, 10, 0, 0.0), (30, 10, 10, 0.5), (0, 5, 0, 0.0), (0, 0, 0, 1.0)],
)
def test_known_answers(truth: int, prediction: int, both: int, value: float) -> None:
    """Equal, apart, half inside, and the two declared cases of empty masks."""
    assert dice(truth, prediction, both) == value


def test_smoothing_is_the_organisers_term() -> None:
    """``(2 I + s) / (A + B + s)`` by hand."""
    assert dice(3, 1, 1, smoothing=1e-6) == (2 + 1e-6) / (4 + 1e-6)
