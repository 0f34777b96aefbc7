"""A challenge archive of the real number of cases, from the command line: three broken files among 300."""

from __future__ import annotations

import csv
import json
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from .conftest import save

CASES = 300
SHAPE = (20, 12, 6)
MISSING, TRANSPOSED, CUT = "case_17_a_1", "case_140_a_1", "case_299_a_1"


@pytest.fixture(scope="module")
def challenge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make 300 cases of one finding without CTs, and an archive of perfect masks but for three."""
    folder = tmp_path_factory.mktemp("challenge")
    entries = []
    with zipfile.ZipFile(folder / "entry.zip", "w") as archive:
        for number in range(CASES):
            name = f"case_{number}_a_1"
            truth = np.zeros((1, *SHAPE), np.uint8)
            truth[0, 2 : 5 + number % 9, 3:8, 1:4] = 1
            path = save(folder / "data" / "seg" / f"{name}.nii.gz", truth, np.eye(4))
            mask = path.read_bytes()
            if name == TRANSPOSED:
                mask = save(folder / "wrong.nii.gz", truth.transpose(0, 2, 1, 3), np.eye(4)).read_bytes()
            elif name == CUT:
                mask = mask[:-40]
            if name != MISSING:
                archive.writestr(f"entry/{name}.nii.gz", mask)
            entries.append(
                {
                    "name": f"{name}.nii.gz",
                    "findings": {"0": "A nodule in the left lung"},
                    "entity_counts": {"0": 1},
                    "shape": list(SHAPE),
                    "pixels": {"0": int(truth.sum())},
                    "categories": {"0": "2d"},
                    "protocol": "protocol1",
                }
            )
    (folder / "data" / "dataset.json").write_text(json.dumps({"train": [], "val": [], "test": entries}))
    spacings = [{"name": entry["name"], "spacing_mm": [0.8, 0.8, 2.0]} for entry in entries]
    (folder / "data" / "spacing.json").write_text(json.dumps(spacings))
    return folder


def scored(bench, challenge: Path, *options: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Score the archive in two worker processes."""
    arguments = ("score", challenge / "entry.zip", "--dataset", challenge / "data", "--profile", "miccai2026")
    return bench(*arguments, "--jobs", 2, *options, code=code)


def test_three_broken_files_are_three_zeros_with_reasons(bench, challenge: Path, tmp_path: Path) -> None:
    """One missing, one refused and one truncated mask: exit 0, a loud line, zeros that count in every mean."""
    table = tmp_path / "rows.csv"
    process = scored(bench, challenge, "--rows", table, "--json")
    document = json.loads(process.stdout)
    assert document["coverage"] == {"ok": 297, "missing_output": 1, "invalid_output": 2}
    assert "297 of 300 findings had a valid mask; scored 0: " in process.stderr
    assert "2 invalid_output" in process.stderr
    assert "1 missing_output" in process.stderr
    rows = {row["case"]: row for row in csv.DictReader(table.read_text().splitlines())}
    assert len(rows) == CASES
    zeros = {name: row for name, row in rows.items() if float(row["dice"]) != 1.0}
    assert {name: (row["status"], float(row["dice"])) for name, row in zeros.items()} == {
        MISSING: ("missing_output", 0.0),
        TRANSPOSED: ("invalid_output", 0.0),
        CUT: ("invalid_output", 0.0),
    }
    assert zeros[MISSING]["reason"] == "a mask was not delivered"
    assert "transposed" in zeros[TRANSPOSED]["reason"] or "shape" in zeros[TRANSPOSED]["reason"]
    assert "ends before" in zeros[CUT]["reason"]
    assert all(not row["reason"] for name, row in rows.items() if name not in zeros)
    metrics = document["metrics"]
    assert metrics["dice"]["per_case"]["value"] == metrics["dice"]["all"]["value"] == 297 / 300
    assert metrics["instance_recall"]["all"]["value"] == 297 / 300
    assert metrics["instance_precision"]["all"]["value"] == 1.0


def test_strict_fails_and_keeps_the_row(bench, challenge: Path) -> None:
    """Under --strict the same archive exits with 1; what was counted is kept all the same."""
    process = scored(bench, challenge, "--strict", code=1)
    assert "297 of 300 findings had a valid mask" in process.stderr
    assert "entry-submitted-" in bench("results", "list").stdout
