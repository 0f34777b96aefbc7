"""A large board: a generated database of 1,000 runs on 700 findings, built, built again with one new run, and opened.

Writes ``docs/benchmarks/site.md``. Run it as ``make bench-site``, or ``python tests/bench/bench_site.py --runs 100``.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.categories import CATEGORIES
from harness.rows import CaseRow, FindingDetails, FindingRow, InstanceCounts, MaskVerdict, Matches, RunRow
from harness.runs.hardware import describe_hardware
from harness.runs.record import write_record
from harness.runs.verify import plan_digest
from harness.scoring.profiles import PROFILES
from harness.scoring.summary import summarise
from harness.store.database import Store, to_columns
from leaderboard.site.check import check_site

ROOT = Path(__file__).resolve().parents[2]
CASES, PER_CASE = 200, (3, 4)

#: Every model was run this often: the newest is ranked, the others are its history.
ATTEMPTS = 10

TEMPLATE = RunRow(
    id="",
    plan_key="",
    attempt=1,
    kind="measured",
    plugin="",
    title="",
    plugin_version="1.0.0",
    variant="zero-shot",
    prompt="text",
    fine_tuned=False,
    profile="mlhc2025",
    dataset="ReXGroundingCT",
    fingerprint="sha256:" + "ab" * 32,
    split="test",
    engine="docker",
    image_id="sha256:" + "0123456789abcdef" * 4,
    rankable=True,
    unrankable=[],
    state="done",
    created="",
    plan={"seed": 0, "image": "sha256:" + "0123456789abcdef" * 4, "params": {}},
    record={
        "exposure": {"of": "none", "origin": "paper, Table 4"},
        "dataset": {"terms": dict.fromkeys(("scores", "texts", "images", "masks"), "yes")},
        "hardware": {"cpu": "AMD EPYC 9654", "cores": 16, "gpus": [{"name": "NVIDIA H200"}]},
        "limits": {"memory_mb": 65536, "cpus": 8.0, "gpus": 1},
        "harness": {"groundbench": "0.1.0", "commit": "0" * 40},
    },
)


def findings(draw: random.Random, level: float, cases: int) -> list[FindingRow]:
    """Return the scores of one model on the findings of some cases, of all 14 categories, around a level of Dice."""
    sizes = random.Random(0)
    codes = list(CATEGORIES)
    rows = []
    for case in range(cases):
        for index in range(PER_CASE[case % 2]):
            ratio = 10 ** sizes.uniform(-5, -1)
            truth = round(5e7 * ratio)
            shared = round(truth * min(1.0, max(0.0, draw.gauss(level, 0.2))))
            counts = Matches(tp=int(shared > truth / 5), fp=1, fn=int(shared <= truth / 5))
            instances = InstanceCounts(truth, shared, counts, 0.0, counts)
            rows.append(
                FindingRow(
                    case=f"test_{case}_a_1",
                    finding=str(index),
                    index=index,
                    category=codes[sizes.randrange(len(codes))],
                    text=f"Finding {index} of case {case}: a focal abnormality in one of the lobes of the lung",
                    status="ok",
                    dice=shared / truth,
                    truth_voxels=truth,
                    pred_voxels=truth,
                    intersection=shared,
                    mask_sha256=hashlib.sha256(f"{level} {case} {index}".encode()).hexdigest(),
                    verdict=MaskVerdict(),
                    details=FindingDetails(1, ratio, instances),
                )
            )
    return rows


def fill(path: Path, runs: int, cases: int = CASES) -> int:
    """Write the database; returns the number of findings of a run."""
    models = max(1, runs // ATTEMPTS)
    with Store(path) as store:
        for model in range(models):
            n_findings = add(store, model, models, range(runs // models), cases)
    return n_findings


def add(store: Store, model: int, models: int, attempts: Sequence[int], cases: int) -> int:
    """Save runs of one model, with the same findings each; returns the number of these."""
    draw = random.Random(model + 1000 * attempts[0])
    rows = findings(draw, 0.02 + 0.4 * model / models, cases)
    metrics = {name: summarise(rows, profile) for name, profile in PROFILES.items()}
    for attempt in attempts:
        run = replace(
            TEMPLATE,
            id=f"model-{model:03d}-{attempt:02d}",
            plan_key=f"{model}-{attempt}",
            plugin=f"model-{model:03d}",
            title=f"Model {model}",
            prompt="box" if model % 5 == 0 else "text",
            created=f"20{20 + attempt // 12:02d}-{1 + attempt % 12:02d}-{1 + model % 28:02d}T10:00:00+00:00",
            n_cases=cases,
            n_findings=len(rows),
            timing={
                "case_median_s": draw.uniform(1, 60),
                "case_p95_s": draw.uniform(60, 90),
                "peak_device_bytes": round(draw.uniform(2e9, 6e10)),
            },
        )
        named = ("plugin", "plugin_version", "variant", "fingerprint", "split")
        plan = {**run.plan, **{name: getattr(run, name) for name in named}, "image": run.image_id, "n": attempt}
        run = replace(run, plan=plan, plan_key=plan_digest(plan))
        store.save_run(run)
        ended = (CaseRow(f"test_{case}_a_1", case, "ok", scored=True, seconds=2.0) for case in range(cases))
        with store.db.conn:
            store.db.table("cases").insert_all({"run": run.id, **to_columns(case)} for case in ended)
            store.db.table("findings").insert_all({"run": run.id, **to_columns(row)} for row in rows)
        for name, document in metrics.items():
            store.save_metrics(run.id, name, document)
        folder = store.home / "runs" / run.id
        folder.mkdir(parents=True)
        write_record(folder, run, store.cases(run.id), store.findings(run.id))
    return len(rows)


MEASURE = """
import resource, sys, time
from pathlib import Path
from harness.store.database import Store
from leaderboard.published.privacy import PrivacyPolicy
from leaderboard.site.build import Options, build_site
start, told = time.perf_counter(), []
options = Options(policy=PrivacyPolicy(), figures=True, kept=Path(sys.argv[3]), log=told.append)
with Store(Path(sys.argv[1]), readonly=True) as store:
    build_site(store, Path(sys.argv[2]), options)
print(time.perf_counter() - start, time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, told[-1])
"""


@dataclass(frozen=True)
class Built:
    """One build: seconds, CPU seconds, peak memory in GB, and what changed."""

    seconds: float
    cpu: float
    memory: float
    changed: str

    @property
    def words(self) -> str:
        """Return it in a line."""
        return f"{self.cpu:.0f} s CPU ({self.seconds:.0f} s on a shared machine), {self.memory:.2f} GB; {self.changed}"


def build(database: Path, out: Path) -> Built:
    """Build the site in a process of its own, with what earlier builds kept beside the database."""
    command = [sys.executable, "-c", MEASURE, str(database), str(out), str(database.with_name("kept.db"))]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    seconds, cpu, kilobytes, changed = answer.stdout.split(maxsplit=3)
    return Built(float(seconds), float(cpu), float(kilobytes) / 1e6, changed.strip())


def interactive(page: Path) -> str:
    """Return the milliseconds until a page is interactive in a browser, or why that is not known."""
    chromium = os.environ.get("BENCH_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        return "no browser"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page()
        times = []
        for _ in range(3):
            opened.goto(page.as_uri())
            times.append(opened.evaluate("performance.getEntriesByType('navigation')[0].domInteractive"))
        browser.close()
    return f"{sorted(times)[1]:.0f} ms"


def report(runs: int, cases: int, n_findings: int, built: Sequence[Built], site: Path) -> Iterator[str]:
    """Yield the lines of the page."""
    files = [path for path in site.rglob("*") if path.is_file()]
    pages = sorted((path for path in files if path.suffix == ".html"), key=lambda path: -path.stat().st_size)
    heaviest = pages[0]
    sqlite = site / "downloads" / "results.sqlite"
    start = time.process_time()
    problems = check_site(site)
    checked = time.process_time() - start
    yield "# A large board\n"
    models = f"{runs // ATTEMPTS} models, {ATTEMPTS} times each"
    yield f"`make bench-site`: a generated database of {runs:,} runs ({models}) on {n_findings} findings of"
    yield f"14 categories in {cases} cases, built with figures and without pictures of cases.\n"
    yield "| | |\n|---|---|"
    for what, one in zip(("first build", "after one new run", "nothing new"), built, strict=True):
        yield f"| {what} | {one.words} |"
    yield f"| files, pages | {len(files):,}, {len(pages):,} |"
    yield f"| the folder | {sum(path.stat().st_size for path in files) / 1e6:.0f} MB |"
    yield f"| `downloads/results.sqlite` | {sqlite.stat().st_size / 1e6:.0f} MB |"
    index = site / "index.html"
    yield f"| `index.html` | {index.stat().st_size / 1e3:.0f} kB, interactive after {interactive(index)} |"
    compare = site / "compare.html"
    yield f"| `compare.html` | {compare.stat().st_size / 1e3:.0f} kB |"
    yield f"| heaviest page | `{heaviest.relative_to(site)}`, {heaviest.stat().st_size / 1e3:.0f} kB |"
    kept = site.with_name("kept.db").stat().st_size
    yield f"| what is kept for the next build | {kept / 1e6:.0f} MB |"
    found = f"{problems[0].where} {problems[0].what}" if problems else "no problem"
    yield f"| `bench leaderboard check` | {found}; {checked:.0f} s CPU |"
    hardware = describe_hardware([])
    yield f"\nMeasured once, on {hardware['cpu']}, {hardware['cores']} cores, {datetime.now(UTC).date().isoformat()}."


def main() -> None:
    """Fill, build, open, and write what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--cases", type=int, default=CASES, help="of three or four findings each")
    parser.add_argument("--out", type=Path, help="where the page goes; printed by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database, site = Path(folder, "results.db"), Path(folder, "site")
        start = time.perf_counter()
        n_findings = fill(database, arguments.runs, arguments.cases)
        print(f"filled in {time.perf_counter() - start:.0f} s", file=sys.stderr)  # noqa: T201
        first = build(database, site)
        models = max(1, arguments.runs // ATTEMPTS)
        with Store(database) as store:
            add(store, models // 2 + 1, models, [ATTEMPTS], arguments.cases)
        built = first, build(database, site), build(database, site)
        page = "\n".join(report(arguments.runs, arguments.cases, n_findings, built, site)) + "\n"
    if arguments.out:
        arguments.out.write_text(page, encoding="utf-8")
    else:
        print(page)  # noqa: T201


if __name__ == "__main__":
    main()
