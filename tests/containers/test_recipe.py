"""The numbers of a training, from the parameters of a variant."""

from __future__ import annotations

import pytest
from groundbench_sdk.recipe import Recipe
from groundbench_sdk.records import Rejected


def test_steps_count_as_declared() -> None:
    """The warm-up is a fraction of the steps; validations are spread evenly over them."""
    recipe = Recipe.from_params({"steps": 40, "batch": 2, "warmup": 0.05, "validations": 10, "epochs": 7}, 100)
    assert (recipe.steps, recipe.warmup, recipe.validate_every, recipe.report_every) == (40, 2, 4, 10)


def test_epochs_count_passes_over_the_samples() -> None:
    """Rounded up: three passes over 10 samples, 8 of them a step, are 4 steps; one validation at the end."""
    recipe = Recipe.from_params({"steps": 0, "epochs": 3, "batch": 8, "at_once": 3}, 10)
    assert (recipe.steps, recipe.validate_every, recipe.passes) == (4, 4, 3)
    assert Recipe(steps=1, batch=8).passes == 1


def test_every_other_number_is_a_parameter_of_the_same_name() -> None:
    """A number that the variant does not declare keeps the default."""
    params = {"schedule": "constant", "clip_norm": 5.0, "save_every_s": 60, "drop_factor": 0.5, "bf16": True}
    recipe = Recipe.from_params({"steps": 9, "batch": 1, "first_drop": 1 / 3, "second_drop": 2 / 3, **params}, 1)
    assert {name: getattr(recipe, name) for name in params} == params
    assert recipe.workers == 0
    assert [recipe.rate(step) for step in range(9)] == [1.0] * 3 + [0.5] * 3 + [0.25] * 3


def test_a_polynomial_is_that_of_nnu_net() -> None:
    """(1 - step / steps) ** 0.9 from the first step, so that the last one still learns; after a warm-up, if any."""
    recipe = Recipe(steps=1000, schedule="polynomial")
    assert [recipe.rate(step) for step in (0, 1, 500, 999)] == [1.0, 0.999**0.9, 0.5**0.9, pytest.approx(0.001**0.9)]
    warm = Recipe(steps=110, schedule="polynomial", warmup=10)
    assert warm.rate(4) == pytest.approx(5 / 11)
    assert warm.rate(60) == 0.5**0.9


def test_a_cosine_ends_at_its_final_rate() -> None:
    """It begins at the full rate after the warm-up, is half-way down half-way between, and at its end at the last."""
    recipe = Recipe.from_params({"steps": 11, "batch": 1, "final_rate": 0.2}, 1)
    assert recipe.rate(0) == 1.0
    assert recipe.rate(5) == pytest.approx(0.6)
    assert recipe.rate(10) == pytest.approx(0.2)
    assert Recipe(steps=20, warmup=5).rate(5) == 1.0
    assert [Recipe(steps=1).rate(0), Recipe(steps=2, warmup=1).rate(1)] == [1.0, 1.0]


@pytest.mark.parametrize("params", [{"epochs": 3, "batch": 2}, {"steps": 100, "batch": 2}])
def test_no_sample_is_not_taken_for_a_missing_parameter(params: dict[str, object]) -> None:
    """Masks without a voxel leave nothing to train on, however long."""
    with pytest.raises(Rejected, match="no sample to train on"):
        Recipe.from_params(params, 0)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"steps": 0, "epochs": 0, "batch": 1}, "neither the parameter steps nor epochs"),
        ({"steps": 0, "batch": 1}, "neither the parameter steps nor epochs"),
        ({"steps": 1, "batch": 0}, "batch must be at least 1"),
        ({"steps": 0, "epochs": 1, "batch": 0}, "batch must be at least 1"),
        ({"steps": 1, "batch": 2, "at_once": -1}, "at_once must be at least 0"),
        ({"steps": 1, "batch": 1, "schedule": "linear"}, "constant, cosine or polynomial"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(params: dict[str, object], words: str) -> None:
    """The message names the parameter."""
    with pytest.raises(Rejected, match=words):
        Recipe.from_params(params, 10)
