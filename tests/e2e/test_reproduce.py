"""The paper's table, run row by row: what runs each row, what it lacks, and the verdict beside the paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.registry import discover
from leaderboard.reported import read_reported
from leaderboard.reproduce import plan, verdict

if TYPE_CHECKING:
    from conftest import Bench

TABLE = [
    *("MedSAM2, box", "SAM2, box", "SegVol, box", "BiomedParse, text", "BiomedParse, text, fine-tuned"),
    *("SegVol, text", "SegVol, text, fine-tuned", "SAT, text", "SAT, text, fine-tuned"),
    "MedSAM2 Text, text, fine-tuned",
]

PLUGIN = """
from pathlib import Path
from harness import Model, Prompt, Resources, Variant, hookimpl

@hookimpl
def bench_models():
    return [Model(
        name="stand-in", title="BiomedParse", summary="Finds nothing.", version="1",
        root=Path(__file__).parent, variants=(Variant("zero-shot", prompt=Prompt.TEXT),),
        resources=Resources(memory_mb=1024), adapter="adapter:Nothing",
    )]
"""

ADAPTER = """
import numpy as np
from groundbench_sdk import Adapter

class Nothing(Adapter):
    def predict(self, case):
        for finding in case.findings:
            yield finding.id, np.zeros(case.shape, bool)
"""


def test_rows_come_in_the_tables_order_with_what_they_lack(tmp_path: Path) -> None:
    """An empty home lacks sources, weights and GPUs, and each says how to get it; a missing plugin is said too."""
    rows = plan(discover(()), tmp_path, gpus=0)
    assert [row.name for row in rows] == TABLE
    segvol = rows[TABLE.index("SegVol, text, fine-tuned")]
    assert (segvol.plugin, segvol.variant and segvol.variant.name) == ("segvol", "text-fine-tuned")
    text = " | ".join(segvol.lacking)
    assert "bench sources fetch --plugin segvol" in text
    assert "SegVol_v1.pth: bench weights fetch --plugin segvol" in text
    assert "--gpus 1" in text
    assert rows[TABLE.index("BiomedParse, text")].lacking == ("no plugin runs this row",)


def test_only_the_rows_of_the_named_plugins_are_left(bench: Bench) -> None:
    """A name that runs no row is a usage error that names those that do."""
    rows = bench.json("reproduce", "--dry-run", "--plugin", "sat")["rows"]
    assert [row["row"] for row in rows] == ["SAT, text", "SAT, text, fine-tuned"]
    assert [row["needs"]["training_hours_in_the_paper"] for row in rows] == [0, 24]
    refused = bench("reproduce", "--dry-run", "--plugin", "rules", code=2)
    assert "segvol" in refused.stderr


@pytest.mark.parametrize(
    ("value", "said"), [(0.013, "inside"), (0.0089, "below"), (0.0191, "above"), (None, "not comparable")]
)
def test_the_verdict_is_about_the_papers_interval(value: float | None, said: str) -> None:
    """0.013 [0.009, 0.019] is BiomedParse out of the box."""
    (row,) = [e for e in read_reported().in_table if e.title == "BiomedParse" and not e.fine_tuned]
    assert verdict({"value": value}, row) == said


def test_a_row_is_run_compared_and_not_run_twice(
    bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    """A stand-in for a model of the paper finds nothing, which lies below; asked again, the same run answers."""
    folder = tmp_path / "stand_in"
    folder.mkdir()
    (folder / "__init__.py").write_text(PLUGIN)
    (folder / "adapter.py").write_text(ADAPTER)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    bench.environment["BENCH_RUN_ENGINE"] = "local"
    asked = ["reproduce", "--plugin", "stand-in", "--plugin-dir", folder, "--dataset", make_dataset(2), "--gpus", 0]
    rows: list[dict[str, Any]] = bench.json(*asked)["rows"]
    assert len(rows) == 1
    assert rows[0]["ours"]["value"] == 0.0
    assert rows[0]["verdict"].startswith("below")
    assert bench.json(*asked)["rows"][0]["run"] == rows[0]["run"]
