"""`bench results verify` proves a row: whatever of it is changed by hand is named."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.runs.verify import verify_run
from harness.store.database import Store

if TYPE_CHECKING:
    from conftest import Bench

PLUGIN = Path(__file__).parent / "plugins" / "misbehaving"

#: A change of the database, and how the line that names it begins.
CHANGES = {
    "dice": ("update findings set dice = 0.99 where [case] = 'toy_1_a_1' and finding = '0'", "toy_1_a_1/0 dice:"),
    "voxels": ("update findings set pred_voxels = 7 where [case] = 'toy_3_a_1'", "toy_3_a_1/0 pred_voxels:"),
    "details": ("update findings set details = '{}' where [case] = 'toy_1_a_1'", "toy_1_a_1/0 details:"),
    "another finding": (
        """update findings set details = json_set(details, '$.others', json('{"truth": {"finding": "9", "dice": 1}}'))
        where [case] = 'toy_1_a_1'""",
        "toy_1_a_1/0 details:",
    ),
    "hash": ("update findings set mask_sha256 = 'aa' where [case] = 'toy_1_a_1'", "toy_1_a_1/0 mask_sha256:"),
    "failure made good": (
        "update findings set status = 'ok', dice = 1.0 where [case] = 'toy_2_a_1'",
        "toy_2_a_1/0 status: stored ok",
    ),
    "failure with a score": ("update findings set dice = 1.0 where [case] = 'toy_2_a_1'", "toy_2_a_1/0 dice:"),
    "success hidden": (
        "update findings set status = 'timeout' where [case] = 'toy_1_a_1'",
        "record findings.toy_1_a_1/0",
    ),
    "reason": ("update cases set reason = 'bad luck' where [case] = 'toy_2_a_1'", "record cases.toy_2_a_1.reason:"),
    "case's time": ("update cases set seconds = 0.001 where [case] = 'toy_1_a_1'", "record cases.toy_1_a_1.seconds:"),
    "text": ("update findings set text = 'other' where [case] = 'toy_1_a_1' and finding = '1'", "toy_1_a_1/1 text:"),
    "category": ("update findings set category = '2h' where [case] = 'toy_1_a_1'", "toy_1_a_1/0 category:"),
    "finding lost": ("delete from findings where [case] = 'toy_2_a_1' and finding = '1'", "toy_2_a_1/1: in the split"),
    "case lost": ("delete from findings where [case] = 'toy_2_a_1'", "toy_2_a_1/0: in the split, not in the database"),
    "finding invented": (
        ("insert into findings select run, [case], '7', [index], category, text, status, reason, dice, truth_voxels, "
        "pred_voxels, intersection, mask_sha256, verdict, details from findings where [case] = 'toy_1_a_1' limit 1"),
        "toy_1_a_1/7: in the database, not in the split",
    ),
    "metric": ("update metrics set value = 0.99 where metric = 'dice' and grp = 'all'", "mlhc2025 dice/all:"),
    "interval": ("update metrics set low = -1 where metric = 'hit5' and grp = 'all'", "mlhc2025 hit5/all:"),
    "image": ("update runs set image_id = 'sha256:0'", "image_id: sha256:0 in the row"),
    "model": ("update runs set plugin = 'better'", "plugin: better in the row"),
    "plan": ("update runs set plan = json_set(plan, '$.seed', 7)", "plan: its digest is"),
    "key": ("update runs set plan_key = 'ab' || plan_key", "plan: its digest is"),
    "scorer": ("update runs set record = json_set(record, '$.scorer', 'x')", "scorer: version x made the row"),
    "hardware": ("update runs set record = json_set(record, '$.hardware.cores', 512)", "record run.record.hardware"),
    "limits": ("update runs set record = json_set(record, '$.limits.memory_mb', 1)", "record run.record.limits"),
    "speed": ("update runs set timing = json_set(timing, '$.cases_per_hour', 1e9)", "record run.timing.cases"),
    "ranking": ("update runs set rankable = 1", "record run.rankable:"),
    "metric invented": (
        ("insert into metrics (run, profile, metric, grp, value, n) select id, 'mlhc2025', 'dice', 'best', 1, 6 "
        "from runs"),
        "mlhc2025 dice/best:",
    ),
    "metrics lost": ("delete from metrics where profile = 'miccai2026'", "miccai2026 dice/all: stored None"),
    "cases": ("update runs set n_cases = 400", "n_cases: 400 in the row, 3 in the split"),
    "kind": ("update runs set kind = 'submitted'", "kind: submitted in the row"),
}  # fmt: skip


@pytest.fixture(scope="module")
def measured(
    new_bench: Callable[[Path], Bench], dataset_writer: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bench, str]:
    """Run a model that fails on its second case once; return the command line and the run's id."""
    folder = tmp_path_factory.mktemp("verify")
    bench = new_bench(folder / "home")
    run = bench.json(
        "run", "--plugin", "misbehaving", "--variant", "raises", "--plugin-dir", PLUGIN,
        "--dataset", dataset_writer(folder / "toy", 3), "--engine", "local",
    )  # fmt: skip
    return bench, run["run"]


@pytest.fixture
def home(measured: tuple[Bench, str], tmp_path: Path) -> Path:
    """Return a copy of that run's home, to be tampered with."""
    return Path(shutil.copytree(measured[0].home, tmp_path / "home"))


def _named(home: Path, run: str) -> list[str]:
    with Store(home / "results.db", readonly=True) as store:
        return list(verify_run(store, store.run(run), home, masks=None, dataset=None, jobs=1)["differences"])


def test_what_nobody_touched_is_proven(measured: tuple[Bench, str]) -> None:
    """A row as it was made has no difference; the command says so and ends with 0."""
    bench, run = measured
    assert bench.json("results", "verify", run, "--jobs", 1)["differences"] == []


@pytest.mark.parametrize("change", CHANGES)
def test_tampered_database_is_named(change: str, measured: tuple[Bench, str], home: Path) -> None:
    """Whatever column is changed, a line names it."""
    statement, begins = CHANGES[change]
    with closing(sqlite3.connect(home / "results.db")) as db:
        assert db.execute(statement).rowcount > 0
        db.commit()
    named = _named(home, measured[1])
    assert any(line.startswith(begins) for line in named), named


def test_a_row_of_an_earlier_version_is_proven(measured: tuple[Bench, str], home: Path) -> None:
    """It knows nothing of the other findings of a case; its numbers are the same ones."""
    with closing(sqlite3.connect(home / "results.db")) as db:
        db.execute("update findings set details = json_remove(details, '$.others')")
        db.commit()
    assert _named(home, measured[1]) == []


def test_tampered_mask_is_named(measured: tuple[Bench, str], home: Path) -> None:
    """Another mask in the place of an accepted one is named by its case and finding; the command ends with 4."""
    bench, run = measured
    mask = home / "runs" / run / "masks" / "toy_1_a_1" / "0.nii.gz"
    content = gzip.decompress(mask.read_bytes())
    mask.write_bytes(gzip.compress(content[:-1] + b"\1"))
    assert any(line.startswith("toy_1_a_1/0 mask_sha256:") for line in _named(home, run))
    bench = type(bench)(home, bench.environment)
    assert "toy_1_a_1/0 mask_sha256" in bench("results", "verify", run, "--jobs", 1, code=4).stdout


def test_tampered_record_is_named(measured: tuple[Bench, str], home: Path) -> None:
    """A value changed in the record, a record that is not JSON and one that is gone are each named."""
    run = measured[1]
    path = home / "runs" / run / "record.json"
    record = json.loads(path.read_text())
    record["cases"]["toy_2_a_1"]["status"] = "ok"
    path.write_text(json.dumps(record))
    assert _named(home, run) == ["record cases.toy_2_a_1.status: 'ok' in record.json, 'plugin_error' in the database"]
    path.write_text("{")
    (line,) = _named(home, run)
    assert line.startswith(f"record: {path} cannot be read")
    path.unlink()
    assert _named(home, run) == [f"record: {path} is missing, so nothing confirms what the row states"]


#: A change of a submitted row, and how a line that names it begins.
STATED = {
    "plugin = 'voxtell'": "plugin: voxtell in the row",
    "title = 'VoxTell'": "title: VoxTell in the row",
    "plugin_version = '9'": "plugin_version: 9 in the row",
    "variant = 'zero-shot'": "variant: zero-shot in the row",
    "prompt = 'text'": "prompt: text in the row",
    "fine_tuned = 1": "fine_tuned: True in the row",
    "engine = 'docker'": "engine: docker in the row",
    "image_id = 'sha256:00'": "image_id: sha256:00 in the row",
    "rankable = 0": "rankable: False in the row",
    "unrankable = '[\"x\"]'": "unrankable: ['x'] in the row",
    "state = 'running'": "state: running in the row",
    "kind = 'measured'": "kind: measured in the row",
    "n_cases = 400": "n_cases: 400 in the row, 2 in the split",
    "n_findings = 400": "n_findings: 400 in the row, 4 in the split",
    "profile = 'miccai2026'": "record run.profile:",
    "dataset = 'LIDC'": "record run.dataset:",
    "created = '2020-01-01T00:00:00+00:00'": "record run.created:",
    "finished = '2020-01-01T00:00:00+00:00'": "record run.finished:",
    "attempt = 7": "record run.attempt:",
    "record = json_set(record, '$.hardware.cores', 512)": "record run.record.hardware",
    "timing = '{\"cases_per_hour\": 99999}'": "record run.timing.cases_per_hour:",
}


def test_every_column_of_a_submitted_row_is_held(
    bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    """What is edited of a submitted row is named, whichever column; what nothing can compute is said to be stated."""
    data = make_dataset(2)
    shutil.copytree(data / "seg", tmp_path / "masks")
    run = bench.json("score", tmp_path / "masks", "--dataset", data, "--name", "mine", "--jobs", 1)["run"]
    report = bench.json("results", "verify", run, "--jobs", 1)
    assert report["differences"] == []
    assert report["stated"] == ["profile", "dataset", "created", "finished", "timing", "record"]
    assert _named(bench.home, run) == []
    columns = {column for column in sqlite_columns(bench.home) if column not in ("id", "plan", "plan_key")}
    assert columns == {*(change.split(" ")[0] for change in STATED), "fingerprint", "split"}
    for change, begins in STATED.items():
        home = Path(shutil.copytree(bench.home, tmp_path / "copy"))
        with closing(sqlite3.connect(home / "results.db")) as db:
            db.execute(f"update runs set {change}")  # noqa: S608 - the changes are listed above
            db.commit()
        named = _named(home, run)
        assert any(line.startswith(begins) for line in named), (change, named)
        shutil.rmtree(home)
    (bench.home / "runs" / run / "record.json").unlink()
    (line,) = _named(bench.home, run)
    assert line.endswith("is missing, so nothing confirms what the row states")
    bench("score", tmp_path / "masks", "--dataset", data, "--name", "mine", "--jobs", 1)
    assert _named(bench.home, run) == []


def sqlite_columns(home: Path) -> list[str]:
    """Return the columns of a row."""
    with closing(sqlite3.connect(home / "results.db")) as db:
        return [column[1] for column in db.execute("pragma table_info(runs)")]


def test_a_name_that_is_no_folder_is_refused(bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """The record of a submission lies in a folder of its name, below the home and nowhere else."""
    data = make_dataset(1)
    for name in ("../up", "/up", ".hidden", "a\nb", " "):
        refused = bench("score", tmp_path, "--dataset", data, "--name", name, code=2)
        assert "cannot be the name of a folder" in refused.stderr
