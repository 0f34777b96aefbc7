"""What the processes of a training do together: they agree, add up their gradients, and keep their buffers the same.

The passes of a step are dealt among the processes, some of which may have none. What is added up is the same whoever
made it, so the number of processes changes no result beyond the order of a sum.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import Any, Callable, Iterator, Sequence

import torch
from torch import distributed, nn

from groundbench_sdk.finetuning import Training, failure_of
from groundbench_sdk.together import leave_reason

#: The harness ends a training that is silent for too long. A process waits for the others as long as that may take: a
#: save, a validation of unequal shares. NCCL's own ten minutes would end it.
_WAIT = dt.timedelta(days=7)

#: Elements that are sent at once: 256 MiB.
_AT_ONCE = 2**26


class Together:
    """The processes of one training; with one process nothing is sent.

    Parameters
    ----------
    training
        Rank and number of the processes.
    device
        Device of this process.
    """

    def __init__(self, training: Training, device: str) -> None:
        self.rank, self.world_size, self._device = training.rank, training.world_size, device

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Join the process group, if several processes train together."""
        if self.world_size == 1:
            yield
            return
        on_gpu = self._device.startswith("cuda")
        if on_gpu:
            torch.cuda.set_device(self._device)
        distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=_WAIT)
        try:
            yield
        except Exception as error:
            leave_reason(failure_of(error).reason)  # before the others see this process gone, and leave theirs
            raise
        finally:
            distributed.destroy_process_group()

    def deal(self, items: Sequence[Any]) -> Sequence[Any]:
        """Return this process's share of the items: every n-th of n processes."""
        return items[self.rank :: self.world_size]

    def any(self, *flags: bool) -> list[bool]:
        """Return for each flag whether it is set in any process; all processes call it at the same place."""
        if self.world_size == 1:
            return list(flags)
        raised = torch.tensor([float(flag) for flag in flags], device=self._device)
        distributed.all_reduce(raised, distributed.ReduceOp.MAX)
        return [bool(flag) for flag in raised.tolist()]

    def gather(self, value: Any) -> list[Any]:
        """Return the value of every process, by rank."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        distributed.all_gather_object(values, value)
        return values

    def begin_equal(self, module: nn.Module) -> None:
        """Give all processes the parameters and buffers of the first."""
        self._in_parts([*module.parameters(), *module.buffers()], lambda flat: distributed.broadcast(flat, 0))

    def add(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        self._in_parts(tensors, distributed.all_reduce)

    def largest(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each value of each tensor by the largest of all processes."""
        self._in_parts(tensors, lambda flat: distributed.all_reduce(flat, distributed.ReduceOp.MAX))

    def _in_parts(self, tensors: Sequence[torch.Tensor], send: Callable[[torch.Tensor], Any]) -> None:
        """Send many tensors in few pieces; in the order of their elements, whatever their layout in memory is."""
        if self.world_size == 1:
            return
        with torch.no_grad():
            for part in _parts(tensors):
                flat = torch.cat([tensor.reshape(-1) for tensor in part])
                # Numbers of 16 bits are added up in 32; not every kind of integer can be sent.
                sent = flat.to(
                    torch.promote_types(flat.dtype, torch.float32 if flat.is_floating_point() else torch.int64)
                )
                send(sent)
                for tensor, values in zip(part, sent.split([tensor.numel() for tensor in part])):
                    tensor.copy_(values.reshape(tensor.shape))


def _parts(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Yield runs of tensors of one type, each with a bounded number of elements."""
    for kind in sorted({tensor.dtype for tensor in tensors}, key=str):
        part: list[torch.Tensor] = []
        for tensor in tensors:
            if tensor.dtype != kind:
                continue
            if part and sum(one.numel() for one in part) + tensor.numel() > _AT_ONCE:
                yield part
                part = []
            part.append(tensor)
        yield part


class Step:
    """The gradients and buffers of one optimiser step, made in passes by all processes.

    A buffer that training changes, such as the running mean of a batch normalisation, becomes the mean of what the
    passes of the step made of it, each beginning with the value before the step; integers, which count, the largest.
    Each pass sees the same buffers, in whatever process, and all processes hold the same after it.

    Parameters
    ----------
    module
        The network; its gradients must be None.
    together
        The processes.
    """

    def __init__(self, module: nn.Module, together: Together) -> None:
        self._together = together
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._buffers = list(module.buffers())
        self._before = [buffer.detach().clone() for buffer in self._buffers]
        self._made: dict[int, torch.Tensor] = {}

    def end_pass(self, share: float) -> None:
        """Take what a pass made of the buffers, and undo it.

        Parameters
        ----------
        share
            The pass's samples as a fraction of the step's.
        """
        if not self._buffers:
            return
        with torch.no_grad():
            # Compared by value: a batch normalisation writes without raising the counter of writes.
            pairs = list(zip(self._buffers, self._before))
            changed = torch.stack([(buffer != before).any() for buffer, before in pairs]).tolist()
            for number, (buffer, before) in enumerate(pairs):
                if not changed[number]:
                    continue
                if buffer.is_floating_point():
                    # What stays infinite, such as a mask of logits, has no difference.
                    change = torch.where(buffer == before, torch.zeros_like(buffer), buffer - before) * share
                    self._made[number] = self._made[number] + change if number in self._made else change
                else:
                    self._made[number] = torch.maximum(self._made.get(number, before), buffer)
                buffer.copy_(before)

    def sum_up(self) -> None:
        """Make gradients and buffers the same in all processes: those of the whole step."""
        together, count = self._together, len(self._parameters)
        flags = together.any(
            *(parameter.grad is not None for parameter in self._parameters),
            *(number in self._made for number in range(len(self._buffers))),
        )
        for parameter, used in zip(self._parameters, flags):
            if used and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        together.add([parameter.grad for parameter in self._parameters if parameter.grad is not None])
        changed = [number for number, flag in enumerate(flags[count:]) if flag]
        floating = [number for number in changed if self._buffers[number].is_floating_point()]
        counting = [number for number in changed if number not in floating]
        for number in changed:
            before = self._before[number]
            self._made.setdefault(number, torch.zeros_like(before) if number in floating else before.clone())
        together.add([self._made[number] for number in floating])
        together.largest([self._made[number] for number in counting])
        with torch.no_grad():
            for number in floating:
                self._buffers[number].copy_(self._before[number] + self._made[number])
            for number in counting:
                self._buffers[number].copy_(self._made[number])
