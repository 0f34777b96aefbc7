"""``bench plugin show`` and ``bench list --json``: what a model declares, and where its numbers come from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.errors import UnknownName


def _json(*arguments: str) -> Any:
    ended = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
    assert ended.exit_code == 0
    return json.loads(ended.stdout)


def test_each_value_is_shown_with_its_origin() -> None:
    """Value, the value under random weights, and the paper, upstream's line or us."""
    document = _json("plugin", "show", "sat")
    tuned = next(variant for variant in document["variants"] if variant["name"] == "fine-tuned")
    parameters = {row["name"]: row for row in tuned["parameters"]}
    assert parameters["steps"] == {"name": "steps", "value": 40000, "reduced": 2, "origin": "paper, section 4.2"}
    assert parameters["queries"]["origin"].startswith("upstream, sh/train_sat_pro.sh:")
    assert parameters["workers"]["origin"] == "ours"
    assert document["resources"]["memory_mb"] == 20480
    assert {source["path"] for source in document["sources"]} == {"model", "train"}


def test_a_person_sees_the_same_as_a_table() -> None:
    """One row per parameter; a value without a stated origin is shown as such."""
    shown = CliRunner().invoke(cli, ["plugin", "show", "shifted"], catch_exceptions=False)
    assert shown.exit_code == 0
    (row,) = [line for line in shown.stdout.splitlines() if line.startswith("voxels")]
    assert row.split(None, 2) == ["voxels", "3", "not stated"]


def test_the_list_has_values_and_origins() -> None:
    """For a program that reads all models at once."""
    models = {model["name"]: model for model in _json("list")["plugins"]}
    (variant,) = [v for v in models["biomedparse"]["variants"] if v["name"] == "zero-shot"]
    assert variant["params"]["window_low"] == -1000
    assert variant["origins"]["window_low"].startswith("upstream, inference_utils/")


def test_every_model_here_states_what_it_sees() -> None:
    """Shown with its origin; the list for programs has the word."""
    models = {model["name"]: model["sees"] for model in _json("list")["plugins"]}
    assert "unknown" not in models.values()
    assert (models["biomedparse"], models["medsam2-text"], models["sat"]) == ("2-D", "slices with memory", "3-D")
    assert (models["box"], models["oracle"]) == ("nothing", "nothing")
    assert _json("plugin", "show", "sat")["sees"] == {"value": "3-D", "origin": "paper, section 5.1"}
    shown = CliRunner().invoke(cli, ["plugin", "show", "sat"], catch_exceptions=False).stdout
    assert "it sees of a CT at once: 3-D (paper, section 5.1)\n" in shown


def test_an_unknown_model_gets_its_neighbours() -> None:
    """As everywhere where a model is named."""
    with pytest.raises(UnknownName, match="sat"):
        CliRunner().invoke(cli, ["plugin", "show", "satt"], catch_exceptions=False)
