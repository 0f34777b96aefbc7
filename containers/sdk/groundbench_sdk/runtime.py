"""What a container runs: read the job, load the model, write masks and events, every file atomically."""

from __future__ import annotations

import importlib
import os
import random
import sys
import threading
import time
import traceback
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Sequence, cast

import nibabel as nib
import numpy as np

from groundbench_sdk.adapter import Adapter
from groundbench_sdk.events import Events
from groundbench_sdk.feeding import Behind, ReadAhead, Room, host_bytes
from groundbench_sdk.finetuning import Training, log_failure, rank_and_world_size, start_together
from groundbench_sdk.packed import PackedMask
from groundbench_sdk.reading import in_file_order
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
    model, cases = _load(adapter, job), list(read_cases(root))
    model.preview(cases)
    events.emit("progress", stage="loaded", seconds=time.monotonic() - began, device_bytes=_device_bytes(job))
    room = Room(job.memory_mb if job.params.get("ahead", True) else None)
    ahead, behind, story = ReadAhead(cases, room), Behind(room), _Story(events)
    ended: list[threading.Event] = []
    try:
        for number, case in enumerate(cases):
            held = time.perf_counter()
            if number > 1:
                ended[number - 2].wait()  # masks are written at most one case behind
            held = time.perf_counter() - held
            record = _Record(case)
            behind.do(partial(story.begin, record))
            # From the job and the case alone: which cases came before, in which container, must not matter.
            _seed(job.seed if case.seed is None else case.seed)
            ahead.read_s = ahead.wait_s = behind.wait_s = 0.0
            begun = time.perf_counter()
            try:
                _predict(model, record, root / "out" / case.id, behind)
            except Exception as error:  # noqa: BLE001 - whatever a model raises fails this case only
                record.fail(error)
            record.read_s, record.wait_s = ahead.read_s, ahead.wait_s + behind.wait_s + record.handed_s
            record.compute_s = max(0.0, time.perf_counter() - begun - record.wait_s)
            record.wait_s += held
            record.memory = {"host_bytes": host_bytes(), "device_bytes": _device_bytes(job)}
            ended.append(threading.Event())
            behind.do(partial(story.end, record, ended[-1]))
        behind.settle()
    finally:
        behind.close()
    events.emit("finished")
    return 0


class _Record:
    """What becomes of one case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.reason = ""  #: why it failed
        #: Seconds: reading its CT; computing; checking and writing its masks; handing these over, and not computing
        self.read_s = self.compute_s = self.write_s = self.handed_s = self.wait_s = 0.0
        self.memory: dict[str, int | None] = {}

    def fail(self, error: BaseException) -> None:
        """Note what failed, the first time."""
        traceback.print_exception(type(error), error, error.__traceback__)
        # "replace": a file name may hold characters that UTF-8, and so JSON, cannot.
        said = f"{type(error).__name__}: {error}"[:2000].encode("utf-8", "replace").decode()
        self.reason = self.reason or said

    def write(self, path: Path, mask: PackedMask) -> None:
        """Write a checked mask; where that fails the case fails, and what is left of it is not written."""
        if self.reason:
            return
        began = time.perf_counter()
        try:
            _write(path, mask.unpack(), self.case.affine)
        except Exception as error:  # noqa: BLE001 - a full disk, for one, is seen here
            self.fail(error)
        self.write_s += time.perf_counter() - began


class _Story:
    """Tells of one case after another: a case begins when what came before it has ended, masks and all."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._last = time.monotonic()

    def begin(self, record: _Record) -> None:
        self._events.emit("progress", stage="case", case=record.case.id)

    def end(self, record: _Record, ended: threading.Event) -> None:
        """Tell how it ended; its seconds are those since the case before it ended."""
        case, now = record.case.id, time.monotonic()
        try:
            _log_warnings(record.case, self._events)
            if record.reason:
                self._events.emit("case_failed", case=case, reason=record.reason)
            else:
                phases = {name: getattr(record, name) for name in ("read_s", "compute_s", "write_s", "wait_s")}
                self._events.emit("case_done", case=case, seconds=now - self._last, **phases, **record.memory)
        finally:
            self._last = now
            ended.set()


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
    _write(path, _checked(path.name[: -len(".nii.gz")], mask, case).astype(np.uint8, copy=False), case.affine)


def _checked(name: str, mask: np.ndarray, case: Case) -> np.ndarray:
    """Return a mask as booleans, or as bytes that are 0 or 1; raises Rejected unless it is one of this case."""
    array = np.asarray(mask)
    if array.shape != case.shape:
        raise Rejected(f"finding {name}: the mask's shape is {array.shape}, the CT's is {case.shape}")
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind in "iu" and array.itemsize == 1:
        binary = array.view(np.uint8)
        sound = not array.size or binary.max() <= 1
    else:
        binary = array.astype(bool)
        sound = np.array_equal(array, binary)
    if not sound:
        raise Rejected(f"finding {name}: the mask has values other than 0 and 1; apply your threshold first")
    return binary


def _write(path: Path, mask: np.ndarray, affine: np.ndarray) -> None:
    image = nib.Nifti1Image(in_file_order(mask), affine)  # type: ignore[no-untyped-call]
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(".partial-" + path.name)
    nib.save(image, str(unfinished))
    unfinished.replace(path)


def _predict(model: Adapter, record: _Record, folder: Path, behind: Behind) -> None:
    folder.mkdir(exist_ok=True)
    case = record.case
    known = {finding.id for finding in case.findings}
    answers: Any = model.predict(case)
    if answers is None:
        raise Rejected("predict(case) returned nothing: `yield finding.id, mask` for each finding")
    for finding, mask in answers:
        if finding not in known:
            raise Rejected(f"the adapter yielded {finding!r}, which is not a finding of case {case.id}")
        began = time.perf_counter()
        packed = PackedMask(_checked(finding, mask, case))  # the adapter may change its own
        taken = time.perf_counter() - began
        record.handed_s += taken
        record.write_s += taken
        behind.do(partial(record.write, folder / (finding + ".nii.gz"), packed), packed.nbytes)
        if record.reason:
            return


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


def _device_bytes(job: Job) -> int | None:
    """Return the peak memory of torch's allocator on any GPU since the last call, bytes; None without a GPU."""
    torch = sys.modules.get("torch")
    if torch is None or job.devices == ["cpu"] or not torch.cuda.is_initialized():
        return None
    most = max(int(torch.cuda.max_memory_allocated(name)) for name in job.devices)
    for name in job.devices:
        torch.cuda.reset_peak_memory_stats(name)
    return most


def _import(name: str) -> type[Adapter]:
    module, _, attribute = name.partition(":")
    return cast("type[Adapter]", getattr(importlib.import_module(module), attribute))


def command_line(arguments: Sequence[str]) -> int:
    """Run ``python -m groundbench_sdk module:Class``."""
    if len(arguments) != 1 or ":" not in arguments[0]:
        sys.stderr.write("usage: python -m groundbench_sdk module:AdapterClass\n")
        return 2
    return main(arguments[0])
