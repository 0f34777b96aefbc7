"""A request knows its parameters and where each value comes from; the origins are no part of what a run is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness import Model, Params, Variant, ours, paper
from harness.dataset import Dataset
from harness.images.build import Image
from harness.registry.discovery import Plugin
from harness.registry.origins import Param
from harness.runs.plan import Plan, RunRequest
from harness.runs.run_weights import RANDOM, Loaded

PARAMS = Params(size=paper(512, "section 4"), batch=ours(4), name="x")


def _request(params: Mapping[str, Param], *, weights: str = "pinned", **changes: Param) -> RunRequest:
    variant = Variant("v", dict(params), reduced={"size": 8}, origins=dict(getattr(params, "origins", {})))
    model = Model("m", "M", "A model.", "1", Path("/"), variants=(variant,))
    dataset = Dataset(Path("/"), Path("/dataset.json"), "d", {})
    return RunRequest(
        Plugin(model, "here"), variant, dataset, "test", "mlhc2025", weights=weights, changes=dict(changes)
    )


def test_a_value_that_was_changed_or_reduced_has_another_origin() -> None:
    """What the declaration says of a value is not said of one that took its place."""
    assert _request(PARAMS).origins == {"size": "paper, section 4", "batch": "ours"}
    changed = _request(PARAMS, weights=RANDOM, batch=2)
    assert changed.params == {"size": 8, "batch": 2, "name": "x"}
    assert changed.origins == {"size": "reduced for random weights", "batch": "changed for this run"}


def test_origins_do_not_change_the_key() -> None:
    """The same values are the same run, whatever is said of where they come from."""
    plan = Plan(_request(PARAMS), (), Image("i"), "f", "local", isolates=False, weights=Loaded("pinned", ()))
    without = replace(plan, request=_request(dict(PARAMS)))
    assert without.request.origins == {}
    assert without.key == plan.key
