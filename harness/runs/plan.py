"""From a request to a plan: the model, the data, and the identity of the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.dataset import Dataset, RunnableCase, ScannedCase
from harness.dataset.boxes import BOX_RULES
from harness.dataset.cases import in_order, spacing_of
from harness.dataset.shared import shared_words
from harness.engines.base import Mount
from harness.errors import DataError, UsageError
from harness.images.build import Image
from harness.registry.declaration import Prompt, Variant
from harness.registry.discovery import Plugin
from harness.registry.origins import Param
from harness.runs.checkpoint import Checkpoint
from harness.runs.claims import NOT_ISOLATED
from harness.runs.params import changed, decisive
from harness.runs.run_weights import PINNED, RANDOM, Loaded
from harness.sandbox import CONTRACT_VERSION
from harness.scoring import SCORER_VERSION


@dataclass(frozen=True)
class RunRequest:
    """The user's request.

    Attributes
    ----------
    plugin, variant
        The model and its variant, resolved.
    dataset, split
        The data, opened.
    profile
        Profile of the metrics to show.
    engine
        ``"auto"``, or an engine's name.
    gpus, gpu_ids, per_gpu
        Number of GPUs, or their ids; containers that share each of them at once.
    limit
        Only the first cases of the split, in the order of their names; None for all.
    seed
        Seed of every random choice.
    fresh
        Begin a new attempt even where the same plan has one, finished or not; an existing checkpoint is used.
    weights
        ``"pinned"``, ``"random"``, or a path.
    changes
        Parameters that take the place of the variant's.
    """

    plugin: Plugin
    variant: Variant
    dataset: Dataset
    split: str
    profile: str
    engine: str = "auto"
    gpus: int = 0
    gpu_ids: tuple[str, ...] = ()
    per_gpu: int = 1
    limit: int | None = None
    seed: int = 0
    fresh: bool = False
    weights: str = PINNED
    changes: Mapping[str, Param] = field(default_factory=dict)

    @property
    def params(self) -> dict[str, Param]:
        """The parameters that reach the adapter: declared, reduced under random weights, changed by the user."""
        return {**self.variant.params, **(self.variant.reduced if self.reduced else {}), **self.changes}

    @property
    def origins(self) -> dict[str, str]:
        """Origins of the values in `params`, by name, as far as stated; not part of the run's identity."""
        reduced = self.variant.reduced if self.reduced else {}
        return {
            **self.variant.origins,
            **dict.fromkeys(reduced, "reduced for random weights"),
            **dict.fromkeys(self.changes, "changed for this run"),
        }

    @property
    def gpus_each(self) -> int:
        """Number of GPUs that one container gets in a run with GPUs."""
        return max(1, self.plugin.model.resources.gpus)

    @property
    def reduced(self) -> bool:
        """Whether this is the small architecture that random weights are drawn for, where the variant declares one."""
        return self.weights == RANDOM and bool(self.variant.reduced)


@dataclass(frozen=True)
class Plan:
    """A request with everything that determines its identity.

    Attributes
    ----------
    request
        The request.
    cases
        The cases that will run, in order.
    image
        The image they will run in.
    fingerprint
        Content digest of the split.
    engine
        Name of the engine.
    isolates
        Whether the engine isolates what it runs.
    lacks
        What the engine cannot do on this host, as :meth:`Engine.lacks` says it.
    weights
        The mounted weights.
    checkpoint
        The checkpoint of a fine-tuned variant.
    """

    request: RunRequest
    cases: tuple[ScannedCase, ...]
    image: Image
    fingerprint: str
    engine: str
    isolates: bool
    lacks: tuple[str, ...] = ()
    weights: Loaded = field(default_factory=Loaded)
    checkpoint: Checkpoint | None = None

    @property
    def partial(self) -> bool:
        """Whether cases of the split are left out; a limit that leaves none out changes nothing."""
        return len(self.cases) < len(self.request.dataset.split(self.request.split))

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What every container may read besides its cases: weights, and the checkpoint of a trained variant."""
        trained = () if self.checkpoint is None else (Mount(self.checkpoint.folder.resolve(), "checkpoint"),)
        return (*self.weights.mounts, *trained)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that a result depends on; the same identity is the same run."""
        request = self.request
        boxes = {"boxes": BOX_RULES[request.variant.boxes]} if request.variant.prompt is Prompt.BOX else {}
        checkpoint = {} if self.checkpoint is None else {"checkpoint": self.checkpoint.sha256}
        chosen = {"cases": [case.id for case in self.cases]} if self.partial else {}
        return {
            **boxes,
            "contract": CONTRACT_VERSION,
            "plugin": request.plugin.name,
            "plugin_version": request.plugin.model.version,
            "variant": request.variant.name,
            "params": decisive(request.params),
            "weights": self.weights.identity,
            "image": self.image.id,
            "fingerprint": self.fingerprint,
            "split": request.split,
            "limit": len(self.cases) if self.partial else None,
            "seed": request.seed,
            "scorer": SCORER_VERSION,
            **checkpoint,
            **chosen,
        }

    @property
    def key(self) -> str:
        """SHA-256 (hex) of the identity."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()

    def run_id(self, attempt: int) -> str:
        """Name of the run: model, variant, plan, and the attempt where there was an earlier one."""
        again = f"-r{attempt}" if attempt > 1 else ""
        return f"{self.request.plugin.name}-{self.request.variant.name}-{self.key[:10]}{again}"

    @property
    def unrankable(self) -> list[str]:
        """The reasons why the run is not ranked; empty when it may be ranked."""
        reasons = []
        if self.request.plugin.granted_truth:
            reasons.append("known answer: it reads the ground truth")
        if self.partial:
            reasons.append(f"partial: only the first {len(self.cases)} of the split's cases")
        if shared := shared_words(self.cases, self.request.split):
            reasons.append(shared)
        reasons += self.weights.unrankable
        reasons += changed(self.request.variant, self.request.params)
        if not self.isolates:
            reasons.append(f"{NOT_ISOLATED}: the {self.engine} engine does not isolate models")
        return reasons + self.less_than_sealed

    @property
    def less_than_sealed(self) -> list[str]:
        """The reasons among them that are the engine's on this host."""
        return [f"less than sealed: the {self.engine} engine {lack}" for lack in self.lacks]


def select_cases(dataset: Dataset, split: str, limit: int | None) -> tuple[RunnableCase, ...]:
    """Return the cases of a split that can run and be scored; of a limited number the first by name.

    All of a split's cases come in the order of its index, which no result depends on.

    Raises
    ------
    UsageError
        For an unknown split, or one whose ground truth is not public.
    DataError
        When the split is empty, or a CT is missing.
    """
    cases = dataset.split(split)
    if limit is not None and limit < len(cases):
        cases = tuple(in_order(cases)[:limit])
    if not cases:
        filled = ", ".join(name for name, found in dataset.splits.items() if found)
        raise DataError(
            f"split {split!r} of {dataset.name} does not contain any cases",
            fix=f"splits with cases: {filled or 'none; the data set is empty'}",
        )
    without_truth = [case.id for case in cases if case.truth is None]
    if without_truth:
        raise UsageError(
            f"split {split!r} of {dataset.name} lacks the ground truth of {_some(without_truth)}",
            fix="choose a split with masks (`bench data info` lists them), or score those that have one as a split of "
            f"their own: bench data scorable {dataset.index} --split {split}",
        )
    without_ct = [case.id for case in cases if case.ct is None]
    if without_ct:
        raise DataError(
            f"split {split!r} of {dataset.name} lacks the CT of {_some(without_ct)}",
            fix="add them (`bench data fetch rexgroundingct` explains it for the release), or choose a split that has "
            "all; masks made elsewhere are scored by `bench score`",
        )
    runnable = tuple(found for found in map(RunnableCase.of, cases) if found is not None)
    for case in runnable:
        # Every header is read before anything runs: a bad one is the data's fault, not the model's.
        if len(case.shape) != len(spacing_of(case)):
            raise DataError(f"{case.ct} has a different number of axes and spacings", fix="replace the file")
    return runnable


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
