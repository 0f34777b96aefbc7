"""What shards, places and pools cost one machine: the demo through this code and through an earlier commit's, in turn.

Both trees run with the same interpreter and libraries, each time in a new home: the phantom, three models in Docker,
the scores, and (with ``demo``) the page. Wall seconds of whole commands and CPU seconds of the harness, medians of
pairs. Writes ``docs/benchmarks/demo.md``.

``python -m tests.bench.bench_demo``.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.runs.hardware import describe_hardware

ROOT = Path(__file__).resolve().parents[2]

#: The commit before outcomes were files and shards ran in pools.
BEFORE = "412c8c7b990102498f4830d9cbf907f511466f90"

COMMANDS: dict[str, list[str]] = {
    "`bench run`, three models": ["run", "--plugin", "rules,oracle,shifted", "--engine", "docker"],
    "`bench demo`": ["demo", "--engine", "docker"],
}


@dataclass(frozen=True)
class Cost:
    """Wall seconds of a command, and CPU seconds of it and of the processes that it waited for."""

    wall_s: float
    cpu_s: float


def _unpack(commit: str, folder: Path) -> None:
    """Write the files of a commit into a folder."""
    packed = subprocess.run(["git", "-C", ROOT, "archive", commit], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


def _cost(tree: Path, command: Sequence[str]) -> Cost:
    """Run a command of a tree in a new home."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as a user's shell has it
    environment["PYTHONPATH"] = str(tree)
    with tempfile.TemporaryDirectory(prefix="bench-demo-") as home:
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "harness", "--home", home, *command],
            cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            said = process.stdout.read()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.monotonic() - began
    if process.returncode:
        sys.exit(f"{tree}: {command}: exit {process.returncode}\n{said.decode(errors='replace')}")
    return Cost(wall_s, used.ru_utime + used.ru_stime)


def _row(name: str, pairs: Sequence[tuple[Cost, Cost]]) -> str:
    now, before = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    ratios = [one.wall_s / other.wall_s for one, other in pairs]
    cells = [
        f"{statistics.median(one.wall_s for one in now):.2f}",
        f"{statistics.median(one.wall_s for one in before):.2f}",
        f"{statistics.median(ratios):.3f}",
        f"{min(ratios):.3f} to {max(ratios):.3f}",
        f"{statistics.median(one.cpu_s for one in now):.2f}",
        f"{statistics.median(one.cpu_s for one in before):.2f}",
    ]
    return f"| {name} | {len(pairs)} | {' | '.join(cells)} |"


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default=BEFORE, help="the earlier commit")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of each command, at most")
    parser.add_argument("--minutes", type=float, default=5.0, help="no further pair is begun after this time")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks" / "demo.md", help="the page")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever is stopped removes what it has unpacked
    until = time.monotonic() + 60 * options.minutes
    pairs: dict[str, list[tuple[Cost, Cost]]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory(prefix="bench-before-") as folder:
        before = Path(folder)
        _unpack(options.before, before)
        for tree in (ROOT, before):  # builds the images, compiles the modules; not counted
            _cost(tree, COMMANDS["`bench demo`"])
        for number in range(options.rounds):
            for name, command in COMMANDS.items():
                if number and time.monotonic() > until:
                    break
                # Each is first in every other pair: what the first one warms, the second one finds.
                order = (ROOT, before) if number % 2 else (before, ROOT)
                costs = {tree: _cost(tree, command) for tree in order}
                pairs[name].append((costs[ROOT], costs[before]))
    hardware = describe_hardware([])
    rows = "\n".join(_row(name, found) for name, found in pairs.items())
    page = f"""# The cost of pools on one machine

`make bench-demo`: the demo through this code and through commit `{options.before[:7]}`, the last one before outcomes
were files and shards ran in pools, in turn, in one run. Both use the same interpreter, the same libraries and Docker,
and begin in a new home, with the images built. Wall seconds of whole commands, medians of pairs, and CPU seconds of the
harness; a first pair is not counted. `bench demo` also draws the page, whose code has changed for other reasons.

| command | pairs | now | before | ratio | least to most | now, CPU s | before, CPU s |
|---|---|---|---|---|---|---|---|
{rows}

Measured on {hardware["cpu"]}, {hardware["cores"]} cores; load {os.getloadavg()[1]:.1f} (5 minutes) at the end.
"""
    options.out.write_text(page, encoding="utf-8")
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
