"""The numbers of a training: steps, batch, learning rate over time, precision, and how often to validate and save."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Mapping

from groundbench_sdk.records import Rejected

#: Fields of a recipe that a parameter of the same name sets.
_NAMED = (
    *("at_once", "schedule", "final_rate", "drop_factor", "clip_norm", "bf16"),
    *("workers", "save_every_s", "loader_timeout_s"),
)

#: Of the polynomial schedule; nnU-Net's.
_POWER = 0.9


@dataclass(frozen=True)
class Recipe:
    """The numbers of a training; none of them depends on how many processes or GPUs train together.

    Parameters
    ----------
    steps
        Optimiser steps.
    batch
        Samples of one optimiser step, over all processes: the effective batch.
    at_once
        Samples of one forward pass, which bounds the memory of a GPU; the last pass of a step may have fewer. 0: the
        whole batch. The passes of a step are dealt among the processes, so more than ``batch / at_once`` GPUs do not
        make a step faster. How many there are changes which process makes a pass, never which samples are in it.
    schedule
        ``"constant"``; ``"polynomial"``: nnU-Net's, the share of steps to come to the power of 0.9; or ``"cosine"``:
        from the full rate at the end of the warm-up to `final_rate` at the last step.
    warmup
        Steps during which the rate rises linearly to the full one.
    final_rate
        Fraction of the rate at the end of a cosine.
    drops, drop_factor
        Fractions of the steps; after each of them a constant rate is multiplied by `drop_factor`.
    clip_norm
        Bound on the norm of the gradients; 0: none.
    bf16
        Autocast to bfloat16.
    validate_every, report_every
        Steps between two validations (0: only at the end), and between two events.
    save_every_s
        Seconds between two saves of the state, or more where saving takes long; it is also saved before a validation
        and when the container is stopped.
    workers
        Processes that prepare samples; 0: the training process prepares them itself.
    loader_timeout_s
        Seconds to wait for a sample from them.

    Raises
    ------
    Rejected
        When a count is not positive or the schedule is unknown.
    """

    steps: int
    batch: int = 1
    at_once: int = 0
    schedule: str = "cosine"
    warmup: int = 0
    final_rate: float = 0.0
    drops: tuple[float, ...] = ()
    drop_factor: float = 0.1
    clip_norm: float = 0.0
    bf16: bool = False
    validate_every: int = 0
    report_every: int = 10
    save_every_s: float = 300.0
    workers: int = 0
    loader_timeout_s: float = 300.0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("at_once", 0), ("report_every", 1)):
            if getattr(self, name) < least:
                raise Rejected(f"the parameter {name} must be at least {least}, not {getattr(self, name)!r}")
        if self.schedule not in ("constant", "cosine", "polynomial"):
            raise Rejected(f"the schedule must be constant, cosine or polynomial, not {self.schedule!r}")

    @classmethod
    def from_params(cls, params: Mapping[str, Any], n_train: int) -> Recipe:
        """Make the recipe from the parameters of a variant.

        ``steps`` counts optimiser steps; if it is 0, ``epochs`` counts passes over the training samples. ``warmup`` is
        a fraction of the steps, ``first_drop`` and ``second_drop`` are the `drops`, ``validations`` is the number of
        validations in all. The other parameters have the names of the fields.

        Parameters
        ----------
        params
            The variant's parameters; ``batch`` and ``steps`` or ``epochs`` are required.
        n_train
            Number of training samples.

        Raises
        ------
        Rejected
            When there is no training sample, or neither ``steps`` nor ``epochs`` states a length.
        """
        if n_train < 1:
            raise Rejected(
                "there is no sample to train on: the train split has no case, or no case has a voxel of a finding"
            )
        batch = int(params["batch"])
        steps = int(params.get("steps", 0)) or math.ceil(float(params.get("epochs", 0)) * n_train / max(1, batch))
        if steps < 1:
            raise Rejected("neither the parameter steps nor epochs states how long to train")
        return cls(
            steps=steps,
            batch=batch,
            warmup=round(float(params.get("warmup", 0.0)) * steps),
            drops=tuple(float(params[name]) for name in ("first_drop", "second_drop") if name in params),
            validate_every=math.ceil(steps / max(1, int(params.get("validations", 1)))),
            report_every=max(1, min(10, steps // 2)),
            **{name: params[name] for name in _NAMED if name in params},
        )

    @property
    def passes(self) -> int:
        """Forward passes of one optimiser step, over all processes."""
        return math.ceil(self.batch / (self.at_once or self.batch))

    def rate(self, step: int) -> float:
        """Return the fraction of the full learning rate at a step, counted from 0."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        if self.schedule == "polynomial":
            return float((1 - (step - self.warmup) / max(1, self.steps - self.warmup)) ** _POWER)
        if self.schedule == "constant":
            return float(self.drop_factor ** sum(step >= drop * self.steps for drop in self.drops))
        done = (step - self.warmup) / max(1, self.steps - 1 - self.warmup)
        return self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
