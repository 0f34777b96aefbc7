"""What a model needs from outside and is not here yet: one list for every command that tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import PrerequisiteError
from harness.registry.declaration import Model, Variant
from harness.registry.pinned import Source, Weights
from harness.upstream.sources import SourceStore
from harness.upstream.weights import WeightsStore


@dataclass(frozen=True)
class Missing:
    """Sources and weights of a model that are not in a home.

    Attributes
    ----------
    model
        The model.
    sources, weights
        What is missing, in the order of the declaration.
    """

    model: Model
    sources: tuple[Source, ...]
    weights: tuple[Weights, ...]

    def __bool__(self) -> bool:
        """Return whether anything is missing."""
        return bool(self.sources or self.weights)

    @property
    def words(self) -> str:
        """Everything that is missing, by name."""
        parts = []
        if self.sources:
            parts.append(f"upstream code ({', '.join(source.name for source in self.sources)})")
        if self.weights:
            gated = [file.repo for file in self.weights if file.gated]
            log_in = f"; {', '.join(dict.fromkeys(gated))} wants a log-in at the hub" if gated else ""
            parts.append(f"weights ({', '.join(file.name for file in self.weights)}{log_in})")
        return " and ".join(parts)

    def error(self, what: str) -> PrerequisiteError:
        """Return the error for `what`, which needs them, such as a model and its variant."""
        without = "; `--weights random` needs no weights, and is never ranked" if self.weights else ""
        return PrerequisiteError(
            f"{what} needs {self.words}, which have not been downloaded",
            fix=f"`bench get --plugin {self.model.name}`{without}",
            lacking="weights" if self.weights else "source",
        )


def missing(model: Model, home: Path, variants: Sequence[Variant] = ()) -> Missing:
    """Return what a model lacks.

    Parameters
    ----------
    model
        The model.
    home
        Its ``sources/`` and ``weights/`` are looked into.
    variants
        Those whose weights count; empty for all files that the model declares.
    """
    sources, weights = SourceStore(home / "sources"), WeightsStore(home / "weights")
    wanted = {name for variant in variants for name in variant.weights}
    return Missing(
        model,
        tuple(source for source in model.sources if not sources.has(source)),
        tuple(file for file in model.weights if (not variants or file.name in wanted) and weights.find(file) is None),
    )
