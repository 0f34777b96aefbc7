"""What nobody has said of a row is never taken for the favourable case; weights that were trained here are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.registry.discovery import Registry
from harness.rows import RunRow
from harness.runs.claims import claimed, exposure_of, trained_here
from harness.runs.standing import judged
from harness.status import RowLevel
from harness.store.database import Store
from harness.store.trainings import TrainingRow, Trainings

ROW = RunRow(
    id="m-v-0", plan_key="k", attempt=1, kind="measured", plugin="m", title="M", plugin_version="1", variant="v",
    prompt="text", fine_tuned=False, profile="mlhc2025", dataset="d", fingerprint="f", split="test", engine="docker",
    image_id="", rankable=True, unrankable=[], state="done", created="2026",
    record={"exposure": {"of": "none", "origin": "ours"}},
)  # fmt: skip


def _reasons(**fields: Any) -> list[str]:
    row = claimed(replace(ROW, **fields), {})
    assert row.rankable == (not row.unrankable)
    return [reason.partition(":")[0] for reason in row.unrankable]


def _of(words: str) -> dict[str, Any]:
    return {"exposure": {"of": words, "origin": "theirs"}}


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({}, []),
        ({"prompt": ""}, ["prompt not stated"]),
        ({"record": {}}, ["training not stated"]),
        ({"record": {"exposure": 3}}, ["training not stated"]),
        ({"record": {}, "prompt": ""}, ["prompt not stated", "training not stated"]),
        ({"record": {}, "fine_tuned": True}, []),
        ({"record": _of("train")}, []),
        ({"record": _of("train+test")}, ["trained on the split that it is scored on"]),
        ({"record": _of("train+val"), "split": "val"}, ["trained on the split that it is scored on"]),
        ({"fine_tuned": True, "split": "train"}, ["trained on the split that it is scored on"]),
        ({"record": {}, "unrankable": ["known answer: it reads the truth"]}, ["known answer"]),
        ({"plan": {"weights": 3}}, []),
    ],
)
def test_what_is_not_stated_has_no_rank(fields: dict[str, Any], reasons: list[str]) -> None:
    """Prompt and training have to be stated; what was trained on the split that it is scored on has no rank either."""
    assert _reasons(**fields) == reasons


@pytest.mark.parametrize("stated", ["unknown", "none"])
def test_a_checkpoint_of_this_home_declared_as_weights_is_no_zero_shot(tmp_path: Path, stated: str) -> None:
    """Its digest tells, whatever is declared of it; a file that the training began with tells nothing."""
    folder = tmp_path / "checkpoints" / "abcdef0123456789"
    folder.mkdir(parents=True)
    made, base = "1" * 64, "2" * 64
    files = {name: {"bytes": 1, "sha256": digest} for name, digest in (("forest", made), ("base", base))}
    (folder / "record.json").write_text(json.dumps({"key": folder.name, "sha256": "3" * 64, "files": files}))
    with Store(tmp_path / "results.db") as store:
        plan = {"weights": {"mode": "pinned", "files": {"base": base}}}
        Trainings(store).save(TrainingRow(folder.name, "m", "v", "d", "done", "2026", plan=plan))
        found = trained_here(store)
    assert found == {made: folder.name}
    row = replace(ROW, record=_of(stated), plan={"weights": {"mode": "pinned", "files": {"w": made}}})
    (shown,) = judged([row], Registry(), found)
    assert exposure_of(shown.record) == "train"
    assert shown.record["exposure"]["origin"] == "by digest: its weights are of the training abcdef012345 of this home"
    (travelled,) = judged([replace(row, kind="imported")], Registry(), found)
    assert exposure_of(travelled.record) == "train"
    (other,) = judged([replace(row, plan={"weights": {"files": {"w": base}}})], Registry(), found)
    assert exposure_of(other.record) == stated


@pytest.mark.parametrize(
    ("fields", "level"),
    [
        ({}, "measured"),
        ({"kind": "submitted"}, "rescored"),
        ({"kind": "something"}, "reported"),
        ({"kind": "imported"}, "reported"),
        ({"kind": "imported", "record": {"level": "reproduced"}}, "reproduced"),
        ({"kind": "imported", "plan": {"kind": "submitted"}, "record": {"level": "sealed"}}, "rescored"),
        ({"plan": {"kind": "submitted"}}, "rescored"),
        ({"record": {"level": "sealed"}}, "measured"),
        ({"record": {"level": "reported"}}, "reported"),
        ({"record": {"level": "best"}}, "measured"),
        ({"kind": "submitted", "record": {"level": "sealed"}}, "rescored"),
        ({"kind": "submitted", "record": {"level": "reported"}}, "reported"),
    ],
)
def test_masks_made_elsewhere_are_never_more_than_rescored(fields: dict[str, Any], level: str) -> None:
    """Neither the kind of a row nor its record makes a run of masks."""
    assert replace(ROW, **fields).level is RowLevel(level)
