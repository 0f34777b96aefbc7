"""Starts the processes of a training through torchrun, and logs which of them was lost, and how.

When one process is killed, the others fail too: they wait for one that does not answer. What they say is the symptom.
torchrun knows how each process ended, so the failures of processes that it started are collected here.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Mapping, Sequence

from groundbench_sdk.events import Events

#: Where a process that torchrun started leaves the reason of its failure.
_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"


def main(arguments: Sequence[str]) -> int:
    """Run ``python -m groundbench_sdk.together OUT ...``: the output folder, then the arguments of torchrun."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    out, *rest = arguments
    try:
        run.main(rest)
    except ChildFailedError as error:
        with closing(Events(Path(out))) as events:
            events.emit("train_failed", kind="error", reason=reason_of(error.failures))
        return 1
    return 0


def leave_reason(reason: str) -> bool:
    """Leave the reason of this process's failure for the process that started it; False where torchrun did not.

    The first reason stays.
    """
    path = os.environ.get(_ERROR_FILE)
    if path is None:
        return False
    left = {"message": reason, "timestamp": int(time.time()), "ns": time.time_ns()}
    with suppress(FileExistsError), Path(path).open("x", encoding="utf-8") as file:
        json.dump(left, file)
    return True


def reason_of(failures: Mapping[int, Any]) -> str:
    """Return why a training of several processes failed.

    Parameters
    ----------
    failures
        Rank -> how the process ended, as torchrun reports it: ``exitcode`` (negative for a signal), and what it left
        in ``error_file_data``.
    """
    signalled = {rank: -end.exitcode for rank, end in failures.items() if end.exitcode < 0}
    ended = [
        f"process {rank} was ended by {signal.Signals(number).name}"
        + (", as the kernel does where memory runs out" if number == signal.SIGKILL else "")
        for rank, number in sorted(signalled.items(), key=lambda item: (item[1] == signal.SIGABRT, item[0]))
        if number != signal.SIGTERM  # which is torchrun's own
    ]
    # A process aborts itself for a fault of its own, or because another one was lost: it is only named first if no
    # other signal is known, and beside what others left.
    if ended and not ended[0].endswith("SIGABRT"):
        return ended[0]
    left = {rank: end.error_file_data for rank, end in failures.items() if "ns" in end.error_file_data}
    if silent := sorted(failures.keys() - left.keys() - signalled.keys()):
        return f"process {silent[0]} ended with exit code {failures[silent[0]].exitcode}, and left no reason"
    first = [str(min(left.values(), key=lambda data: data["ns"])["message"])] if left else []
    return "; ".join([*first, *ended[:1]]) or "its processes were ended"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
