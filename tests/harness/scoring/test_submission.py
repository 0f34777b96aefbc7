"""Submissions end to end: folders and archives, broken masks, the stored row and its verification."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.cli.compare import compare
from harness.cli.results import show
from harness.cli.score import score
from harness.cli.settings import Settings
from harness.cli.verify import verify
from harness.dataset import open_dataset
from harness.errors import DataError, ModelError, UsageError
from harness.scoring.submission import open_submission

from .conftest import save

SHAPE = (24, 20, 6)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make a data set of five cases without CTs, two findings each, and perfect predictions beside it."""
    rng = np.random.default_rng(0)
    cases = []
    for i in range(5):
        name = f"case_{i}_a_1"
        truth = np.zeros((2, *SHAPE), np.uint8)
        truth[0, 2:12, 3:9, 1:4] = 1
        truth[1, 14:22, 10 : 14 + i, 2:5] = 1
        truth[1, 3:6, 15:19, 0:3] = 2
        save(tmp_path / "data" / "seg" / f"{name}.nii.gz", truth, np.eye(4))
        worse = truth * (rng.random(truth.shape) > 0.2)
        save(tmp_path / "perfect" / f"{name}.nii.gz", (truth > 0).astype(np.uint8), np.eye(4))
        save(tmp_path / "worse" / f"{name}.nii.gz", (worse > 0).astype(np.uint8), np.eye(4))
        cases.append(
            {
                "name": f"{name}.nii.gz",
                "findings": {"0": "Consolidation in the right lung", "1": "Two nodules in the left lung"},
                "entity_counts": {"0": 1, "1": 2},
                "shape": list(SHAPE),
                "pixels": {str(f): int((truth[f] > 0).sum()) for f in range(2)},
                "categories": {"0": "1f", "1": "2d"},
                "protocol": "protocol1",
            }
        )
    (tmp_path / "data" / "dataset.json").write_text(json.dumps({"train": [], "val": [], "test": cases}))
    spacings = [{"name": case["name"], "spacing_mm": [0.8, 0.8, 2.0]} for case in cases]
    (tmp_path / "data" / "spacing.json").write_text(json.dumps(spacings))
    return tmp_path / "data"


def bench(home: Path, command: object, *arguments: object) -> Result:
    """Call a command as the command line would, with one worker."""
    runner = CliRunner()
    return runner.invoke(command, [*map(str, arguments)], obj=Settings(home))


def scored(home: Path, *arguments: object) -> dict:
    """Score and return the document."""
    result = bench(home, score, *arguments, "--jobs", 1, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def zipped(folder: Path, target: Path) -> Path:
    """Pack a folder as a participant would, inside another folder."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.nii.gz")):
            archive.write(path, f"submission/{path.relative_to(folder)}")
        archive.writestr("submission/README.txt", "hello")
    return target


def test_a_perfect_submission_scores_one(data: Path, tmp_path: Path) -> None:
    """Every metric of a perfect submission is exactly 1, from a folder and from an archive alike."""
    home = tmp_path / "home"
    folder = scored(home, tmp_path / "perfect", "--dataset", data, "--profile", "miccai2026")
    archive = zipped(tmp_path / "perfect", tmp_path / "perfect.zip")
    packed = scored(home, archive, "--dataset", data, "--profile", "miccai2026")
    assert folder["metrics"] == packed["metrics"]
    assert folder["coverage"] == {"ok": 10}
    assert {group["all"]["value"] for group in folder["metrics"].values()} == {1.0}
    assert folder["kind"] == "submitted"


def test_archives_of_other_systems_are_read(data: Path, tmp_path: Path) -> None:
    """Paths with backslashes, and what macOS packs beside every file, change nothing."""
    archive = zipped(tmp_path / "worse", tmp_path / "worse.zip")
    foreign = tmp_path / "foreign.zip"
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(foreign, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name.replace("/", "\\"), source.read(name))
            target.writestr(f"__MACOSX/{name}", "no mask")
            target.writestr(f"submission/__MACOSX/{Path(name).name}", "no mask")
            target.writestr(f"submission/._{Path(name).name}", "no mask")
    cases = open_dataset(data).split("test")
    assert open_submission(foreign, cases).strangers == ()
    home = tmp_path / "home"
    one, other = (scored(home, path, "--dataset", data, "--name", "a") for path in (archive, foreign))
    assert one["metrics"] == other["metrics"]


def test_single_masks_and_stacks_score_alike(data: Path, tmp_path: Path) -> None:
    """One file a finding and one stack a case are two ways to say the same."""
    for path in (tmp_path / "worse").glob("*.nii.gz"):
        stack = np.asanyarray(nib.load(path).dataobj)
        for i, mask in enumerate(stack):
            save(tmp_path / "single" / path.name.removesuffix(".nii.gz") / f"{i}.nii.gz", mask, np.eye(4))
    one = scored(tmp_path / "home", tmp_path / "worse", "--dataset", data, "--name", "a")
    other = scored(tmp_path / "home", tmp_path / "single", "--dataset", data, "--name", "a")
    assert one["metrics"] == other["metrics"]


def test_broken_masks_score_zero_loudly(data: Path, tmp_path: Path) -> None:
    """One missing, one refused and one truncated file: zeros with reasons, exit 0; exit 1 under --strict."""
    broken = tmp_path / "perfect"
    (broken / "case_0_a_1.nii.gz").unlink()
    save(broken / "case_1_a_1.nii.gz", np.zeros((2, 6, 20, 24), np.uint8), np.eye(4))
    cut = broken / "case_2_a_1.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-40])
    archive = zipped(broken, tmp_path / "broken.zip")
    table = tmp_path / "rows.csv"
    result = bench(tmp_path / "home", score, archive, "--dataset", data, "--jobs", 1, "--rows", table)
    assert result.exit_code == 0
    assert "4 of 10 findings had a valid mask" in result.stderr
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["status"] for row in rows] == ["missing_output"] * 2 + ["invalid_output"] * 4 + ["ok"] * 4
    assert "transposed" in rows[2]["reason"] or "shape" in rows[2]["reason"]
    assert all(row["reason"] for row in rows[:6])
    assert [float(row["dice"]) for row in rows] == [0.0] * 6 + [1.0] * 4
    strict = bench(tmp_path / "home", score, archive, "--dataset", data, "--jobs", 1, "--strict")
    assert isinstance(strict.exception, ModelError)


def test_rows_are_the_same_in_every_format(data: Path, tmp_path: Path) -> None:
    """CSV, JSON and Parquet hold one row a finding, with the same numbers in full precision."""
    from pyarrow import parquet

    (tmp_path / "worse" / "case_0_a_1.nii.gz").unlink()
    for suffix in ("csv", "json", "parquet"):
        scored(tmp_path / "home", tmp_path / "worse", "--dataset", data, "--rows", tmp_path / f"rows.{suffix}")
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert len(rows) == 10
    assert parquet.read_table(tmp_path / "rows.parquet").to_pylist() == rows
    texts = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    assert list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines())) == texts


def test_quirks_are_a_switch_and_their_difference_is_said(data: Path, tmp_path: Path) -> None:
    """A missing case leaves the mean only when asked for, and the other value is always told."""
    (tmp_path / "perfect" / "case_0_a_1.nii.gz").unlink()
    arguments = (tmp_path / "perfect", "--dataset", data, "--jobs", 1, "--profile", "miccai2026", "--json")
    ours = bench(tmp_path / "home", score, *arguments)
    theirs = bench(tmp_path / "home", score, *arguments, "--organiser-quirks")
    assert json.loads(ours.stdout)["metrics"]["dice"]["all"]["value"] == 0.8
    assert json.loads(theirs.stdout)["metrics"]["dice"]["all"]["value"] == 1.0
    assert json.loads(theirs.stdout)["rankable"] is False
    assert "dice all 0.8000 / 1.0000" in ours.stderr


def test_a_stored_row_can_be_verified(data: Path, tmp_path: Path) -> None:
    """The row is recomputed from its masks to the last digit; another mask is found out."""
    home = tmp_path / "home"
    run = scored(home, tmp_path / "worse", "--dataset", data)["run"]
    fine = bench(home, verify, run, "--jobs", 1)
    assert fine.exit_code == 0, fine.output
    assert "0 differ" in fine.output
    (tmp_path / "perfect" / "case_3_a_1.nii.gz").rename(tmp_path / "worse" / "case_3_a_1.nii.gz")
    changed = bench(home, verify, run, "--jobs", 1)
    assert isinstance(changed.exception, DataError)
    assert "case_3_a_1/0 dice" in changed.output


def test_what_a_data_set_states_groups_the_scores(data: Path, tmp_path: Path) -> None:
    """A row keeps what the index stated of its findings and patients, and stands when more is stated later."""
    home, index = tmp_path / "home", data / "dataset.json"
    document = json.loads(index.read_text())
    first, *others = document["test"]
    index.write_text(json.dumps({**document, "test": [first | {"prior": {"0": True}, "age": "061Y"}, *others]}))
    shown = scored(home, tmp_path / "perfect", "--dataset", data)
    dice = shown["metrics"]["dice"]
    assert {label: cell["n"] for label, cell in dice["by_prior"].items()} == {
        "yes": 1,
        "unknown": shown["n_findings"] - 1,
    }
    assert dice["by_age"]["60 and older"]["n"] == len(first["findings"])
    assert "by_sex" not in dice
    again = json.loads(bench(home, show, shown["run"], "--json").stdout)
    assert again["metrics"] == shown["metrics"]
    assert again["findings"][0]["details"]["prior"] is True
    index.write_text(json.dumps(document))
    assert bench(home, verify, shown["run"], "--jobs", 1).exit_code == 0
    index.write_text(json.dumps({**document, "test": [first | {"prior": {"0": False}}, *others]}))
    assert "details" in bench(home, verify, shown["run"], "--jobs", 1).output


def test_a_submission_on_a_split_by_scans_is_marked(data: Path, tmp_path: Path) -> None:
    """Two of five cases share a patient with train: said with the row, scored with and without, never ranked."""
    index = data / "dataset.json"
    document = json.loads(index.read_text())
    first, *others = document["test"]
    people = {case["name"].removesuffix(".nii.gz"): str(n // 2) for n, case in enumerate(document["test"])}
    index.write_text(json.dumps({**document, "train": [first], "test": others, "patients": people}))
    refused = bench(tmp_path / "home", score, tmp_path / "perfect", "--dataset", data)
    assert isinstance(refused.exception, DataError)
    index.write_text(json.dumps({**document, "split_by": "scan", "train": [first], "test": others, "patients": people}))
    for name in ("perfect", "worse"):
        (tmp_path / name / first["name"]).unlink()
    run = scored(tmp_path / "home", tmp_path / "worse", "--dataset", data)
    assert run["unrankable"][0] == "1 of 4 test cases share a patient with train"
    assert run["rankable"] is False
    cells = run["metrics"]["dice"]["by_shared_patient"]
    assert (cells["yes"]["n"], cells["no"]["n"]) == (2, 6)
    both = sum(cell["n"] * cell["value"] for cell in cells.values()) / 8
    assert both == pytest.approx(run["metrics"]["dice"]["all"]["value"])
    shown = bench(tmp_path / "home", show, run["run"]).output
    assert "without the cases whose patient is in train or val" in shown
    assert bench(tmp_path / "home", verify, run["run"], "--jobs", 1).exit_code == 0


def test_runs_are_compared_on_the_same_findings(data: Path, tmp_path: Path) -> None:
    """The comparison pairs findings and refuses to compare a run with itself."""
    home = tmp_path / "home"
    a = scored(home, tmp_path / "perfect", "--dataset", data)["run"]
    b = scored(home, tmp_path / "worse", "--dataset", data)["run"]
    report = json.loads(bench(home, compare, a, b, "--json").stdout)
    (pair,) = [pair for pair in report["pairs"] if pair["metric"] == "dice"]
    assert pair["difference"] > 0
    assert (pair["n"], pair["ci95"]) == (5, None)
    assert [rank["rank"] for rank in report["ranks"]] == [None] * len(report["ranks"])
    shown = bench(home, compare, a, b).output
    assert "too few cases to tell" in shown
    assert "no rank: 6 or more cases are needed to tell rows apart; there are 5" in shown
    assert isinstance(bench(home, compare, a, a).exception, UsageError)


def test_what_is_no_submission_is_refused(data: Path, tmp_path: Path) -> None:
    """Nothing there, no archive, no known name, two files for one mask: each says what to do."""
    cases = open_dataset(data).split("test")
    (tmp_path / "text.zip").write_text("no archive")
    (tmp_path / "other").mkdir()
    save(tmp_path / "other" / "someone_else.nii.gz", np.zeros(SHAPE, np.uint8))
    for path, kind in [
        (tmp_path / "absent", UsageError),
        (tmp_path / "text.zip", DataError),
        (tmp_path / "other", DataError),
    ]:
        with pytest.raises(kind) as caught:
            open_submission(path, cases)
        assert caught.value.fix
    save(tmp_path / "perfect" / "again" / "case_0_a_1.nii.gz", np.zeros(SHAPE, np.uint8))
    with pytest.raises(DataError, match="two files"):
        open_submission(tmp_path / "perfect", cases)


def test_instances_are_not_counted_on_partial_truth(data: Path, tmp_path: Path) -> None:
    """Training masks hold at most three entities a finding: instance metrics are refused there, and never kept."""
    index = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps(index | {"train": index["test"], "test": []}))
    home = tmp_path / "home"
    arguments = (tmp_path / "worse", "--dataset", data, "--split", "train")
    assert isinstance(bench(home, score, *arguments, "--profile", "miccai2026").exception, UsageError)
    run = scored(home, *arguments)
    assert run["metrics"]["dice"]["all"]["n"] == 10
    with Settings(home).open_store(readonly=True) as store:
        assert store.metrics(run["run"], "miccai2026") == {}
    assert "0 differ" in bench(home, verify, run["run"], "--jobs", 1).output
    other = scored(home, tmp_path / "perfect", "--dataset", data, "--split", "train")["run"]
    assert isinstance(bench(home, compare, run["run"], other, "--profile", "miccai2026").exception, UsageError)


def test_a_card_and_options_state_what_masks_were_made_with(data: Path, tmp_path: Path) -> None:
    """What is stated is part of the row's identity and of its columns; what is not has no rank, and says so."""
    home, card = tmp_path / "home", tmp_path / "card.toml"
    card.write_text('who = "A lab"\nlicence = "MIT"\nprompt = "box"\ntrained_on = ["rexgroundingct/train"]\n')
    on = (data.parent / "perfect", "--dataset", data)
    silent = scored(home, *on)
    assert [why.partition(":")[0] for why in silent["unrankable"]] == ["prompt not stated", "training not stated"]
    assert (silent["level"], silent["prompt"], silent["exposure"], silent["who"]) == ("rescored", "", "unknown", "")
    said = scored(home, *on, "--card", card)
    assert (said["prompt"], said["exposure"], said["who"], said["unrankable"]) == ("box", "train", "A lab", [])
    assert said["card"]["trained_on"] == ["rexgroundingct/train"]
    options = ("--who", "A lab", "--prompt", "box", "--trained-on", "rexgroundingct/train", "--licence", "MIT")
    assert scored(home, *on, *options)["run"] == said["run"], "the same statements are the same row"
    assert scored(home, *on, "--prompt", "text", "--trained-on", "none")["exposure"] == "none"
    assert scored(home, *on, "--trained-on", "a/test", "--prompt", "text")["unrankable"] == [
        "trained on the split that it is scored on: test"
    ]
    assert bench(home, verify, said["run"]).exit_code == 0
    for wrong, word in ((("--prompt", "boxes"), "box"), (("--card", card, "--prompt", "text"), "leave one of them")):
        failed = bench(home, score, *on, *wrong)
        assert isinstance(failed.exception, UsageError)
        assert word in failed.exception.fix
