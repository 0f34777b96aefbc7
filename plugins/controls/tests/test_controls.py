"""The controls: what follows from a box alone, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import Prompt
from harness.registry.discovery import Registry
from plugins import controls

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def predict(load_plugin: Any, upright: Any) -> Any:
    """Give a function from a shape and boxes to the mask of one finding; reading the CT fails."""
    module = load_plugin(ROOT)

    def masks(shape: str, *boxes: list[int]) -> Any:
        control = module.Control()
        control.shape = getattr(module, shape)
        case = upright.case("nodule", boxes=list(boxes))
        case.volume = None
        return dict(control.predict(case))["0"]

    return masks


def test_the_box_is_filled_and_nothing_else(predict: Any) -> None:
    """The union of both boxes, ends excluded."""
    mask = predict("box", [1, 2, 3, 4, 4, 5], [3, 2, 3, 5, 4, 5])
    assert mask.sum() == 4 * 2 * 2
    assert mask[1:5, 2:4, 3:5].all()


@pytest.mark.parametrize(("size", "voxels"), [((1, 1, 1), 1), ((2, 2, 2), 8), ((3, 3, 3), 19), ((4, 1, 1), 4)])
def test_small_ellipsoids_by_hand(predict: Any, size: tuple[int, int, int], voxels: int) -> None:
    """A centre is at most 1 away in halves of the box: of 3 x 3 x 3 the eight corners are not."""
    mask = predict("ellipsoid", [5, 6, 7, 5 + size[0], 6 + size[1], 7 + size[2]])
    assert mask.sum() == voxels
    assert mask[5 : 5 + size[0], 6 : 6 + size[1], 7 : 7 + size[2]].sum() == voxels


def test_a_large_ellipsoid_has_its_volume_and_is_the_same_from_both_sides(predict: Any) -> None:
    """Pi / 6 of the box."""
    mask = predict("ellipsoid", [10, 5, 4, 60, 45, 44])
    assert mask.sum() / (50 * 40 * 40) == pytest.approx(np.pi / 6, abs=0.002)
    inside = mask[10:60, 5:45, 4:44]
    for axis in range(3):
        np.testing.assert_array_equal(inside, np.flip(inside, axis))


def test_a_finding_without_an_entity_is_empty(predict: Any) -> None:
    """There is nothing to fill."""
    assert not predict("ellipsoid").any()


def test_both_are_declared_as_prompted_with_boxes() -> None:
    """Two models of one image, without weights and without the truth."""
    registry = Registry()
    registry.add("controls", "here", controls)
    assert sorted(registry.plugins) == ["box", "ellipsoid"]
    for plugin in registry.plugins.values():
        (variant,) = plugin.model.variants
        assert (variant.prompt, variant.exposure.value) == (Prompt.BOX, "none")
        assert not plugin.granted_truth
        assert not plugin.model.weights
