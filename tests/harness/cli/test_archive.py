"""An archived run is on no list and no board, which say so; nothing of it is gone, and it comes back."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from harness.cli.archive import archive
from harness.cli.results import list_results
from harness.cli.settings import Settings
from harness.errors import UnknownName
from harness.rows import RunRow
from harness.runs.removal import remove_run
from harness.store.archive import archived
from harness.store.database import Store

ROW = RunRow(
    id="failed-try-1", plan_key="k", attempt=1, kind="measured", plugin="rules", title="Rules", plugin_version="1",
    variant="v", prompt="text", fine_tuned=False, profile="mlhc2025", dataset="d", fingerprint="f", split="test",
    engine="docker", image_id="", rankable=True, unrankable=[], state="done", created="2026",
)  # fmt: skip


def _bench(home: Path, command: object, *arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments], obj=Settings(home))  # type: ignore[arg-type]


def test_an_archived_run_is_not_listed_and_comes_back(tmp_path: Path) -> None:
    """The list says how many it leaves out; --archived lists them, --undo brings them back, remove takes them away."""
    with Store(tmp_path / "results.db") as store:
        store.save_run(ROW)
    assert "--undo" in _bench(tmp_path, archive, "failed").output
    listed = _bench(tmp_path, list_results)
    assert ROW.id not in listed.stdout
    assert "1 archived run not listed; --archived lists them" in listed.stderr
    assert ROW.id in _bench(tmp_path, list_results, "--archived").stdout
    assert _bench(tmp_path, archive, ROW.id, "--undo").output == "1 run shown again\n"
    assert ROW.id in _bench(tmp_path, list_results).stdout
    assert isinstance(_bench(tmp_path, archive, "other").exception, UnknownName)
    _bench(tmp_path, archive, ROW.id)
    with Store(tmp_path / "results.db") as store:
        remove_run(store, ROW)
        assert archived(store) == {}
