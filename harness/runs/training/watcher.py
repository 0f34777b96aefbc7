"""What shows the progress of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.store.trainings import TrainingPoint


class TrainingWatcher(Protocol):
    """Shows the progress of a training."""

    def log(self, line: str) -> None:
        """Show one line."""

    def training(self, name: str, points: Sequence[TrainingPoint]) -> None:
        """Show the latest reports of a training."""
