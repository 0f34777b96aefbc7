"""Slices as square pictures and back, and the slices to train on: all with truth, and some without."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from groundbench_sdk.records import Rejected
from groundbench_sdk.slices import SliceSamples, Square, slices_with_truth
from hypothesis import given
from hypothesis import strategies as st

#: Two cases: finding 0 of case 0 in slices 3 and 4 of 10, its finding 1 in slice 3; case 1 full of its only finding.
TRUTH = np.array([[0, 0, 3], [0, 0, 4], [0, 1, 3], [1, 0, 0], [1, 0, 1]], np.int32)
DEPTHS = (10, 2)


@given(st.integers(1, 40), st.integers(1, 40))
def test_padding_alone_is_undone_exactly(rows: int, columns: int) -> None:
    """Where nothing is resized every pixel comes back, odd differences included, and the padding is equal."""
    image = np.random.default_rng(0).normal(5, 1, (rows, columns)).astype(np.float32)
    square = Square(rows, columns, max(rows, columns))
    picture = square.fit(image)
    assert picture.shape == (square.size, square.size)
    np.testing.assert_array_equal(square.restore(picture), image)
    for axis, length in enumerate((rows, columns)):
        held = np.flatnonzero(picture.any(axis=1 - axis))
        before, after = int(held[0]), square.size - 1 - int(held[-1])
        assert after - before == (square.size - length) % 2


@pytest.mark.parametrize(("shape", "size"), [((37, 52), 128), ((300, 211), 64), ((50, 50), 51), ((512, 512), 128)])
def test_a_place_stays_the_same_place(shape: tuple[int, int], size: int) -> None:
    """The centre of a disc lies in the picture where arithmetic says, and comes back to where it was."""
    rows, columns = np.indices(shape)
    centre, radius = (shape[0] * 0.3, shape[1] * 0.6), 0.15 * max(shape)
    disc = ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2).astype(np.float32)
    square = Square(*shape, size)
    picture = square.fit(disc)
    found = _centre(picture)
    for at, length, seen in zip(_centre(disc), shape, found, strict=True):
        expected = (at + (square.side - length) // 2 + 0.5) * size / square.side - 0.5
        assert seen == pytest.approx(expected, abs=0.02 * size / square.side + 0.05)
    back = square.restore(picture)
    assert back.shape == shape
    assert _centre(back) == pytest.approx(_centre(disc), abs=0.05 * square.side / size + 0.05)


def test_the_way_back_is_linear() -> None:
    """A ramp comes back as a ramp, but for the ends, where there is nothing to go on to."""
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32), (8, 8))
    back = Square(16, 16, 8).restore(ramp)
    np.testing.assert_allclose(back[3, 1:-1], (np.arange(1, 15) + 0.5) / 2 - 0.5)


@pytest.mark.parametrize("size", [16, 40, 64])
def test_no_mask_vanishes(size: int) -> None:
    """A single pixel is marked however small the picture, where it lies, and nothing is nothing."""
    mask = np.zeros((64, 50), np.int16)
    square = Square(64, 50, size)
    assert not square.mark(mask).any()
    mask[30, 40] = 3
    marked = np.argwhere(square.mark(mask))
    assert 1 <= len(marked) <= 4
    expected = (np.array([30, 40 + 7]) + 0.5) * size / 64 - 0.5
    np.testing.assert_allclose(marked.mean(0), expected, atol=1)


def test_a_mask_of_the_pictures_size_is_marked_exactly() -> None:
    """Entities of any number count alike."""
    labels = np.random.default_rng(0).integers(0, 3, (40, 40))
    np.testing.assert_array_equal(Square(40, 40, 40).mark(labels), labels > 0)


class Case:
    """A training case that counts how often its masks are read."""

    def __init__(self, name: str, affine: np.ndarray, labels: np.ndarray) -> None:
        self.id, self.affine, self.reads, self._labels = name, affine, 0, labels

    def labels(self) -> np.ndarray:
        self.reads += 1
        return self._labels


def _cases(*affines: np.ndarray) -> Any:
    rng = np.random.default_rng(1)
    return [
        Case(str(number), affine, (rng.random((1 + number, 5, 6, 7)) < 0.02).astype(np.uint8) * 3)
        for number, affine in enumerate(affines)
    ]


AFFINES = (np.diag([1.0, 1, 1, 1]), np.diag([-1.0, -1, -2, 1]), np.eye(4)[[2, 0, 1, 3]] * [1, -1, 1, 1])


def test_slices_are_those_of_the_turned_masks(tmp_path: Path) -> None:
    """An independent rule: turn every mask, look at every slice; cases, findings and slices are in order."""
    from groundbench_sdk.grids import reorient_to

    cases = _cases(*AFFINES)
    expected = []
    for number, case in enumerate(cases):
        reorientation = reorient_to("LPS", case.affine)
        for finding, mask in enumerate(case.labels()):
            turned = reorientation.apply(mask)
            expected += [[number, finding, k] for k in range(turned.shape[2]) if turned[:, :, k].any()]
    found = slices_with_truth(cases, "LPS", tmp_path)
    assert found.tolist() == expected
    assert found.dtype == np.int32


def test_masks_are_read_once(tmp_path: Path) -> None:
    """A second process, or one that goes on after an interruption, reads none; threads change nothing."""
    cases = _cases(*AFFINES)
    first = slices_with_truth(cases, "LPS", tmp_path)
    again = slices_with_truth(cases, "LPS", tmp_path, rank=1, world_size=2, threads=3)
    np.testing.assert_array_equal(first, again)
    assert [case.reads for case in cases] == [1, 1, 1]
    slices_with_truth(cases, "SAR", tmp_path)
    assert [case.reads for case in cases] == [2, 2, 2]


def test_masks_that_cannot_be_read_are_left_out_if_they_are_few(tmp_path: Path) -> None:
    """One of fifty, with a warning; not one of three."""

    def unreadable() -> np.ndarray:
        raise Rejected("case b: its masks cannot be read")

    told: list[str] = []
    blank: Any = SimpleNamespace(id="a", affine=np.eye(4), labels=lambda: np.ones((1, 2, 2, 2), np.uint8))
    bad: Any = SimpleNamespace(id="b", affine=np.eye(4), labels=unreadable, warn=told.append)
    found = slices_with_truth([bad, *[blank] * 49], "LPS", tmp_path)
    assert sorted(set(found[:, 0].tolist())) == list(range(1, 50))
    assert told == ["left out: case b: its masks cannot be read"]
    with pytest.raises(Rejected, match="case b"):
        slices_with_truth([bad, blank, blank], "LPS", tmp_path)


def test_nothing_to_learn_is_an_empty_list(tmp_path: Path) -> None:
    """Neither a case without voxels nor no case at all is an error here."""
    blank: Any = SimpleNamespace(id="a", affine=np.eye(4), labels=lambda: np.zeros((2, 4, 4, 4), np.uint8))
    for cases in ([blank], []):
        assert slices_with_truth(cases, "LPS", tmp_path).shape == (0, 3)


def _centre(picture: np.ndarray) -> tuple[float, float]:
    places = np.indices(picture.shape)
    return tuple(float((place * picture).sum() / picture.sum()) for place in places)  # type: ignore[return-value]


def picked(negatives: float, seed: int = 0) -> list[tuple[int, int, int]]:
    """Return the samples of one epoch."""
    samples = SliceSamples(TRUTH, DEPTHS, negatives)
    return [samples.pick(number, np.random.default_rng([seed, number])) for number in range(len(samples))]


def test_one_epoch_has_every_slice_with_truth_once() -> None:
    """Negatives come on top, so that an epoch keeps its meaning."""
    assert picked(0) == [tuple(row) for row in TRUTH.tolist()]
    assert picked(0.5)[: len(TRUTH)] == picked(0)


@pytest.mark.parametrize(("negatives", "length"), [(0.0, 5), (0.15, 6), (0.5, 10), (0.9, 50)])
def test_negatives_are_a_fraction_of_all_samples(negatives: float, length: int) -> None:
    """To the nearest whole number."""
    assert len(SliceSamples(TRUTH, DEPTHS, negatives)) == length


def test_a_negative_slice_never_holds_its_finding() -> None:
    """Another finding's slice may be drawn; a case that is full of its finding gives a slice with truth instead."""
    with_truth = {tuple(row) for row in TRUTH.tolist()}
    drawn = picked(0.95)[len(TRUTH) :]
    assert all(0 <= index < DEPTHS[case] for case, _, index in drawn)
    assert all(case == 1 for case, finding, index in drawn if (case, finding, index) in with_truth)
    assert {(0, 1, 4), (0, 0, 9)} <= set(drawn)


def test_the_same_random_numbers_pick_the_same_slices() -> None:
    """A resumed training uses the samples that would have come next."""
    assert picked(0.5, seed=3) == picked(0.5, seed=3)
    assert picked(0.9, seed=3) != picked(0.9, seed=4)


@pytest.mark.parametrize("negatives", [-0.1, 1.0, 1.5, float("nan")])
def test_a_fraction_outside_its_range_is_refused(negatives: float) -> None:
    """The message names the parameter."""
    with pytest.raises(Rejected, match="negatives"):
        SliceSamples(TRUTH, DEPTHS, negatives)


def test_without_truth_there_is_nothing_to_train_on() -> None:
    """The loop reports it; nothing can be drawn here."""
    assert len(SliceSamples(np.empty((0, 3), np.int32), (), 0.5)) == 0
