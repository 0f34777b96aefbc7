"""The smoke test of the models: what it says and keeps, without building anything."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from harness.registry import discover

HERE = Path(__file__).parent


def _load(monkeypatch: pytest.MonkeyPatch, path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def smoke(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _load(monkeypatch, HERE / "smoke_models.py", "smoke_models")


def _document() -> dict[str, object]:
    timing = {
        "image_bytes": 6_200_000_000, "model_load_s": 4.2, "case_median_s": 31.0, "peak_container_bytes": 1_900_000_000
    }  # fmt: skip
    return {"n_cases": 2, "n_findings": 3, "coverage": {"ok": 3}, "timing": timing}


def test_a_model_without_its_source_is_skipped_with_the_command_that_brings_it(
    smoke: ModuleType, tmp_path: Path
) -> None:
    """Nothing is built; the table says what is missing and how to get it."""
    model = discover().get("medsam2").model
    row = smoke._smoke(model, tmp_path, tmp_path, "cuda")
    assert row.outcome.startswith("skipped: the source medsam2 at 332f30d420f1 is not here; `bench sources fetch")
    assert row.outcome in smoke._table([row])


def test_what_was_seen_is_kept_and_shown(smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A success is recorded; a failure, and what a person recorded of a GPU, leave the record as it was."""
    record = tmp_path / "verified.json"
    record.write_text(json.dumps({"medsam2": {"real_gpu": {"date": "2026-01-01"}}}))
    monkeypatch.setattr(smoke, "RECORD", record)
    model = discover().get("medsam2").model
    good = smoke.Row(model, model.variants[0], "ok", 12.0, _document(), "1, 2, 3", "1.000 (5)")
    bad = smoke.Row(discover().get("sam2").model, discover().get("sam2").model.variants[0], "FAILED: why", 1.0)
    smoke._keep([good, bad], "cuda")
    kept = json.loads(record.read_text())
    assert list(kept) == ["medsam2"]
    assert kept["medsam2"]["real_gpu"] == {"date": "2026-01-01"}
    assert kept["medsam2"]["built"]["image_bytes"] == 6_200_000_000
    assert kept["medsam2"]["random_cpu"]["ok"] == kept["medsam2"]["random_cpu"]["findings"] == 3
    table = smoke._table([good, bad])
    assert "1.90" in table
    assert "3/3" in table
    assert "FAILED: why" in table


def test_the_page_names_the_version_that_was_verified(
    smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was verified of another version of the plugin says so; what nobody verified is empty."""
    generate = _load(monkeypatch, smoke.ROOT / "docs" / "generate.py", "docs_generate_for_models")
    record = tmp_path / "verified.json"
    record.write_text("{}")
    monkeypatch.setattr(smoke, "RECORD", record)
    model = discover().get("sam2").model
    smoke._keep([smoke.Row(model, model.variants[0], "ok", 1.0, _document())], "cuda")
    kept = json.loads(record.read_text())["sam2"]
    built, cpu, gpu = generate._verified(model, kept)
    assert "6.2 GB" in built
    assert "`large`: 3 of 3 findings on 2 CTs, 31 s a case, 1.9 GB" in cpu
    assert gpu == ""
    kept["built"]["version"] = "0.9.0"
    assert generate._verified(model, kept)[0].endswith("(version 0.9.0)")
