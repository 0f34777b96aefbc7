"""What a training leaves on disk: the state from which it resumes, the best weights so far, and a half validation.

Everything appears whole, by renaming, and nothing is written that is not finite. Saving takes a bounded share of the
time, whatever the size of the model and the speed of the disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator

import torch
from torch import nn

from groundbench_sdk.finetuning import TrainingFailed

#: Bound on the fraction of the time that is spent on saving.
_SHARE = 0.05

_STATE, _BEST, _VALIDATED = "training.pt", "best.pt", "validated-{}.jsonl"


class State:
    """The files of one training, in a folder that all of its processes share; the first one writes the large ones.

    Parameters
    ----------
    folder
        ``Training.state``.
    rank
        Number of this process.
    warn
        Receives one line for people when a state could not be saved.

    Attributes
    ----------
    best
        Dice of the best weights; None while there are none.
    """

    def __init__(self, folder: Path, rank: int, warn: Callable[[str], None]) -> None:
        self._folder, self._rank, self._warn = folder, rank, warn
        self._saved_at, self._cost = time.monotonic(), 0.0
        self.best: float | None = None
        self.saved_step = -1

    def due(self, every_s: float = 0.0) -> bool:
        """Return whether the last save is `every_s` seconds ago, and as long that saving takes a small share."""
        pause = self._cost * (1 - _SHARE) / _SHARE
        return self._rank == 0 and time.monotonic() - self._saved_at >= max(every_s, pause)

    def save(self, step: int, module: nn.Module, optimiser: torch.optim.Optimizer, *, validated: bool) -> None:
        """Save everything that the next step depends on.

        Parameters
        ----------
        step
            Steps done.
        module, optimiser
            As they are after that step, the same in all processes.
        validated
            Whether a validation that is due at that step has been done.

        Raises
        ------
        TrainingFailed
            When a weight is not finite: it is not saved, and the state before is kept.
        """
        if self._rank != 0:
            return
        require_finite(module, step)
        state = {
            "step": step,
            "validated": validated,
            "weights": trained(module),
            "optimiser": optimiser.state_dict(),
        }
        began = time.monotonic()
        lacking = self._lacking(_size(state))
        if lacking:
            self._warn(f"the state at step {step} was not saved: {lacking}")
        else:
            self._write(_STATE, state)
            self.saved_step = step
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - began

    def load(self, module: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[int, bool]:
        """Restore what :meth:`save` saved; return the steps done, and whether the validation due then was done."""
        with contextlib.suppress(FileNotFoundError):
            self.best = torch.load(str(self._folder / _BEST), map_location="cpu", weights_only=True, mmap=True)["dice"]
        path = self._folder / _STATE
        if not path.is_file():
            return 0, True
        state = torch.load(str(path), map_location="cpu", weights_only=True)
        module.load_state_dict(state["weights"], strict=False)
        optimiser.load_state_dict(state["optimiser"])
        self.saved_step = state["step"]
        return state["step"], state["validated"]

    def require_room(self, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Refuse to train where the disk cannot hold two states, two sets of best weights and the checkpoint.

        Two, because one is whole before it takes the place of the other. Called when the optimiser has made a step,
        and so has its own state.

        Raises
        ------
        TrainingFailed
            With the bytes needed and the bytes free.
        """
        if self._rank != 0:
            return
        weights = _size(trained(module))
        needed = 2 * (weights + _size(optimiser.state_dict())) + 3 * weights
        held = sum(path.stat().st_size for path in (self._folder / _STATE, self._folder / _BEST) if path.is_file())
        lacking = self._lacking(needed - held)
        if lacking:
            raise TrainingFailed("error", f"the disk has no room for the training's state and checkpoint: {lacking}")

    def offer(self, dice: float, module: nn.Module, step: int) -> None:
        """Keep the weights of a validation, unless earlier ones were better; of equal ones the later are kept."""
        if self._rank != 0 or (self.best is not None and dice < self.best):
            return
        require_finite(module, step)
        began = time.monotonic()
        self._write(_BEST, {"dice": dice, "weights": trained(module)})
        self._cost = max(self._cost, time.monotonic() - began)
        self.best = dice

    def best_weights(self) -> dict[str, torch.Tensor] | None:
        """Return the weights of the best validation; None where there was none."""
        if self.best is None:
            return None
        kept = torch.load(str(self._folder / _BEST), map_location="cpu", weights_only=True, mmap=True)
        return dict(kept["weights"])

    # -- a half validation --------------------------------------------------------------------------------------------

    def note(self, step: int, case: int, dices: list[float]) -> None:
        """Note what a validation found in a case, for a training that is ended before all cases are measured."""
        with (self._folder / _VALIDATED.format(self._rank)).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "case": case, "dices": dices}) + "\n")

    def noted(self, step: int) -> dict[int, list[float]]:
        """Return what all processes noted at a step, however many there were."""
        found = {}
        for path in self._folder.glob(_VALIDATED.format("*")):
            for line in path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError):  # cut short
                    record = json.loads(line)
                    if record["step"] == step:
                        found[record["case"]] = record["dices"]
        return found

    def forget_notes(self) -> None:
        """Remove the notes of all processes; only the first does."""
        if self._rank == 0:
            for path in self._folder.glob(_VALIDATED.format("*")):
                path.unlink()

    # -- files --------------------------------------------------------------------------------------------------------

    def _lacking(self, needed: int) -> str:
        free = shutil.disk_usage(str(self._folder)).free
        return f"{needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free" if free < needed else ""

    def _write(self, name: str, content: Any) -> None:
        partial = self._folder / f".partial-{name}"
        try:
            with partial.open("wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._folder / name)
        finally:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()


def trained(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return everything that training changes: parameters with a gradient, and buffers, each under one name only."""
    state = module.state_dict()
    names = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    names += [name for name, _ in module.named_buffers()]
    return {name: state[name].detach() for name in names if name in state}


def require_finite(module: nn.Module, step: int) -> None:
    """Raise TrainingFailed where a parameter that is trained is not finite, or a buffer is not a number.

    Buffers may be infinite: a mask of logits is.
    """
    parameters = ((name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad)
    wrong = [name for name, parameter in parameters if not bool(parameter.isfinite().all())]
    wrong += [name for name, buffer in module.named_buffers() if bool(buffer.isnan().any())]
    if wrong:
        raise TrainingFailed("nan_loss", f"weights are not finite after step {step}: {', '.join(wrong[:3])}")


def _size(content: Any) -> int:
    """Return the bytes of all tensors in nested dictionaries and lists."""
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(content))


def _tensors(content: Any) -> Iterator[torch.Tensor]:
    if isinstance(content, torch.Tensor):
        yield content
    inner: Iterable[Any] = ()
    if isinstance(content, dict):
        inner = content.values()
    elif isinstance(content, (list, tuple)):
        inner = content
    for one in inner:
        yield from _tensors(one)
