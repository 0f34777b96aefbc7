"""Time how a model is fed: a stand-in of 0.5, 1 and 2 s of computing on ten CTs, and the loaders of a training.

``python tests/bench/bench_feeding.py [--cases N] [--samples N] [--out FILE]``

The stand-in sleeps, as a process does whose GPU computes, and delivers three masks. Where other programs take the
cores, this process waits for them, as Linux counts it, and sleeps are stretched by as much. Each time is taken
twice in turn: with the SDK as it is, and as it was, with nibabel's reader, a turn to C order after it, and masks
that are turned and compressed before the next one is begun. The masks must be the same bytes. The loaders are those of
a slice model, in 4 and 8 processes beside steps that sleep as long as a GPU was measured to take.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "containers" / "sdk")]

import nibabel as nib  # noqa: E402
import numpy as np  # noqa: E402
from groundbench_sdk import Adapter, Case, main, reading, records, runtime  # noqa: E402
from groundbench_sdk.records import TrainingCase  # noqa: E402
from groundbench_sdk.sample_cache import SampleCache  # noqa: E402
from groundbench_sdk.slice_models import SliceModel  # noqa: E402

SHAPE, WORK = (512, 512, 300), (0.5, 1.0, 2.0)
#: Seconds of a step that were measured on a GPU: the shortest and the longest model.
STEPS = (0.35, 2.4)
SIDE, SLICES, WORKERS = 512, 40, 2


#: Seconds between two looks at how long this process has waited for a core.
_TICK_S = 0.05
#: Nanoseconds in such a moment below which nothing but this looking has run.
_ENOUGH_NS = 5_000_000


class Stretched:
    """Sleeps longer where other programs take the cores, by as much as all else in this process takes longer."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}
        self._ran = self._waited = 0

    def start(self) -> None:
        """Count from now on."""
        self._look()
        self._ran = self._waited = 0

    @property
    def slower(self) -> float:
        """How many times as long the threads of this process took as they ran."""
        self._look()
        return (self._ran + self._waited) / self._ran if self._ran else 1.0

    def sleep(self, seconds: float) -> None:
        """Sleep; a moment counts by the share in which threads that could run did run, then or since the start."""
        began = time.perf_counter()
        slower = self.slower
        while seconds > 0:
            time.sleep(min(seconds, _TICK_S))
            ran, waited = self._look()
            now = time.perf_counter()
            seconds -= (now - began) * (ran / (ran + waited) if ran + waited > _ENOUGH_NS else 1 / slower)
            began = now

    def _look(self) -> tuple[int, int]:
        """Return for how many nanoseconds threads ran, and waited for a core, since the last look."""
        ran, waited, seen = 0, 0, {}
        for file in Path("/proc/self/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):  # it has ended
                now = [int(word) for word in file.read_text(encoding="ascii").split()]
                before = self._seen.get(file.parent.name, (0, 0))
                seen[file.parent.name] = now[0], now[1]
                ran, waited = ran + now[0] - before[0], waited + now[1] - before[1]
        self._seen = seen
        self._ran, self._waited = self._ran + ran, self._waited + waited
        return ran, waited


STRETCHED = Stretched()


class Standing(Adapter):
    """Sleeps in the place of a GPU."""

    def load(self, job: Any) -> None:
        """Read how long."""
        self.seconds = job.params["seconds"]

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield a block a finding, from a mask in C order as most code makes it."""
        case.volume()
        for number, finding in enumerate(case.findings):
            STRETCHED.sleep(self.seconds / len(case.findings))
            mask = np.zeros(case.shape, bool)
            mask[100 * number : 100 * number + 90, 200:260, 80:140] = True
            yield finding.id, mask


def as_it_was(path: Path, shape: tuple[int, ...], layout: reading.Layout) -> np.ndarray:
    """Read a CT as the SDK did before: whole, then turned."""
    data = np.asanyarray(nib.load(path).dataobj)  # type: ignore[attr-defined]
    return np.ascontiguousarray(data.reshape(shape), dtype=layout.dtype)


def make(folder: Path) -> Path:
    """Write one CT with the noise of a scanner; return its path."""
    path, random = folder / "ct.nii.gz", np.random.default_rng(0)
    x, y, _ = np.ogrid[:512, :512, :1]
    body = np.where((x - 256) ** 2 / 220**2 + (y - 256) ** 2 / 160**2 < 1, -800, -1000)
    voxels = np.empty(SHAPE, np.int16, order="F")
    for index in range(SHAPE[2]):
        voxels[:, :, index] = body[:, :, 0] + np.rint(random.normal(0, 15, SHAPE[:2]))
    nib.save(nib.Nifti1Image(voxels, np.diag([-0.7, -0.7, 1.0, 1.0])), path)
    return path


def run(ct: Path, seconds: float, cases: int, *, before: bool) -> dict[str, Any]:
    """Predict some cases; return seconds a case, shares, CPU seconds and the digests of the masks."""
    with tempfile.TemporaryDirectory(dir=ct.parent) as folder:
        root = Path(folder)
        (root / "out").mkdir()
        findings = [{"id": str(number), "text": "a"} for number in range(3)]
        case = {"ct": str(ct), "shape": SHAPE, "spacing": [0.7, 0.7, 1.0], "findings": findings}
        lines = [json.dumps({**case, "id": f"case{number}"}) + "\n" for number in range(cases)]
        (root / "cases.jsonl").write_text("".join(lines), encoding="utf-8")
        job = {"contract": 1, "verb": "predict", "model": "m", "variant": "v", "seed": 0, "devices": ["cpu"]}
        job |= {"threads": 1, "memory_mb": 8192, "params": {"seconds": seconds, "ahead": not before}}
        (root / "job.json").write_text(json.dumps(job), encoding="utf-8")
        STRETCHED.start()
        began = _cpu()
        with _patched(before):
            main(Standing, root)
        cpu = _cpu() - began
        events = [json.loads(line) for line in (root / "out" / "events.jsonl").read_text().splitlines()]
        done = [event for event in events if event["event"] == "case_done"]
        masks = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(root.glob("out/*/*.nii.gz"))]
    took = sum(event["seconds"] for event in done)
    return {
        "case_s": took / cases,
        "later_s": statistics.median(event["seconds"] for event in done[1:]),
        "share": sum(event["compute_s"] for event in done) / took,
        "later_share": sum(event["compute_s"] for event in done[1:]) / sum(event["seconds"] for event in done[1:]),
        "read_s": statistics.median(event["read_s"] for event in done[1:]),
        "cpu_s": cpu / cases,
        "slower": STRETCHED.slower,
        "masks": masks,
    }


class _Turned:
    """A copy of a mask that is turned at once."""

    def __init__(self, mask: np.ndarray) -> None:
        self._mask = np.asfortranarray(mask.astype(np.uint8))
        self.nbytes = self._mask.nbytes

    def unpack(self) -> np.ndarray:
        """Return it."""
        return self._mask


class _patched:  # noqa: N801 - a context
    """Puts in place what the SDK did before."""

    def __init__(self, before: bool) -> None:
        self._before, self._kept = before, (records.read_volume, runtime.PackedMask)

    def __enter__(self) -> None:
        if self._before:
            records.read_volume = as_it_was  # type: ignore[assignment]
            runtime.PackedMask = _Turned  # type: ignore[assignment,misc]

    def __exit__(self, *_: object) -> None:
        records.read_volume, runtime.PackedMask = self._kept  # type: ignore[misc]


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# -- training ---------------------------------------------------------------------------------------------------------


class Slices(SliceModel):
    """The loaders of a slice model without its network."""

    def picture(self, hu: np.ndarray, square: Any) -> np.ndarray:
        """Draw through a window."""
        return np.clip(square.fit(np.clip(hu, -1000, 400).astype(np.float32) + 1000) * (255 / 1400), 0, 255).astype(
            np.uint8
        )

    def fit_text(self, case: Case, finding: Any) -> str:
        """Return the text."""
        return str(finding.text)

    def sample_cache(self, training: Any) -> SampleCache:
        """Return a cache for all that there is."""
        return SampleCache(training.state / "samples", 2**40)


def loader(folder: Path, rank: int, ranks: int, step: float) -> Callable[[int], Any]:
    """Return what makes a sample of a rank, and count them."""
    raw = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    cases = [TrainingCase(folder, case) for case in raw]
    model = Slices()
    model.params, model.job = {"image_size": SIDE}, SimpleNamespace(threads=2)  # type: ignore[assignment]
    state = folder / f"state{ranks}-{step:g}"  # a cache of its own: the first pass is cold
    state.mkdir(exist_ok=True)
    count, sample = model.samples(cases, SimpleNamespace(state=state, rank=0, world_size=1))  # type: ignore[arg-type]
    order = np.random.default_rng(0).permutation(count)[rank::ranks]
    return lambda number: sample(int(order[number % len(order)]), np.random.default_rng(number))


def rank_main(folder: Path, rank: int, ranks: int, step: float, samples: int) -> None:
    """Take steps, a sample each, as a rank does; print seconds waited and CPU seconds of the first and second pass."""
    sample, said = loader(folder, rank, ranks, step), []
    for _ in range(2):
        began, used, waited = time.perf_counter(), _cpu(), 0.0
        with ThreadPoolExecutor(WORKERS) as pool:
            ahead = [pool.submit(sample, number) for number in range(samples)]
            for made in ahead:
                now = time.perf_counter()
                made.result()
                waited += time.perf_counter() - now
                time.sleep(step)
        took = time.perf_counter() - began
        said.append({"wait": waited / took, "per_s": samples / took, "cpu_s": (_cpu() - used) / samples})
    sys.stdout.write(json.dumps(said) + "\n")


def training(folder: Path, ct: Path, ranks: int, step: float, samples: int) -> list[dict[str, float]]:
    """Return what all ranks together saw in the first and in the second pass."""
    labels = np.zeros((1, *SHAPE), np.uint8)
    labels[0, 200:260, 200:260, 100 : 100 + SLICES] = 1
    if not (folder / "seg.nii.gz").exists():
        nib.save(nib.Nifti1Image(labels, np.eye(4)), folder / "seg.nii.gz")
    case = {"ct": ct.name, "seg": "seg.nii.gz", "split": "train", "shape": SHAPE, "spacing": [0.7, 0.7, 1.0]}
    cases = [{**case, "id": f"case{number}", "findings": [{"id": "0", "text": "a"}]} for number in range(4)]
    (folder / "train.json").write_text(json.dumps(cases), encoding="utf-8")
    command = [sys.executable, __file__, "--rank", str(folder), str(ranks), str(step), str(samples)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, text=True, env=environment)
        for rank in range(ranks)
    ]
    said = [json.loads(process.communicate()[0]) for process in started]
    return [
        {
            "wait": statistics.mean(one[number]["wait"] for one in said),
            "per_s": sum(one[number]["per_s"] for one in said),
            "cpu_s": statistics.mean(one[number]["cpu_s"] for one in said),
        }
        for number in range(2)
    ]


def report(fed: dict[float, tuple[dict[str, Any], ...]], trained: dict[Any, Any], cases: int) -> str:
    """Return the page."""
    cores, load = os.cpu_count(), os.getloadavg()[1]
    lines = [
        "# Feeding\n",
        f"`make bench-feeding`: a stand-in that sleeps where a GPU would compute, on {cases} CTs of 512 x 512 x 300,",
        "three masks each; with the SDK as it is (after) and what it did before: nibabel's reader, a turn to C order,",
        "masks that are turned and compressed before the model goes on. In turn in one run; the masks are the same",
        "bytes. *Share* is computing by the seconds of the cases, of all and from the second on: the first CT has",
        "nothing to be read behind. *Slower*: how many times as long everything took as without the time in which this",
        "process waited for cores that others had, by Linux's count; the sleeps were stretched by it, and seconds are",
        "divided by it. Where computing exceeds reading, 95 % are the goal.\n",
        (
            "| computing, s | slower before | after | s a case before | after | ratio | share before | after "
            "| from case 2 on "
            "| reading, s before | after | CPU s a case before | after |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for seconds, (before, after) in fed.items():
        own = [
            {name: one[name] / one["slower"] for name in ("case_s", "read_s")} | {"slower": one["slower"]}
            for one in (before, after)
        ]
        lines.append(
            f"| {seconds:g} | {own[0]['slower']:.1f} | {own[1]['slower']:.1f} "
            f"| {own[0]['case_s']:.2f} | {own[1]['case_s']:.2f} | {own[1]['case_s'] / own[0]['case_s']:.2f} "
            f"| {before['share']:.0%} | {after['share']:.0%} | {after['later_share']:.0%} "
            f"| {own[0]['read_s']:.2f} | {own[1]['read_s']:.2f} | {before['cpu_s']:.2f} | {after['cpu_s']:.2f} |"
        )
    lines += [
        (
            "\nThe loaders of a slice model (512 pixels, the sample cache), one process a rank with "
            f"{WORKERS} loading threads, beside"
        ),
        "steps that sleep as long as a GPU took (0.35 to 2.4 s); on these cores, not a GPU host. *Waiting*",
        "is the share of a rank's time in which the step waits for its sample.\n",
        (
            "| ranks | step, s | samples a second, cold | from the cache | waiting, first pass | second pass "
            "| CPU ms a sample, cold | from the cache |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    for (ranks, step), (cold, warm) in trained.items():
        lines.append(
            f"| {ranks} | {step:g} | {cold['per_s']:.1f} | {warm['per_s']:.1f} | {cold['wait']:.0%} "
            f"| {warm['wait']:.1%} | {1000 * cold['cpu_s']:.0f} | {1000 * warm['cpu_s']:.0f} |"
        )
    date = time.strftime("%Y-%m-%d", time.gmtime())
    lines.append(f"\nMeasured on {date}, {cores} cores; load {load:.1f} (5 minutes) at the end.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rank"]:
        where, of, pause, many, own = sys.argv[2:]
        rank_main(Path(where), int(own), int(of), float(pause), int(many))
        sys.exit(0)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks" / "feeding.md")
    parser.add_argument("--cases", type=int, default=10, help="CTs of a run")
    parser.add_argument("--samples", type=int, default=12, help="samples of a rank and pass")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        given = make(Path(place))
        fed = {}
        for work in WORK:
            pair = tuple(run(given, work, options.cases, before=before) for before in (True, False))
            if pair[0].pop("masks") != pair[1].pop("masks"):
                sys.exit("the masks differ")
            fed[work] = pair
            sys.stderr.write(f"{work:g} s: {json.dumps(pair)}\n")
        trained = {
            (ranks, step): training(Path(place), given, ranks, step, options.samples)
            for ranks in (4, 8)
            for step in STEPS
        }
        options.out.write_text(report(fed, trained, options.cases), encoding="utf-8")
