"""An adapter is tested through the files of the contract, on a CT whose nodule is known."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def testing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the module as a plugin's test does."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "containers" / "sdk"))
    return importlib.import_module("groundbench_sdk.testing")


def _adapter(predict: Any) -> Any:
    from groundbench_sdk import Adapter

    return type("Mine", (Adapter,), {"predict": predict})


def test_masks_come_back_in_the_order_of_the_texts(testing: ModuleType) -> None:
    """Whatever the order in which they are yielded; case and parameters are those that were given."""
    ct = testing.thorax((20, 16, 12), (3.0, 4.0, 5.0))
    seen = []

    def predict(self: Any, case: Any) -> Any:
        seen.append((case.spacing, case.shape, [(f.text, f.boxes) for f in case.findings], case.affine[0, 0]))
        np.testing.assert_array_equal(case.volume(), ct.volume)
        yield "1", np.ones(case.shape, dtype=bool)
        yield "0", case.volume() > 1000

    none, everything = testing.predict(
        _adapter(predict), ct.volume, ["a", "b"], spacing=ct.spacing, boxes=[[ct.box], [ct.box, ct.box]]
    )
    assert seen == [((3.0, 4.0, 5.0), (20, 16, 12), [("a", [ct.box]), ("b", [ct.box, ct.box])], -3.0)]
    assert everything.all()
    assert not none.any()


def test_a_failed_case_and_a_lacking_mask_are_said(testing: ModuleType) -> None:
    """As failures of the test, with the adapter's own words."""

    def fails(self: Any, case: Any) -> Any:
        raise ValueError("no lungs")
        yield

    with pytest.raises(AssertionError, match="ValueError: no lungs"):
        testing.predict(_adapter(fails), testing.thorax((8, 8, 8)).volume, ["a"])
    with pytest.raises(AssertionError, match="no mask for finding 0"):
        testing.predict(_adapter(lambda *_: iter(())), testing.thorax((8, 8, 8)).volume, ["a"])


def test_the_drawn_ct(testing: ModuleType) -> None:
    """The same twice; air around a body with two lungs, and a dense nodule in the right one, within its box."""
    ct, again = testing.thorax(), testing.thorax()
    np.testing.assert_array_equal(ct.volume, again.volume)
    assert ct.volume.dtype == np.int16
    middle = ct.volume[:, ct.volume.shape[1] // 2, ct.volume.shape[2] // 2].astype(int)
    assert middle[0] < -900
    assert middle[ct.volume.shape[0] // 2] > 0
    x0, y0, z0, x1, y1, z1 = ct.box
    assert x1 <= ct.volume.shape[0] // 2
    inside = np.zeros_like(ct.nodule)
    inside[x0:x1, y0:y1, z0:z1] = True
    assert not (ct.nodule & ~inside).any()
    assert abs(float(ct.volume[ct.nodule].mean()) - 30) < 2
    assert ct.nodule.sum() > 50
