"""Time the intervals of one run: 1,000 resamples of 20 groups and every metric of both profiles.

``python tests/bench/bench_bootstrap.py [--findings N] [--rounds N]``
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

from harness.categories import CATEGORIES  # noqa: E402
from harness.rows import FindingDetails, FindingRow, InstanceCounts, Matches  # noqa: E402
from harness.scoring.profiles import PROFILES  # noqa: E402
from harness.scoring.summary import summarise  # noqa: E402


def findings(n: int) -> list[FindingRow]:
    """Return seeded findings of every category, two and a half a case."""
    rng = np.random.default_rng(20261123)
    rows = []
    for i in range(n):
        hit, tp, fp, fn = (int(value) for value in rng.integers(0, (101, 5, 5, 5)))
        matches = Matches(tp, fp, fn)
        counts = InstanceCounts(100, hit, matches, 0.0, matches)
        rows.append(
            FindingRow(
                case=f"case_{2 * i // 5}",
                finding=str(i),
                index=0,
                category=list(CATEGORIES)[i % len(CATEGORIES)],
                text="",
                status="ok",
                dice=hit / 100,
                truth_voxels=100,
                pred_voxels=100,
                intersection=hit,
                details=FindingDetails(tp + fn, float(rng.random()), counts),
            )
        )
    return rows


def main() -> None:
    """Print the time of each profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--findings", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    rows = findings(arguments.findings)
    for name, profile in PROFILES.items():
        times = []
        for _ in range(arguments.rounds):
            began = time.process_time()
            document = summarise(rows, profile)
            times.append((time.process_time() - began) * 1e3)
        print(  # noqa: T201 - its output
            f"{name}: {len(document)} metrics, {arguments.findings} findings: median {statistics.median(times):.1f}, "
            f"least {min(times):.1f} ms CPU (n = {arguments.rounds})"
        )


if __name__ == "__main__":
    main()
