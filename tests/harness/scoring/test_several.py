"""Several submissions in one command: the rows of one by one, and one that fails does not touch the others."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import harness.cli.score as command
from harness.cli.score import score
from harness.cli.settings import Settings
from harness.errors import DataError, ModelError, UsageError
from tests.conftest import Bench

from .conftest import save


@pytest.fixture
def data(make_dataset: Callable[..., Path]) -> Path:
    """Return a data set of three cases."""
    return make_dataset(3)


@pytest.fixture
def submissions(data: Path, tmp_path: Path) -> list[Path]:
    """Return stacks, worse stacks, an archive of single masks, some missing, and a folder with a cut file."""
    good, worse, single, cut = (tmp_path / name for name in ("good", "worse", "single", "cut"))
    shutil.copytree(data / "seg", good)
    shutil.copytree(data / "seg", cut)
    rng = np.random.default_rng(0)
    for number, path in enumerate(sorted((data / "seg").iterdir())):
        stack = _stack(path)
        save(worse / path.name, (stack * (rng.random(stack.shape) > 0.3) > 0).astype(np.uint8), np.eye(4))
        for i, mask in enumerate(stack[number % 2 :], start=number % 2):
            save(single / path.name.removesuffix(".nii.gz") / f"{i}.nii.gz", (mask > 0).astype(np.uint8), np.eye(4))
    first = min(cut.iterdir())
    first.write_bytes(first.read_bytes()[:-40])
    return [good, worse, Path(shutil.make_archive(str(tmp_path / "packed"), "zip", single)), cut]


def _stack(path: Path) -> np.ndarray:
    import nibabel as nib

    return np.asanyarray(nib.load(path).dataobj)


def _run(home: Path, *arguments: object) -> Result:
    return CliRunner().invoke(score, [*map(str, arguments), "--jobs", "1"], obj=Settings(home))


def _documents(home: Path, *arguments: object) -> dict[str, Any]:
    result = _run(home, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def _everything(home: Path) -> dict[str, list[Any]]:
    """Return the contents of the database, without the times of day."""
    queries = {
        "runs": "select id, plan_key, state, n_cases, n_findings, rankable, plan from runs order by id",
        "cases": "select * from cases order by 1, 2",
        "findings": "select * from findings order by 1, 2, 3",
        "metrics": "select * from metrics order by 1, 2, 3, 4",
    }
    with closing(sqlite3.connect(home / "results.db")) as db:
        return {name: db.execute(query).fetchall() for name, query in queries.items()}


def test_rows_are_those_of_one_by_one(data: Path, submissions: list[Path], tmp_path: Path) -> None:
    """Every column of every row, the documents and the records: whatever form the others have."""
    options = ("--dataset", data, "--profile", "miccai2026")
    alone = [_documents(tmp_path / "alone", path, *options) for path in submissions]
    together = _documents(tmp_path / "together", *submissions, *options)
    assert together == {"schema": 1, "runs": alone}
    assert _everything(tmp_path / "together") == _everything(tmp_path / "alone")
    assert len({document["metrics"]["dice"]["all"]["value"] for document in alone}) == len(submissions)
    for document in alone:
        records = [tmp_path / home / "runs" / document["run"] / "record.json" for home in ("alone", "together")]
        one, other = (json.loads(path.read_text()) for path in records)
        for record in (one, other):
            del record["run"]["created"], record["run"]["finished"]
        assert one == other


@pytest.mark.costly
def test_processes_change_nothing(data: Path, submissions: list[Path], bench: Bench, tmp_path: Path) -> None:
    """On many cores a case is cut into parts of the submissions; rows do not depend on it."""
    alone = _documents(tmp_path / "alone", *submissions, "--dataset", data)
    assert bench.json("score", *submissions, "--dataset", data, "--jobs", 2) == alone
    assert _everything(bench.home) == _everything(tmp_path / "alone")


def test_some_at_a_time(data: Path, submissions: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are held in memory for a number of submissions only; the last group is a smaller one."""
    whole = _documents(tmp_path / "whole", *submissions, "--dataset", data)
    monkeypatch.setattr(command, "AT_A_TIME", 3)
    assert _documents(tmp_path / "parts", *submissions, "--dataset", data) == whole


def test_entries_that_mix_findings_up_are_told(data: Path, tmp_path: Path) -> None:
    """Findings that were swapped, and one mask for every text, beside the truth itself: shares of all findings."""
    for path in (data / "seg").iterdir():
        truth = (_stack(path) > 0).astype(np.uint8)
        made = {"right": truth, "swapped": np.roll(truth, 1, axis=0), "one": np.repeat(truth[:1], len(truth), axis=0)}
        for name, stack in made.items():
            save(tmp_path / name / path.name, stack, np.eye(4))
    documents = _documents(tmp_path / "home", *(tmp_path / name for name in made), "--dataset", data)["runs"]
    shares = [
        {name: one["value"] for name, one in document["placements"].items() if one["count"]} for document in documents
    ]
    assert shares == [{"found": 1.0}, {"other_finding": 1.0}, {"found": 0.5, "same_mask": 0.5}]


def test_one_that_cannot_be_read_does_not_stop_the_others(data: Path, submissions: list[Path], tmp_path: Path) -> None:
    """A file that is no archive, and a folder without a mask of the split: told, listed, and the exit code says so."""
    torn, empty = tmp_path / "torn.zip", tmp_path / "empty"
    torn.write_text("no archive")
    empty.mkdir()
    result = _run(tmp_path / "home", torn, submissions[0], empty, submissions[1], "--dataset", data, "--json")
    assert isinstance(result.exception, DataError)
    assert "torn" in result.exception.message
    assert "empty" in result.exception.message
    document = json.loads(result.stdout)
    assert [run["plugin"] for run in document["runs"]] == ["good", "worse"]
    assert [(failed["name"], failed["exit_code"]) for failed in document["failed"]] == [("torn", 4), ("empty", 4)]
    assert "the others are scored" in result.stderr


def test_one_without_a_valid_mask_fails_alone(data: Path, submissions: list[Path], tmp_path: Path) -> None:
    """Its row is kept, as when it is scored alone, and the exit code is that of a failed model."""
    bad = tmp_path / "bad"
    for path in (data / "seg").iterdir():
        save(bad / path.name, np.zeros((1, 2, 2, 2), np.uint8), np.eye(4))
    result = _run(tmp_path / "home", submissions[0], bad, "--dataset", data)
    assert isinstance(result.exception, ModelError)
    assert result.exception.exit_code == 1
    assert [row[0].split("-")[0] for row in _everything(tmp_path / "home")["runs"]] == ["bad", "good"]


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--name", "mine"], "--name names one row"), (["--rows", "rows.csv"], "--rows writes the findings of one"),
     (["--instances", "i.csv"], "--instances writes the findings of one")],
)  # fmt: skip
def test_options_of_one_submission_are_refused(
    data: Path, submissions: list[Path], tmp_path: Path, options: list[str], words: str
) -> None:
    """Nothing is scored, and the message says what to do."""
    result = _run(tmp_path / "home", *submissions, "--dataset", data, *options)
    assert isinstance(result.exception, UsageError)
    assert words in result.exception.message
    assert result.exception.fix
    assert not (tmp_path / "home").exists()


def test_slips_end_it_before_anything_is_scored(data: Path, submissions: list[Path], tmp_path: Path) -> None:
    """Two of one name would be one row, and a path with nothing behind it is a slip."""
    again = shutil.copytree(submissions[0], tmp_path / "elsewhere" / "good")
    for paths, words in (([submissions[0], again], "would both be the row 'good'"),
                         ([submissions[0], tmp_path / "nowhere"], "there is nothing at")):  # fmt: skip
        result = _run(tmp_path / "home", *paths, "--dataset", data)
        assert isinstance(result.exception, UsageError)
        assert words in result.exception.message
        assert not (tmp_path / "home" / "results.db").exists()
