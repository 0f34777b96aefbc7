"""What BiomedParse v2 is trained on: every slice with truth, and as many without as was said."""

from __future__ import annotations

import numpy as np
import pytest
from groundbench_sdk.records import Rejected

from plugins.biomedparse_v2.samples import Samples, pack, unpack

#: Two cases: finding 0 of case 0 in slices 3 and 4 of 10, its finding 1 in slice 3; case 1 full of its only finding.
TRUTH = np.array([[0, 0, 3], [0, 0, 4], [0, 1, 3], [1, 0, 0], [1, 0, 1]], np.int32)
DEPTHS = (10, 2)


def picked(negatives: float, seed: int = 0) -> list[tuple[int, int, int]]:
    """Give one pass."""
    samples = Samples(TRUTH, DEPTHS, negatives)
    return [samples.pick(number, np.random.default_rng([seed, number])) for number in range(len(samples))]


def test_one_pass_has_every_slice_with_truth_once() -> None:
    """Negatives come on top, so that an epoch keeps its meaning."""
    assert picked(0) == [tuple(row) for row in TRUTH.tolist()]
    assert picked(0.5)[: len(TRUTH)] == picked(0)


@pytest.mark.parametrize(("negatives", "length"), [(0.0, 5), (0.15, 6), (0.5, 10), (0.9, 50)])
def test_the_share_is_that_of_all_samples(negatives: float, length: int) -> None:
    """To the nearest whole number."""
    assert len(Samples(TRUTH, DEPTHS, negatives)) == length


def test_a_negative_slice_never_holds_its_finding() -> None:
    """Another finding's slice may be drawn; a case that is full of its finding gives a slice with truth instead."""
    held = {tuple(row) for row in TRUTH.tolist()}
    drawn = picked(0.95)[len(TRUTH) :]
    assert all(0 <= index < DEPTHS[case] for case, _, index in drawn)
    assert all(case == 1 for case, finding, index in drawn if (case, finding, index) in held)
    assert {(0, 1, 4), (0, 0, 9)} <= set(drawn)


def test_the_same_random_numbers_pick_the_same_slices() -> None:
    """A training that goes on sees what would have come next."""
    assert picked(0.5, seed=3) == picked(0.5, seed=3)
    assert picked(0.9, seed=3) != picked(0.9, seed=4)


@pytest.mark.parametrize("negatives", [-0.1, 1.0, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(negatives: float) -> None:
    """One tells nothing to train on, in words."""
    with pytest.raises(Rejected, match="negatives"):
        Samples(TRUTH, DEPTHS, negatives)


def test_without_truth_there_is_nothing_to_train_on() -> None:
    """The loop says so; here nothing is drawn from nothing."""
    assert len(Samples(np.empty((0, 3), np.int32), (), 0.5)) == 0


def test_what_is_packed_comes_back() -> None:
    """Any grey value of any of the pictures."""
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32), np.uint8)
    np.testing.assert_array_equal(unpack(pack(pictures), 32), pictures)
    assert len(pack(np.zeros((5, 64, 64), bool))) < 200
