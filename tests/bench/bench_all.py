"""Every figure of docs/benchmarks.md as a ratio, in one run: each beside its limit or a peer, and the ratio of before.

``python tests/bench/bench_all.py [--quick | --peers PYTHON] [--keep]``

A ratio is taken within one round, on one machine: it says what a change costs where seconds say how busy a machine is.
A ratio a tenth above that of ``ratios.json`` is marked. ``--keep`` writes the new ratios there, and the table to
``docs/benchmarks/all.md``. ``--quick`` takes small masks and 20 seconds, and fails on a ratio twice as bad.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench import bench_scoring, synthetic  # noqa: E402

KEPT = Path(__file__).with_name("ratios.json")
PAGE = ROOT / "docs" / "benchmarks" / "all.md"

#: What a ratio may rise to, against the one kept: seen, and too much.
SEEN, WORSE = 1.1, 2.0

#: How often a quick ratio that looks worse is taken before it counts.
TRIES = 8

#: Small masks, in one process, with what is kept for them.
QUICK = ("small_f3", *(f"small_{kind}_f1" for kind in ("ones", "stripes", "checkerboard", "noise20")))

OURS = "groundbench, every metric"
DICE = "groundbench, Dice and hits"


@dataclass(frozen=True)
class Row:
    """One figure: what took how many times as long as what, and its peak memory in MB where that is told."""

    name: str
    over: str
    ratio: float
    n: int
    mb: float | None = None


def scoring(arguments: argparse.Namespace) -> Iterator[Row]:
    """Compare our scorer with the limit, and the slow scorers with ours."""
    for case in ("mixed_f3", *bench_scoring.WORST, "mixed_f8"):
        rounds = [_readings(case, ["limit", DICE, OURS], arguments) for _ in range(arguments.rounds)]
        for scorer in (DICE, OURS):
            pairs = [(one[scorer], one["limit"]) for one in rounds]
            yield _row(f"{case}: {scorer}", "limit", pairs)
    slow = list(bench_scoring.SCORERS)[3:]
    found = _readings("small_f3", [OURS, *slow], arguments)
    for scorer in slow:
        if scorer in found:
            yield _row(f"small_f3: {scorer}", OURS, [(found[scorer], found[OURS])])


def _readings(case: str, scorers: Sequence[str], arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    synthetic.make(case, arguments.work)
    found = {scorer: bench_scoring.reading(scorer, case, arguments) for scorer in scorers}
    return {scorer: one for scorer, one in found.items() if one}


def _row(name: str, over: str, pairs: Sequence[tuple[dict[str, float], dict[str, float]]]) -> Row:
    ratio = statistics.median(one["cpu"] / other["cpu"] for one, other in pairs)
    return Row(name, over, ratio, len(pairs), max(one["rss"] for one, _ in pairs))


def starting(arguments: argparse.Namespace) -> Iterator[Row]:
    """Compare the start of commands with that of Python with NumPy."""
    commands = {
        "bench --help": ["-m", "harness", "--help"],
        "importing the scorer": ["-c", "import harness.scoring.case"],
        "a finished run looked up": ["-m", "harness", *_finished(arguments.work)],
    }
    for name, command in commands.items():
        pairs = [(_cpu(command), _cpu(["-c", "import numpy"])) for _ in range(2 * arguments.rounds)]
        yield Row(name, "import numpy", statistics.median(one / other for one, other in pairs), len(pairs))


def _finished(work: Path) -> list[str]:
    data = work / "phantom"
    if not data.exists():
        _cpu(["-m", "harness", "--home", str(work / "home"), "data", "phantom", str(data), "--cases", "1"])
    command = ["--home", str(work / "home"), "run", "--plugin", "box", "--dataset", str(data), "--engine", "local"]
    _cpu(["-m", "harness", *command])
    return command


def _cpu(command: Sequence[str]) -> float:
    return _cpu_of([sys.executable, *command])


def _cpu_of(command: Sequence[str]) -> float:
    """Return the CPU seconds of a process and its children, compiled modules kept as a user's shell has it."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{command}: exit {done.returncode}\n{done.stderr.decode()}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def first_run(arguments: argparse.Namespace) -> Iterator[Row]:
    """Compare the fingerprint and the validation of a set of 64 files with sha256sum over them."""
    data = arguments.work / "first"
    if not data.exists():
        _cpu(["-m", "harness", "data", "phantom", str(data), "--cases", "32"])
    files = [str(path) for name in ("ct", "seg") for path in sorted((data / name).glob("*.nii.gz"))]
    for name, command in {
        "validating": ["data", "validate", str(data)],
        "fingerprint": ["data", "info", str(data)],
    }.items():
        ratios = []
        for _ in range(arguments.rounds):
            with tempfile.TemporaryDirectory() as home:
                ours = _cpu(["-m", "harness", "--home", home, *command])
            ratios.append(ours / _cpu_of(["sha256sum", *files]))
        yield Row(f"{name}, first time", "sha256sum", statistics.median(ratios), len(ratios))


def quick(arguments: argparse.Namespace, kept: Mapping[str, float]) -> Iterator[Row]:
    """Compare our scorer with the limit on small masks, in this process: the least of five of each.

    These take milliseconds, and a neighbour in the same core's cache doubles the CPU time of one and not of the other:
    what looks twice as bad is taken again, up to `TRIES` times, and the least ratio counts.
    """
    for case in QUICK:
        made = synthetic.make(case, arguments.work)
        ours, limit = bench_scoring.ours(made, instances=True), bench_scoring.limit(made)
        ours()  # what is loaded once is loaded
        ratios: list[float] = []
        while not ratios or (len(ratios) < TRIES and min(ratios) > WORSE * kept.get(case, math.inf)):
            pairs = [(_cpu_here(ours), _cpu_here(limit)) for _ in range(5)]
            ratios.append(min(one for one, _ in pairs) / min(other for _, other in pairs))
        yield Row(case, "limit", min(ratios), 5 * len(ratios))


def _cpu_here(job: Callable[[], object]) -> float:
    began = time.process_time()
    job()
    return time.process_time() - began


def table(rows: Sequence[Row], kept: dict[str, float]) -> list[str]:
    """Return the rows as a table, with the ratios of before."""
    lines = ["| figure | n | times | of | before | peak MB |", "|---|---|---|---|---|---|"]
    for row in rows:
        before = kept.get(row.name)
        mark = " slower" if before is not None and row.ratio > SEEN * before else ""
        told = "" if before is None else f"{before:.2f}{mark}"
        memory = "" if row.mb is None else f"{row.mb:.0f}"
        lines.append(f"| {row.name} | {row.n} | {row.ratio:.2f} | {row.over} | {told} | {memory} |")
    return lines


def main() -> None:
    """Take every figure and print the table; exit 1 where a quick ratio is twice as bad as the one kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(".bench/scoring"), help="where the masks are made and kept")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small masks only, and fail on a ratio twice as bad")
    parser.add_argument("--peers", default="", help="a Python interpreter that can import the peers")
    parser.add_argument("--keep", action="store_true", help="keep these ratios, and write the page")
    arguments = parser.parse_args()
    kept: dict[str, dict[str, float]] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    form = "quick" if arguments.quick else "all"
    takers = [partial(quick, kept=kept.get(form, {}))] if arguments.quick else [scoring, starting, first_run]
    rows = []
    for taker in takers:
        for row in taker(arguments):
            rows.append(row)
            print(f"{row.name}: {row.ratio:.2f} x {row.over}", file=sys.stderr, flush=True)  # noqa: T201 - progress
    lines = table(rows, kept.get(form, {}))
    print("\n".join(lines))  # noqa: T201 - the result
    if arguments.keep:
        ratios = {row.name: round(row.ratio, 3) for row in rows}
        KEPT.write_text(json.dumps({**kept, form: ratios}, indent=1, sort_keys=True) + "\n")
        if not arguments.quick:
            PAGE.write_text("\n".join([_HEAD.format(where=_where()), *lines, ""]))
    worse = [row.name for row in rows if row.ratio > WORSE * kept.get(form, {}).get(row.name, math.inf)]
    if arguments.quick and worse:
        sys.exit(f"twice as slow against the limit as before: {', '.join(worse)}")


_HEAD = """# Every figure as a ratio

`make bench-all` writes this page. Each figure is CPU time divided by that of a limit or, for the slow scorers, of ours,
within one round; the median over `n` rounds. [Benchmarks](../benchmarks.md) says what the limit and the masks are.
`before` is the ratio kept last; one more than a tenth above it is marked.

{where}
"""


def _where() -> str:
    today = dt.datetime.now(tz=dt.UTC).date()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return f"Measured on {today}: {machine}, load {os.getloadavg()[0]:.1f} at the end.\n"


if __name__ == "__main__":
    main()
