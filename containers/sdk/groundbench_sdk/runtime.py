"""What a container runs: read the job, load the model, write masks and events, every file atomically."""

from __future__ import annotations

import importlib
import os
import random
import resource
import sys
import time
import traceback
from contextlib import closing
from pathlib import Path
from typing import Sequence, cast

import nibabel as nib
import numpy as np

from groundbench_sdk.adapter import Adapter
from groundbench_sdk.events import Events
from groundbench_sdk.finetuning import Training, log_failure, rank_and_world_size, start_together
from groundbench_sdk.records import Case, Job, Rejected, read_cases, read_training_cases

VERSION = "1.2"


def main(adapter: type[Adapter] | str, root: Path | None = None) -> int:
    """Run `adapter` over every case of the job below `root`.

    Parameters
    ----------
    adapter
        The adapter's class, or ``"module:Class"`` to import it from; imported after the ``started`` event, so that
        an import that hangs is timed out as loading.
    root
        Where job, cases and output lie; by default ``$BENCH_ROOT``, else ``/bench``.

    Returns
    -------
    int
        Exit code: 0 when every case was tried (a failed case is an event, not an exit code).
    """
    root = root or Path(os.environ.get("BENCH_ROOT", "/bench"))
    with closing(Events(root / "out")) as events:
        return _run(adapter, root, events)


def _run(adapter: type[Adapter] | str, root: Path, events: Events) -> int:
    rank, world_size = rank_and_world_size()
    if rank == 0 and "RANK" not in os.environ:  # the one process, or the one that starts the others
        events.emit("started", sdk="groundbench-sdk-python " + VERSION)
    job = Job.read(root)
    if job.verb == "predict":
        return _predict_all(adapter, root, job, events)
    if job.verb != "finetune":
        raise Rejected(f"this SDK version runs the verbs 'predict' and 'finetune', not {job.verb!r}")
    try:
        if isinstance(adapter, str):
            start_together(job, adapter, root / "out")
        began = time.monotonic()
        model = _load(adapter, job)
        training = Training(root / "out", events, rank, world_size)
        train, val = read_training_cases(root, training.warn)
        if rank == 0:
            events.emit("progress", stage="loaded", seconds=time.monotonic() - began)
        model.finetune(train, val, training)
    except Exception as error:
        log_failure(events, error)
        raise
    if rank == 0:
        events.emit("finished")
    return 0


def _load(adapter: type[Adapter] | str, job: Job) -> Adapter:
    kind = _import(adapter) if isinstance(adapter, str) else adapter
    _seed(job.seed)  # after the import, which may bring torch, and before any weight is drawn
    model = kind()
    model.load(job)
    return model


def _predict_all(adapter: type[Adapter] | str, root: Path, job: Job, events: Events) -> int:
    began = time.monotonic()
    model = _load(adapter, job)
    events.emit("progress", stage="loaded", seconds=time.monotonic() - began)
    for case in read_cases(root):
        events.emit("progress", stage="case", case=case.id)
        began = time.monotonic()
        # From the job and the case alone: which cases came before, in which container, must not matter.
        _seed(job.seed if case.seed is None else case.seed)
        try:
            _predict(model, case, root / "out" / case.id)
            _log_warnings(case, events)
        except Exception as error:  # noqa: BLE001 - whatever a model raises fails this case only
            traceback.print_exc()
            # "replace": a file name may hold characters that UTF-8, and so JSON, cannot.
            reason = f"{type(error).__name__}: {error}"[:2000].encode("utf-8", "replace").decode()
            _log_warnings(case, events)
            events.emit("case_failed", case=case.id, reason=reason)
            continue
        events.emit("case_done", case=case.id, seconds=time.monotonic() - began, **_memory(job))
    events.emit("finished")
    return 0


def save_mask(path: Path, mask: np.ndarray, case: Case) -> None:
    """Write one mask on the grid of the case's CT: first under another name, then renamed.

    Parameters
    ----------
    path
        ``out/<case>/<finding>.nii.gz``.
    mask
        (H, W, D), boolean or 0/1.
    case
        Gives shape and affine.

    Raises
    ------
    Rejected
        When the mask has another shape or values other than 0 and 1.
    """
    array = np.asarray(mask)
    name = path.name[: -len(".nii.gz")]
    if array.shape != case.shape:
        raise Rejected(f"finding {name}: the mask's shape is {array.shape}, the CT's is {case.shape}")
    binary = array.astype(bool, copy=False)
    if array.dtype != np.bool_ and not np.array_equal(array, binary):
        raise Rejected(f"finding {name}: the mask has values other than 0 and 1; apply your threshold first")
    # "F": the order of the file; nibabel would reorder the array slice by slice, which takes longer.
    image = nib.Nifti1Image(binary.astype(np.uint8, order="F"), case.affine)  # type: ignore[no-untyped-call]
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(".partial-" + path.name)
    nib.save(image, str(partial))
    partial.replace(path)


def _predict(model: Adapter, case: Case, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    known = {finding.id for finding in case.findings}
    for finding, mask in model.predict(case):
        if finding not in known:
            raise Rejected(f"the adapter yielded {finding!r}, which is not a finding of case {case.id}")
        save_mask(folder / (finding + ".nii.gz"), mask, case)


def _log_warnings(case: Case, events: Events) -> None:
    """Log the adapter's warnings; text from a file may hold characters that UTF-8, and so JSON, cannot."""
    for text in case.warnings:
        events.emit("warning", case=case.id, text=text.encode("utf-8", "replace").decode())


def _seed(seed: int) -> None:
    """Seed the generators that a Python model draws from; torch's only where the adapter has imported it."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the state that upstream code draws from
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def _memory(job: Job) -> dict[str, int | None]:
    """Return the peak memory of this process and, on a GPU, of torch's allocator, in bytes."""
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    torch = sys.modules.get("torch")
    device = None
    if torch is not None and any(name.startswith("cuda") for name in job.devices):
        device = max(int(torch.cuda.max_memory_allocated(name)) for name in job.devices)
    return {"host_bytes": host, "device_bytes": device}


def _import(name: str) -> type[Adapter]:
    module, _, attribute = name.partition(":")
    return cast("type[Adapter]", getattr(importlib.import_module(module), attribute))


def command_line(arguments: Sequence[str]) -> int:
    """Run ``python -m groundbench_sdk module:Class``."""
    if len(arguments) != 1 or ":" not in arguments[0]:
        sys.stderr.write("usage: python -m groundbench_sdk module:AdapterClass\n")
        return 2
    return main(arguments[0])
