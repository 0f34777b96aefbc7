"""VoxTell's adapter with network and language model replaced at their own interfaces: sides, grids, texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


class Words:
    """Replaces the language model: a vector states the side that a text names."""

    max_tokens = 20

    def __init__(self) -> None:
        self.read: list[str] = []
        self.offloaded = 0

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def encode_text(self, text: str) -> Any:
        self.read.append(text)
        return np.array([1.0 if "right" in text else -1.0], dtype=np.float32)

    def offload(self) -> None:
        self.offloaded += 1


class Bright:
    """Replaces the network: finds bright voxels on the side that a vector names; the last axis runs right."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def segment(self, ct: Any, vectors: Any) -> Any:
        self.asked.append(len(vectors))
        side = np.arange(ct.shape[2]) >= ct.shape[2] // 2
        return np.stack([(ct > 100) & (side == (vector[0] > 0)) for vector in vectors]).astype(np.uint8)


@pytest.fixture
def model(load_plugin: Any) -> Any:
    """Give an adapter that is loaded but for its network and its language model."""
    adapter = load_plugin(ROOT).VoxTell()
    adapter.network, adapter.language, adapter.params = Bright(), Words(), {"prompts_at_once": 2}
    return adapter


def test_a_side_is_the_patients_side_on_every_grid(model: Any, drawn: Any) -> None:
    """The mask is the ball on the side of the text, voxel by voxel, however the CT is stored."""
    masks = dict(model.predict(drawn.case("mass in the right lung", "mass in the left lung")))
    np.testing.assert_array_equal(masks["0"], drawn.right)
    np.testing.assert_array_equal(masks["1"], drawn.left)


def test_findings_are_asked_a_few_at_once_and_keep_their_order(model: Any, upright: Any) -> None:
    """All logits of one pass lie on the GPU; what comes back is each finding's own."""
    masks = dict(model.predict(upright.case("right", "left", "right", "left", "left")))
    assert model.network.asked == [2, 2, 1]
    assert list(masks) == ["0", "1", "2", "3", "4"]
    np.testing.assert_array_equal(masks["2"], upright.right)
    np.testing.assert_array_equal(masks["4"], upright.left)
    assert model.language.offloaded == 1


def test_a_text_beyond_the_limit_is_cut_and_announced(model: Any, upright: Any) -> None:
    """Upstream cuts without a warning."""
    case = upright.case("word " * 20 + "end", "right  lung")
    list(model.predict(case))
    assert model.language.read == [" ".join(["word"] * 20), "right lung"]
    (said,) = case.warnings
    assert "20 tokens" in said
    assert said.endswith("'end'")


def test_a_ct_of_zeros_fails_with_a_reason(model: Any, upright: Any) -> None:
    """Upstream crops to what is not 0 and would stop at an empty box."""
    upright.hu[:] = 0
    with pytest.raises(ValueError, match="0 everywhere"):
        list(model.predict(upright.case("right")))
