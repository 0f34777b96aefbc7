"""What the text-prompted models share in training: findings as samples, the numbers of a recipe, validation by Dice."""

from __future__ import annotations

import math
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

import numpy as np
import torch

from groundbench_sdk.finetuning import Training
from groundbench_sdk.records import Rejected, TrainingCase
from groundbench_sdk.torch_training import Loss, Recipe, Sample, fit


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


def fit_texts(
    adapter: Any,
    optimiser: torch.optim.Optimizer,
    *,
    n_train: int,
    sample: Sample,
    loss: Loss,
    val: Sequence[TrainingCase],
    training: Training,
    **more: Any,
) -> None:
    """Train an adapter's network by :func:`~groundbench_sdk.torch_training.fit`; what it predicts on `val` decides.

    Parameters
    ----------
    adapter
        Loaded, with its ``job``, ``device`` and ``network``; its ``predict`` uses that network.
    optimiser, n_train, sample, loss, training
        As there.
    val
        Cases whose mean Dice over all findings chooses the checkpoint.
    more
        Fields of the recipe beyond those that :func:`recipe_of` takes from the parameters.
    """

    def validate(_: torch.nn.Module, numbers: Sequence[int]) -> list[float]:
        return [dice for case in (val[number] for number in numbers) for dice in dices(case, adapter.predict(case))]

    fit(
        adapter.network,
        optimiser,
        recipe=recipe_of(adapter.job.params, n_train, training.world, **more),
        n_train=n_train,
        sample=sample,
        loss=loss,
        training=training,
        seed=adapter.job.seed,
        device=adapter.device,
        n_val=len(val),
        validate=validate,
    )


def dices(case: TrainingCase, masks: Iterator[tuple[str, np.ndarray]]) -> list[float]:
    """Return the Dice of each finding of a case, given what an adapter's ``predict`` yields; both empty is 1."""
    truth = {finding.id: labels > 0 for finding, labels in zip(case.findings, case.labels())}
    found = []
    for finding, mask in masks:
        together = float(mask.sum()) + float(truth[finding].sum())
        found.append(2 * float((mask & truth[finding]).sum()) / together if together else 1.0)
    return found
