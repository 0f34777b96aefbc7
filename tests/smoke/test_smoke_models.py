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
    """Nothing is built; the table says what is missing of every variant, and how to get it."""
    rows = smoke._smoke(discover().get("segvol").model, tmp_path, tmp_path, "cuda")
    assert [row.variant.name for row in rows] == ["text", "text-fine-tuned", "box"]
    for row in rows:
        assert row.outcome.startswith("skipped: the source segvol-segment at 5768c9795794 is not here; `bench sources")
        assert row.outcome in smoke._table(rows)


def test_every_trained_model_says_what_is_trained(smoke: ModuleType) -> None:
    """A new model with upstream code cannot come without a word on which parts training must change."""
    models = [plugin.model for plugin in discover().plugins.values() if plugin.model.sources or plugin.model.weights]
    trained = {model.name for model in models if any(variant.fine_tuned for variant in model.variants)}
    assert trained == set(smoke.PARTS)


def _judge(smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, **found: list[str]) -> str:
    model = discover().get("segvol").model
    nothing: list[str] = []
    seen = dict.fromkeys(("unsteady", "same", "lost", "delivered_frozen"), nothing)
    trained, frozen = smoke.PARTS["segvol"]
    seen |= {"trained": [f"{part}.weight" for part in trained], "frozen": [f"{part}.weight" for part in frozen]}
    monkeypatch.setattr(smoke, "_inside", lambda *_: seen | found)
    monkeypatch.setattr(smoke, "_bench", lambda *_: {"record": {"training": {"key": "k", "seconds": 9.0}}})
    row = smoke.Row(model, model.variants[1], document={"run": "r"})
    smoke._trained(row, "tag", Path())
    return str(row.trained)


def test_a_training_that_changes_what_it_should_is_told(smoke: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """With how much changed, how much is frozen, and how long it took."""
    assert _judge(smoke, monkeypatch) == "3/3, 1 frozen"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (
            {"same": ["network.segvol.text_encoder.dim_align.weight"]},
            "dim_align is to be trained: of 1 parameters 1 stay",
        ),
        ({"trained": ["network.other.weight"]}, "image_encoder is to be trained: of 0 parameters 0"),
        ({"frozen": []}, "clip_text_model is to be left alone: 0"),
        ({"lost": ["network.segvol.mask_decoder.weight"]}, "1 parameters are lost: network.segvol.mask_decoder.weight"),
        ({"delivered_frozen": ["network.x"]}, "1 parameters are delivered_frozen: network.x"),
        ({"unsteady": ["network.x"]}, "1 parameters are unsteady: network.x"),
    ],
)
def test_a_training_that_does_not_is_a_failure(
    smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, found: dict[str, list[str]], why: str
) -> None:
    """Each way to go wrong has its words."""
    with pytest.raises(smoke.Failed, match=why):
        _judge(smoke, monkeypatch, **found)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"dice": 0.5}, "depends on how the CT is stored"),
        ({"differ": 0}, "two texts give one answer"),
        ({"cut": []}, "without a word"),
        ({"failed": ["straight: no"]}, "straight: no"),
    ],
)
def test_an_adapter_that_does_not_hold_is_a_failure(
    smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, found: dict[str, object], why: str
) -> None:
    """Storage, texts, announcements, and a case that failed."""
    model = discover().get("segvol").model
    good = {"dice": 1.0, "voxels": 5, "slice": [45, 38, 1], "differ": 7, "cut": ["the text is longer than the 77"]}
    monkeypatch.setattr(smoke, "_inside", lambda *_: good)
    row = smoke.Row(model, model.variants[0])
    smoke._probe(row, "tag")
    assert (row.turned, row.texts) == ("1.000 (5)", "7")
    monkeypatch.setattr(smoke, "_inside", lambda *_: good | found)
    with pytest.raises(smoke.Failed, match=why):
        smoke._probe(smoke.Row(model, model.variants[0]), "tag")


def test_what_was_seen_is_kept_and_shown(smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A success is recorded; a failure, and what a person recorded of a GPU, leave the record as it was."""
    record = tmp_path / "verified.json"
    record.write_text(json.dumps({"medsam2": {"real_gpu": {"latest": {"date": "2026-01-01"}}}}))
    monkeypatch.setattr(smoke, "RECORD", record)
    model = discover().get("medsam2").model
    good = smoke.Row(model, model.variants[0], "ok", 12.0, _document(), "1, 2, 3", "1.000 (5)")
    bad = smoke.Row(discover().get("sam2").model, discover().get("sam2").model.variants[0], "FAILED: why", 1.0)
    smoke._keep([good, bad], "cuda")
    kept = json.loads(record.read_text())
    assert list(kept) == ["medsam2"]
    assert kept["medsam2"]["real_gpu"] == {"latest": {"date": "2026-01-01"}}
    ran = kept["medsam2"]["random_cpu"]["latest"]
    assert ran["image_bytes"] == 6_200_000_000
    assert ran["ok"] == ran["findings"] == 3
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
    model = discover().get("segvol").model
    rows = [
        smoke.Row(model, model.variants[0], "ok", 1.0, _document(), "1", "1.000 (5)", "839"),
        smoke.Row(
            model, model.variants[1], "ok", 1.0, _document(), "1", "1.000 (5)", "839", "238/238, 12 frozen", 19.0
        ),
    ]
    smoke._keep(rows, "cuda")
    kept = json.loads(record.read_text())["segvol"]
    text, trained = generate._verified(model, kept)
    today = kept["random_cpu"]["text"]["date"]
    assert text[1:] == [
        "`text`", today, "6.2 GB", "3 of 3, 2 CTs", "4 s", "31.0 s", "1.9 GB", "1.000 (5)", "839", "", ""
    ]  # fmt: skip
    assert trained[10] == "238/238, 12 frozen, 19 s"
    kept["random_cpu"]["text"]["version"] = "0.9.0"
    assert next(generate._verified(model, kept))[2] == f"{today} (version 0.9.0)"
    assert next(generate._verified(model, {}))[1:] == [""] * 11
