"""What the text-prompted models share in training: findings as samples, and the numbers of a recipe."""

from __future__ import annotations

import math
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

import numpy as np

from groundbench_sdk.records import Rejected, TrainingCase
from groundbench_sdk.torch_training import Recipe


class Pair(NamedTuple):
    """One finding of one case."""

    case: TrainingCase
    number: int  #: of the finding in the case

    @property
    def text(self) -> str:
        """The finding's text as it stands."""
        return self.case.findings[self.number].text


def pairs_of(cases: Sequence[TrainingCase]) -> list[Pair]:
    """Return every finding of every case, in order."""
    return [Pair(case, number) for case in cases for number in range(len(case.findings))]


def recipe_of(params: Mapping[str, Any], n_train: int, world: int, **more: Any) -> Recipe:
    """Make the recipe of the parameters that all our fine-tuned variants share.

    ``steps`` counts optimiser steps; where it is 0, ``epochs`` counts passes over the training samples. ``warmup`` is
    the share of the steps during which the rate rises.

    Parameters
    ----------
    params
        ``steps``, ``epochs``, ``batch``, ``warmup``, and optionally ``accumulate``, ``bf16``, ``workers``,
        ``validations``.
    n_train
        Training samples.
    world
        Processes that train together.
    more
        Further fields of the recipe.
    """
    batch, accumulate = int(params["batch"]), int(params.get("accumulate", 1))
    per_step = batch * accumulate * world
    steps = int(params.get("steps", 0)) or math.ceil(float(params["epochs"]) * n_train / per_step)
    if steps < 1:
        raise Rejected("neither the parameter steps nor epochs says how long to train")
    return Recipe(
        steps=steps,
        batch=batch,
        accumulate=accumulate,
        warmup=round(float(params.get("warmup", 0.0)) * steps),
        bf16=bool(params.get("bf16", False)),
        workers=int(params.get("workers", 0)),
        validate_every=math.ceil(steps / max(1, int(params.get("validations", 1)))),
        report_every=max(1, min(10, steps // 2)),
        **more,
    )


def dices(case: TrainingCase, masks: Iterator[tuple[str, np.ndarray]]) -> list[float]:
    """Return the Dice of each finding of a case, given what an adapter's ``predict`` yields; both empty is 1."""
    truth = {finding.id: labels > 0 for finding, labels in zip(case.findings, case.labels())}
    found = []
    for finding, mask in masks:
        together = float(mask.sum()) + float(truth[finding].sum())
        found.append(2 * float((mask & truth[finding]).sum()) / together if together else 1.0)
    return found
