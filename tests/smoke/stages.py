"""Where the seconds of a model's cases go: stage by stage, with what the GPU does meanwhile and digests of the masks.

Used by ``full_size.py --stages``, inside an image or in any Python that has the SDK, a plugin and its upstream code on
the path. What is timed is wrapped by name; nothing of the product is changed. Prints one JSON line a case.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from groundbench_sdk import main, runtime

#: Stage -> what is timed as such, where a model has it: a module, and the path of a function in it.
STAGES: dict[str, tuple[str, ...]] = {
    "read": ("groundbench_sdk.feeding:read_ct",),
    "prepare": (
        "groundbench_sdk.video:Frames.__getitem__",
        "groundbench_sdk.video:Frames.picture",
        "adapter:BiomedParse.picture",
        "adapter:BiomedParseV2.picture",
        "adapter:SAT._prepare",
        "adapter:SegVol._sample",
        "network:_importance",
        "language:Language.encode_text",
        "voxtell.inference.predictor:VoxTellPredictor.preprocess",
    ),
    "encode": (
        "sam2.modeling.sam2_base:SAM2Base.forward_image",
        "network:Network.encode_image",
        "model:Network.encode_image",
    ),
    "segment": ("network:Network.segment", "model:Network.segment"),
    "restore": (
        "groundbench_sdk.slices:Square.restore",
        "volume:Grid.restore",
        "groundbench_sdk.grids:Reorientation.restore",
    ),
    "write": ("groundbench_sdk.runtime:_write",),
}


class Clock:
    """Seconds of each stage: as a clock on the wall counts them, and of this process's CPUs."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = defaultdict(float)
        self.cpu: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._inside = threading.local()

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is timed, apart from what it calls that is a stage itself."""

        @functools.wraps(function)
        def timed(*given: Any, **named: Any) -> Any:
            outer = getattr(self._inside, "taken", None)
            self._inside.taken = [0.0, 0.0]
            wall, cpu = time.perf_counter(), self._cpu()
            try:
                return function(*given, **named)
            finally:
                wall, cpu = time.perf_counter() - wall, self._cpu() - cpu
                inner = self._inside.taken
                self.wall[stage] += wall - inner[0]
                self.cpu[stage] += cpu - inner[1]
                self.calls[stage] += 1
                self._inside.taken = outer
                if outer is not None:
                    outer[0] += wall
                    outer[1] += cpu

        return timed

    def take(self) -> dict[str, dict[str, float]]:
        """Return what was counted, and begin anew."""
        found = {
            stage: {"wall_s": self.wall[stage], "cpu_s": self.cpu[stage], "calls": self.calls[stage]}
            for stage in STAGES
            if self.calls[stage]
        }
        for counted in (self.wall, self.cpu, self.calls):
            counted.clear()
        return found

    @staticmethod
    def _cpu() -> float:
        """Return the CPU seconds of this thread; of the whole process where it is the one that computes."""
        main_thread = threading.current_thread() is threading.main_thread()
        return time.process_time() if main_thread else time.thread_time()


def wrap(clock: Clock, stages: dict[str, tuple[str, ...]]) -> None:
    """Time what there is of the stages."""
    for stage, places in stages.items():
        for place in places:
            name, _, path = place.partition(":")
            *outer, last = path.split(".")
            with suppress(ImportError, AttributeError):
                owner = functools.reduce(getattr, outer, importlib.import_module(name))
                setattr(owner, last, clock.wrap(stage, getattr(owner, last)))


def _gpu(profiler: Any, seconds: float) -> dict[str, float | int]:
    """Return kernels, their share of the time, and the bytes that went to the GPU and came from it."""
    kernels, busy, moved = 0, 0.0, {"HtoD": 0, "DtoH": 0}
    for event in profiler.profiler.kineto_results.events():
        if "CUDA" not in str(event.device_type()):
            continue
        busy += event.duration_ns() / 1e9
        for way in moved:
            if "Memcpy" in event.name() and way in event.name():
                moved[way] += event.nbytes()
        kernels += "Memcpy" not in event.name() and "Memset" not in event.name()
    found = {"kernels": kernels, "busy_share": min(1.0, busy / seconds)}
    return found | {f"{way.lower()}_bytes": size for way, size in moved.items()}


def measure(adapter: str, root: Path, stages: dict[str, tuple[str, ...]] = STAGES) -> None:
    """Run the job below `root`; print one line a case."""
    clock, on_gpu = Clock(), torch.cuda.is_available()
    load = runtime._load

    def loaded(kind: Any, job: Any) -> Any:
        model = load(kind, job)
        wrap(clock, stages)  # only now is the plugin's code imported
        predict = model.predict

        def profiled(case: Any) -> Any:
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
            activities = [torch.profiler.ProfilerActivity.CUDA]
            began, cpu = time.perf_counter(), time.process_time()
            with torch.profiler.profile(activities=activities) if on_gpu else nullcontext() as profiler:
                yield from predict(case)
                if on_gpu:
                    torch.cuda.synchronize()
            seconds = time.perf_counter() - began
            found[case.id] = {"predict_s": seconds, "cpu_s": time.process_time() - cpu}
            if on_gpu:
                found[case.id] |= _gpu(profiler, seconds) | {"peak_bytes": torch.cuda.max_memory_allocated()}

        model.predict = profiled
        return model

    found: dict[str, dict[str, Any]] = {}
    done = runtime._Story.end

    def end(story: Any, record: Any, *more: Any) -> None:
        done(story, record, *more)
        case, folder = record.case, root / "out" / record.case.id
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.nii.gz"))]
        phases = {name: getattr(record, name) for name in ("read_s", "compute_s", "write_s", "wait_s")}
        line = {"case": case.id, "reason": record.reason, **phases, **found.get(case.id, {})}
        # What is read meanwhile for the next case is counted here: seconds of a stage are those of this time.
        sys.stdout.write(json.dumps({**line, "stages": clock.take(), "sha256": digests}) + "\n")
        sys.stdout.flush()

    runtime._load, runtime._Story.end = loaded, end  # type: ignore[assignment,method-assign]
    main(adapter, root)
