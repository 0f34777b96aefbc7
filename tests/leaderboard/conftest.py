"""A seeded database, filled through the store as a run would fill it."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from harness.categories import CATEGORIES, is_focal
from harness.contract import Status
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
    fingerprint="sha256:" + "ab" * 32,
    split="test",
    engine="docker",
    image_id="sha256:" + "0123456789ab" * 5 + "cdef",
    rankable=True,
    unrankable=[],
    state="done",
    created="",
)


@dataclass
class FakeBench:
    """Adds finished runs to a store; the same calls give the same database."""

    store: Store
    added: int = field(default=0)

    def add(
        self,
        *,
        level: float = 0.2,
        cases: int = 4,
        per_case: int = 6,
        failures: dict[int, Status] | None = None,
        empty: tuple[str, ...] = ("2f",),
        scored: bool = True,
        **fields: Any,
    ) -> RunRow:
        """Store a run of `cases` x `per_case` findings whose Dice lies around `level`.

        `failures` names, by the finding's number in the split, those that did not end well; no finding is of a
        category in `empty`; `fields` are those of RunRow.
        """
        self.added += 1
        random_numbers = random.Random(self.added)  # noqa: S311 - seeded on purpose
        run = replace(
            TEMPLATE,
            **{
                "id": f"run-{self.added:02d}",
                "plan_key": f"plan-{self.added:02d}",
                "created": f"2026-11-{self.added:02d}T10:00:00+00:00",
                "n_cases": cases,
                "n_findings": cases * per_case,
                **fields,
            },
        )
        self.store.save_run(run)
        codes = [code for code in CATEGORIES if code not in empty]
        dice: list[tuple[str, float]] = []
        for ordinal in range(cases):
            rows = []
            for index in range(per_case):
                number = ordinal * per_case + index
                status = (failures or {}).get(number, Status.OK)
                value = min(1.0, max(0.0, random_numbers.gauss(level, 0.05))) if status == Status.OK else 0.0
                code = codes[number % len(codes)]
                dice.append((code, value))
                rows.append(FindingRow(f"case-{ordinal}", str(index), index, code, "a text", status, dice=value))
            case = CaseRow(f"case-{ordinal}", ordinal, Status.OK, "", 1.5 + ordinal, 2**30, None, scored=True)
            self.store.save_case(run.id, case, rows)
        if scored:
            self.store.save_metrics(run.id, run.profile, _metrics(dice))
        return run


def _metrics(dice: list[tuple[str, float]]) -> dict[str, Any]:
    def cell(values: list[float]) -> dict[str, Any]:
        if not values:
            return {"value": None, "ci95": None, "n": 0}
        mean = statistics.fmean(values)
        return {"value": mean, "ci95": [max(0.0, mean - 0.02), min(1.0, mean + 0.02)], "n": len(values)}

    def hits(threshold: float) -> dict[str, Any]:
        return {"all": cell([float(value > threshold) for _, value in dice])}

    return {
        "dice": {
            "all": cell([value for _, value in dice]),
            "focal": cell([value for code, value in dice if is_focal(code)]),
            "non_focal": cell([value for code, value in dice if not is_focal(code)]),
            "by_category": {code: cell([value for c, value in dice if c == code]) for code in CATEGORIES},
        },
        "hit5": hits(0.05),
        "hit10": hits(0.10),
    }


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
def full_bench(bench: FakeBench) -> FakeBench:
    """Return a database with every kind of row."""
    fill(bench)
    return bench


def fill(bench: FakeBench) -> None:
    """Add every kind of row that the board knows."""
    lost = {3: Status.TIMEOUT, 7: Status.PLUGIN_ERROR, 8: Status.PLUGIN_ERROR}
    apart: dict[str, Any] = {"rankable": False}
    bench.add(title="Rules", plugin="rules", level=0.31)
    bench.add(title="SAT", plugin="sat", variant="fine-tuned", fine_tuned=True, level=0.18, failures=lost)
    bench.add(title="MedSAM2", plugin="medsam2", variant="box", prompt="box", level=0.26)
    bench.add(title="VoxTell", plugin="voxtell", prompt="structured-text", level=0.22)
    bench.add(title="A lab's masks", plugin="masks", kind="submitted", level=0.2, engine="", image_id="")
    bench.add(title="Oracle", plugin="oracle", level=1.2, unrankable=["known answer: it reads the truth"], **apart)
    bench.add(title="Rules", plugin="rules", cases=2, level=0.3, unrankable=["only the first 2 cases"], **apart)
    bench.add(title="SAT", plugin="sat", engine="local", image_id="", unrankable=["random weights"], level=0.0, **apart)
    bench.add(title="Rules", plugin="rules", dataset="ReXGroundingCT", fingerprint="ff" * 32, cases=9, level=0.1)
    bench.add(title="BiomedParse", plugin="biomedparse", state="interrupted", scored=False, cases=3)
