"""SAT's adapter with the network replaced at its own interface: sides, grids, texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


class Bright:
    """Replaces the network: certain of bright voxels on the side that a text names; the first axis runs right."""

    max_tokens = 256

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def count_tokens(self, text: str) -> int:
        return 2 + len(text.split())

    def segment(self, image: Any, texts: list[str], size: Any) -> Any:
        self.asked.append((texts, size))
        # The crop begins and ends with the balls, whose middle lies left of the body's: 2.5 mm, one voxel or so.
        right = np.arange(image.shape[0])[:, None, None] >= image.shape[0] // 2
        bright = image > image.min() + 0.5 * (image.max() - image.min())
        return np.stack([(bright & (right == ("right" in text))).astype(np.float32) for text in texts])


@pytest.fixture
def model(load_plugin: Any) -> Any:
    """Give an adapter that is loaded but for its network."""
    adapter = load_plugin(ROOT).SAT()
    adapter.network, adapter.window = Bright(), (288, 288, 96)
    adapter.params = {"voxel": 1.0, "window_low": -500, "window_high": 1000, "threshold": 0.5}
    return adapter


def test_a_side_is_the_patients_side_on_every_grid(model: Any, drawn: Any, overlap: Any) -> None:
    """Right is right and the mask lies on the ball, however the CT is stored and resampled."""
    masks = dict(model.predict(drawn.case("mass in the right lung", "mass in the left lung")))
    assert masks["0"].shape == drawn.hu.shape
    assert overlap(masks["0"], drawn.right) > 0.85
    assert overlap(masks["1"], drawn.left) > 0.75
    assert not masks["0"][drawn.left].any()


def test_a_text_beyond_the_encoder_is_cut_and_announced(model: Any, upright: Any) -> None:
    """Upstream cuts at 256 tokens without a warning."""
    case = upright.case("word " * 260, "right lung")
    list(model.predict(case))
    ((texts, size),) = model.network.asked
    assert [len(text.split()) for text in texts] == [254, 2]
    assert size == (288, 288, 96)
    assert len(case.warnings) == 1
    assert "256 tokens" in case.warnings[0]


def test_a_case_without_findings_asks_nothing(model: Any, upright: Any) -> None:
    """There is nothing to stack."""
    assert list(model.predict(upright.case())) == []
    assert model.network.asked == []
