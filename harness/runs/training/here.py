"""A training on this host, with the GPUs that are held for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.engines.base import Engine
from harness.engines.nvidia import Gpu
from harness.runs.checkpoint import take_checkpoint
from harness.runs.hardware import describe_hardware
from harness.runs.preflight import check_containers, check_training_room
from harness.runs.training.attempt import Emit, TrainingEnd, TrainingSpec, clear, run_training, unheard
from harness.runs.training.finetune import TrainingPlan
from harness.sandbox.stop import Stop
from harness.store.trainings import TrainingPoint


class TrainerHere:
    """Trains with an engine of this host.

    Parameters
    ----------
    plan, home
        The plan of the training, and the home.
    engine, gpus
        The engine, and the GPUs that are held: one container gets all of them.
    """

    def __init__(self, plan: TrainingPlan, home: Path, engine: Engine, gpus: Sequence[Gpu]) -> None:
        self.gpus = len(gpus)
        self._plan, self._home, self._engine, self._held = plan, home, engine, gpus

    def prove(self, log: Callable[[str], None]) -> None:
        """Prove that a container can read the cases, and that there is room for what it writes."""
        plan, resources = self._plan, self._plan.resources(self.gpus)
        files = [path for case in plan.cases for path in (case.ct, case.truth)]
        self._engine.require_readable(files)
        check_training_room(self._home, resources, log)
        check_containers(
            self._engine,
            plan.request.plugin,
            plan.image,
            resources=resources,
            mounts=plan.weights.mounts,
            files=files,
            gpus=self._held,
            folder=self._home / "checkpoints" / plan.key,
            log=log,
        )

    def about(self) -> dict[str, Any]:
        """Return engine and hardware."""
        return {"engine": self._engine.describe(), "hardware": describe_hardware(self._held)}

    def unheard(self, spec: TrainingSpec, *, after: int, seconds: float) -> list[TrainingPoint]:
        """Return what a container said while no harness lived."""
        return unheard(spec, after=after, seconds=seconds)

    def train(self, spec: TrainingSpec, emit: Emit, stop: Stop, *, before_s: float) -> TrainingEnd:
        """Run a container to its end."""
        mine = replace(spec, gpu_ids=tuple(gpu.id for gpu in self._held))
        return run_training(self._engine, mine, emit, stop, before_s=before_s)

    def take(self, spec: TrainingSpec) -> dict[str, dict[str, Any]]:
        """Copy the checkpoint out of the container's folder."""
        return take_checkpoint(spec.root / "out", spec.folder, limit=spec.resources.out_mb * 2**20)

    def clear(self, spec: TrainingSpec) -> None:
        """Remove the container's folder."""
        clear(spec.root)
