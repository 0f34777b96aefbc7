"""Time the scorer beside others on seeded masks of the real sizes; write docs/benchmarks.md.

``python tests/bench/bench_scoring.py [--work DIR] [--rounds N] [--peers PYTHON] [--cases NAME,...]``

Every reading is a fresh single-threaded process; the scorers take turns within a round, so that a busy machine slows
all of them alike. Peers (MONAI, panoptica, surface-distance) run where the interpreter of ``--peers`` can import them.
Times are CPU seconds for reading both files and scoring them, imports left out; memory is the process's peak.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench import synthetic  # noqa: E402

#: Cases on which everything is timed, and those that only show what our scorer does at its worst.
COMPARED = ("mixed_f3",)
WORST = ("specks_f1", "specks10k_f1", "labels300_f1", "float64_f1", "int64_f1", *(f"{k}_f1" for k in synthetic.WORST))
OURS_ONLY = (*WORST, "mixed_f8")


def limit(made: synthetic.Made) -> Callable[[], object]:
    """Only decode both files on one core, and look once at every byte."""
    import numpy as np
    from zlib_ng import gzip_ng

    def work() -> None:
        buffer = bytearray(1 << 20)
        words = np.frombuffer(buffer, np.uint64)
        for path in (made.truth, made.stack):
            with gzip_ng.open(path) as stream:
                while stream.readinto(buffer):
                    np.bitwise_or.reduce(words)

    return work


def ours(made: synthetic.Made, *, instances: bool) -> Callable[[], object]:
    """Score with this project."""
    from harness.dataset import Finding
    from harness.scoring.case import DEFAULT_RULE, CaseTask, score_case

    findings = tuple(Finding(i, str(i), f"finding {i}", category) for i, category in enumerate(made.categories))
    rule = DEFAULT_RULE if instances else None
    task = CaseTask(made.name, made.truth, made.shape, synthetic.SPACING, None, findings, stack=made.stack, rule=rule)
    return lambda: score_case(task)


def load(made: synthetic.Made) -> tuple[object, object]:
    """Load both stacks as most code does."""
    import nibabel as nib
    import numpy as np

    return tuple(np.asanyarray(nib.load(path).dataobj) for path in (made.truth, made.stack))


def plain(made: synthetic.Made) -> Callable[[], object]:
    """Score with nibabel, NumPy and SciPy on whole volumes: Dice, components, and the ASSD of the whole finding."""
    import numpy as np
    from scipy import ndimage

    def work() -> None:
        truth, guess = load(made)
        for labels, mask in zip(truth, guess > 0, strict=True):
            finding = labels > 0
            2 * (finding & mask).sum() / (finding.sum() + mask.sum())
            parts, n = ndimage.label(mask, ndimage.generate_binary_structure(3, 2))
            np.bincount(parts.ravel(), minlength=n + 1)
            del parts
            shells = [volume & ~ndimage.binary_erosion(volume) for volume in (finding, mask)]
            for shell, other in (shells, shells[::-1]):
                ndimage.distance_transform_edt(~other, sampling=synthetic.SPACING)[shell].mean()

    return work


def monai(made: synthetic.Made, *, distances: bool) -> Callable[[], object]:
    """Score with MONAI: Dice, or Dice and the ASSD of the whole finding."""
    import numpy as np
    import torch
    from monai.metrics import compute_average_surface_distance, compute_dice

    torch.set_num_threads(1)

    def work() -> None:
        truth, guess = load(made)
        for labels, mask in zip(truth, guess, strict=True):
            a, b = (torch.from_numpy(np.ascontiguousarray(volume > 0))[None, None] for volume in (mask, labels))
            compute_dice(a, b, include_background=True)
            if distances:
                compute_average_surface_distance(
                    a, b, include_background=True, symmetric=True, spacing=synthetic.SPACING
                )

    return work


def panoptica(made: synthetic.Made) -> Callable[[], object]:
    """Score with panoptica: instances, Dice, and their ASSD."""
    import numpy as np
    from panoptica import ConnectedComponentsInstanceApproximator, InputType, NaiveThresholdMatching
    from panoptica import Panoptica_Evaluator as Evaluator
    from panoptica.metrics import Metric

    evaluator = Evaluator(
        expected_input=InputType.SEMANTIC,
        instance_approximator=ConnectedComponentsInstanceApproximator(),
        instance_matcher=NaiveThresholdMatching(matching_metric=Metric.DSC, matching_threshold=0.2),
        instance_metrics=[Metric.DSC, Metric.ASSD],
        global_metrics=[Metric.DSC],
    )

    def work() -> None:
        truth, guess = load(made)
        for labels, mask in zip(truth, guess, strict=True):
            a, b = (np.ascontiguousarray(volume > 0).astype(np.uint8) for volume in (mask, labels))
            evaluator.evaluate(a, b, verbose=False)

    return work


def surface_distance(made: synthetic.Made) -> Callable[[], object]:
    """Score with surface-distance: Dice and its area-weighted distances."""
    import numpy as np
    import surface_distance as library

    def work() -> None:
        truth, guess = load(made)
        for labels, mask in zip(truth, guess, strict=True):
            a, b = (np.ascontiguousarray(volume > 0) for volume in (labels, mask))
            library.compute_dice_coefficient(a, b)
            library.compute_average_surface_distance(library.compute_surface_distances(a, b, synthetic.SPACING))

    return work


#: name -> (maker, whether it needs the peers' interpreter).
SCORERS: dict[str, tuple[Callable[[synthetic.Made], Callable[[], object]], bool]] = {
    "limit": (limit, False),
    "groundbench, Dice and hits": (lambda made: ours(made, instances=False), False),
    "groundbench, every metric": (lambda made: ours(made, instances=True), False),
    "nibabel + SciPy, Dice + whole ASSD": (plain, False),
    "MONAI, Dice": (lambda made: monai(made, distances=False), True),
    "MONAI, Dice + whole ASSD": (lambda made: monai(made, distances=True), True),
    "panoptica, instances + Dice + ASSD": (panoptica, True),
    "surface-distance, Dice + distances": (surface_distance, True),
}


def peak_mb() -> float:
    """Return this process's peak memory; `getrusage` would also count what its parent had before the fork."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(scorer: str, case: str, work: Path) -> None:
    """Take one reading in this process and print it as JSON."""
    job = SCORERS[scorer][0](synthetic.make(case, work))
    began, wall = time.process_time(), time.perf_counter()
    job()
    reading = {
        "cpu": time.process_time() - began,
        "wall": time.perf_counter() - wall,
        "process": time.process_time(),
        "rss": peak_mb(),
    }
    print(json.dumps(reading))  # noqa: T201 - this is what the parent reads


def reading(scorer: str, case: str, arguments: argparse.Namespace) -> dict[str, float] | None:
    """Take one reading in a fresh process; None where a peer is not there or fails."""
    python = arguments.peers if SCORERS[scorer][1] else sys.executable
    if not python:
        return None
    command = [python, __file__, "--worker", scorer, case, "--work", str(arguments.work)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | threads, check=False)
    if done.returncode:
        print(f"{scorer} on {case}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)  # noqa: T201
        return None
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(readings: dict[str, list[dict[str, float]]]) -> list[str]:
    """Return the rows of one case: medians, and ratios taken within a round."""

    def ratio(name: str, base: str) -> str:
        pairs = list(zip(readings[name], readings[base], strict=False))
        return f"{statistics.median(a['cpu'] / b['cpu'] for a, b in pairs):.1f}"

    lines = [
        "| scorer | n | CPU s | wall s | x limit | x every metric | peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rounds in readings.items():
        cpu, wall, rss = (statistics.median(r[key] for r in rounds) for key in ("cpu", "wall", "rss"))
        full = ratio(name, "groundbench, every metric")
        lines.append(
            f"| {name} | {len(rounds)} | {cpu:.2f} | {wall:.2f} | {ratio(name, 'limit')} | {full} | {rss:.0f} |"
        )
    return lines


def main() -> None:
    """Run the benchmark, or one reading of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(".bench/scoring"), help="where the masks are made and kept")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slow-rounds", type=int, default=1, help="rounds that the slow scorers take part in")
    parser.add_argument("--without", action="append", default=[], metavar="SCORER", help="leave this one out")
    parser.add_argument("--peers", default="", help="a Python interpreter that can import the peers")
    parser.add_argument("--cases", default=",".join((*COMPARED, *OURS_ONLY)), help="the tables of others stay")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--worker", nargs=2, metavar=("SCORER", "CASE"))
    arguments = parser.parse_args()
    if arguments.worker:
        measure(*arguments.worker, arguments.work)
        return
    for case in arguments.cases.split(","):
        made = synthetic.make(case, arguments.work)
        names = [name for name in SCORERS if name not in arguments.without]
        names = names if case in COMPARED else names[:3]
        readings: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for number in range(arguments.rounds):
            for name in names:
                slow = name not in list(SCORERS)[:3]
                if not slow or number < arguments.slow_rounds:
                    found = reading(name, case, arguments)
                    readings[name] += [found] if found else []
        h, w, d = made.shape
        sizes = " and ".join(f"{path.stat().st_size / 1e6:.2f} MB" for path in (made.truth, made.stack))
        machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
        facts = f"{len(made.categories)} x {h} x {w} x {d}; files of {sizes}."
        where = f"Measured on {machine}, load {os.getloadavg()[0]:.1f} at the end."
        measured = {name: rounds for name, rounds in readings.items() if rounds}
        write(arguments.out, case, "\n".join([f"{facts} {where}", "", *table(measured)]))


def write(path: Path, case: str, body: str) -> None:
    """Replace the section of one case between the markers in the document, or add it."""
    begin, end = "<!-- scoring: begin -->", "<!-- scoring: end -->"
    text = path.read_text() if path.exists() else f"# Benchmarks\n\n## Scoring\n\n{begin}\n{end}\n"
    head, tail = text.split(begin)[0], text.split(end)[-1]
    parts = text.split(begin)[1].split(end)[0].split("### ")[1:]
    sections = {part.split("\n", 1)[0]: part.split("\n", 1)[1].strip() for part in parts}
    sections[case] = body
    ordered = [name for name in (*COMPARED, *OURS_ONLY) if name in sections]
    tables = "\n\n".join(f"### {name}\n\n{sections[name]}" for name in ordered)
    path.write_text(f"{head}{begin}\n\n{tables}\n\n{end}{tail}")


if __name__ == "__main__":
    main()
