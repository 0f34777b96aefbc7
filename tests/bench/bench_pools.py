"""What a cluster adds to a run: the same run on this host, on a Dask worker and as a Slurm job, in turn.

Each place has one container at a time, so that the dealing is equal: one shard with all cases. A model works for a
given time on each of 20 small cases. Wall seconds of whole commands, from the first to the finished row; the
rows are compared, too. Starts a Dask scheduler with TLS, a worker and a Slurm of one node, all on this machine, and
writes ``docs/benchmarks/pools.md``.

``python -m tests.bench.bench_pools``, as root, with Slurm, munge and Docker.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from harness.runs.hardware import describe_hardware
from tests.conftest import Bench, engine_problem, write_dataset
from tests.e2e.lab import Lab, content
from tests.slurm_node import SlurmNode, problem

ROOT = Path(__file__).resolve().parents[2]
PLUGIN_DIR = Path(__file__).parent / "plugins" / "steady"
CASES, SHAPE = 20, (96, 80, 64)

#: Name of a place -> the options of `bench run` there.
PLACES: Mapping[str, tuple[str, ...]] = {
    "this host": ("--engine", "docker"),
    "Dask": ("--cluster", "lab"),
    "Slurm": ("--cluster", "hpc"),
}


@contextmanager
def _places(work: Path) -> Iterator[dict[str, Bench]]:
    """Start both schedulers; yield a command line for each place, with a home of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    found = {name: Bench(work / name.replace(" ", "-"), dict(environment)) for name in PLACES}
    with ExitStack() as held:
        lab = Lab(found["Dask"], work / "shared-dask")
        lab.shared.mkdir()
        lab.describe(lab.bench.home)
        lab.bench("cluster", "check", "lab", code=3)  # makes the certificates
        held.callback(lab.stop)
        lab.start_scheduler()
        lab.start_workers(1)
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))  # a socket's path is short
        node = SlurmNode(folder)
        held.callback(node.stop)
        node.start()
        slurm, shared = found["Slurm"], work / "shared-slurm"
        slurm.environment.update(node.environment)
        slurm.home.mkdir()
        shared.mkdir()
        (slurm.home / "clusters.toml").write_text(f'[hpc]\nkind = "slurm"\nshared = "{shared}"\nmax_jobs = 1\n')
        yield found


def _round(benches: Mapping[str, Bench], command: list[object]) -> dict[str, float]:
    """Run a command once in every place; return wall seconds. Rows that differ end the program."""
    seconds: dict[str, float] = {}
    contents: dict[str, dict[str, Any]] = {}
    for name, options in PLACES.items():
        began = time.monotonic()
        said = benches[name](*command, *options, "--fresh", "--json")
        seconds[name] = time.monotonic() - began
        contents[name] = content(benches[name], json.loads(said.stdout))
        for of in ("run", "timing"):
            contents[name]["document"].pop(of, None)
    if differing := [name for name, found in contents.items() if found != contents["this host"]]:
        sys.exit(f"the rows of {', '.join(differing)} are not those of this host")
    return seconds


def _row(name: str, rounds: list[dict[str, float]]) -> str:
    def middle(values: Iterator[float]) -> float:
        return statistics.median(values)

    host = middle(each["this host"] for each in rounds)
    cells = [f"{host:.2f}"]
    for place in ("Dask", "Slurm"):
        added = middle(each[place] - each["this host"] for each in rounds)
        cells += [f"{middle(each[place] for each in rounds):.2f}", f"{added:+.2f}", f"{100 * added / host:+.1f} %"]
    return f"| {name} | {len(rounds)} | {' | '.join(cells)} |"


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the model that works at once")
    parser.add_argument("--seconds", type=float, default=3.0, help="work on a case in the long round")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks" / "pools.md", help="the page")
    options = parser.parse_args()
    if lacking := problem() or engine_problem():
        sys.exit(lacking)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever is stopped stops what it has started
    run: list[object] = ["run", "--plugin", "steady", "--plugin-dir", PLUGIN_DIR]
    with tempfile.TemporaryDirectory(prefix="bench-pools-") as folder:
        work = Path(folder)
        run += ["--dataset", write_dataset(work / "toy", CASES, SHAPE), "--variant"]
        with _places(work) as benches:
            first = _round(benches, [*run, "at-once"])  # builds, exports and imports the image; not counted
            sys.stderr.write(f"first round: {first}\n")
            at_once = [_round(benches, [*run, "at-once"]) for _ in range(options.rounds)]
            long = [_round(benches, [*run, "one-second", "--param", f"seconds={options.seconds}"])]
    hardware = describe_hardware([])
    page = f"""# Overhead of a cluster

`make bench-pools`: the same run on this host, on one Dask worker over TLS and as jobs of a Slurm of one node, in turn,
in one run; everything on this machine. A model works for a given time on each of {CASES} small cases. Each place runs
one container at a time, so the dealing is equal. Times are wall seconds of whole commands, medians of rounds; a first
round is not counted. Rows and masks were equal, byte for byte.

| work | rounds | this host | Dask | added | of it | Slurm | added | of it |
|---|---|---|---|---|---|---|---|---|
{_row("none", at_once)}
{_row(f"{options.seconds:g} s a case", long)}

Measured on {hardware["cpu"]}, {hardware["cores"]} cores; load {os.getloadavg()[1]:.1f} (5 minutes) at the end.

Both include what is tried out before anything is recorded: on Dask a container on the worker, in every command; on
Slurm a job of its own in the first command of a plan, which is the second row, and a container in each job on another
node or later than five minutes after. A Slurm job also waits for the queue's next cycle, a second here, and its end is
seen a second later, in long runs a hundredth of their time. A busy cluster adds its own waiting.
"""
    options.out.write_text(page, encoding="utf-8")
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
