"""The base of 2-D models: slices in batches, masks back on the CT, and samples that show what predicting shows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from groundbench_sdk.records import Rejected
from groundbench_sdk.slice_models import SliceModel, pack, unpack

PARAMS = {"image_size": 32, "slices_at_once": 2, "cache_mb": 16, "threshold": 0.5}


class Network:
    """Finds the grey value that a text names, in the first channel of a slice."""

    max_tokens = 9
    parameters = list  # none

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def encode_text(self, text: str) -> int:
        return int(text)

    def encode_image(self, pictures: np.ndarray) -> np.ndarray:
        self.batches.append(pictures)
        return pictures


class Toy(SliceModel):
    """Shows a slice as it is, with the slice above."""

    def picture(self, hu: np.ndarray, square: Any) -> np.ndarray:
        return square.fit(hu).astype(np.uint8)

    def neighbours(self, index: int, depth: int) -> tuple[int, ...]:
        return index, min(index + 1, depth - 1)

    def segment(self, features: np.ndarray, text: int, first: int) -> np.ndarray:
        return (features[:, 0] == text).astype(np.float32)


@pytest.fixture
def model() -> Any:
    """Return a loaded toy."""
    toy: Any = Toy()
    toy.network, toy.params, toy.threshold = Network(), dict(PARAMS), 0.5
    toy.job = SimpleNamespace(threads=1)
    return toy


def _case(toys: Any) -> Any:
    """Return a CT whose grey value is 50 plus the slice; findings name slices 1, and 3 and 4."""
    ct = np.zeros((32, 32, 5), np.int16) + 50 + np.arange(5, dtype=np.int16)
    labels = np.zeros((2, 32, 32, 5), np.uint8)
    labels[0, 4:20, 3:9, 1] = 1
    labels[1, :, :, 3:] = 7
    return toys.case("a", ct, "51", "54", labels=labels)


def test_masks_come_back_on_the_stored_grid(toys: Any, model: Any) -> None:
    """However the CT is stored; each finding by itself."""
    masks = dict(model.predict(_case(toys)))
    for finding, index in (("0", 1), ("1", 4)):
        expected = np.zeros((32, 32, 5), bool)
        expected[:, :, index] = True
        np.testing.assert_array_equal(masks[finding], toys.stored(expected))


def test_every_slice_is_encoded_once_with_its_neighbours(toys: Any, model: Any) -> None:
    """In batches, counted from the feet; the channels are the slices that `neighbours` names."""
    list(model.predict(_case(toys)))
    assert [batch.shape for batch in model.network.batches] == [(2, 2, 32, 32), (2, 2, 32, 32), (1, 2, 32, 32)]
    shown = np.concatenate(model.network.batches)[:, :, 0, 0]
    assert shown.tolist() == [[50, 51], [51, 52], [52, 53], [53, 54], [54, 54]]


def test_a_case_without_findings_is_not_encoded(toys: Any, model: Any) -> None:
    """There is nothing to segment."""
    assert list(model.predict(toys.case("a", np.zeros((4, 4, 4), np.int16)))) == []
    assert model.network.batches == []


@pytest.mark.parametrize("negatives", [0.0, 0.5])
def test_a_sample_is_a_slice_and_its_mask(toys: Any, model: Any, negatives: float, tmp_path: Path) -> None:
    """Every pair of finding and slice with truth; with negatives as many without, whose masks are empty."""
    if negatives:
        model.params["negatives"] = negatives
    case = _case(toys)
    count, sample = model.samples([case], SimpleNamespace(state=tmp_path, rank=0, world_size=1))
    assert count == (6 if negatives else 3)
    truth = [(1, "51", True), (3, "54", True), (4, "54", True)]
    for number in range(count):
        pictures, text, mask = sample(number, np.random.default_rng(number))
        assert pictures.shape == (2, 32, 32)
        index = int(pictures[0, 0, 0]) - 50
        assert pictures[1, 0, 0] == 50 + min(index + 1, 4)
        assert ((index, text, True) in truth) == mask.any()
        assert bool(mask.any()) == (number < 3)
    mask = sample(0, np.random.default_rng(0))[2]
    # Rows run to the back and columns to the left: both against the axes of the labels.
    assert np.argwhere(mask).min(0).tolist() == [32 - 9, 32 - 20]


def test_a_side_that_cannot_be_halved_five_times_is_refused() -> None:
    """The masks would have another size than the pictures."""
    for size in (0, 16, 500, -32):
        with pytest.raises(Rejected, match="multiple of 32"):
            Toy().load(SimpleNamespace(params={**PARAMS, "image_size": size}))  # type: ignore[arg-type]


def test_packed_pictures_are_unpacked_unchanged() -> None:
    """Any grey value of any picture; empty masks take almost no bytes."""
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32), np.uint8)
    np.testing.assert_array_equal(unpack(pack(pictures), 32), pictures)
    assert len(pack(np.zeros((5, 64, 64), bool))) < 200
