"""``bench results remove`` asks first, and says what stays."""

from __future__ import annotations

from harness.rows import RunRow
from harness.store.database import Store
from tests.conftest import Bench


def _keep(bench: Bench, run_id: str) -> None:
    fields = {
        "id": run_id, "plan_key": run_id, "attempt": 1, "kind": "measured", "plugin": "rules", "title": "Rules",
        "plugin_version": "1", "variant": "zero-shot", "prompt": "text", "fine_tuned": True, "profile": "mlhc2025",
        "dataset": "d", "fingerprint": "f", "split": "test", "engine": "docker", "image_id": "", "rankable": True,
        "unrankable": [], "state": "done", "created": "2026-01-01T00:00:00+00:00", "n_cases": 0, "n_findings": 0,
        "record": {"training": {"key": "abc"}},
    }  # fmt: skip
    with Store(bench.home / "results.db") as store:
        store.save_run(RunRow(**fields))  # type: ignore[arg-type]
    (bench.home / "runs" / run_id).mkdir(parents=True)
    (bench.home / "checkpoints" / "abc").mkdir(parents=True, exist_ok=True)


def test_nothing_goes_without_an_answer(bench: Bench) -> None:
    """Without one nothing is removed; the checkpoint of a fine-tuned run stays, and is named."""
    _keep(bench, "tuned-1")
    asked = bench("results", "remove", "tuned", code=2)
    assert "add --yes" in asked.stderr
    assert "its checkpoint stays: " in asked.stderr
    assert (bench.home / "runs" / "tuned-1").exists()
    assert bench.json("results", "remove", "tuned", "tuned-1", "--yes") == {"schema": 1, "removed": ["tuned-1"]}
    assert not (bench.home / "runs" / "tuned-1").exists()
    assert (bench.home / "checkpoints" / "abc").exists()
    assert bench.json("results", "list")["runs"] == []
    assert "tuned" in bench("results", "remove", "tuned", "--yes", code=2).stderr
