"""Outcomes are files: whole or not there, the first one wins, and what differs from it is kept aside."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.engines.base import Exit
from harness.errors import DataError
from harness.runs import outcome as outcomes
from harness.runs.outcome import (
    CaseOutcome,
    ContainerFigures,
    Found,
    ShardFigures,
    begin_figures,
    cases_with_outcome,
    forget_collected,
    has_masks,
    put,
    read,
    read_figures,
    second_outcomes,
    withdraw,
    write_figures,
)
from harness.sandbox.evidence import PredictionEvidence
from harness.sandbox.masks import collect_case
from harness.status import Status

EVIDENCE = PredictionEvidence(
    Exit(137, oom=True, error="e", peak_bytes=7, state="dead"), 9, ["last \N{SNOWMAN}"], ended_by_us=True, lived_s=1.5,
    last_event={"event": "progress", "stage": "case"},
)  # fmt: skip
FULL = CaseOutcome(
    "c.1-a", Status.PLUGIN_ERROR, "why", 1.25, 3, 4, 2, "logs/0-1.log", EVIDENCE, ("one", "two"), {"0": "ab"}, "", "0"
)


def _found(outcome: CaseOutcome) -> Found:
    return Found("plan", {"memory_mb": 4096}, outcome)


def _collected(folder: Path, content: bytes, case: str = "c", **more: Any) -> CaseOutcome:
    (folder / "out" / case).mkdir(parents=True, exist_ok=True)
    (folder / "out" / case / "0.nii.gz").write_bytes(content)
    masks = collect_case(folder / "out", case, ["0"], folder / "masks", 1000)
    return CaseOutcome(case, Status.OK, masks=masks.sha256, collected=masks.name, **more)


def _listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_outcome_survives_its_file(tmp_path: Path) -> None:
    """Every field, the evidence and what it was made under; what a later version adds is no obstacle."""
    assert put(tmp_path, _found(FULL)) == ""
    assert read(tmp_path, FULL.case) == _found(FULL)
    assert cases_with_outcome(tmp_path) == {FULL.case}
    path = tmp_path / "outcomes" / "c.1-a.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "later": 1, "outcome": {**document["outcome"], "later": [2]}}))
    assert read(tmp_path, FULL.case) == _found(FULL)


def test_there_is_none_before_there_is_one(tmp_path: Path) -> None:
    """Neither where the folder is not there yet."""
    assert read(tmp_path, "c") is None
    assert cases_with_outcome(tmp_path) == set()
    withdraw(tmp_path, "c")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "Invalid JSON"),
        ('{"version": 2, "plan": "", "limits": {}, "outcome": {"case": "c", "status": "ok"}}', "version"),
        ('{"plan": "", "limits": {}, "outcome": {"case": "c", "status": "fine"}}', "outcome.status"),
        ('{"plan": "", "limits": {}, "outcome": {"case": "d", "status": "ok"}}', "holds the outcome of 'd'"),
    ],
)
def test_what_is_no_outcome_is_refused(content: str, words: str, tmp_path: Path) -> None:
    """With the file, what is wrong with it, and what to do."""
    (tmp_path / "outcomes").mkdir()
    (tmp_path / "outcomes" / "c.json").write_text(content)
    with pytest.raises(DataError, match=words) as refused:
        read(tmp_path, "c")
    assert "remove the file" in refused.value.fix


def test_the_first_one_wins(tmp_path: Path) -> None:
    """Of the second nothing is left where it found the same."""
    put(tmp_path, _found(_collected(tmp_path, b"mask", seconds=1.0)))
    assert put(tmp_path, _found(_collected(tmp_path, b"mask", seconds=2.0))) == ""
    first = read(tmp_path, "c")
    assert first is not None
    assert first.outcome.seconds == 1.0
    assert _listing(tmp_path) == ["masks/c/0.nii.gz", "out/c/0.nii.gz", "outcomes/c.json"]


def test_a_second_one_that_differs_is_kept_aside(tmp_path: Path) -> None:
    """Both digests are told; the masks are those of the first."""
    one, two = _collected(tmp_path, b"one"), _collected(tmp_path, b"two")
    put(tmp_path, _found(one))
    said = put(tmp_path, _found(two))
    assert said == (
        f"case c was done twice and is not deterministic: the masks of 0 are {one.masks['0'][:16]} "
        f"and {two.masks['0'][:16]}"
    )
    assert list(second_outcomes(tmp_path)) == [said]
    assert (tmp_path / "masks" / "c" / "0.nii.gz").read_bytes() == b"one"
    assert cases_with_outcome(tmp_path) == {"c"}
    failed = CaseOutcome("c", Status.OOM)
    assert put(tmp_path, _found(failed)) == "case c ended twice, not in the same way: ok, then oom"


def test_what_says_nothing_of_the_model_gives_way(tmp_path: Path) -> None:
    """A host's fault is replaced by any real outcome, and never replaces one."""
    put(tmp_path, _found(CaseOutcome("c", Status.INFRA_ERROR, "lost")))
    put(tmp_path, _found(_collected(tmp_path, b"mask")))
    put(tmp_path, _found(CaseOutcome("c", Status.INFRA_ERROR, "lost again")))
    found = read(tmp_path, "c")
    assert found is not None
    assert found.outcome.status is Status.OK
    assert has_masks(tmp_path, found.outcome)


def test_masks_get_their_name_from_whoever_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies between the two leaves nothing undone; without its masks there is no outcome to use."""
    with monkeypatch.context() as patch:
        patch.setattr(outcomes, "accept", lambda *_: True)
        put(tmp_path, _found(_collected(tmp_path, b"mask")))
    found = read(tmp_path, "c")
    assert found is not None
    assert not (tmp_path / "masks" / "c").exists()
    assert has_masks(tmp_path, found.outcome)
    assert (tmp_path / "masks" / "c" / "0.nii.gz").read_bytes() == b"mask"
    withdraw(tmp_path, "c")
    assert not has_masks(tmp_path, found.outcome)
    _collected(tmp_path, b"never put")
    forget_collected(tmp_path)
    assert list((tmp_path / "masks").iterdir()) == []


def test_nothing_is_left_of_one_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves no half outcome."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        put(tmp_path, _found(FULL))
    assert _listing(tmp_path) == []


@pytest.mark.parametrize("number", [1, 38, 95])
def test_without_hard_links_it_is_still_whole(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems have none; the first one wins there as well."""

    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refused)
    put(tmp_path, _found(_collected(tmp_path, b"one")))
    put(tmp_path, _found(_collected(tmp_path, b"two")))
    assert (tmp_path / "masks" / "c" / "0.nii.gz").read_bytes() == b"one"
    assert len(list(second_outcomes(tmp_path))) == 1


def test_another_error_of_a_link_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that has gone is not one without hard links."""

    def gone(*_: object) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(os, "link", gone)
    with pytest.raises(OSError, match="Stale"):
        put(tmp_path, _found(FULL))


def _race(folder: Path, content: bytes, cases: Sequence[str]) -> None:
    for case in cases:
        put(folder, _found(_collected(folder / content.decode(), content, case)))


@pytest.mark.costly
def test_two_processes_that_do_the_same_cases(tmp_path: Path) -> None:
    """Four at once, the same cases each: no error, one outcome a case, and the masks are those of its outcome."""
    cases = [f"c{n}" for n in range(25)]
    names = [b"a", b"b", b"c", b"d"]
    for name in names:  # each has its own container, all share the run's folder
        (tmp_path / name.decode()).mkdir()
        for shared in ("masks", "outcomes"):
            (tmp_path / shared).mkdir(exist_ok=True)
            (tmp_path / name.decode() / shared).symlink_to(tmp_path / shared)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_race, args=(tmp_path, name, cases)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert cases_with_outcome(tmp_path) == set(cases)
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == sorted(cases)
    digests = {_collected(tmp_path / "z", name, "z").masks["0"]: name for name in names}
    for case in cases:
        found = read(tmp_path, case)
        assert found is not None
        assert (tmp_path / "masks" / case / "0.nii.gz").read_bytes() == digests[found.outcome.masks["0"]]


def test_figures_of_a_shard_have_a_name_of_their_own(tmp_path: Path) -> None:
    """A shard that is begun again does not overwrite those of the first worker."""
    figures = ShardFigures("host", {"cpu": "c"}, {"engine": "local"})
    first, second = (begin_figures(tmp_path, 3, figures) for _ in range(2))
    assert first == "3"
    assert second.startswith("3-")
    one = ContainerFigures(3, 1.0, 2.0, 3.0, 4, wall_s=5.0)
    write_figures(tmp_path, second, ShardFigures("other", {}, {}, (one,)))
    assert read_figures(tmp_path) == {"3": figures, second: ShardFigures("other", {}, {}, (one,))}
    (tmp_path / "figures" / "3.json").write_text("{}")
    with pytest.raises(DataError, match=r"3\.json cannot be read"):
        read_figures(tmp_path)
