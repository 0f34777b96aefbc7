"""Fine-tuning through the command line: trained once, kept, gone on with after any death, and never on test."""

from __future__ import annotations

import fcntl
import json
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Bench

LEARNER = Path(__file__).parent / "plugins" / "learner"


@pytest.fixture
def dataset(tmp_path: Path, splits_writer: Callable[..., Path]) -> Path:
    """Write the data set."""
    return splits_writer(tmp_path / "data")


def _command(dataset: Path, variant: str, engine: str = "local", **options: object) -> list[object]:
    more = [part for name, value in options.items() for part in (f"--{name}", value)]
    return ["run", "--plugin", "learner", "--plugin-dir", LEARNER, "--variant", variant, "--dataset", dataset,
            "--engine", engine, *more]  # fmt: skip


def _rows(bench: Bench, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(bench.home / "results.db") as db:
        return db.execute(query).fetchall()


def _folder(bench: Bench) -> Path:
    (folder,) = (bench.home / "checkpoints").iterdir()
    return folder


def _logs(bench: Bench, word: str) -> list[Any]:
    """Return what the training containers printed after a word, oldest first."""
    logs = sorted((_folder(bench) / "logs").iterdir())
    lines = [line for log in logs for line in log.read_text().splitlines() if line.startswith(f"{word} ")]
    return [json.loads(line.removeprefix(f"{word} ")) for line in lines]


def test_trained_once_then_predicted(engine: str, bench: Bench, dataset: Path) -> None:
    """The checkpoint is trained on train, shown val, kept with its curve, reused, and the masks come from it."""
    untrained = bench.json(*_command(dataset, "zero-shot", engine))
    assert untrained["metrics"]["dice"]["all"]["value"] == 0
    command = _command(dataset, "none", engine)
    first = bench(*command, "--json")
    document = json.loads(first.stdout)
    assert document["metrics"]["dice"]["all"]["value"] == pytest.approx(1, abs=0.02)
    assert "4 train and 1 val cases" in first.stderr
    assert "step 4/4: error 0.25, val Dice 0.800" in first.stderr
    assert _logs(bench, "SPLITS") == [{"train": [f"toy_{n}_a_1" for n in range(1, 5)], "val": ["toy_5_a_1"]}]
    # Neither a CT nor a mask of test was to be seen, and every CT and mask of the others twice by name.
    assert _logs(bench, "FILES") == [sorted(f"toy_{n}_a_1.nii.gz" for n in range(1, 6) for _ in range(2))]
    curve = _rows(bench, "select step, steps, losses, val_dice from training order by step")
    assert [row[:2] for row in curve] == [(n, 4) for n in range(1, 5)]
    assert json.loads(curve[1][2]) == {"error": 0.5}
    record = json.loads((_folder(bench) / "record.json").read_text())
    ((key, state, sha256),) = _rows(bench, "select key, state, sha256 from trainings")
    assert (key, state, sha256) == (_folder(bench).name, "done", record["sha256"])
    assert list(record["files"]) == ["means.json"]
    assert sorted(p.name for p in _folder(bench).iterdir()) == ["checkpoint", "lock", "logs", "record.json"]
    ((plan, about),) = _rows(bench, "select plan, record from runs where fine_tuned = 1")
    assert json.loads(plan)["checkpoint"] == record["sha256"]
    assert json.loads(about)["training"]["val_dice"] == pytest.approx(0.8)

    again = bench(*command, "--fresh")
    assert "the checkpoint exists" in again.stderr
    assert len(list((_folder(bench) / "logs").iterdir())) == 1
    bench(*command, "--seed", 1)
    assert len(list((bench.home / "checkpoints").iterdir())) == 2


@pytest.mark.parametrize("how", ["harness", "interrupt"])
def test_killed_or_stopped_goes_on(how: str, engine: str, bench: Bench, dataset: Path) -> None:
    """`kill -9` of the harness, or Ctrl-C, in the middle of training: the same command goes on from the state."""
    command = _command(dataset, "slow", engine)
    process = bench.popen(*command, start_new_session=True)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        states = list(bench.home.glob("checkpoints/*/container/out/state/state.json"))
        if states and json.loads(states[0].read_text())[0] >= 2:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL if how == "harness" else signal.SIGINT)
    _, said = process.communicate(timeout=90)
    if how == "interrupt":
        assert process.returncode == 130, said
        assert "its state is kept" in said
        assert _rows(bench, "select state from trainings") == [("interrupted",)]
    document = json.loads(bench(*command, "--json").stdout)
    assert document["metrics"]["dice"]["all"]["value"] == pytest.approx(1, abs=0.02)
    begun = _logs(bench, "FROM")
    assert begun[0] == 0
    assert begun[-1] >= 2
    # A container goes on while its harness is dead, and what it said is read by the next. Only the step whose event
    # would have come after the state, just when the container was killed, may be missing.
    steps = [row[0] for row in _rows(bench, "select step from training order by step")]
    assert set(range(1, 5)) - set(steps) <= {begun[-1]}


def test_container_killed_goes_on(engine: str, bench: Bench, dataset: Path) -> None:
    """A container that is killed fails the command; the same command goes on from its state."""
    command = _command(dataset, "exits", engine)
    failed = bench(*command, code=1)
    assert "failed (plugin_error): the container was ended by SIGKILL (exit code 137)" in failed.stderr
    assert "resumes from the last saved state" in failed.stderr
    document = json.loads(bench(*command, "--json").stdout)
    assert document["coverage"] == {"ok": 4}
    assert _logs(bench, "FROM") == [0, 2]


@pytest.mark.parametrize(
    ("variant", "state", "reason"),
    [
        ("nan", "nan_loss", "the loss is nan at step 2"),
        ("raises", "error", "RuntimeError: the optimiser is lost"),
        ("stalls", "stalled_loader", "no sample came within 300 s"),
        ("silent", "timeout", "no train event came within 10 s"),
        ("fills-out", "plugin_error", "wrote more than out_gb = 0.0625 into out/"),
        ("no-checkpoint", "invalid_checkpoint", "is missing: the container did not write out/checkpoint/"),
        ("empty-checkpoint", "invalid_checkpoint", "out/checkpoint is empty"),
        ("link", "invalid_checkpoint", "contains 'passwd', which is not a regular file"),
        ("fifo", "invalid_checkpoint", "contains 'pipe', which is not a regular file"),
        ("odd-name", "invalid_checkpoint", "which is not a plain name"),
    ],
)
def test_failure_has_a_name(variant: str, state: str, reason: str, bench: Bench, dataset: Path) -> None:
    """However training fails, the command exits with 1 and says how; the database keeps it; nothing is predicted."""
    failed = bench(*_command(dataset, variant), code=1)
    assert f"failed ({state})" in failed.stderr
    assert reason in failed.stderr
    ((kept, why),) = _rows(bench, "select state, reason from trainings")
    assert kept == state
    assert reason in why
    assert _rows(bench, "select count(*) from runs") == [(0,)]
    assert not (_folder(bench) / "checkpoint").exists()
    assert not (_folder(bench) / "record.json").exists()


@pytest.mark.docker
def test_memory_has_a_name(base_image: str, bench: Bench, dataset: Path) -> None:
    """A container that outgrows its memory ends as oom."""
    failed = bench(*_command(dataset, "memory", "docker"), code=1)
    assert "failed (oom): the kernel ended it for its memory (limit: memory_gb = 0.25, declared)" in failed.stderr


def test_forged_events_are_dropped(bench: Bench, dataset: Path) -> None:
    """Invalid events, and those that jump beyond the end, change nothing."""
    bench(*_command(dataset, "forges-events"))
    curve = _rows(bench, "select step, steps from training order by step")
    assert curve == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("what", ["changed", "added", "missing", "another plan", "record"])
def test_checkpoint_that_is_not_the_one(what: str, bench: Bench, dataset: Path) -> None:
    """A checkpoint of another plan, or one that was touched, is refused with exit 4 and left as it is."""
    command = _command(dataset, "none")
    bench(*command)
    folder = _folder(bench)
    if what == "changed":
        (folder / "checkpoint" / "means.json").write_text("{}")
    elif what == "added":
        (folder / "checkpoint" / "more").write_text("")
    elif what == "missing":
        (folder / "checkpoint" / "means.json").unlink()
    elif what == "record":
        (folder / "record.json").write_text("[]")
    else:
        record = json.loads((folder / "record.json").read_text())
        (folder / "record.json").write_text(json.dumps({**record, "key": "0" * 64}))
    refused = bench(*command, code=4)
    other = {"record": "is not a valid record of a checkpoint", "another plan": "belongs to plan"}
    said = other.get(what, f"{what} since it was trained")
    assert said in refused.stderr
    assert "train again" in refused.stderr


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ("split val", 2, "predict another split"),
        ("no train", 4, "does not contain train cases"),
        ("no mask", 4, "split 'train' of d lacks the ground truth of toy_"),
    ],
)
def test_splits_that_do_not_serve(
    change: str, code: int, said: str, bench: Bench, tmp_path: Path, splits_writer: Callable[..., Path]
) -> None:
    """Nothing is trained where the predicted split could be seen, or nothing could be learnt."""
    dataset = splits_writer(tmp_path / "d")
    if change == "no train":
        index = json.loads((dataset / "dataset.json").read_text())
        (dataset / "dataset.json").write_text(json.dumps({**index, "train": []}))
    if change == "no mask":
        index = json.loads((dataset / "dataset.json").read_text())
        (dataset / "seg" / index["train"][0]["name"]).unlink()
    options = {"split": "val"} if change == "split val" else {}
    stderr = bench(*_command(dataset, "none", **options), code=code).stderr
    assert said in stderr
    assert "room: " not in stderr  # refused before an image would be built
    assert not (bench.home / "checkpoints").exists()


def test_a_split_by_scans_is_marked(bench: Bench, tmp_path: Path, splits_writer: Callable[..., Path]) -> None:
    """Refused with what to declare; declared, it is trained on, marked, scored with and without, and never ranked."""
    dataset = splits_writer(tmp_path / "d", lambda n: f"train_{1 if n == 6 else n}_{'b' if n == 6 else 'a'}_1")
    refused = bench(*_command(dataset, "none"), code=4).stderr
    assert "patient train_1 is trained on and in test" in refused
    assert '"split_by": "scan"' in refused
    assert "room: " not in refused  # before an image would be built
    assert not (bench.home / "checkpoints").exists()
    index = dataset / "dataset.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "split_by": "scan"}))
    n = len(json.loads(index.read_text())["test"])
    document = bench.json(*_command(dataset, "none"))
    mark = f"1 of {n} test cases share a patient with train"
    assert mark in document["unrankable"]
    assert document["rankable"] is False
    cells = document["metrics"]["dice"]["by_shared_patient"]
    assert cells["yes"]["n"] + cells["no"]["n"] == document["n_findings"]


def test_two_at_once(bench: Bench, dataset: Path) -> None:
    """While another process is at the same training, the command says so and exits with 3."""
    command = _command(dataset, "none")
    bench(*command)
    with (_folder(bench) / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = bench(*command, code=3)
    assert "another process is running learner-none-training-" in refused.stderr
