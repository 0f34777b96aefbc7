"""The smoke test of the models: what it says and keeps, without building anything."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

from harness.registry.discovery import discover
from harness.runs.params import parse_changes

HERE = Path(__file__).parent


def _load(monkeypatch: pytest.MonkeyPatch, path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # dataclasses look their module up
    monkeypatch.syspath_prepend(path.parent)  # as a script finds its neighbours
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
    model = discover().get("segvol").model
    rows = smoke._smoke(model, smoke._kinds(model), tmp_path, "cuda", lambda *_: None)
    assert [row.variant.name for row in rows] == ["text", "text-fine-tuned", "box"]
    for row in rows:
        assert row.outcome.startswith("skipped: the source segvol-segment at 5768c9795794 has not been fetched; ")
        assert row.outcome in smoke.table(rows)


def test_each_way_to_follow_a_box_and_each_file_of_weights_is_tried(smoke: ModuleType) -> None:
    """Windows, boxes and recipes are data to the same code; how to follow is code, and files may differ in layout."""
    kinds = {name: [v.name for v in smoke._kinds(discover().get(name).model)] for name in ("medsam2", "voxtell")}
    assert kinds == {
        "medsam2": ["latest", "ct-lesion", "base", "latest-within-box", "latest-mask-prompt"],
        "voxtell": ["zero-shot", "fine-tuned", "zero-shot-v1-0"],
    }


def test_every_trained_model_says_what_is_trained(smoke: ModuleType) -> None:
    """A new model with upstream code must state which of its parts training changes."""
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
    assert _judge(smoke, monkeypatch) == "2/2, 1 frozen"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (
            {"same": ["network.segvol.mask_decoder.weight"]},
            "mask_decoder is to be trained: of 1 parameters 1 stay",
        ),
        ({"trained": ["network.other.weight"]}, "image_encoder is to be trained: of 0 parameters 0"),
        ({"frozen": []}, "text_encoder is to be left alone: 0"),
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


def test_a_training_is_visible_and_nothing_but_gradients_moves_weights(
    smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """VoxTell trains at a higher rate and without decay, by parameters that its recipe declares; nothing else does."""
    asked: list[tuple[str, ...]] = []
    document = {"run": "r", "coverage": {"ok": 2}}
    monkeypatch.setattr(smoke, "_bench", lambda _, *given: (asked.append(given), document)[1])
    model = discover().get("voxtell").model
    for variant in model.variants[:2]:
        smoke._run(smoke.Row(model, variant), tmp_path, tmp_path)
    untrained, trained = asked
    assert "--param" not in untrained
    changes = ("rate=0.1", "encoder_rate=1.0", "decay=0.0")
    assert trained[-6:] == tuple(text for change in changes for text in ("--param", change))
    assert parse_changes(discover().get("voxtell"), model.variants[1], changes) == smoke.VISIBLE["voxtell"]


@pytest.mark.parametrize(
    ("second", "masks", "why"),
    [
        ("aa", ["m"], ""),
        ("bb", ["m"], "trained twice, the checkpoints differ: aa and bb"),
        ("aa", ["n"], "the masks differ"),
    ],
)
def test_a_training_is_repeated_from_nothing(
    smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, second: str, masks: list[str], why: str
) -> None:
    """Its checkpoint is removed before it; another checkpoint, or other masks from the same one, are a failure."""
    model = discover().get("segvol").model
    row = smoke.Row(model, model.variants[1], document={"run": "r"}, masks=["m"], trained="3/3, 1 frozen")
    folder = tmp_path / "checkpoints" / "k"
    folder.mkdir(parents=True)
    there: list[bool] = []
    monkeypatch.setattr(smoke, "_training", lambda *_: {"key": "k", "sha256": second if there else "aa"})
    monkeypatch.setattr(smoke, "_run", lambda row, *_: (there.append(folder.exists()), setattr(row, "masks", masks)))
    if why:
        with pytest.raises(smoke.Failed, match=why):
            smoke._again(row, tmp_path, tmp_path)
    else:
        smoke._again(row, tmp_path, tmp_path)
        assert row.trained == "3/3, 1 frozen, twice the same"
    assert there == [False]


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
    smoke._probe(row, "tag", None)
    assert (row.turned, row.texts) == ("1.000 (5)", "7")
    monkeypatch.setattr(smoke, "_inside", lambda *_: good | found)
    with pytest.raises(smoke.Failed, match=why):
        smoke._probe(smoke.Row(model, model.variants[0]), "tag", None)


def test_what_was_seen_is_kept_and_shown(smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A success is recorded; a failure, and what a person recorded of a GPU, leave the record as it was."""
    record = tmp_path / "verified.json"
    record.write_text(json.dumps({"medsam2": {"real_gpu": {"latest": {"date": "2026-01-01"}}}}))
    monkeypatch.setattr(sys.modules["seen"], "RECORD", record)
    model = discover().get("medsam2").model
    good = smoke.Row(model, model.variants[0], "ok", 12.0, _document(), "1, 2, 3", "1.000 (5)")
    bad = smoke.Row(discover().get("sam2").model, discover().get("sam2").model.variants[0], "FAILED: why", 1.0)
    smoke.keep([good, bad], "cuda")
    kept = json.loads(record.read_text())
    assert list(kept) == ["medsam2"]
    assert kept["medsam2"]["real_gpu"] == {"latest": {"date": "2026-01-01"}}
    ran = kept["medsam2"]["random_cpu"]["latest"]
    assert ran["image_bytes"] == 6_200_000_000
    assert ran["ok"] == ran["findings"] == 3
    table = smoke.table([good, bad])
    assert "1.90" in table
    assert "3/3" in table
    assert "FAILED: why" in table


def test_published_files_must_come_back_as_they_were_saved(
    smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In both processes; every declared file is made; they are kept where that is asked for."""
    asked: list[Any] = []
    found = {"same": True, "files": {"a": 2 * 10**9}, "parameters": 7, "seconds": 3.0, "tokens": [4, 5]}

    def inside(*given: Any) -> dict[str, Any]:
        asked.append(given)
        (Path(next(iter(given[4]))) / "a").write_bytes(b"made up")
        return found

    monkeypatch.setattr(smoke, "_inside", inside)
    model = discover().get("segvol").model
    row = smoke.Row(model, model.variants[0])
    smoke._published(row, "tag", tmp_path, tmp_path / "kept")
    assert row.outcome == "ok: 7 parameters of 2.0 GB in 3 s, twice at once"
    assert row.texts == "[4, 5] tokens"
    assert row.published == {"parameters": 7, "bytes": 2 * 10**9, "seconds": 3.0, "tokens": [4, 5]}
    assert asked[0][3]["weights"] == ["SegVol_v1.pth"]
    assert asked[0][3]["params"] == model.variants[0].params
    assert (tmp_path / "kept" / "segvol" / "text" / "a").read_bytes() == b"made up"
    for wrong, why in (({"same": False}, "not what was saved"), ({"failed": ["rank 1 ended with 1"]}, "rank 1 ended")):
        found.update(wrong)
        with pytest.raises(smoke.Failed, match=why):
            smoke._published(smoke.Row(model, model.variants[0]), "tag", tmp_path)


def test_published_files_that_were_loaded_are_kept_and_shown(
    smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Beside what was seen with random weights, which stays."""
    record = tmp_path / "verified.json"
    record.write_text(json.dumps({"segvol": {"random_cpu": {"text": {"date": "2026-01-01"}}}}))
    monkeypatch.setattr(sys.modules["seen"], "RECORD", record)
    model = discover().get("segvol").model
    loaded = {"parameters": 1234567, "bytes": 2 * 10**9, "seconds": 3.0, "tokens": [4, 5]}
    rows = [
        smoke.Row(model, model.variants[0], "ok: 7", published=loaded),
        smoke.Row(model, model.variants[1], "FAILED"),
    ]
    smoke.keep(rows, "cuda")
    kept = json.loads(record.read_text())["segvol"]
    assert kept["random_cpu"] == {"text": {"date": "2026-01-01"}}
    assert list(kept["published_cpu"]) == ["text"]
    generate = _load(monkeypatch, smoke.ROOT / "docs" / "generate.py", "docs_generate_for_published")
    cells = generate._loaded(model, "text", kept["published_cpu"]["text"])
    assert cells[3:] == ["2.0 GB", "1,234,567", "3 s", "4, 5"]


def _line(name: str, outcome: str, found: str) -> dict[str, str]:
    return {"name": name, "outcome": outcome, "found": found, "fix": ""}


def test_a_check_is_run_for_each_prompt_kept_and_shown(
    smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of the first variant that is asked by text and the first that gets boxes; a line that fails fails the model."""
    record = tmp_path / "verified.json"
    record.write_text("{}")
    monkeypatch.setattr(sys.modules["seen"], "RECORD", record)
    model = discover().get("segvol").model
    assert sorted(variant.name for variant in smoke._to_check(model)) == ["box", "text"]
    lines = [_line("reads", "pass", "alike"), _line("row", "skip", "its weights are random here")]
    asked = MagicMock(return_value={"checks": lines})
    monkeypatch.setattr(smoke, "_bench", asked)
    row = smoke.Row(model, model.variants[0])
    smoke._checked(row, "tag", tmp_path)
    assert asked.call_args.args[1:4] == ("plugin", "check", "segvol")
    smoke.keep([row], "cuda")
    assert "1 pass, 1 skip" in smoke.table([row])
    generate = _load(monkeypatch, smoke.ROOT / "docs" / "generate.py", "docs_generate_for_checks")
    cells = generate._of_check(model, "text", json.loads(record.read_text())["segvol"]["checked_cpu"]["text"])
    assert cells[3:] == ["reads", "row: its weights are random here", "0 s"]
    lines.append(_line("repeats", "FAIL", "other masks"))
    with pytest.raises(smoke.Failed, match="repeats: other masks"):
        smoke._checked(smoke.Row(model, model.variants[0]), "tag", tmp_path)


def _full() -> dict[str, object]:
    predicted = {"case_s": 8.6, "gpu_bytes": 20_600_000_000, "shape": [512, 512, 240], "voxels": [1, 2, 3]}
    trained = {"step_s": 0.514, "gpu_bytes": 44_900_000_000, "losses": {"dice": 1.0}, "checkpoint_bytes": 3_600_000_000}
    return {"gpu": "A GPU", "torch": "2.14.1", "predict": predicted, "train": trained}


def test_full_size_is_asked_as_declared_and_kept(
    smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On the largest CT, with nothing reduced; what is seen reaches the record, the table and the page."""
    record = tmp_path / "verified.json"
    record.write_text("{}")
    monkeypatch.setattr(sys.modules["seen"], "RECORD", record)
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "small.nii.gz").write_bytes(b"1")
    (tmp_path / "ct" / "large.nii.gz").write_bytes(b"12")
    asked: list[Any] = []
    monkeypatch.setattr(smoke, "_inside", lambda *given: (asked.append(given), _full())[1])
    model = discover().get("sat").model
    rows = [smoke.Row(model, variant, "ok", 1.0, _document(), "1", "1.000 (5)") for variant in model.variants[:2]]
    for row in rows:
        smoke._full_size(row, "tag", tmp_path, "0")
    (_, tag, script, first, mounts, gpu), (*_, second, _, _) = asked
    assert (tag, script, gpu) == ("tag", "full_size.py", "0")
    assert list(mounts.values()) == [{"bind": "/data", "mode": "ro"}]
    assert first["ct"] == "/data/ct/large.nii.gz"
    assert first["seg"] == "/data/seg/large.nii.gz"
    assert first["params"] == model.variants[0].params
    assert (first["steps"], second["steps"]) == (0, 6)
    smoke.keep(rows, "cuda")
    kept = json.loads(record.read_text())["sat"]["full_size_gpu"]
    assert list(kept) == ["fine-tuned", "zero-shot"]
    assert kept["fine-tuned"]["where"] == "image"
    generate = _load(monkeypatch, smoke.ROOT / "docs" / "generate.py", "docs_generate_for_full_size")
    cells = generate._full_size(model, "fine-tuned", kept["fine-tuned"])
    assert cells[3:] == ["A GPU, torch 2.14.1", "9 s", "20.6 GB", "0.51 s", "44.9 GB", "3.6 GB"]
    assert "44.9" in smoke.table(rows)


def test_only_what_is_asked_of_a_gpu_gets_one(smoke: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container of a trained variant has the memory that its training declares, and one GPU; no other has any."""
    client = MagicMock()
    client.images.get.return_value.attrs = {
        "Config": {"Entrypoint": ["python", "-m", "groundbench_sdk"], "Cmd": ["adapter:SAT"]}
    }
    client.containers.run.return_value = b'loading\n{"a": 1}\n'
    monkeypatch.setattr("docker.from_env", lambda **_: client)
    model = discover().get("sat").model
    row = smoke.Row(model, model.variants[1])
    assert smoke._inside(row, "tag", "full_size.py", {"params": {"side": 288}}, {}, "GPU-7") == {"a": 1}
    smoke._inside(row, "tag", "probe.py", {}, {}, None)
    (with_gpu, without) = client.containers.run.call_args_list
    (request,) = with_gpu.kwargs["device_requests"]
    assert request["DeviceIDs"] == ["GPU-7"]
    assert without.kwargs["device_requests"] == []
    assert with_gpu.kwargs["mem_limit"] == f"{model.training.memory_mb}m"
    assert without.kwargs["mem_limit"] == f"{model.resources.memory_mb}m"
    told = [json.loads(call.args[1][1]) for call in (with_gpu, without)]
    assert told[0]["devices"] == ["cuda:0"]
    assert told[0]["params"] == {"side": 288}
    assert told[1]["devices"] == ["cpu"]
    assert told[1]["params"] == {**model.variants[1].params, **model.variants[1].reduced}


def test_a_model_that_fails_at_full_size_fails(
    smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With what the adapter said."""
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "a.nii.gz").write_bytes(b"1")
    monkeypatch.setattr(smoke, "_inside", lambda *_: {"predict": {"failed": "CUDA out of memory"}})
    model = discover().get("sat").model
    with pytest.raises(smoke.Failed, match="CUDA out of memory"):
        smoke._full_size(smoke.Row(model, model.variants[0]), "tag", tmp_path, "0")


def test_what_a_model_took_of_a_gpu_fits_what_it_declares(smoke: ModuleType) -> None:
    """With the half gigabyte that CUDA itself takes; a declaration below would refuse no GPU that is too small."""
    record = json.loads(sys.modules["seen"].RECORD.read_text())
    seen = {name: kept["full_size_gpu"] for name, kept in record.items() if "full_size_gpu" in kept}
    assert seen
    for name, variants in seen.items():
        model = discover().get(name).model
        for ran in variants.values():
            assert ran["predict"]["gpu_bytes"] / 2**20 + 600 < model.resources.gpu_memory_mb, name
            if "train" in ran:
                assert ran["train"]["gpu_bytes"] / 2**20 + 600 < model.training.gpu_memory_mb, name


def test_the_page_names_the_version_that_was_verified(
    smoke: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was verified of another version of the plugin says so; what was not verified is empty."""
    generate = _load(monkeypatch, smoke.ROOT / "docs" / "generate.py", "docs_generate_for_models")
    record = tmp_path / "verified.json"
    record.write_text("{}")
    monkeypatch.setattr(sys.modules["seen"], "RECORD", record)
    model = discover().get("segvol").model
    rows = [
        smoke.Row(model, model.variants[0], "ok", 1.0, _document(), "1", "1.000 (5)", "839"),
        smoke.Row(
            model, model.variants[1], "ok", 1.0, _document(), "1", "1.000 (5)", "839", "238/238, 12 frozen", 19.0
        ),
    ]
    smoke.keep(rows, "cuda")
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
