"""nnInteractive's adapter with upstream's session replaced at its own interface: axes, the box's slice, entities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import Prompt
from harness.registry.discovery import Registry
from plugins import nninteractive

ROOT = Path(__file__).resolve().parents[1]


class Bright:
    """Replaces the session: in every slice, the bright voxels inside the rectangle of the last box."""

    def __init__(self) -> None:
        self.boxes: list[Any] = []
        self.images = 0

    def set_image(self, image: Any) -> None:
        self.image = image[0]
        self.images += 1

    def set_target_buffer(self, buffer: Any) -> None:
        self.buffer = buffer

    def reset_interactions(self) -> None:
        self.buffer[:] = 0

    def add_bbox_interaction(self, box: Any, *, include_interaction: bool) -> None:
        assert include_interaction
        self.boxes.append(box)
        (low, high), *inside = box
        assert high == low + 1
        rectangle = (slice(None), *(slice(*ends) for ends in inside))
        self.buffer[rectangle] = self.image[rectangle] > 100
        self.drawn = np.random.random()  # noqa: NPY002 - as upstream


@pytest.fixture
def model(load_plugin: Any) -> Any:
    """Give an adapter that is loaded but for its session."""
    adapter = load_plugin(ROOT).NnInteractive()
    adapter.session, adapter.seed = Bright(), 3
    return adapter


def _box(mask: Any) -> list[int]:
    where = np.argwhere(mask)
    return [*where.min(axis=0).tolist(), *(where.max(axis=0) + 1).tolist()]


def test_an_entity_is_found_where_its_box_is_on_every_grid(model: Any, drawn: Any) -> None:
    """The mask is the ball in the box, voxel by voxel, however the CT is stored; one CT is set once."""
    masks = dict(model.predict(drawn.case("right", "the same", boxes=[_box(drawn.right)])))
    np.testing.assert_array_equal(masks["0"], drawn.right)
    np.testing.assert_array_equal(masks["1"], drawn.right)
    assert model.session.images == 1


def test_the_box_lies_on_the_middle_slice_along_the_body(model: Any, upright: Any) -> None:
    """In the order S, A, R, ends excluded; of two middle slices the lower."""
    dict(model.predict(upright.case("right", boxes=[[40, 20, 10, 50, 33, 14]])))
    assert model.session.boxes == [[[11, 12], [20, 33], [40, 50]]]


def test_entities_are_asked_one_by_one_and_united(model: Any, upright: Any) -> None:
    """Each is a new interaction, and what upstream draws is the same for each, in whatever order they come."""
    boxes = [_box(upright.right), _box(upright.left)]
    both = dict(model.predict(upright.case("two", boxes=boxes)))["0"]
    np.testing.assert_array_equal(both, upright.right | upright.left)
    last = model.session.drawn
    dict(model.predict(upright.case("one", boxes=boxes[:1])))
    assert model.session.drawn == last


def test_a_finding_without_an_entity_is_empty(model: Any, upright: Any) -> None:
    """It has no box, and upstream is not asked."""
    assert not dict(model.predict(upright.case("nothing", boxes=[])))["0"].any()
    assert not model.session.boxes


def test_a_ct_of_one_value_is_refused(model: Any, upright: Any) -> None:
    """Upstream divides by its deviation: every voxel would be undefined."""
    upright.hu[:] = -1024
    with pytest.raises(ValueError, match="the same value everywhere"):
        dict(model.predict(upright.case("nothing", boxes=[])))


def test_it_is_prompted_with_boxes_and_declares_what_it_has_seen() -> None:
    """No window and no resampling: the CT's values reach upstream; files have names of their own."""
    registry = Registry()
    registry.add("nninteractive", "here", nninteractive)
    (variant,) = registry.get("nninteractive").model.variants
    assert variant.prompt is Prompt.BOX
    assert variant.exposure.value == "none"
    assert not {"window_low", "window_high", "spacing"} & variant.params.keys()
    assert all(name.startswith("nninteractive--") for name in variant.weights)
