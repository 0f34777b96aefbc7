"""Where something changed that nobody asked for, a run says which earlier one it cannot continue, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import Model, Variant
from harness.dataset import Dataset
from harness.images.build import Image
from harness.registry.discovery import Plugin
from harness.runs.earlier import why_begun_anew
from harness.runs.plan import Plan, RunRequest
from harness.runs.provenance import open_row
from harness.runs.run_weights import Loaded
from harness.store.database import Store

OLD, NEW = Image("sha256:1111", "groundbench/m:aaaa"), Image("sha256:2222", "groundbench/m:aaaa")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty database."""
    with Store(tmp_path / "results.db") as opened:
        yield opened


def _plan(image: Image, *, isolates: bool = True, **changes: Any) -> Plan:
    variant = Variant("v", {"size": 1})
    model = Model("m", "M", "A model.", "1", Path("/"), variants=(variant,))
    dataset = Dataset(Path("/"), Path("/dataset.json"), "d", {"test": ()})
    request = RunRequest(Plugin(model, "here"), variant, dataset, "test", "mlhc2025", **changes)
    return Plan(request, (), image, "f", "docker" if isolates else "local", isolates=isolates, weights=Loaded())


def _kept(store: Store, plan: Plan, engine: Mapping[str, Any] | None = None) -> str:
    record = {"image": {"tag": plan.image.tag}, "engine": dict(engine or {})}
    row = replace(open_row(plan, store), state="done", record=record)
    store.save_run(row)
    return row.id


def test_nothing_is_said_of_a_first_run(store: Store) -> None:
    """Where nothing was run before, nothing can have changed."""
    assert why_begun_anew(_plan(NEW), store, {}) == ""


def test_an_image_that_was_removed_and_built_again(store: Store) -> None:
    """The same name from the same content, another id: a prune and a new build."""
    earlier = _kept(store, _plan(OLD))
    said = why_begun_anew(_plan(NEW), store, {})
    assert earlier in said
    assert "removed and built again" in said


def test_a_base_that_was_pulled_anew(store: Store) -> None:
    """The base's id is in the name of the image, so another base gives another name."""
    _kept(store, _plan(OLD))
    assert "base image" in why_begun_anew(_plan(replace(NEW, tag="groundbench/m:bbbb")), store, {})


def test_a_package_beside_the_local_engine(store: Store) -> None:
    """The package that was installed, removed or changed is named."""
    _kept(store, _plan(OLD, isolates=False), {"packages": {"numpy": "1", "gone": "3"}})
    said = why_begun_anew(_plan(NEW, isolates=False), store, {"packages": {"numpy": "2", "new": "1"}})
    assert "gone 3 to absent, new absent to 1, numpy 1 to 2" in said


def test_what_was_asked_for_is_not_explained(store: Store) -> None:
    """Another seed, or another parameter, is another run because the command says so."""
    _kept(store, _plan(OLD))
    assert why_begun_anew(_plan(NEW, seed=5), store, {}) == ""
    assert why_begun_anew(_plan(NEW, changes={"size": 2}), store, {}) == ""


def test_other_data_under_the_same_name(store: Store) -> None:
    """A data set whose files changed is said to differ."""
    _kept(store, _plan(OLD))
    assert "the data differ" in why_begun_anew(replace(_plan(OLD), fingerprint="g"), store, {})
