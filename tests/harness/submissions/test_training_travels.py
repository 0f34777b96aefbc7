"""The checkpoint of a fine-tuned row travels with its record: the same files, or a refusal."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.results_import import import_rows
from harness.cli.submission import verify
from harness.cli.submit import submit
from harness.runs.checkpoint import find_checkpoint, write_record
from harness.runs.record import write_record as write_run_record
from harness.store.database import Store
from harness.store.trainings import TrainingPoint, TrainingRow, Trainings
from harness.submissions.pull_request import check_pull_request
from harness.submissions.strict_json import write_json
from harness.submissions.text_files import MANIFEST, manifest_of

from .conftest import Made, call, measure, write_data


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Path, Path]:
    """Return a home with a fine-tuned row, its text folder, and the files of its checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    write_data(folder)
    made = measure(folder)
    plan = {"plugin": "mine", "seed": 0}
    key = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
    home = made.home / "checkpoints" / key
    files = {}
    for name, content in {"model.bin": b"weights", "more/part.bin": b"parts"}.items():
        path = home / "checkpoint" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    checkpoint = write_record(home, key, files, {"plan": plan, "seconds": 3.5, "path": "/home/somebody"})
    with Store(made.home / "results.db") as store:
        run = store.run(made.run)
        new = {**run.plan, "checkpoint": checkpoint.sha256}
        plan_key = hashlib.sha256(json.dumps(new, sort_keys=True).encode()).hexdigest()
        other = replace(
            run, id=f"mine-tuned-{plan_key[:10]}", plan=new, plan_key=plan_key, fine_tuned=True,
            record={**run.record, "training": {"key": key, "sha256": checkpoint.sha256}},
        )  # fmt: skip
        cases = [(case, store.findings(run.id, case.case)) for case in store.cases(run.id)]
        (made.home / "runs" / run.id).rename(made.home / "runs" / other.id)
        write_run_record(
            made.home / "runs" / other.id, other, [c for c, _ in cases], [row for _, rows in cases for row in rows]
        )
        metrics = {name: store.metrics(run.id, name) for name in ("mlhc2025", "miccai2026")}
        store.remove_run(run.id)
        store.save_whole(other, cases, metrics)
        Trainings(store).save(
            TrainingRow(key, "mine", "tuned", "data", "done", "2026-11-30T10:00:00+00:00", sha256=checkpoint.sha256)
        )
        Trainings(store).add(key, [TrainingPoint(1, 2, {"loss": 0.5}), TrainingPoint(2, 2, {"loss": 0.25})])
    arguments = (other.id, "--to", folder / "to", "--public-split", "test", "--jobs", 1, "--json")
    address = ("--checkpoint-at", "https://example.org/checkpoint")
    text = json.loads(call(made.home, submit, *arguments, *address).stdout)["folder"]
    return made, Path(text), home / "checkpoint"


def test_a_checkpoint_is_the_same_elsewhere(trained: tuple[Made, Path, Path], tmp_path: Path) -> None:
    """Its files are held against the record, and a run of the same training finds it; its curve is there, too."""
    made, folder, files = trained
    assert b"/home/somebody" not in (folder / "training.json").read_bytes()
    assert "pass  training: 2 files" in call(made.home, verify, folder).stdout
    home = tmp_path / "home"
    call(home, import_rows, folder, "--checkpoint", files)
    (place,) = (home / "checkpoints").iterdir()
    found = find_checkpoint(place, place.name)
    assert found is not None
    assert (found.folder / "more" / "part.bin").read_bytes() == b"parts"
    with Store(home / "results.db") as store:
        assert [point.losses for point in Trainings(store).points(place.name)] == [{"loss": 0.5}, {"loss": 0.25}]
    call(home, import_rows, folder, "--checkpoint", files)  # once more changes nothing


@pytest.mark.parametrize("change", ["other", "more", "link", "missing"])
def test_another_checkpoint_is_refused(change: str, trained: tuple[Made, Path, Path], tmp_path: Path) -> None:
    """A file that is another one, too much, a link or missing: nothing is left in the home."""
    files = tmp_path / "files"
    (files / "more").mkdir(parents=True)
    (files / "model.bin").write_bytes(b"weightz" if change == "other" else b"weights")
    if change == "link":
        (files / "more" / "part.bin").symlink_to("/etc/hostname")
    elif change != "missing":
        (files / "more" / "part.bin").write_bytes(b"parts")
    if change == "more":
        (files / "x.bin").write_bytes(b"")
    call(tmp_path / "home", import_rows, trained[1], "--checkpoint", files, code=4)
    assert list((tmp_path / "home" / "checkpoints").iterdir()) == []
    assert not (tmp_path / "home" / "results.db").exists()


@pytest.mark.parametrize(
    ("pattern", "by", "says"),
    [
        (r'(?s)("row": \{.*?"key": )"[0-9a-f]{4}', r'\g<1>"0000', "its row is that of another training"),
        (r'"state": "done"', '"state": {}', "row"),
        (r'"variant": "tuned"', '"variant": "tuned",\n  "walls": 1', "walls is not a field"),
        (r'"loss": 0.5', '"loss": "0.5"', "points"),
    ],
)
def test_a_training_of_another_kind_is_refused(
    pattern: str, by: str, says: str, trained: tuple[Made, Path, Path], tmp_path: Path
) -> None:
    """None takes the place of a training of this home, and none ends in an error of Python."""
    folder = Path(shutil.copytree(trained[1], tmp_path / "folder"))
    text = (folder / "training.json").read_text()
    changed = re.sub(pattern, by, text, count=1)
    assert changed != text
    (folder / "training.json").write_bytes(write_json(json.loads(changed)))
    (folder / MANIFEST).write_bytes(manifest_of({path.name: path.read_bytes() for path in folder.iterdir()}))
    refused = call(tmp_path / "home", import_rows, folder, code=4)
    assert says in str(refused.exception)


def _commit(repository: Path, message: str) -> str:
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "-c", "commit.gpgsign=false", "commit", "-qm", message], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(("weights", "outcome"), [(b"weights", "FAIL"), (b"base", "pass"), (b"", "skip")])
def test_a_trained_checkpoint_is_no_zero_shot_of_somebody_else(
    trained: tuple[Made, Path, Path], tmp_path: Path, weights: bytes, outcome: str
) -> None:
    """A row that loads a file of a checkpoint whose record the board has, and does not say so, is named by its digest.

    One that the training itself began with tells nothing.
    """
    _, folder, _ = trained
    repository = Path(shutil.copytree(folder.parents[5], tmp_path / "repository"))
    place = folder.relative_to(folder.parents[5])
    _began_with(repository / place, hashlib.sha256(b"base").hexdigest())
    subprocess.run(["git", "init", "-q", repository], check=True)
    base = _commit(repository, "Begin")
    write_data(tmp_path)
    digest = {"w.bin": hashlib.sha256(weights).hexdigest()} if weights else None
    other = measure(tmp_path, "other", digest)
    card = tmp_path / "card.toml"
    card.write_text('who = "Other Lab"\nprompt = "text"\ntrained_on = []\n')
    arguments = ("--to", repository, "--card", card, "--public-split", "test", "--jobs", 1, "--json")
    call(other.home, submit, other.run, *arguments)
    ((checks, _),) = check_pull_request(repository, base, _commit(repository, "Add")).folders.values()
    (said,) = [one for one in checks if one.name == "weights"]
    assert said.outcome == outcome
    assert (f"w.bin is of the training of {place}" in said.found) is (outcome == "FAIL")


def _began_with(folder: Path, digest: str) -> None:
    """Let the training of a text folder begin with a file, and pass it on unchanged."""
    document = json.loads((folder / "training.json").read_text())
    document["row"]["plan"] = {"weights": {"files": {"base.bin": digest}}}
    document["files"]["base.bin"] = {"bytes": 4, "sha256": digest}
    (folder / "training.json").write_bytes(write_json(document))
