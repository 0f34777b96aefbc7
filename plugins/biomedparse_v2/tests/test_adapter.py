"""BiomedParse v2's adapter with the network replaced at its own interface: sides, grids, slices, texts, the gate."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from groundbench_sdk.grids import reorient_to
from groundbench_sdk.slice_models import unpack

ROOT = Path(__file__).resolve().parents[1]


class Bright:
    """Replaces the network: certain of bright pixels on the side that a text names; columns run to the left."""

    max_tokens = 77

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.asked: list[tuple[str, int]] = []
        self.exists = 0.9

    def count_tokens(self, text: str) -> int:
        return 2 + len(text.split())

    def encode_text(self, text: str) -> str:
        return text

    def encode_image(self, pictures: Any) -> Any:
        assert pictures.dtype == np.uint8
        self.seen.append(len(pictures))
        return pictures

    def segment(self, pictures: Any, text: str, seed: int) -> Any:
        self.asked.append((text, seed))
        left = np.arange(pictures.shape[-1]) >= pictures.shape[-1] // 2
        probability = (pictures[:, 0] > 95) & (left == ("left" in text))
        return probability.astype(np.float32), np.full(len(pictures), self.exists)


@pytest.fixture
def model(load_plugin: Any) -> Any:
    """Give an adapter that is loaded but for its network."""
    adapter = load_plugin(ROOT).BiomedParseV2()
    adapter.network, adapter.threshold = Bright(), 0.5
    params = {"image_size": 512, "window_low": -1000, "window_high": 1000, "existence": 0.5, "slices_at_once": 8}
    adapter.job, adapter.params = SimpleNamespace(seed=7, verb="predict", threads=2), params
    return adapter


def test_a_side_is_the_patients_side_on_every_grid(model: Any, drawn: Any, overlap: Any) -> None:
    """Right is right and the mask lies on the ball, however the CT is stored."""
    masks = dict(model.predict(drawn.case("mass in the right lung", "mass in the left lung")))
    assert masks["0"].shape == drawn.hu.shape
    assert overlap(masks["0"], drawn.right) > 0.95
    assert overlap(masks["1"], drawn.left) > 0.95
    assert not masks["0"][drawn.left].any()


def test_slices_are_seen_once_for_all_findings(model: Any, upright: Any) -> None:
    """All of them, a few at once; the lot is drawn anew for each few, and alike for every finding."""
    list(model.predict(upright.case("right lung", "left lung")))
    assert model.network.seen == [8, 8, 8, 8, 8, 7]
    assert model.network.asked[:4] == [("right lung", 7), ("left lung", 7), ("right lung", 15), ("left lung", 15)]
    assert len(model.network.asked) == 12


def test_findings_do_not_know_of_each_other(model: Any, upright: Any) -> None:
    """Two findings at one place both keep it, and neither changes with its company."""
    together = dict(model.predict(upright.case("right lung", "right lung, again")))
    ((_, alone),) = model.predict(upright.case("right lung"))
    np.testing.assert_array_equal(together["0"], alone)
    np.testing.assert_array_equal(together["1"], alone)
    assert alone.any()


@pytest.mark.parametrize(("existence", "found"), [(0.5, True), (0.9, True), (0.91, False), (0.0, True)])
def test_a_slice_counts_where_the_finding_is_said_to_be(
    model: Any, upright: Any, existence: float, found: bool
) -> None:
    """The model's own answer to whether it is there at all; 0 takes every slice."""
    model.params["existence"] = existence
    ((_, mask),) = model.predict(upright.case("right lung"))
    assert mask.any() == found


def test_a_single_slice_is_its_own_neighbour(model: Any, upright: Any) -> None:
    """A volume of one slice is a volume."""
    upright.hu = middle = upright.hu[:, :, 33:34]
    case = upright.case("right lung")
    ((_, mask),) = model.predict(case)
    assert mask.shape == middle.shape
    assert mask.any()


def test_a_text_beyond_the_encoder_is_cut_and_announced(model: Any, upright: Any) -> None:
    """Upstream cuts at 77 tokens without a warning."""
    case = upright.case("word " * 80, "right\nlung")
    list(model.predict(case))
    assert [len(text.split()) for text, _ in model.network.asked[:2]] == [75, 2]
    assert model.network.asked[1][0] == "right lung"
    (said,) = case.warnings
    assert "77 tokens" in said


def test_a_case_without_findings_asks_nothing(model: Any, upright: Any) -> None:
    """Without a finding no slice is encoded."""
    assert list(model.predict(upright.case())) == []
    assert model.network.seen == []


def test_a_training_case_is_kept_slice_by_slice(model: Any, drawn: Any) -> None:
    """The picture of a slice and its label lie on each other, on every grid."""
    case = drawn.case("right", "left")
    case.labels = lambda: np.stack([drawn.right * 1, drawn.left * 4]).astype(np.uint8)
    model.params["image_size"] = 256
    depth = reorient_to("LPS", case.affine).values(case.shape)[2]
    arrays = model.training_arrays(case, range(depth))
    bright = np.concatenate([unpack(arrays[f"picture {index}"], 256) > 95 for index in range(depth)])
    labels = np.stack([unpack(arrays[f"masks {index}"], 256) for index in range(depth)]).astype(bool)
    assert labels.shape == (depth, 2, 256, 256)
    either = labels.any(axis=1)
    assert 2 * (either & bright).sum() / (either.sum() + bright.sum()) > 0.95
    where = np.argwhere(labels[:, 0]).mean(axis=0) < np.argwhere(labels[:, 1]).mean(axis=0)
    assert where.tolist() == [False, True, True]  # the right ball lies above, in front, and on the picture's left
