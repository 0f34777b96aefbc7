"""Time a whole split: ``bench score`` of 300 cases of the real size, every metric of both profiles, all intervals.

``python tests/bench/bench_split.py [--work DIR] [--cases N] [--jobs N]``

Every other case has three findings (``mixed_f3``), the others two of them, so that the mean is 2.5. The cases are
links to the same few files, which costs nothing to make and the same to read.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from bench import synthetic  # noqa: E402

from harness.masks import open_volume, read_bits  # noqa: E402

KINDS = ("mixed_f3", "mixed_f2")


def entry(made: synthetic.Made, name: str) -> dict[str, object]:
    """Describe one case as an index does."""
    with open_volume(made.truth, limit=1 << 40) as volume:
        grids, _ = read_bits(volume, made.shape, len(made.categories), range(len(made.categories)), labelled=True)
    return {
        "name": name,
        "findings": {str(i): f"Finding {i} of the lungs" for i in range(len(grids))},
        "entity_counts": {str(i): len(set(grid.labels.tolist())) for i, grid in enumerate(grids)},
        "shape": list(made.shape),
        "pixels": {str(i): grid.count for i, grid in enumerate(grids)},
        "categories": {str(i): category for i, category in enumerate(made.categories)},
        "protocol": "protocol1",
    }


def lay_out(folder: Path, work: Path, cases: int) -> None:
    """Write a data set without CTs, and a submission to it, of linked files."""
    made = [synthetic.make(kind, work) for kind in KINDS]
    described = [entry(one, "") for one in made]
    entries, spacings = [], []
    for inner in ("data/seg", "masks"):
        (folder / inner).mkdir(parents=True)
    for number in range(cases):
        name, kind = f"case_{number}_a_1.nii.gz", number % len(KINDS)
        os.link(made[kind].truth, folder / "data" / "seg" / name)
        os.link(made[kind].stack, folder / "masks" / name)
        entries.append(described[kind] | {"name": name})
        spacings.append({"name": name, "spacing_mm": list(synthetic.SPACING)})
    (folder / "data" / "dataset.json").write_text(json.dumps({"train": [], "val": [], "test": entries}))
    (folder / "data" / "spacing.json").write_text(json.dumps(spacings))


def main() -> None:
    """Print the wall time of the command, and its CPU seconds where it is one process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(".bench/scoring"), help="where the masks are made and kept")
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.work) as name:
        folder = Path(name)
        lay_out(folder, arguments.work, arguments.cases)
        command = [sys.executable, "-m", "harness", "--home", folder / "home", "score", folder / "masks"]
        command += ["--dataset", folder / "data", "--profile", "miccai2026", "--jobs", str(arguments.jobs), "--json"]
        began = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        wall = time.perf_counter() - began
    document = json.loads(done.stdout)
    line = (
        f"{document['n_cases']} cases, {document['n_findings']} findings, {arguments.jobs} processes: {wall:.0f} s wall"
    )
    if arguments.jobs == 1:  # only then is the work done in the process that was waited for
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        line += f", {used.ru_utime + used.ru_stime:.1f} s CPU"
    print(f"{line}, load {os.getloadavg()[0]:.1f} at the end")  # noqa: T201 - its output


if __name__ == "__main__":
    main()
