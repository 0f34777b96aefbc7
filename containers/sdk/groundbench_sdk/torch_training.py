"""The training loop of all torch adapters: seeded, resumable, on one device or several.

The samples of a step, and the forward passes that they are in, depend on the seed and the step alone. A training that
was killed therefore resumes with exactly the samples that would have come next, whatever the number of GPUs and of
loader processes is then.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import random
import signal
from pathlib import Path
from typing import Any, Callable, Dict, Generator, Iterator, List, Sequence, Tuple

import numpy as np
import torch
from torch import nn

from groundbench_sdk.finetuning import (
    Training,
    TrainingFailed,
    failure_of,
    may_skip,
    processes_of,
    rank_and_world_size,
)
from groundbench_sdk.recipe import Recipe
from groundbench_sdk.records import Job, Rejected
from groundbench_sdk.torch_state import State, require_finite, trained
from groundbench_sdk.torch_together import Step, Together

#: Name of the weights in a checkpoint.
WEIGHTS = "model.pt"

#: ``sample(index, rng)``: one training sample; every random choice is drawn from `rng`.
Sample = Callable[[int, np.random.Generator], Any]

#: ``loss(module, samples)``: named parts whose sum is minimised; each is a scalar, the mean over the samples of a pass.
Loss = Callable[[nn.Module, List[Any]], Dict[str, torch.Tensor]]

#: ``validate(module, numbers)``: the Dice of every finding of the validation cases with these numbers; called for one
#: case after another.
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
        Number of training samples, and the function that prepares one. Where it fails for up to a fiftieth of them,
        the next sample takes their place, with a warning.
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
        Of equal validations the later is the better.

    Raises
    ------
    TrainingFailed
        When the loss or its gradient is not finite, no sample was loaded in time, more samples or cases failed than may
        be skipped, no validation case has a finding, or the disk has no room for the state.
    SystemExit
        When the container is stopped; the state has been saved.
    """
    together = Together(training, device)
    with together.joined(), _stop_requested() as stop:
        loop = _Loop(module, optimiser, together, stop, recipe=recipe, training=training, seed=seed, device=device)
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
    absent = sorted(set(missing) & set(trained(module)))
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


def samples_of_step(step: int, *, seed: int, n_train: int, batch: int) -> list[tuple[int, int]]:
    """Return (position, index) of the samples of one step.

    In every epoch the training goes through a new permutation of the samples. `position` counts samples since the
    beginning of the training and seeds the random choices of each sample.
    """
    return [(position, _index(seed, position, n_train)) for position in range(step * batch, (step + 1) * batch)]


def _index(seed: int, position: int, n_train: int) -> int:
    epoch, place = divmod(position, n_train)
    return int(_order(seed, epoch, n_train)[place])


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, n_train: int) -> np.ndarray:
    return np.random.default_rng([seed, 1, epoch]).permutation(n_train)


class _Loop:
    def __init__(
        self,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        together: Together,
        stop: _Stop,
        *,
        recipe: Recipe,
        training: Training,
        seed: int,
        device: str,
    ) -> None:
        self.module, self.optimiser, self.recipe, self.training = module, optimiser, recipe, training
        self.together, self.stop, self.seed, self.device = together, stop, seed, device
        self.state = State(training.state, training.rank, training.warn)
        self.full_rates = [group["lr"] for group in optimiser.param_groups]
        self.step = 0
        self.skipped: dict[str, set[int]] = {}

    def run(self, n_train: int, sample: Sample, loss: Loss, n_val: int, validate: Validate | None) -> None:
        recipe, state = self.recipe, self.state
        if n_train < 1:
            raise TrainingFailed("error", "there is no sample to train on")
        self.step, validated = state.load(self.module, self.optimiser)
        self.together.begin_equal(self.module)
        self._say_idle()
        measured = validate is not None and n_val > 0
        if measured and not validated:
            self._report({}, 1, n_train, self._validate(n_val, validate, resumed=True))
        self.module.train()
        sums: dict[str, float] = {}
        counted, first = 0, self.step
        with contextlib.closing(self._load_samples(n_train, sample)) as steps:
            while self.step < recipe.steps:
                passes: list[_Pass] = []
                with self.stop.interruptible():
                    passes = next(steps)
                parts = self._advance(passes, loss)
                counted += 1
                for name, value in parts.items():
                    sums[name] = sums.get(name, 0.0) + value
                if self.step == first + 1:
                    state.require_room(self.module, self.optimiser)
                due = self.step == recipe.steps or (recipe.validate_every and self.step % recipe.validate_every == 0)
                dice = None
                if due and measured:
                    if state.due():
                        state.save(self.step, self.module, self.optimiser, validated=False)
                    dice = self._validate(n_val, validate)
                if due or self.step % recipe.report_every == 0:
                    self._report(sums, counted, n_train, dice)
                    sums, counted = {}, 0
                if state.due(recipe.save_every_s):
                    state.save(self.step, self.module, self.optimiser, validated=True)
        self._deliver()

    def _advance(self, passes: Sequence[_Pass], loss: Loss) -> dict[str, float]:
        """Do one optimiser step; return this process's share of the mean of each part of the loss."""
        recipe = self.recipe
        for group, full in zip(self.optimiser.param_groups, self.full_rates):
            group["lr"] = full * recipe.rate(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        step = Step(self.module, self.together)
        sums: dict[str, float] = {}
        for number, samples in passes:
            if self.stop.received:
                break
            _seed_all(self.seed, 3, self.step, number)  # dropout depends on the pass alone, too
            share = len(samples) / recipe.batch
            with torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=recipe.bf16):
                parts = loss(self.module, samples)
                total = torch.stack(list(parts.values())).sum() * share
            values = {name: float(part.detach()) for name, part in parts.items()}
            if not all(math.isfinite(value) for value in values.values()):
                shown = ", ".join(f"{name} {value}" for name, value in values.items())
                raise TrainingFailed("nan_loss", f"the loss is not finite at step {self.step}: {shown}")
            total.backward()
            step.end_pass(share)
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value * share
        if self.together.any(self.stop.received)[0]:
            self._end(validated=True)  # the step that was cut off is made again
        step.sum_up()
        norm = torch.nn.utils.clip_grad_norm_(self.module.parameters(), recipe.clip_norm or math.inf)
        if not math.isfinite(float(norm)):
            raise TrainingFailed("nan_loss", f"the gradient of a finite loss is not finite at step {self.step}")
        self.optimiser.step()
        self.step += 1
        return sums

    def _report(self, sums: dict[str, float], counted: int, n_train: int, dice: float | None) -> None:
        """Log the progress, with the means over the samples of all processes."""
        losses: dict[str, float] = {}
        for share in self.together.gather(sums):
            for name, value in share.items():
                losses[name] = losses.get(name, 0.0) + value / counted
        epoch = round(self.step * self.recipe.batch / n_train, 3)
        self.training.event(self.step, self.recipe.steps, losses, epoch=epoch, val_dice=dice)

    def _say_idle(self) -> None:
        passes, processes = self.recipe.passes, self.together.world_size
        if passes < processes and self.training.rank == 0:
            self.training.warn(
                f"a step has {passes} of the {processes} passes that its processes could make at once: the others only "
                f"validate (batch {self.recipe.batch}, at_once {self.recipe.at_once})"
            )

    # -- validation ---------------------------------------------------------------------------------------------------

    def _validate(self, n_val: int, validate: Any, *, resumed: bool = False) -> float:
        """Return the mean Dice over the findings of all validation cases, and keep the best weights.

        Measured case by case, each process its own, so that a request to end need not wait for the others; what was
        measured is noted, for the training that resumes.
        """
        state, rank = self.state, self.training.rank
        if not resumed:
            state.forget_notes()
        known: dict[int, list[float]] = self.together.gather(state.noted(self.step) if resumed and not rank else {})[0]
        found: dict[int, list[float]] = {}
        self.module.eval()
        with self.stop.interruptible(), torch.no_grad():
            for number in self.together.deal([number for number in range(n_val) if number not in known]):
                _seed_all(self.seed, 4, number)
                found[number] = self._measure(number, n_val, validate)
                state.note(self.step, number, found[number])
        self.module.train()
        if self.together.any(self.stop.received)[0]:
            self._end(validated=False)
        for share in self.together.gather(found):
            known.update(share)
        dices = [dice for number in sorted(known) for dice in known[number]]
        if not dices:
            raise TrainingFailed("error", "no validation case has a finding, so that no weights can be chosen by them")
        dice = math.fsum(dices) / len(dices)
        if not 0 <= dice <= 1:
            raise TrainingFailed("error", f"a validation must find a Dice from 0 to 1, not {dice}")
        state.offer(dice, self.module, self.step)
        return dice

    def _measure(self, number: int, n_val: int, validate: Validate) -> list[float]:
        try:
            return [float(dice) for dice in validate(self.module, [number])]
        except Exception as error:
            failure = failure_of(error)
            if failure.kind == "out_of_memory" or not may_skip(n_val):
                raise
            self._skip("validation case", number, n_val, failure.reason)
            return []

    def _skip(self, what: str, number: int, count: int, reason: str) -> None:
        """Warn of a sample or case that is left out; fail where there are too many of them."""
        skipped = self.skipped.setdefault(what, set())
        skipped.add(number)
        if len(skipped) > may_skip(count):
            raise TrainingFailed("error", f"{len(skipped)} of {count} {what}s failed; the last, {number}: {reason}")
        self.training.warn(f"{what} {number} of {count} is left out: {reason}")

    # -- samples ------------------------------------------------------------------------------------------------------

    def _load_samples(self, n_train: int, sample: Sample) -> Generator[list[_Pass], None, None]:
        """Yield this process's passes of one step after another: number of the pass, and its samples."""
        recipe, workers = self.recipe, self.recipe.workers
        at_once = recipe.at_once or recipe.batch
        mine = list(self.together.deal(range(recipe.passes)))

        def positions(step: int) -> list[tuple[int, int]]:
            chosen = samples_of_step(step, seed=self.seed, n_train=n_train, batch=recipe.batch)
            return [one for number in mine for one in chosen[number * at_once : (number + 1) * at_once]]

        plan = [positions(step) for step in range(self.step, recipe.steps)]
        loader: Any = torch.utils.data.DataLoader(
            _Samples(sample, self.seed, n_train),
            batch_sampler=plan,  # type: ignore[arg-type]
            collate_fn=list,
            num_workers=workers,
            timeout=recipe.loader_timeout_s if workers else 0,
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
                    reason = f"no sample came within {recipe.loader_timeout_s:g} s at step {self.step}"
                    raise TrainingFailed("stalled_loader", reason) from error
                for _, failures in loaded:
                    for index, reason in failures:
                        self._skip("sample", index, n_train, reason)
                samples = iter([prepared for prepared, _ in loaded])
                sizes = [min(at_once, recipe.batch - number * at_once) for number in mine]
                yield [(number, [next(samples) for _ in range(size)]) for number, size in zip(mine, sizes)]
        finally:
            del batches

    # -- the end ------------------------------------------------------------------------------------------------------

    def _end(self, *, validated: bool) -> None:
        """Save what is not saved yet, and end: the container is being stopped."""
        if self.state.saved_step != self.step:
            self.state.save(self.step, self.module, self.optimiser, validated=validated)
        raise SystemExit(143)

    def _deliver(self) -> None:
        if self.training.rank != 0:
            return
        weights = self.state.best_weights()
        if weights is None:
            require_finite(self.module, self.step)
            weights = {name: value.to("cpu", copy=True) for name, value in trained(self.module).items()}
        self.training.checkpoint(lambda folder: torch.save(weights, str(folder / WEIGHTS)))


#: A forward pass: its number within the step, and its samples.
_Pass = Tuple[int, List[Any]]


class _Samples(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Prepares the sample at a position, which seeds it; where that fails, the one that follows in the order."""

    def __init__(self, sample: Sample, seed: int, n_train: int) -> None:
        self._sample, self._seed, self._n_train = sample, seed, n_train

    def __getitem__(self, key: tuple[int, int]) -> tuple[Any, list[tuple[int, str]]]:
        position, index = key
        failures: list[tuple[int, str]] = []
        for tried in range(may_skip(self._n_train)):
            try:
                return self._prepare(position, index), failures
            except Exception as error:  # noqa: PERF203 - each try is another sample
                failure = failure_of(error)
                if failure.kind == "out_of_memory":
                    raise
                failures.append((index, failure.reason))
                index = _index(self._seed, position + tried + 1, self._n_train)
        return self._prepare(position, index), failures

    def _prepare(self, position: int, index: int) -> Any:
        return self._sample(index, np.random.default_rng([self._seed, 2, position]))


def _seed_all(*numbers: int) -> None:
    """Seed all generators that a network or a loss may draw from."""
    seed = np.random.SeedSequence(numbers).generate_state(2)
    torch.manual_seed(int(seed[0]) << 32 | int(seed[1]))
    random.seed(int(seed[0]))
    np.random.seed(seed)  # noqa: NPY002 - the state that upstream code draws from


class _Stopped(BaseException):
    """Leaves work that a request to end need not wait for."""


class _Stop:
    """The request to end (SIGTERM), which is noted instead of obeyed at once, so that the state can be saved."""

    def __init__(self) -> None:
        self.received = False
        self._leave = False
        self._process = os.getpid()

    def take(self, *_: Any) -> None:
        """Handle the signal; processes that load samples inherit this, and end with the one that started them."""
        if os.getpid() == self._process:
            self.received = True
            if self._leave:
                self._leave = False
                raise _Stopped

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Leave the block when the request comes, or at once if it has come."""
        try:
            self._leave = True
            if self.received:
                self.take()
            yield
            self._leave = False
        except _Stopped:
            pass
        finally:
            self._leave = False


@contextlib.contextmanager
def _stop_requested() -> Iterator[_Stop]:
    """Note SIGTERM instead of dying from it."""
    stop = _Stop()
    before = signal.signal(signal.SIGTERM, stop.take)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
