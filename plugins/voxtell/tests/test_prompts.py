"""VoxTell's training prompts: two that the patch holds and one that it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.random import default_rng

VECTORS = [np.full(4, number, np.float32) for number in range(6)]


@pytest.fixture
def draw(load_plugin: Any) -> Any:
    """Return the function."""
    import sys

    load_plugin(Path(__file__).resolve().parents[1])
    return sys.modules["prompts"].draw


def _masks(*held: bool) -> Any:
    masks = np.zeros((len(held), 6, 4, 4), np.uint8)
    for number, here in enumerate(held):
        masks[number, number, 0, 0] = here
    return masks


def _numbers(found: Any) -> list[int]:
    return [int(vector[0]) for vector in found]


def test_two_present_and_one_absent_of_the_case(draw: Any) -> None:
    """Each vector comes with its own mask, the absent one with an empty mask; all findings are drawn in turn."""
    masks, seen = _masks(True, False, True, True, False), set()
    for seed in range(60):
        vectors, shown = draw(masks, VECTORS[:5], VECTORS, (2, 1), default_rng(seed))
        first, second, third = _numbers(vectors)
        assert first != second
        assert {first, second} < {0, 2, 3}
        assert third in (1, 4)
        np.testing.assert_array_equal(shown[:2], masks[[first, second]])
        assert not shown[2].any()
        seen |= {first, second, third}
    assert seen == {0, 1, 2, 3, 4}


def test_without_another_finding_the_absent_text_is_another_cases(draw: Any) -> None:
    """One that the case does not say itself; a single present finding is asked twice."""
    for seed in range(30):
        vectors, shown = draw(_masks(True), VECTORS[:1], VECTORS, (2, 1), default_rng(seed))
        first, second, third = _numbers(vectors)
        assert (first, second) == (0, 0)
        assert third != 0
        assert shown[0].any()
        assert not shown[2].any()


def test_an_empty_patch_asks_for_absent_texts_only(draw: Any) -> None:
    """As many as ever, so that patches can be stacked; also where all cases say the same."""
    vectors, shown = draw(_masks(False, False), VECTORS[:2], VECTORS, (2, 1), default_rng(0))
    assert len(vectors) == 3
    assert set(_numbers(vectors)[:2]) == {0, 1}
    assert not shown.any()
    vectors, _ = draw(_masks(True), VECTORS[:1], VECTORS[:1] * 3, (2, 1), default_rng(0))
    assert _numbers(vectors) == [0, 0, 0]
