"""A removed run is gone: from the database's file too, from the disk, and from the listing; others stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import PrerequisiteError
from harness.rows import CaseRow, FindingRow, RunRow
from harness.runs import lock
from harness.runs.lock import only_one
from harness.runs.removal import removal_of, remove_run
from harness.store.database import Store

TEXT = "zzsentence about a nodule of the left lower lobe"


def _run(run_id: str, **values: Any) -> RunRow:
    fields = {
        "id": run_id, "plan_key": run_id, "attempt": 1, "kind": "measured", "plugin": "rules", "title": "Rules",
        "plugin_version": "1", "variant": "zero-shot", "prompt": "text", "fine_tuned": False, "profile": "mlhc2025",
        "dataset": "d", "fingerprint": "f", "split": "test", "engine": "docker", "image_id": "", "rankable": True,
        "unrankable": [], "state": "done", "created": "2026-01-01T00:00:00+00:00", "n_cases": 1, "n_findings": 1,
    }  # fmt: skip
    return RunRow(**fields | values)


def _keep(store: Store, run: RunRow, text: str) -> Path:
    """Store a run with one finding and a folder; returns the folder."""
    finding = FindingRow("case-1", "finding_0", 0, "1a", text, "ok")
    whole = {"dice": {"all": {"value": 0.5, "ci95": None, "n": 1, "cases": 1}}}
    store.save_whole(run, [(CaseRow("case-1", 0, "ok", scored=True), [finding])], {"mlhc2025": whole})
    folder = store.home / "runs" / run.id
    (folder / "masks").mkdir(parents=True)
    (folder / "masks" / "case-1.nii.gz").write_bytes(b"mask")
    return folder


def _file(store: Store) -> bytes:
    """Return everything that SQLite has on the disk."""
    return b"".join(path.read_bytes() for path in store.path.parent.glob(f"{store.path.name}*"))


def test_nothing_of_a_removed_run_is_left(tmp_path: Path) -> None:
    """Neither a row nor a byte of its texts; the run beside it is whole."""
    with Store(tmp_path / "results.db") as store:
        run, other = _run("gone"), _run("stays")
        folder, beside = _keep(store, run, TEXT), _keep(store, other, "another text")
        assert TEXT.encode() in _file(store)
        assert (removal_of(store, run).cases, removal_of(store, run).findings) == (1, 1)
        remove_run(store, run)
        assert TEXT.encode() not in _file(store)
        assert not folder.exists()
        assert [path.name for path in (tmp_path / "runs").iterdir()] == ["stays"]
        assert [row.id for row in store.runs()] == ["stays"]
        assert [row.text for row in store.findings("stays")] == ["another text"]
        assert store.findings("gone") == store.cases("gone") == []
        assert store.metrics("gone", "mlhc2025") == {}
        assert store.metrics("stays", "mlhc2025")
        assert (beside / "masks" / "case-1.nii.gz").exists()


def test_a_removal_that_was_killed_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before the rows went, or in the middle of the folder: the same command ends it."""
    with Store(tmp_path / "results.db") as store:
        run = _run("gone")
        folder = _keep(store, run, TEXT)
        with monkeypatch.context() as patch:
            patch.setattr(store, "remove_run", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                remove_run(store, run)
        assert not folder.exists()
        (tmp_path / "runs" / ".removed-gone" / "half").mkdir(parents=True)
        remove_run(store, run)
        assert list((tmp_path / "runs").iterdir()) == []
        assert store.runs() == []


def test_a_run_in_progress_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds its folder still writes there."""
    monkeypatch.setattr(lock, "_LOOK_S", 0.05)
    with Store(tmp_path / "results.db") as store:
        run = _run("busy", state="running")
        folder = _keep(store, run, TEXT)
        with only_one(folder, "busy"), pytest.raises(PrerequisiteError, match="another process is running busy"):
            remove_run(store, run)
        assert (folder / "masks" / "case-1.nii.gz").exists()
        assert [row.id for row in store.runs()] == ["busy"]
