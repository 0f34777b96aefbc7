"""What the models declare, written out: a short form may change how a declaration reads, never what a run is keyed by.

`declared.json` holds resources, sources, weights and the expanded parameters of every variant as they were before
declarations had short forms. Keys of runs and checkpoints are made from these values, so the comparison is one of the
JSON text, in which 1 and 1.0 differ.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import Model, Prompt, Variant
from harness.registry.discovery import discover

BEFORE: dict[str, Any] = json.loads((Path(__file__).parent / "declared.json").read_text(encoding="utf-8"))

#: Numbers that adapters had in their code and that have been parameters since: (model, variant) -> name -> value.
#: With each of them the key of that variant's runs changed, once.
ADDED: dict[tuple[str, str], dict[str, Any]] = {
    ("biomedparse", "zero-shot"): {"threshold": 0.5, "stretch": "slice"},
    ("biomedparse", "fine-tuned"): {
        "threshold": 0.5,
        "stretch": "slice",
        "schedule": "constant",
        "first_drop": 8 / 9,
        "second_drop": 26 / 27,
        "drop_factor": 0.1,
        "clip_norm": 5.0,
        "scale_low": 0.9,
        "scale_high": 1.1,
        "at_once": 2,
    },
    ("biomedparse-v2", "zero-shot"): {"threshold": 0.5},
    ("biomedparse-v2", "fine-tuned"): {
        "threshold": 0.5,
        "schedule": "constant",
        "decay": 0.01,
        "clip_norm": 5.0,
        "at_once": 2,
    },
    ("medsam2-text", "fine-tuned"): {
        "first_frame": True,
        "threshold": 0.5,
        "decay": 0.1,
        "layer_decay": 0.9,
        "final_rate": 0.1,
        "clip_norm": 0.1,
    },
    ("sat", "zero-shot"): {"threshold": 0.5, "window_low": -500, "window_high": 1000},
    ("sat", "fine-tuned"): {"threshold": 0.5, "window_low": -500, "window_high": 1000, "decay": 0.01, "augment": True},
    ("segvol", "text"): {"threshold": 0.5},
    ("segvol", "text-fine-tuned"): {
        "threshold": 0.5,
        "decay": 1e-5,
        "jitter_chance": 0.1,
        "jitter": 0.1,
        "resize": "area",
    },
    ("segvol", "box"): {"threshold": 0.5},
    ("voxtell", "fine-tuned"): {
        "decay": 3e-5,
        "clip_norm": 12.0,
        "present": 2,
        "absent": 1,
        "encoder_rate": 0.1,
        "momentum": 0.99,
        "schedule": "polynomial",
    },
}
#: Those of every variant of a model that is prompted with boxes and treats a CT as a film.
ADDED_FILM = {"prompt": "box", "within": "volume"}
#: What is faster and not exact, as a choice: model -> name -> the value that is exact.
ADDED_EXACT: dict[str, dict[str, Any]] = {
    **{name: {"precision": "float32"} for name in ("biomedparse", "biomedparse-v2")},
    **{name: {"channels_last": False} for name in ("sat", "voxtell")},
    **{name: {"together": False} for name in ("sam2", "medsam2")},
}
#: Values that were corrected, with the reason in the plugin's README: the window is now the paper's (section 3.6).
CHANGED: dict[str, dict[str, Any]] = {
    model: {"window_low": -1350, "window_high": 150} for model in ("sam2", "medsam2", "medsam2-text")
}
#: Numbers of single variants that were corrected, with the reason in the plugin's README.
CORRECTED: dict[tuple[str, str], dict[str, Any]] = {
    # The window that upstream's README recommends for lungs.
    ("biomedparse-v2", "zero-shot"): {"window_low": -910, "window_high": 590},
    ("biomedparse-v2", "fine-tuned"): {"window_low": -910, "window_high": 590},
    # As upstream's code trains.
    ("segvol", "text-fine-tuned"): {"train_projection": False},
    # As its paper trains. `batch` was the samples of a process in a pass; it is those of a step, over all processes.
    ("voxtell", "fine-tuned"): {"foreground": 0.85, "warmup": 0.0, "batch": 2},
}
#: Parameters that are no more, with what they set.
REMOVED = {("sat", "fine-tuned"): {"foreground"}, ("voxtell", "fine-tuned"): {"accumulate"}}
#: Licences that were not stated before, or not by their SPDX identifier.
LICENCES = {
    ("checkpoint_final.pth", "not stated"): "CC-BY-NC-SA-4.0",
    ("", "CC-BY-SA-4.0, for research and education only"): "CC-BY-SA-4.0",
    ("", "other: IHTSDO and NLM agreements"): "LicenseRef-IHTSDO-and-NLM",
}
#: Files that came later: published plans, which are read since, and an earlier release.
FILES = {"voxtell": {"plans.json", "v1.0--checkpoint_final.pth", "v1.0--plans.json"}}
#: Variants that came later, each another reading of the protocol or another release.
LATER = {
    "medsam2-text": ["fine-tuned-literal-window", "fine-tuned-any-slices"],
    "sat": ["fine-tuned-plain"],
    "segvol": ["text-fine-tuned-nearest"],
    "voxtell": ["zero-shot-v1-0", "fine-tuned-one-rate"],
    "biomedparse": ["fine-tuned-lung-window", "fine-tuned-literal-window"],
    "sam2": ["large-literal-window", "large-moved-boxes", "large-within-box", "large-mask-prompt"],
    "medsam2": [
        "latest-literal-window",
        "latest-moved-boxes",
        "latest-within-box",
        "latest-mask-prompt",
        "ct-lesion-nodule-window",
    ],
}
#: The same for all that are trained by the SDK's loop.
ADDED_TRAINED = {"save_every_s": 300.0, "loader_timeout_s": 300.0, "at_once": 1}
#: The same under random weights.
ADDED_REDUCED = {"at_once": 1}
#: Values of the reduced parameters that follow from that: two processes share a step of two samples.
CHANGED_REDUCED = {("segvol", "text-fine-tuned"): {"batch": 2}}

MODELS = [plugin.model for plugin in discover().plugins.values() if plugin.name in BEFORE]
#: Every variant but the known answers, whose numbers are not a recipe.
RECIPES = [
    pytest.param(variant, id=f"{model.name}-{variant.name}")
    for model in MODELS
    if not model.reads_truth
    for variant in model.variants
]


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@pytest.fixture(params=MODELS, ids=lambda model: model.name)
def model(request: pytest.FixtureRequest) -> Model:
    found: Model = request.param
    return found


def test_every_model_is_still_there() -> None:
    """And with the same variants in the same order, of which the first is the default."""
    assert {model.name: [variant.name for variant in model.variants] for model in MODELS} == {
        name: [variant["name"] for variant in before["variants"]] + LATER.get(name, [])
        for name, before in BEFORE.items()
    }


def test_limits_sources_and_weights_are_as_before(model: Model) -> None:
    """Whatever units and short forms they are written in."""
    before = BEFORE[model.name]
    assert _json(model.resources.limits()) == _json(before["resources"])
    assert _json(model.training and model.training.limits()) == _json(before["training"])
    for kind in ("sources", "weights"):
        items = [item for item in getattr(model, kind) if item.name not in _later_files(model)]
        # What can be stated since, and none of these states, is no part of the comparison.
        found = [{name: getattr(item, name) for name in old} for item, old in zip(items, before[kind], strict=True)]
        assert _json(found) == _json([_licensed(item) for item in before[kind]])


def _licensed(item: dict[str, str]) -> dict[str, str]:
    """Return an item with its licence, where that is stated in other words since."""
    old = item["licence"]
    return item | {"licence": LICENCES.get((item["name"], old), LICENCES.get(("", old), old))}


def test_parameters_are_as_before_but_for_those_listed(model: Model) -> None:
    """A number that becomes a parameter is added with the value that it had, and listed above."""
    changed = CHANGED.get(model.name, {})
    for variant, before in zip(model.variants, BEFORE[model.name]["variants"], strict=model.name not in LATER):
        added = ADDED.get((model.name, variant.name), {}) | ADDED_EXACT.get(model.name, {})
        if variant.fine_tuned and model.name != "tiny":  # its recipe had these numbers all along
            added = ADDED_TRAINED | added
        if variant.prompt is Prompt.BOX and model.name in CHANGED:
            added = added | ADDED_FILM
        assert not added.keys() & before["params"].keys()
        plain = _plain(variant) | {"weights": [one for one in variant.weights if one not in _later_files(model)]}
        of_variant = CORRECTED.get((model.name, variant.name), {})
        params = before["params"] | added | changed | of_variant
        gone = REMOVED.get((model.name, variant.name), set())
        expected = {"params": _without(params, gone)}
        if variant.fine_tuned and model.name != "tiny":
            reduced = ADDED_REDUCED | CHANGED_REDUCED.get((model.name, variant.name), {})
            expected["reduced"] = _without(before["reduced"], gone) | reduced
        assert _json(plain) == _json(before | expected)


@pytest.mark.parametrize("variant", RECIPES)
def test_every_number_says_where_it_comes_from(variant: Variant) -> None:
    """The paper, a line of the authors' code, or us."""
    numbers = {name for name, value in variant.params.items() if isinstance(value, int | float)}
    assert numbers - variant.origins.keys() == set()


def _later_files(model: Model) -> set[str]:
    return FILES.get(model.name, set())


def _without(values: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _plain(variant: Variant) -> dict[str, Any]:
    names = ("name", "prompt", "fine_tuned", "params", "reduced", "weights")
    return {name: getattr(variant, name) for name in names}
