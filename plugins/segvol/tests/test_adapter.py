"""SegVol's adapter with the network replaced at its own interface: sides, grids, prompts, and what is announced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


class Bright:
    """Replaces the network: finds bright voxels on the side that the text names, or in the box."""

    max_tokens = 77

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def count_tokens(self, text: str) -> int:
        return 2 + len(f"A computerized tomography of a {text}.".split())

    def encode_image(self, image: Any) -> Any:
        return image

    def segment(self, image: Any, text: str | None, box: list[int] | None) -> Any:
        self.asked.append((text, box))
        keep = np.zeros(image.shape, dtype=bool)
        if box is not None:
            d0, h0, w0, d1, h1, w1 = box
            keep[d0 : d1 + 1, h0 : h1 + 1, w0 : w1 + 1] = True
        else:
            # Columns run to the patient's right, slices to the head.
            half = image.shape[2] // 2
            keep[..., half:] = text is not None and "right" in text
            keep[..., :half] = text is not None and "left" in text
        return np.where(keep & (image > 0.5), 1.0, -1.0)


@pytest.fixture
def ready(load_plugin: Any) -> Callable[[str], Any]:
    """Give an adapter that is loaded but for its network."""
    module = load_plugin(ROOT)

    def make(prompt: str) -> Any:
        model = module.SegVol()
        model.network, model.size = Bright(), (48, 96, 96)
        model.params = {"prompt": prompt, "threshold": 0.5}
        return model

    return make


def test_a_side_is_the_patients_side_on_every_grid(ready: Any, drawn: Any, overlap: Any) -> None:
    """Right is right and the mask lies on the ball, however the CT is stored."""
    masks = dict(ready("text").predict(drawn.case("mass in the right lung", "mass in the left lung")))
    assert masks["0"].shape == drawn.hu.shape
    assert overlap(masks["0"], drawn.right) > 0.8
    assert overlap(masks["1"], drawn.left) > 0.7
    assert not masks["0"][drawn.left].any()


def test_a_box_lies_where_it_was_drawn_on_every_grid(ready: Any, drawn: Any, overlap: Any) -> None:
    """Each entity's box finds its own ball; together they are the finding."""
    places = [np.argwhere(ball) for ball in (drawn.right, drawn.left)]
    boxes = [[*place.min(0).tolist(), *(place.max(0) + 1).tolist()] for place in places]
    model = ready("box")
    masks = dict(model.predict(drawn.case("two masses", boxes=boxes)))
    assert overlap(masks["0"], drawn.right | drawn.left) > 0.75
    assert [text for text, _ in model.network.asked] == [None, None]


def test_a_text_beyond_clip_is_cut_and_announced(ready: Any, upright: Any) -> None:
    """SegVol's tokenizer would raise; the words that were not read are said."""
    case = upright.case("nodule. ", "word " * 80 + "end.")
    model = ready("text")
    list(model.predict(case))
    first, second = (text for text, _ in model.network.asked)
    assert first == "nodule"
    assert len(second.split()) == 77 - 2 - 5  # the last word of the template is the finding's
    (said,) = case.warnings
    assert "77 tokens" in said
    assert said.endswith("end'")


def test_a_finding_without_boxes_is_an_empty_mask(ready: Any, upright: Any) -> None:
    """Nothing was pointed at, so nothing is found."""
    ((_, mask),) = ready("box").predict(upright.case("nothing", boxes=[]))
    assert not mask.any()


@pytest.mark.parametrize("resize", ["area", "nearest"])
def test_what_is_trained_on(ready: Any, upright: Any, resize: str) -> None:
    """By area labels are shares and keep their volume; nearest samples are hard and packed. Both reach the loss."""
    from groundbench_sdk.volume_models import Scan

    model = ready("text")
    model.params |= {"resize": resize, "jitter_chance": 0.0, "jitter": 0.1}
    case = upright.case("mass in the right lung")
    image, onto_grid = model.view(Scan(case.volume(np.float32).transpose(2, 1, 0), (1.0, 1.0, 1.0)))
    mask = onto_grid(upright.right.transpose(2, 1, 0))
    soft = resize == "area"
    assert image.shape == mask.shape == model.size
    assert set(np.unique(mask)) <= {0, 1} if not soft else ((mask > 0) & (mask < 1)).any()
    kept = mask.astype(np.float16)[None] if soft else np.packbits(mask, axis=-1)[None]
    _, text, label = model.sample(image, kept, ["mass"], np.random.default_rng(0))
    assert text == "mass"
    np.testing.assert_allclose(label[0], mask, atol=1e-3)
