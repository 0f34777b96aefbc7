"""BiomedParse's adapter with the network replaced at its own interface: sides, grids, slices, texts, samples."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
PARAMS = {"window_low": -1000, "window_high": 1000, "stretch": "slice", "slices_at_once": 4, "image_size": 128}


class Bright:
    """Replaces the network: finds soft tissue on the side that the text names."""

    max_tokens = 77

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.asked: list[str] = []

    def count_tokens(self, text: str) -> int:
        return 2 + len(text.split())

    def encode_text(self, text: str) -> str:
        self.asked.append(text)
        return text

    def encode_image(self, pictures: Any) -> Any:
        self.seen.append(pictures[:, 0])
        return pictures[:, 0]

    def segment(self, pictures: Any, text: str) -> Any:
        # A picture as radiologists see it: the patient's right is on its left.
        half = pictures.shape[2] // 2
        keep = np.zeros(pictures.shape, dtype=bool)
        keep[..., :half] = "right" in text
        keep[..., half:] = "left" in text
        return np.where(keep & (pictures > 128) & (pictures < 200), 1.0, -1.0).astype(np.float32)


@pytest.fixture
def model(load_plugin: Any) -> Any:
    """Give an adapter that is loaded but for its network."""
    adapter = load_plugin(ROOT).BiomedParse()
    adapter.network, adapter.params, adapter.threshold = Bright(), PARAMS, 0.0
    adapter.job = SimpleNamespace(verb="predict", threads=2)
    return adapter


@pytest.fixture
def boned(drawn: Any) -> Any:
    """Give the drawn body on one grid after another, with air and bone in every slice, as patients have them."""
    return _with_spine(drawn)


def _with_spine(drawn: Any) -> Any:
    """Draw a thin rod of bone through all slices, along the body's axis, behind both balls."""
    places = np.einsum("ij,j...->i...", drawn.affine[:3, :3], np.indices(drawn.hu.shape).astype(float))
    right, front = (places[axis] + drawn.affine[axis, 3] for axis in (0, 1))
    drawn.hu[right**2 + (front + 48) ** 2 < 5**2] = 1000.0
    return drawn


def test_a_side_is_the_patients_side_on_every_grid(model: Any, boned: Any, overlap: Any) -> None:
    """Right is right and the mask lies on the ball, however the CT is stored, padded and resized."""
    masks = dict(model.predict(boned.case("mass in the right lung", "mass in the left lung")))
    assert masks["0"].shape == boned.hu.shape
    assert overlap(masks["0"], boned.right) > 0.9
    assert overlap(masks["1"], boned.left) > 0.85
    assert not masks["0"][boned.left].any()


def test_front_is_up_and_every_slice_is_seen_once(model: Any, upright: Any) -> None:
    """The right ball lies in front: on the upper left of its slices; two findings share what was seen."""
    list(model.predict(_with_spine(upright).case("right", "left")))
    pictures = np.concatenate(model.network.seen)
    assert pictures.shape == (upright.hu.shape[2], 128, 128)
    assert pictures.dtype == np.uint8
    assert max(len(batch) for batch in model.network.seen) == 4
    middle = int(np.argwhere(upright.right)[:, 2].mean())
    rows, columns = np.nonzero((pictures[middle] > 128) & (pictures[middle] < 200))
    assert rows.mean() < 64
    assert columns.mean() < 64


def test_texts_are_asked_one_by_one_and_cut_with_a_word(model: Any, upright: Any) -> None:
    """Upstream cuts at 77 tokens without a warning, and lets the texts of one call see each other."""
    case = upright.case("word " * 80, "small\nnodule")
    list(model.predict(case))
    first, second = model.network.asked
    assert len(first.split()) == 75
    assert second == "small nodule"
    (said,) = case.warnings
    assert "77 tokens" in said


def test_a_case_without_findings_asks_nothing(model: Any, upright: Any) -> None:
    """No mask is asked for and none is made; not a slice is looked at."""
    assert list(model.predict(upright.case())) == []
    assert model.network.seen == []


def test_a_sample_is_the_picture_that_predicting_sees(model: Any, boned: Any, overlap: Any, tmp_path: Path) -> None:
    """Pictures and masks of training lie on each other, and are those of the same slices in predicting."""
    case = boned.case("right", "left")
    case.labels = lambda: np.stack([boned.right, boned.left]).astype(np.uint8) * 2
    from groundbench_sdk.slice_models import unpack
    from groundbench_sdk.slices import slices_with_truth

    listed = slices_with_truth([case], "LPS", tmp_path)[:, 1:]
    arrays = model.training_arrays(case, sorted(set(listed[:, 1].tolist())))
    list(model.predict(case))
    pictures = np.concatenate(model.network.seen)
    for finding, place in listed.tolist():
        (shown,) = unpack(arrays[f"picture {place}"], 128)
        np.testing.assert_array_equal(shown, pictures[place])
        held = unpack(arrays[f"masks {place}"], 128)[finding].astype(bool)
        assert held.any()
        if held.sum() > 50:
            (found,) = model.network.segment(shown[None], ("right", "left")[finding])
            assert overlap(held, found > 0) > 0.9
