"""A mask that misses only because it is mirrored gets a hint, and its score stays."""

from __future__ import annotations

import numpy as np
import pytest

from harness.scoring.mirror import mirror_hint
from tests.harness.conftest import bits_of


@pytest.fixture
def truth() -> np.ndarray:
    """A finding in one corner of a volume that is square in plane."""
    mask = np.zeros((40, 40, 6), bool)
    mask[3:9, 20:30, 1:4] = True
    return mask


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda m: m[::-1], "reversed along x"),
        (lambda m: m[::-1, ::-1], "reversed along x and y"),
        (lambda m: m.transpose(1, 0, 2), "transposed in plane"),
    ],
)
def test_the_arrangement_that_would_hit_is_named(truth: np.ndarray, turn: object, words: str) -> None:
    """Left and right, both axes, or the two axes exchanged."""
    assert callable(turn)
    (hint,) = mirror_hint(bits_of(truth), bits_of(np.ascontiguousarray(turn(truth))), 0.0)
    assert hint.level == "warning"
    assert words in hint.message


def test_a_mask_that_hits_or_is_elsewhere_gets_none(truth: np.ndarray) -> None:
    """No hint where the mask is right, and none where no arrangement would help."""
    elsewhere = np.zeros_like(truth)
    elsewhere[15:21, 2:8, 4:6] = True
    assert mirror_hint(bits_of(truth), bits_of(truth), 1.0) == ()
    assert mirror_hint(bits_of(truth), bits_of(elsewhere), 0.0) == ()
