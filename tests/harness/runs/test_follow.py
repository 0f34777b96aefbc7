"""Whatever a pool does with its shards and its reports, the rows are those of an undisturbed run.

The hosts here are threads, their containers play; what they write, and everything that reads it, is the product's own.
"""

from __future__ import annotations

import dataclasses
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.dataset import RunnableCase
from harness.errors import Interrupted, PrerequisiteError
from harness.runs import deal
from harness.runs import shard as shards
from harness.runs import work as works
from harness.runs.outcome import read_figures
from harness.sandbox.stop import Stop
from harness.scoring.case import CaseTask
from harness.status import Status
from tests.harness.runs.hostile_hosts import CASES, Hostile, Lab, Quiet


@pytest.fixture
def lab(tmp_path: Path, dataset_writer: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Make a lab whose containers see the cases' own names: what one does, and draws, goes by them."""
    monkeypatch.setattr(deal, "draw_salt", str)
    return Lab(tmp_path, dataset_writer(tmp_path / "toy", CASES))


def _pool(lab: Lab, name: str, seed: int = 0, **how: Any) -> Hostile:
    return Hostile(lab.folder / name, random.Random(seed), **how)


HOSTILITY: dict[str, dict[str, float]] = {
    "drops": {"drops": 1.0},
    "doubles": {"doubles": 1.0},
    "delays-and-reorders": {"delays": 1.0, "doubles": 0.5},
    "hands-in-twice": {"twice": 1.0},
    "kills": {"kills": 0.9},
    "everything": {"kills": 0.8, "drops": 0.3, "doubles": 0.5, "delays": 0.5, "twice": 0.4},
}
TRIALS = [(how, 0) for how in HOSTILITY]
SLOW = [(how, seed) for how in ("kills", "everything") for seed in range(1, 26)]


@pytest.mark.costly
@pytest.mark.parametrize(("how", "seed"), [*TRIALS, *(pytest.param(*trial, marks=pytest.mark.slow) for trial in SLOW)])
def test_rows_do_not_depend_on_the_pool(how: str, seed: int, lab: Lab) -> None:
    """No case is lost, none is done twice, none is blamed; findings and metrics are equal to the last byte."""
    calm = _pool(lab, "calm")
    lab.run(calm, "calm-home")
    hostile = _pool(lab, "shared", seed, **HOSTILITY[how])
    row, shown = lab.run(hostile, "home"), list(lab.watcher.shown)
    for thread in hostile.threads:
        thread.join()
    assert row.state == "done"
    # Lost twice, once with a worker that the pool took for dead: nobody is blamed, and the same command tries again.
    lost = [case[0] for case in lab.rows("home")["cases"] if case[2] == Status.INFRA_ERROR]
    if lost:
        row = lab.run(_pool(lab, "shared"), "home")
        assert sorted(lab.watcher.shown) == lost
        shown = [case for case in shown if case not in lost] + lab.watcher.shown
    assert lab.rows("home") == lab.rows("calm-home")
    assert len(shown) == len(set(shown)) == CASES, "each case is shown once"
    assert hostile.told[-1] == "closed"
    assert not any("not deterministic" in line for line in lab.watcher.lines)
    assert not list((lab.folder / "shared" / "scratch").iterdir())
    assert hostile.killed or not HOSTILITY[how].get("kills"), "no worker was killed: the seed is badly chosen"
    again = lab.run(_pool(lab, "shared", seed, **HOSTILITY[how]), "home")
    assert again == row, "the same command again does nothing"


def test_what_the_time_of_a_shard_does_not_suffice_for_is_dealt_to_all(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many cases were dealt, a shard takes its time; the rest is halved again, and the rows stay the same."""
    monkeypatch.setattr("harness.runs.shard._LAST_S", 0.0)
    monkeypatch.setattr("harness.runs.shard._Writer.expected_s", lambda _: 0.0)
    lab.run(_pool(lab, "calm"), "calm-home")
    bounded = _pool(lab, "bounded", slow_s=0.1, shard_s=0.25)
    lab.run(bounded, "bounded-home")
    assert lab.rows("bounded-home") == lab.rows("calm-home")
    sizes = [len(cases) for cases in bounded.dealt]
    assert sum(sizes[:2]) == CASES
    assert 0 < max(sizes[2:]) < CASES // 2


def test_a_case_that_ends_its_hosts_is_the_last_and_alone(lab: Lab) -> None:
    """After two of them it is nobody's fault, all others are done, and the same command tries it once more."""
    lab.run(_pool(lab, "calm"), "calm-home")
    hostile = _pool(lab, "shared", poison="toy_3_a_1")
    row = lab.run(hostile, "home")
    assert row.state == "done"
    assert hostile.killed == 2
    assert hostile.dealt[-1] == ["toy_3_a_1"]
    rows, calm = lab.rows("home"), lab.rows("calm-home")
    (case,) = [case for case in rows["cases"] if case not in calm["cases"]]
    assert case[0] == "toy_3_a_1"
    assert case[2] == Status.INFRA_ERROR
    assert case[3] == "2 times the worker or its host was lost while this case was in flight"
    assert not row.rankable, "its zero is not the model's"
    again = _pool(lab, "shared", poison="toy_3_a_1")
    lab.run(again, "home")
    assert (again.dealt, again.killed) == ([["toy_3_a_1"]], 1)
    healed = _pool(lab, "shared")
    assert lab.run(healed, "home").rankable
    assert healed.dealt == [["toy_3_a_1"]]
    assert lab.rows("home") == calm


class DeadError(BaseException):
    """The driver is killed: what it would have done after this is not done."""


def test_the_same_command_takes_over_from_a_driver_that_died(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts go on without it: what they have done since is taken over, what they still do is followed, not redone."""
    lab.run(_pool(lab, "calm"), "calm-home")
    gate = threading.Event()
    first = _pool(lab, "shared", waits=(gate, 3))
    with monkeypatch.context() as patch:

        def dies(*_: object) -> None:
            raise DeadError

        patch.setattr(Quiet, "case", dies)
        with pytest.raises(DeadError):
            lab.run(first, "home")
    assert "now" not in first.told, "a driver that is killed tells nobody"
    second = dataclasses.replace(first, told=[], dealt=[], begun=0)
    threading.Timer(0.5, gate.set).start()
    row = lab.run(second, "home")
    assert (row.state, second.begun, second.dealt) == ("done", 0, [])
    assert any("was handed in before and is followed" in line for line in lab.watcher.lines)
    assert lab.rows("home") == lab.rows("calm-home")
    kept = row.timing["cases_per_hour"]
    assert kept is not None
    walls = sum(container.wall_s or 0 for one in read_figures(lab.folder / "shared" / "runs" / row.id).values()
                for container in one.containers)  # fmt: skip
    assert kept == pytest.approx(3600 * (CASES - 2) / walls), "all the containers' time counts, also without a driver"


def test_a_full_shared_folder_is_nobodys_fault(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is recorded of the cases that could not be written; the same command does them."""
    lab.run(_pool(lab, "calm"), "calm-home")
    true_put, count = shards.put, [0]

    def put(folder: Path, found: Any) -> str:
        count[0] += 1
        if count[0] > 3:
            raise OSError(28, "No space left on device", str(folder))
        return true_put(folder, found)

    with monkeypatch.context() as patch:
        patch.setattr(shards, "put", put)
        with pytest.raises(OSError, match="No space left"):
            lab.run(_pool(lab, "shared", redeals=2), "home")
    rows = lab.rows("home")
    assert rows["state"] == "interrupted"
    assert all(case in lab.rows("calm-home")["cases"] for case in rows["cases"])
    lab.run(_pool(lab, "shared"), "home")
    assert lab.rows("home") == lab.rows("calm-home")


def test_a_shared_folder_that_is_gone_is_nobodys_fault(lab: Lab) -> None:
    """The command says so; when it is back, the same command goes on."""
    lab.run(_pool(lab, "calm"), "calm-home")
    shared, away = lab.folder / "shared", lab.folder / "away"
    pool = _pool(lab, "shared", redeals=1, at_case=("toy_4_a_1", lambda: shared.rename(away)))
    with pytest.raises(PrerequisiteError, match="is gone"):
        lab.run(pool, "home")
    for thread in pool.threads:
        thread.join()
    if shared.exists():  # made anew by what had a file open in it
        shutil.rmtree(shared)
    away.rename(shared)
    lab.run(_pool(lab, "shared"), "home")
    assert lab.rows("home") == lab.rows("calm-home")


@pytest.mark.parametrize("lost", ["", "0.nii.gz"], ids=["the folder", "one mask"])
def test_a_mask_that_is_gone_when_it_is_scored_is_not_the_models_fault(
    lost: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between outcome and scorer the share was away: nothing counts as missing, and the same command goes on."""
    lab.run(_pool(lab, "calm"), "calm-home")
    true_task, kept = works.case_task, lab.folder / "kept"
    places: list[Path] = []

    def task(case: RunnableCase, masks: Path, flip: tuple[int, ...], *, delivered: bool) -> CaseTask:
        if case.id == "toy_1_a_1":
            places.append(masks / case.id / lost)
            places[-1].rename(kept)
        return true_task(case, masks, flip, delivered=delivered)

    with monkeypatch.context() as patch:
        patch.setattr(works, "case_task", task)
        with pytest.raises(PrerequisiteError, match="lacks masks that were written there"):
            lab.run(_pool(lab, "shared"), "home")
    assert not [case for case in lab.rows("home")["cases"] if case[2] == Status.MISSING_OUTPUT]
    kept.rename(places[0])
    lab.run(_pool(lab, "shared"), "home")
    assert lab.rows("home") == lab.rows("calm-home")


def test_shards_that_never_come_further_end_the_command(lab: Lab) -> None:
    """Each wait has an end: the reason is told, and nothing is recorded of the cases."""
    pool = _pool(lab, "shared", redeals=2, loses_all=True)
    with pytest.raises(PrerequisiteError, match=r"was lost .* and none of its . cases came any further"):
        lab.run(pool, "home")
    assert lab.rows("home")["cases"] == []
    assert len(pool.dealt) >= 3


def test_a_request_to_stop_reaches_the_hosts(lab: Lab) -> None:
    """Through the stop file, wherever they run; the same command goes on."""
    stop = Stop()
    pool = _pool(lab, "shared", at_case=("toy_3_a_1", stop.soon.set), slow_s=0.3)
    with pytest.raises(Interrupted):
        lab.run(pool, "home", stop)
    assert pool.told == ["soon", "closed"]
    done = len(lab.rows("home")["cases"])
    assert 0 < done < CASES
    lab.run(_pool(lab, "shared"), "home")
    lab.run(_pool(lab, "calm"), "calm-home")
    assert len(lab.watcher.shown) == CASES
    assert lab.rows("home") == lab.rows("calm-home")


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_what_ends_all_scorers_never_hangs_the_command(
    for_good: bool, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal to the whole group: scored by new processes, or told and nothing lost."""
    true_submit = ProcessPoolExecutor.submit
    asked: list[object] = []

    def submit(pool: ProcessPoolExecutor, *what: Any) -> Any:
        asked.append(what)
        if len(asked) == 3 or (for_good and len(asked) > 3):
            raise EOFError("unexpected EOF")  # as Python has it when the process that forks workers is gone
        return true_submit(pool, *what)

    with monkeypatch.context() as patch:
        patch.setattr(ProcessPoolExecutor, "submit", submit)
        if for_good:
            with pytest.raises(PrerequisiteError, match="something ends them"):
                lab.run(_pool(lab, "shared"), "home")
        else:
            lab.run(_pool(lab, "shared"), "home")
    lab.run(_pool(lab, "shared"), "home")
    lab.run(_pool(lab, "calm"), "calm-home")
    assert lab.rows("home") == lab.rows("calm-home")


@pytest.mark.costly
def test_what_a_killed_command_left_is_swept_where_nothing_is_left_to_run(lab: Lab) -> None:
    """It may have been killed after its last case: the next command only shows the row, and tidies up all the same."""
    row = lab.run(_pool(lab, "shared"), "home")
    scratch = lab.folder / "shared" / "runs" / row.id / "shards"
    program = (
        "import os, sys; from pathlib import Path; from harness.runs.place import own_folder\n"
        "with own_folder(Path(sys.argv[1]), 'run-0') as folder: os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", program, scratch], check=False)
    assert len(list(scratch.iterdir())) == 1
    assert lab.run(_pool(lab, "shared"), "home") == row
    assert list(scratch.iterdir()) == []
