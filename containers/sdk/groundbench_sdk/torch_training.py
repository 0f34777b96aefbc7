"""The training loop of all torch adapters: seeded, resumable, on one device or several.

The samples of a step depend on the seed and the step alone. A training that was killed therefore resumes with exactly
the samples that would have come next, whatever the number of loader processes.
"""

from __future__ import annotations

import contextlib
import functools
import math
import signal
import time
from pathlib import Path
from typing import Any, Callable, Dict, Generator, Iterator, List, Sequence

import numpy as np
import torch
from torch import nn

from groundbench_sdk.finetuning import Training, TrainingFailed, processes_of, rank_and_world_size
from groundbench_sdk.recipe import Recipe
from groundbench_sdk.records import Job, Rejected

#: Name of the weights in a checkpoint.
WEIGHTS = "model.pt"

_STATE = "training.pt"

#: ``sample(index, rng)``: one training sample; every random choice is drawn from `rng`.
Sample = Callable[[int, np.random.Generator], Any]

#: ``loss(module, samples)``: named parts whose sum is minimised; each is a scalar, the mean over the samples.
Loss = Callable[[nn.Module, List[Any]], Dict[str, torch.Tensor]]

#: ``validate(module, numbers)``: the Dice of every finding of the validation cases with these numbers.
Validate = Callable[[nn.Module, Sequence[int]], Sequence[float]]


def fit(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    *,
    recipe: Recipe,
    n_train: int,
    sample: Sample,
    loss: Loss,
    training: Training,
    seed: int,
    device: str = "cpu",
    n_val: int = 0,
    validate: Validate | None = None,
) -> None:
    """Train `module`, deliver the best weights, and keep a state from which a killed training resumes.

    Parameters
    ----------
    module
        On `device`; parameters that do not require a gradient are neither trained nor part of the checkpoint.
    optimiser
        Optimiser of the parameter groups, each with its full learning rate.
    recipe
        The numbers of the training.
    n_train, sample
        Number of training samples, and the function that prepares one.
    loss
        The loss to minimise.
    training
        State, events, checkpoint, rank and world size.
    seed
        Seed of every random choice.
    device
        Device of this process, from :func:`setup_device`: ``"cpu"``, or ``"cuda:0"`` for rank 0, and so on.
    n_val, validate
        Number of validation cases, and the function that measures them; without them the last weights are delivered.

    Raises
    ------
    TrainingFailed
        When the loss is not finite, or no sample was loaded in time.
    SystemExit
        When the container is stopped; the state has been saved.
    """
    with _process_group(training, device):
        loop = _Loop(module, optimiser, recipe=recipe, training=training, seed=seed, device=device)
        loop.run(n_train, sample, loss, n_val, validate)


def load_checkpoint(module: nn.Module, folder: Path) -> None:
    """Load a checkpoint into `module`, which may have frozen parameters that the checkpoint does not have.

    Raises
    ------
    Rejected
        When weights are missing, unknown, or of another shape.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise Rejected(f"the checkpoint has no {WEIGHTS}: it belongs to another plan")
    weights = torch.load(str(path), map_location="cpu", weights_only=True)
    try:
        missing, unknown = module.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise Rejected(f"the checkpoint does not fit this model: {error}") from error
    absent = sorted(set(missing) & set(_trained(module)))
    if absent or unknown:
        raise Rejected(f"the checkpoint does not fit this model: missing {absent[:5]}, unknown {list(unknown)[:5]}")


def setup_device(job: Job) -> str:
    """Set the threads and the seed of this process, and return its device.

    The first call in the ``load`` of a torch adapter, before any weight is drawn.

    Returns
    -------
    str
        ``"cpu"``, or the GPU of this process's rank; a process that is alone has the first GPU.
    """
    processes = processes_of(job) if job.verb == "finetune" else 1
    torch.set_num_threads(max(1, job.threads // processes))
    torch.manual_seed(job.seed)
    rank, _ = rank_and_world_size()
    return job.devices[rank if rank < len(job.devices) else 0]


def samples_of_step(
    step: int, *, seed: int, n_train: int, per_process: int, rank: int = 0, world_size: int = 1
) -> list[tuple[int, int]]:
    """Return (position, index) of the samples that one process takes in one step.

    In every epoch all processes together go through a new permutation of the samples. `position` counts samples since
    the beginning of the training and seeds the random choices of each sample.
    """
    first = step * per_process * world_size + rank * per_process
    found = []
    for position in range(first, first + per_process):
        epoch, place = divmod(position, n_train)
        found.append((position, int(_order(seed, epoch, n_train)[place])))
    return found


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, n_train: int) -> np.ndarray:
    return np.random.default_rng([seed, 1, epoch]).permutation(n_train)


class _Loop:
    def __init__(
        self,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        *,
        recipe: Recipe,
        training: Training,
        seed: int,
        device: str,
    ) -> None:
        self.module, self.optimiser, self.recipe, self.training = module, optimiser, recipe, training
        self.seed, self.device = seed, device
        self.full_rates = [group["lr"] for group in optimiser.param_groups]
        self.step = 0
        self.best = -1.0
        self.best_weights: dict[str, torch.Tensor] | None = None
        self.saved_at = time.monotonic()

    def run(self, n_train: int, sample: Sample, loss: Loss, n_val: int, validate: Validate | None) -> None:
        recipe, training = self.recipe, self.training
        if n_train < 1:
            raise TrainingFailed("error", "there is no sample to train on")
        self._resume()
        wrapped = self._wrapped()
        per_process = recipe.batch * recipe.accumulate
        plan = [
            samples_of_step(
                step,
                seed=self.seed,
                n_train=n_train,
                per_process=per_process,
                rank=training.rank,
                world_size=training.world_size,
            )
            for step in range(self.step, recipe.steps)
        ]
        self.module.train()
        sums: dict[str, float] = {}
        counted = 0
        with _stop_requested() as stopped, contextlib.closing(self._load_samples(plan, sample)) as steps:
            for samples in steps:
                parts = self._advance(wrapped, samples, loss)
                counted += 1
                for name, value in parts.items():
                    sums[name] = sums.get(name, 0.0) + value
                last = self.step == recipe.steps
                due = last or (recipe.validate_every and self.step % recipe.validate_every == 0)
                dice = self._validate(n_val, validate) if due and validate is not None and n_val else None
                if due or self.step % recipe.report_every == 0:
                    losses = {name: value / counted for name, value in sums.items()}
                    epoch = self.step * per_process * training.world_size / n_train
                    training.event(self.step, recipe.steps, losses, epoch=round(epoch, 3), val_dice=dice)
                    sums, counted = {}, 0
                if due or time.monotonic() - self.saved_at >= recipe.save_every_s:
                    self._save()
                if self._any_stopped(stopped()):
                    self._save()
                    raise SystemExit(143)
        self._deliver()

    def _advance(self, wrapped: nn.Module, samples: list[Any], loss: Loss) -> dict[str, float]:
        """Do one optimiser step; return the mean of each part of the loss."""
        recipe = self.recipe
        for group, full in zip(self.optimiser.param_groups, self.full_rates):
            group["lr"] = full * recipe.rate(self.step)
        # Dropout depends on the step alone, too.
        torch.manual_seed((self.seed * 1_000_003 + self.step) * self.training.world_size + self.training.rank)
        self.optimiser.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for number in range(recipe.accumulate):
            batch = samples[number * recipe.batch : (number + 1) * recipe.batch]
            accumulates = number + 1 < recipe.accumulate and wrapped is not self.module
            with wrapped.no_sync() if accumulates else contextlib.nullcontext():  # type: ignore[operator]
                with torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=recipe.bf16):
                    parts = loss(wrapped, batch)
                    total = torch.stack(list(parts.values())).sum() / recipe.accumulate
                for name, part in parts.items():
                    sums[name] = sums.get(name, 0.0) + float(part.detach()) / recipe.accumulate
                if not all(math.isfinite(value) for value in sums.values()):
                    shown = ", ".join(f"{name} {value}" for name, value in sums.items())
                    raise TrainingFailed("nan_loss", f"the loss is not finite at step {self.step}: {shown}")
                total.backward()
        if recipe.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), recipe.clip_norm)
        self.optimiser.step()
        self.step += 1
        return sums

    def _validate(self, n_val: int, validate: Validate) -> float:
        """Return the mean Dice over the findings of all validation cases, over all processes."""
        self.module.eval()
        with torch.no_grad():
            found = list(validate(self.module, range(self.training.rank, n_val, self.training.world_size)))
        self.module.train()
        total = torch.tensor([float(sum(found)), float(len(found))], dtype=torch.float64)
        if self.training.world_size > 1:
            total = total.to(self.device)
            torch.distributed.all_reduce(total)
        dice = float(total[0] / max(1.0, float(total[1])))
        if dice > self.best:
            self.best, self.best_weights = dice, _trained(self.module)
        return dice

    # -- devices ------------------------------------------------------------------------------------------------------

    def _any_stopped(self, stopped: bool) -> bool:  # noqa: FBT001 - one word, one meaning
        """Return whether any process was stopped: they end together, or the others would wait for ever."""
        if self.training.world_size == 1:
            return stopped
        flag = torch.tensor([float(stopped)], device=self.device)
        torch.distributed.all_reduce(flag)
        return bool(flag)

    def _wrapped(self) -> nn.Module:
        if self.training.world_size == 1:
            return self.module
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(self.module, device_ids=[self.device] if self.device != "cpu" else None)

    # -- samples ------------------------------------------------------------------------------------------------------

    def _load_samples(self, plan: list[list[tuple[int, int]]], sample: Sample) -> Generator[list[Any], None, None]:
        """Yield the samples of one step after another."""
        workers = self.recipe.workers
        samples = _Samples(sample, self.seed)
        loader: Any = torch.utils.data.DataLoader(
            samples,
            batch_sampler=plan,  # type: ignore[arg-type]
            collate_fn=list,
            num_workers=workers,
            timeout=self.recipe.loader_timeout_s if workers else 0,
            prefetch_factor=2 if workers else None,
        )
        batches = iter(loader)
        try:
            for _ in plan:
                try:
                    loaded = next(batches)
                except RuntimeError as error:
                    if "timed out" not in str(error):
                        raise
                    reason = f"no sample came within {self.recipe.loader_timeout_s:g} s at step {self.step}"
                    raise TrainingFailed("stalled_loader", reason) from error
                yield loaded
        finally:
            del batches

    # -- state --------------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        """Save everything that the next step depends on; only rank 0 does, since all ranks hold the same."""
        self.saved_at = time.monotonic()
        if self.training.rank != 0:
            return
        state = {
            "step": self.step,
            "weights": _trained(self.module),
            "optimiser": self.optimiser.state_dict(),
            "best": self.best,
            "best_weights": self.best_weights,
        }
        path = self.training.state / _STATE
        partial = path.with_name(".partial-" + _STATE)
        torch.save(state, str(partial))
        partial.replace(path)

    def _resume(self) -> None:
        path = self.training.state / _STATE
        if not path.is_file():
            return
        state = torch.load(str(path), map_location="cpu", weights_only=True)
        self.module.load_state_dict(state["weights"], strict=False)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.best, self.best_weights = state["step"], state["best"], state["best_weights"]

    def _deliver(self) -> None:
        weights = self.best_weights if self.best_weights is not None else _trained(self.module)
        self.training.checkpoint(lambda folder: torch.save(weights, str(folder / WEIGHTS)))


class _Samples(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Prepares the sample at a position, which seeds it."""

    def __init__(self, sample: Sample, seed: int) -> None:
        self._sample, self._seed = sample, seed

    def __getitem__(self, key: tuple[int, int]) -> Any:
        position, index = key
        return self._sample(index, np.random.default_rng([self._seed, 2, position]))


def _trained(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies on the CPU of everything that training changes: parameters with a gradient, and buffers."""
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    return {
        name: value.detach().to("cpu", copy=True) for name, value in module.state_dict().items() if name not in frozen
    }


@contextlib.contextmanager
def _process_group(training: Training, device: str) -> Iterator[None]:
    """Join the process group, if several processes train together."""
    if training.world_size == 1:
        yield
        return
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


@contextlib.contextmanager
def _stop_requested() -> Iterator[Callable[[], bool]]:
    """Record SIGTERM instead of dying from it, so that the current step is finished and the state saved."""
    received = []
    before = signal.signal(signal.SIGTERM, lambda *_: received.append(True))
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGTERM, before)
