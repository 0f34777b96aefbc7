"""A seeded database, filled through the store and the scorer as runs would fill it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.categories import CATEGORIES
from harness.contract import Status
from harness.scoring.profiles import profile_named
from harness.scoring.summary import summarise
from harness.store import CaseRow, FindingRow, RunRow, Store

TEMPLATE = RunRow(
    id="",
    plan_key="",
    attempt=1,
    kind="measured",
    plugin="model",
    title="Model",
    plugin_version="1.0.0",
    variant="zero-shot",
    prompt="text",
    fine_tuned=False,
    profile="mlhc2025",
    dataset="phantom-small",
    fingerprint="ab" * 32,
    split="test",
    engine="docker",
    image_id="sha256:" + "0123456789abcdef" * 4,
    rankable=True,
    unrankable=[],
    state="done",
    created="",
    record={"hardware": {"cpu": "AMD EPYC 9654", "cores": 16, "gpus": [{"name": "NVIDIA H200"}] * 2}},
    timing={"case_median_s": 3.25, "case_p95_s": 12.5, "peak_host_bytes": 1.5e9, "peak_device_bytes": 8.25e8},
)

#: Voxels of every true and every predicted mask; their overlap decides the Dice.
VOXELS = 1000


class FakeBench:
    """Adds runs to a store; the same calls make the same database."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.added = 0

    def add(
        self,
        *,
        level: float = 0.2,
        cases: int = 4,
        per_case: int = 6,
        failures: Mapping[int, Status] | None = None,
        absent: tuple[str, ...] = ("2f",),
        scored: bool = True,
        **fields: Any,
    ) -> RunRow:
        """Store a run of `cases` times `per_case` findings whose Dice lies around `level`.

        Parameters
        ----------
        failures
            Status of those findings, by number in the split, that did not end well.
        absent
            Categories that no finding is of.
        scored
            Whether metrics are saved.
        fields
            Fields of RunRow.
        """
        self.added += 1
        number = self.added
        draw = random.Random(number)  # noqa: S311 - seeded on purpose
        run = replace(
            TEMPLATE,
            id=f"run-{number:02d}",
            plan_key=f"plan-{number:02d}",
            created=f"2026-11-{number:02d}T10:00:00+00:00",
            n_cases=cases,
            n_findings=cases * per_case,
        )
        run = replace(run, **fields)
        self.store.save_run(run)
        codes = [code for code in CATEGORIES if code not in absent]
        findings = []
        for case in range(cases):
            rows = []
            for index in range(per_case):
                place = case * per_case + index
                status = (failures or {}).get(place, Status.OK)
                shared = round(VOXELS * min(1.0, max(0.0, draw.gauss(level, 0.05))))
                counts = (VOXELS, VOXELS, shared) if status == Status.OK else (VOXELS, None, None)
                row = FindingRow(
                    case_id=f"case-{case}",
                    finding=str(index),
                    ordinal=index,
                    category=codes[place % len(codes)],
                    text="a small nodule in the left upper lobe",
                    status=status,
                    dice=shared / VOXELS if status == Status.OK else 0.0,
                    truth_voxels=counts[0],
                    pred_voxels=counts[1],
                    intersection=counts[2],
                )
                rows.append(row)
            self.store.save_case(run.id, CaseRow(f"case-{case}", case, Status.OK, scored=True), rows)
            findings += rows
        if scored:
            self.store.save_metrics(run.id, run.profile, summarise(findings, profile_named(run.profile)))
        return run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open an empty results database."""
    with Store(tmp_path / "results.db") as opened:
        yield opened


@pytest.fixture
def bench(store: Store) -> FakeBench:
    """Return a maker of runs in `store`."""
    return FakeBench(store)


@pytest.fixture
def full_store(bench: FakeBench) -> Store:
    """Return a database with every kind of row."""
    fill(bench)
    return bench.store


def fill(bench: FakeBench) -> None:
    """Add every kind of row that the board knows."""
    lost = {3: Status.TIMEOUT, 7: Status.PLUGIN_ERROR, 8: Status.PLUGIN_ERROR}
    apart: dict[str, Any] = {"rankable": False}
    bench.add(title="Rules", plugin="rules", level=0.31)
    bench.add(title="SAT", plugin="sat", variant="fine-tuned", fine_tuned=True, level=0.18, failures=lost)
    bench.add(title="MedSAM2", plugin="medsam2", variant="box", prompt="box", level=0.36)
    bench.add(title="VoxTell", plugin="voxtell", prompt="structured-text", level=0.22)
    bench.add(title="A lab's masks", plugin="masks", kind="submitted", engine="", image_id="", record={}, timing={})
    bench.add(title="Oracle", plugin="oracle", level=2.0, unrankable=["known answer: it reads the truth"], **apart)
    bench.add(title="Rules", plugin="rules", cases=2, level=0.3, unrankable=["partial: only 2 cases"], **apart)
    bench.add(title="SAT", plugin="sat", engine="local", unrankable=["random weights"], level=0.0, **apart)
    bench.add(title="Rules", plugin="rules", dataset="ReXGroundingCT", fingerprint="ff" * 32, cases=9, level=0.1)
    bench.add(title="BiomedParse", plugin="biomedparse", state="interrupted", scored=False, cases=3)
