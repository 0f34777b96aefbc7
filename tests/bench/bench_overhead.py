"""Overhead of the harness: ``bench run`` and a bare ``docker run`` of the same image on the same cases.

Both do the same work, in turn, A B A B ...: a model that works for a given time on each of 20 small phantom cases. The
bare run gets the job folder ready-made and is neither watched, limited nor scored. Wall seconds of whole processes and,
since these vary with the load of the machine, the CPU seconds of the harness. Writes
``docs/benchmarks/overhead.md``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.dataset import open_dataset
from harness.engines.docker import DockerEngine
from harness.engines.uid_lease import FIRST
from harness.phantom.dataset import make_dataset
from harness.registry.discovery import Plugin, discover
from harness.runs.hardware import describe_hardware
from harness.sandbox.contract import CasePrompt, FindingPrompt, Job, to_json_line

ROOT = Path(__file__).resolve().parents[2]
PLUGIN_DIR = Path(__file__).parent / "plugins" / "steady"
SPLIT_OF = 100  # of each 20 cases four are test cases: 20 in all

#: The modules of `bench run`, in the order in which they are first needed.
STARTING = (
    "import harness.cli, harness.cli.run, harness.runs.run, harness.engines.docker, harness.runs.follow, "
    "harness.runs.shard, harness.cli.report"
)


@dataclass(frozen=True)
class Pair:
    """One `bench run` and the bare run beside it: wall seconds of both, CPU seconds of the first."""

    ours: float
    bare: float
    cpu: float


def _timed(command: Sequence[object]) -> tuple[float, float]:
    """Run a command; return its wall seconds, and the CPU seconds of it and of the children that it waited for."""
    # As a user's shell has it: compiled modules are kept.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.monotonic()
    with subprocess.Popen(
        [*map(str, command)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command}: exit {process.returncode}\n{said.decode()}")
    return time.monotonic() - began, used.ru_utime + used.ru_stime


def _run(work: Path, data: Path, variant: str, *options: str) -> tuple[float, float]:
    """Time one `bench run`."""
    return _timed(
        [sys.executable, "-m", "harness", "--home", work / "home", "run", "--plugin", "steady", "--variant", variant,
         "--plugin-dir", PLUGIN_DIR, "--dataset", data, "--engine", "docker", *options]
    )  # fmt: skip


def _pair(work: Path, data: Path, image: str, variant: str) -> Pair:
    ours, cpu = _run(work, data, variant, "--fresh")
    job = work / f"job-{variant}"
    out = job / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    os.chown(out, FIRST, FIRST)
    bare, _ = _timed(
        ["docker", "run", "--rm", "--network", "none", "-v", f"{job}:/bench", "-v", f"{data}/ct:/bench/ct:ro", image]
    )
    return Pair(ours, bare, cpu)


def _write_job(job: Path, data: Path, plugin: Plugin, variant: str) -> int:
    """Write the job folder that the harness would write; return the number of cases."""
    job.mkdir()
    (job / "ct").mkdir()
    (job / "job.json").write_text(
        Job(
            model=plugin.name,
            variant=variant,
            seed=0,
            devices=["cpu"],
            threads=1,
            params=plugin.variant(variant).params,
        ).model_dump_json()
    )
    cases = open_dataset(data).split("test")
    lines = [
        to_json_line(
            CasePrompt(
                id=case.id,
                ct=f"ct/{case.id}.nii.gz",
                shape=case.shape,
                spacing=case.spacing or (1.0, 1.0, 1.0),
                findings=[FindingPrompt(id=finding.id, text=finding.text) for finding in case.findings],
            )
        )
        for case in cases
    ]
    (job / "cases.jsonl").write_text("".join(lines))
    return len(cases)


def _row(name: str, pairs: Sequence[Pair]) -> str:
    def middle(values: Sequence[float]) -> str:
        return f"{statistics.median(values):.2f}"

    return (
        f"| {name} | {len(pairs)} | {middle([p.ours for p in pairs])} | {middle([p.bare for p in pairs])} "
        f"| {middle([p.ours - p.bare for p in pairs])} | {middle([p.ours / p.bare for p in pairs])} "
        f"| {min(p.ours / p.bare for p in pairs):.2f} to {max(p.ours / p.bare for p in pairs):.2f} "
        f"| {middle([p.cpu for p in pairs])} |"
    )


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="pairs of the model that works at once")
    parser.add_argument("--slow-rounds", type=int, default=3, help="pairs of the model that takes a second a case")
    parser.add_argument("--data", type=Path, help="keep the phantom here and use it again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        data = options.data or work / "phantom"
        if not data.exists():
            make_dataset(data, cases=SPLIT_OF, size="small", seed=0)
        plugin = discover((PLUGIN_DIR,)).get("steady")
        image = DockerEngine().prepare(plugin, home=work, gpus=False, log=lambda _: None).tag
        cases = min(
            _write_job(work / f"job-{variant.name}", data, plugin, variant.name) for variant in plugin.model.variants
        )
        # The first pair warms the caches and is not counted.
        at_once = [_pair(work, data, image, "at-once") for _ in range(options.rounds + 1)][1:]
        one_second = [_pair(work, data, image, "one-second") for _ in range(options.slow_rounds)]
        again = [_run(work, data, "at-once") for _ in range(options.rounds)]
        starting = statistics.median(_timed([sys.executable, "-c", STARTING])[1] for _ in range(5))
    hardware = describe_hardware([])
    page = f"""# Overhead of the harness

`make bench-overhead`: a model that works for a given time on each of {cases} small phantom cases, as
`bench run --engine docker` and as a bare `docker run` of the same image on a ready-made job folder, in turn, in one
run. Times are wall seconds of whole processes, medians of pairs; a first pair is not counted. The harness also starts
Python, checks the data set's fingerprint, watches the container, copies and scores every mask, computes summaries, and
writes the database and the record.

| work | pairs | bench run | docker run | difference | ratio | least to most | harness, CPU s |
|---|---|---|---|---|---|---|---|
{_row("none", at_once)}
{_row("1 s a case", one_second)}

Measured on {hardware["cpu"]}, {hardware["cores"]} cores; load {os.getloadavg()[1]:.1f} (5 minutes) at the end.

Without work the ratio shows only the fixed cost. Of the harness's CPU seconds, {starting:.2f} are Python and its
imports (click, docker, pydantic, numpy, SQLite).

The same command on a finished run: {statistics.median(wall for wall, _ in again):.2f} s by the clock and
{statistics.median(cpu for _, cpu in again):.2f} CPU s (medians of {len(again)}).
"""
    (ROOT / "docs" / "benchmarks" / "overhead.md").write_text(page, encoding="utf-8")
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
