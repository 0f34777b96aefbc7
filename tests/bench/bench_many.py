"""Time many submissions of one data set: ``bench score A B C …`` beside one command for each; rows must be equal.

``python tests/bench/bench_many.py [--work DIR] [--submissions N] [--cases N] [--jobs N]``

Half of the cases have three findings (``mixed_f3``), the others two. Each submission's masks are shifted by other
numbers of slices, so that every one has its own scores.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402
from bench import synthetic  # noqa: E402
from bench.bench_split import KINDS, lay_out  # noqa: E402

from harness.host.capacity import usable_cores  # noqa: E402


def shifted(kind: str, slices: int, work: Path) -> Path:
    """Return the stack of a kind, moved up by some slices; made once."""
    path = work / f"{kind}_up{slices}.nii.gz"
    if not path.exists():
        import nibabel as nib

        stack = np.asanyarray(nib.load(synthetic.make(kind, work).stack).dataobj)
        volumes = [np.ascontiguousarray(np.roll(volume, slices, axis=2).T) for volume in stack]
        synthetic.write(path.with_suffix(".part.gz"), volumes, level=1).rename(path)
    return path


def submit(folder: Path, work: Path, submissions: int, cases: int) -> list[Path]:
    """Write submissions of linked files beside a data set."""
    shutil.rmtree(folder / "masks")
    found = []
    for number in range(submissions):
        into = folder / f"team_{number}"
        into.mkdir()
        for case in range(cases):
            os.link(shifted(KINDS[case % len(KINDS)], number, work), into / f"case_{case}_a_1.nii.gz")
        found.append(into)
    return found


def timed(home: Path, commands: list[list[str]]) -> tuple[float, float]:
    """Return the wall and the CPU seconds of some commands, one after another."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    for command in commands:
        subprocess.run([sys.executable, "-m", "harness", "--home", home, *command], check=True, capture_output=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rows(home: Path) -> list[list[tuple[object, ...]]]:
    """Return every case, finding and metric of a home, and what identifies its runs."""
    queries = [
        "select id, plan_key, state from runs order by 1",
        "select * from cases order by 1, 2",
        "select * from findings order by 1, 2, 3",
        "select * from metrics order by 1, 2, 3, 4",
    ]
    with closing(sqlite3.connect(home / "results.db")) as db:
        return [db.execute(query).fetchall() for query in queries]


def main() -> None:
    """Print the seconds a submission both ways, their ratio, and whether the rows are equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(".bench/scoring"), help="where the masks are made and kept")
    parser.add_argument("--submissions", type=int, default=20)
    parser.add_argument("--cases", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=usable_cores())
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.work) as name:
        folder = Path(name)
        lay_out(folder, arguments.work, arguments.cases)
        teams = [str(path) for path in submit(folder, arguments.work, arguments.submissions, arguments.cases)]
        options = ["--dataset", str(folder / "data"), "--jobs", str(arguments.jobs), "--json"]
        times = {
            "alone": timed(folder / "alone", [["score", team, *options] for team in teams]),
            "together": timed(folder / "together", [["score", *teams, *options]]),
        }
        equal = rows(folder / "alone") == rows(folder / "together")
    each = {way: [seconds / len(teams) for seconds in found] for way, found in times.items()}
    found = {
        "submissions": len(teams),
        "cases": arguments.cases,
        "processes": arguments.jobs,
        "alone: wall and CPU s a submission": [round(value, 2) for value in each["alone"]],
        "together: wall and CPU s a submission": [round(value, 2) for value in each["together"]],
        "ratio of wall": round(each["alone"][0] / each["together"][0], 2),
        "ratio of CPU": round(each["alone"][1] / each["together"][1], 2),
        "rows equal": equal,
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(found, indent=1))  # noqa: T201 - its output
    if not equal:
        raise SystemExit("the rows of the two ways differ")


if __name__ == "__main__":
    main()
