"""What a row says of itself beside its scores: how it was trained, and what of a CT it sees at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.registry.declaration import SEES
from harness.rows import RunRow
from harness.runs.claims import exposure_of


def training(of: str, *, fine_tuned: bool, known_answer: bool = False) -> str:
    """Return what a row had seen before, of this data set.

    Parameters
    ----------
    of
        What its weights were trained on elsewhere, as :data:`~harness.registry.declaration.EXPOSURES`.
    fine_tuned, known_answer
        Whether it was trained here on the training split; whether it is no model at all but reads the ground truth.

    Returns
    -------
    str
        ``"known answer"``; ``"fine-tuned"``; ``"zero-shot"`` where it is stated that it had seen none of the data;
        ``"trained on train"`` or ``"trained on train and val"``; and ``"training not stated"`` where nobody has said.
    """
    if known_answer:
        return "known answer"
    if fine_tuned:
        return "fine-tuned"
    return {"none": "zero-shot", "unknown": "training not stated"}.get(of, f"trained on {of.replace('+', ' and ')}")


def sees(record: Mapping[str, Any]) -> str:
    """Return what of a CT the model of a run sees at once; ``"unknown"`` where its record does not say."""
    said = record.get("sees")
    of = said.get("of") if isinstance(said, Mapping) else None
    return of if isinstance(of, str) and of in SEES else "unknown"


@dataclass(frozen=True)
class Facts:
    """What statements choose rows by.

    Attributes
    ----------
    model
        The title of the model that the row was made with; empty for masks made elsewhere, which may be named as they
        like.
    prompt
        As a :class:`~harness.registry.declaration.Prompt`; empty where nobody has said.
    trained, sees
        As :func:`training` and :func:`sees` have it.
    """

    model: str
    prompt: str
    trained: str
    sees: str


def facts_of(run: RunRow) -> Facts:
    """Return the facts of a run."""
    return Facts(
        model=run.title if run.level.headline else "",
        prompt=run.prompt,
        trained=training(exposure_of(run.record), fine_tuned=run.fine_tuned),
        sees=sees(run.record),
    )
