"""What the harness costs: ``bench run`` beside a bare ``docker run`` of the same image on the same cases.

Both do the same work, in turn, A B A B ...: the known answer ``empty`` over 20 small phantom cases. The bare run gets
the job folder ready-made and is neither watched, limited nor scored. Wall time of whole processes; medians, and the
ratio pair by pair. Writes ``docs/benchmarks/overhead.md``.
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
from pathlib import Path

from curation.phantom.dataset import make_dataset
from harness.contract import CasePrompt, FindingPrompt, Job, to_json_line
from harness.dataset import open_dataset
from harness.engines.docker import CONTAINER_UID, DockerEngine
from harness.registry import discover
from harness.runs.hardware import describe_hardware

ROOT = Path(__file__).resolve().parents[2]
CASES = 100  # of each 20, four are test cases: 20 in all
PLUGIN = "empty"


def _bench(home: Path, data: Path) -> float:
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "harness", "--home", str(home), "run", "--plugin", PLUGIN, "--dataset", str(data),
         "--engine", "docker", "--fresh"],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    return time.monotonic() - began


def _bare(job: Path, data: Path, image: str) -> float:
    out = job / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    os.chown(out, CONTAINER_UID, CONTAINER_UID)
    began = time.monotonic()
    subprocess.run(
        ["docker", "run", "--rm", "--network", "none", "-v", f"{job}:/bench", "-v", f"{data}/ct:/bench/ct:ro", image],
        check=True, capture_output=True,
    )  # fmt: skip
    return time.monotonic() - began


def _write_job(job: Path, data: Path) -> int:
    """Write the job folder that the harness would write; return the number of cases."""
    job.mkdir()
    (job / "ct").mkdir()
    (job / "job.json").write_text(
        Job(
            model=PLUGIN, variant="default", seed=0, devices=["cpu"], threads=1, params={"answer": PLUGIN}
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


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", type=Path, help="keep the phantom here and use it again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        data = options.data or work / "phantom"
        if not data.exists():
            make_dataset(data, cases=CASES, size="small", seed=0)
        image = DockerEngine().prepare(discover().get(PLUGIN), home=work, gpus=False, tell=lambda _: None).tag
        cases = _write_job(work / "job", data)
        rows = []
        for number in range(options.rounds + 1):
            pair = (_bench(work / "home", data), _bare(work / "job", data, image))
            if number:  # the first pair warms the caches
                rows.append(pair)
    ours, bare = (statistics.median(column) for column in zip(*rows, strict=True))
    ratio = statistics.median(a / b for a, b in rows)
    cost = statistics.median(a - b for a, b in rows)
    hardware = describe_hardware([])
    page = f"""# What the harness costs

`make bench-overhead`: the known answer `empty` over {cases} small phantom cases, as `bench run --engine docker` and as
a bare `docker run` of the same image on a ready-made job folder, in turn, {options.rounds} pairs after one that is not
counted. Wall seconds of whole processes, medians. The harness also starts Python, checks the data set's fingerprint,
watches, copies and scores every mask, and writes the database.

| | seconds |
|---|---|
| bench run | {ours:.2f} |
| docker run | {bare:.2f} |
| difference (median of pairs) | {cost:.2f} |
| ratio (median of pairs) | {ratio:.2f} |

A trivial entrant shows the fixed cost at its largest: one that takes a second a case hides it ({cases} s of work would
make the ratio {(cases + ours) / (cases + bare):.2f}). Measured on {hardware["cpu"]}, {hardware["cores"]} cores.
"""
    (ROOT / "docs" / "benchmarks" / "overhead.md").write_text(page, encoding="utf-8")
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
