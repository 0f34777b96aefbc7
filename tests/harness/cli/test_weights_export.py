"""``bench weights export`` names what it needs before it copies anything."""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.rows import RunRow
from harness.runs.checkpoint import write_record
from harness.store.database import Store
from tests.conftest import Bench


def _keep(bench: Bench, run_id: str, record: dict[str, object]) -> None:
    fields = {
        "id": run_id, "plan_key": run_id, "attempt": 1, "kind": "measured", "plugin": "mine", "title": "Mine",
        "plugin_version": "1", "variant": "fine-tuned", "prompt": "text", "fine_tuned": True, "profile": "mlhc2025",
        "dataset": "d", "fingerprint": "f", "split": "test", "engine": "docker", "image_id": "", "rankable": True,
        "unrankable": [], "state": "done", "created": "2026-01-01T00:00:00+00:00", "n_cases": 0, "n_findings": 0,
    }  # fmt: skip
    with Store(bench.home / "results.db") as store:
        store.save_run(RunRow(**fields, record=record))  # type: ignore[arg-type]


def test_only_a_checkpoint_that_is_here_and_may_be_shared(bench: Bench, tmp_path: Path) -> None:
    """A run without a training, a checkpoint elsewhere, one that may not be shared, and one that may."""
    _keep(bench, "plain", {})
    assert "was not trained here" in bench("weights", "export", "plain", tmp_path / "out", code=2).stderr
    _keep(bench, "tuned", {"training": {"key": "abc"}})
    assert "is not in this home" in bench("weights", "export", "tuned", tmp_path / "out", code=3).stderr
    home = bench.home / "checkpoints" / "abc"
    (home / "checkpoint").mkdir(parents=True)
    (home / "checkpoint" / "model.pt").write_bytes(b"weights")
    files = {"model.pt": {"bytes": 7, "sha256": hashlib.sha256(b"weights").hexdigest()}}
    work = {"name": "data set d", "licence": "MIT", "note": "", "derived": "unknown"}
    write_record(home, "abc", files, {"derived_from": [work], "plan": {"fingerprints": {"train": "sha256:0"}}})
    refused = bench("weights", "export", "tuned", tmp_path / "out", code=3).stderr
    assert "the terms of the data set d say of what is derived: unknown" in refused
    assert not (tmp_path / "out").exists()
    bench("data", "phantom", tmp_path / "other", "--cases", 4)
    other = bench("weights", "export", "tuned", tmp_path / "out", "--dataset", tmp_path / "other", code=4).stderr
    assert "was not trained on" in other
    write_record(home, "abc", files, {"derived_from": [{**work, "derived": "yes"}]})
    assert "origin.json" in bench("weights", "export", "tuned", tmp_path / "out").stdout
    assert (tmp_path / "out" / "model.pt").read_bytes() == b"weights"
