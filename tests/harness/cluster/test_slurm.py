"""The pool of Slurm's jobs, with the queue in a test's hand: what is known of a job, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from harness.cluster import sbatch, slurm
from harness.cluster.config import SlurmCluster
from harness.cluster.job import Proof, report_file, write_proof
from harness.cluster.slurm import JOBS, SlurmPool
from harness.errors import DataError, PrerequisiteError, UsageError
from harness.runs.pools import Seen, ShardId
from harness.runs.report import ShardReport
from harness.runs.spec import ShardSpec
from tests.harness.runs.test_spec import a_spec

RUN = "m-v-0"
A, B = ShardId(RUN, 4), ShardId(RUN, 5)


@dataclass
class Queue:
    """What stands for Slurm.

    Attributes
    ----------
    handed_in, cancelled
        What it was asked for.
    states
        State of every element, by the name of its array.
    fails
        Called before an array is taken, and after it.
    """

    handed_in: list[dict[str, Any]] = field(default_factory=list)
    cancelled: list[tuple[list[str], bool]] = field(default_factory=list)
    states: dict[str, list[str]] = field(default_factory=dict)
    before: Callable[[str], None] = lambda _: None
    after: Callable[[str], None] = lambda _: None
    silent: bool = False

    def hand_in(self, script: str, *, name: str, count: int, **asked: Any) -> str:
        """Take an array."""
        self.before(name)
        self.handed_in.append({"script": script, "name": name, "count": count, **asked})
        self.states[name] = ["PENDING"] * count
        self.after(name)
        return str(len(self.handed_in))

    def look(self, names: Sequence[str]) -> list[sbatch.Element]:
        """Tell what is known."""
        if self.silent:
            raise sbatch.SlurmSilentError("Slurm does not answer", fix="")
        known = [(name, self.states[name]) for name in names if name in self.states]
        return [
            sbatch.Element(name, "1", index, state, "n1", "Why" if state == "PENDING" else "")
            for name, states in known
            for index, state in enumerate(states)
            if state
        ]

    def set(self, *states: str) -> None:
        """Give the elements of the newest array their states; an empty one is no longer in the queue."""
        self.states[self.handed_in[-1]["name"]] = list(states)

    def cancel(self, names: Sequence[str], *, waiting: bool = False) -> None:
        """Note what was cancelled."""
        self.cancelled.append((list(names), waiting))


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    """Put a queue in the place of Slurm's commands."""
    queue = Queue()
    monkeypatch.setattr(sbatch, "hand_in", queue.hand_in)
    monkeypatch.setattr(sbatch, "look", queue.look)
    monkeypatch.setattr(sbatch, "cancel", queue.cancel)
    monkeypatch.setattr(sbatch, "test_only", lambda options: f"{' '.join(options)} can start now")
    return queue


@pytest.fixture
def lines() -> list[str]:
    """Return what the pool has shown."""
    return []


@pytest.fixture
def pool(queue: Queue, tmp_path: Path, lines: list[str]) -> Callable[..., SlurmPool]:
    """Return a function that makes a pool, as a new command does."""
    cluster = SlurmCluster(name="hpc", kind="slurm", shared=tmp_path, sbatch=("--time=10",), max_jobs=3)
    return lambda gpus=4, **keys: SlurmPool(replace_keys(cluster, **keys), gpus=gpus, log=lines.append)


def replace_keys(cluster: SlurmCluster, **keys: Any) -> SlurmCluster:
    return cluster.model_copy(update=keys)


@pytest.fixture
def specs(tmp_path: Path) -> list[ShardSpec]:
    """Return two shards of one run, in their files."""
    one = a_spec(tmp_path, "a", "b")
    one.folder.mkdir(parents=True)
    return [one, replace(one, number=5)]


def _wake(_run: str, _case: str) -> None:
    pass


def _report(specs: list[ShardSpec], shard: ShardId, state: Any = "done") -> ShardReport:
    report = ShardReport(*shard, state, "n1")
    path = report_file(specs[0].folder, shard.number)
    path.parent.mkdir(exist_ok=True)
    path.write_text(report.to_json())
    return report


def test_the_shards_of_a_run_are_one_array(
    pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec], tmp_path: Path
) -> None:
    """As many jobs at once as the GPUs suffice for; each element calls its own shard, whose file has its time."""
    pool().start(specs, _wake)
    (asked,) = queue.handed_in
    assert (asked["count"], asked["at_once"]) == (2, 2)
    assert list(asked["options"]) == ["--time=10", "--gres=gpu:2"]
    for index, spec in enumerate(specs):
        assert f"{index}) exec" in asked["script"]
        assert str(spec.file) in asked["script"]
    limits = specs[0].plugin.model.resources
    kept = ShardSpec.from_json(specs[0].file.read_text(), tmp_path)
    assert kept.deadline_s == max(20 * 60, limits.start_timeout_s + 2 * limits.case_timeout_s)


def test_gpus_in_the_configuration_are_not_asked_for_twice(
    pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec]
) -> None:
    """``--gres`` of clusters.toml stands."""
    pool(sbatch=("--gres=gpu:a100:2",)).start(specs, _wake)
    assert list(queue.handed_in[0]["options"]) == ["--gres=gpu:a100:2"]


def test_the_name_is_written_before_slurm_is_asked(
    pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec]
) -> None:
    """A command that dies between both leaves a name by which its jobs are found."""
    jobs = specs[0].folder / JOBS
    queue.before = lambda name: queue.cancelled.append(([*json.loads(jobs.read_text())], name in jobs.read_text()))
    pool().start(specs, _wake)
    ((names, there),) = queue.cancelled
    assert there
    assert names == [queue.handed_in[0]["name"]]
    assert json.loads(jobs.read_text())[names[0]]["job"] == "1"


def test_another_command_follows_the_jobs_of_one_that_died(
    pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec]
) -> None:
    """Also where the first one did not live to read the number of its job."""

    def die(_: str) -> None:
        raise KeyboardInterrupt

    queue.after = die
    with pytest.raises(KeyboardInterrupt):
        pool().start(specs, _wake)
    assert pool().poll().open == {A, B}
    queue.set("RUNNING", "COMPLETED")
    _report(specs, B)
    seen = pool().poll()
    assert seen.open == {A}
    assert [(report.shard, report.state) for report in seen.reports] == [(5, "done")]


def test_jobs_that_were_never_handed_in_are_lost(
    pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec]
) -> None:
    """A name of which Slurm knows nothing stands for no job."""

    def die(_: str) -> None:
        raise KeyboardInterrupt

    queue.before = die
    with pytest.raises(KeyboardInterrupt):
        pool().start(specs, _wake)
    seen = pool().poll()
    assert seen.open == frozenset()
    assert {(report.state, report.reason) for report in seen.reports} == {("lost", "it was not handed in")}
    assert not (specs[0].folder / JOBS).exists()


def test_a_refusal_leaves_nothing(pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec]) -> None:
    """What Slurm refuses is no job."""

    def refuse(_: str) -> None:
        raise PrerequisiteError("Slurm refused: account", fix="")

    queue.before = refuse
    with pytest.raises(PrerequisiteError, match="account"):
        pool().start(specs, _wake)
    assert not (specs[0].folder / JOBS).exists()


def test_silence_while_handing_in_is_no_refusal(
    pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec], lines: list[str]
) -> None:
    """The array may have been taken, and is found as soon as Slurm answers again."""

    def mute(_: str) -> None:
        raise sbatch.SlurmSilentError("no answer", fix="")

    queue.after = mute
    mine = pool()
    mine.start(specs, _wake)
    assert any("looked up as soon as it answers" in line for line in lines)
    assert mine.poll().open == {A, B}


def test_a_job_that_lives_has_no_report_yet(
    pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec]
) -> None:
    """After preemption the report of the time before is there while the job waits again."""
    mine = pool()
    mine.start(specs, _wake)
    _report(specs, A, "stopped")
    queue.set("PENDING", "RUNNING")
    assert mine.poll() == Seen(frozenset({A, B}))


@pytest.mark.parametrize(
    ("state", "says"),
    [("CANCELLED", "CANCELLED"), ("TIMEOUT", "TIMEOUT"), ("NODE_FAIL", "NODE_FAIL"), ("", "no longer in the queue")],
)
def test_a_job_that_ended_without_a_report_is_lost(
    pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec], state: str, says: str
) -> None:
    """Whatever ended it, and also where Slurm has forgotten it; what it printed last is told."""
    mine = pool()
    mine.start(specs, _wake)
    log = specs[0].folder / "slurm" / "1_0.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text("first\nslurmstepd: error: *** JOB 1 CANCELLED ***\n\n")
    queue.set(state, "RUNNING")
    (report,) = mine.poll().reports
    assert (report.run, report.shard, report.state) == (*A, "lost")
    assert says in report.reason
    assert "*** JOB 1 CANCELLED ***" in report.reason
    queue.set("", "FAILED")
    reports = {report.shard: report for report in mine.poll().reports}
    assert f"does the node see {mine.shared}" in reports[B.number].reason


def test_the_report_of_a_job_that_ended_well_may_come_late(
    pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a node has written is seen a little later elsewhere; when it never comes, the shard is lost."""
    mine = pool()
    mine.start(specs, _wake)
    queue.set("COMPLETED", "COMPLETED")
    assert mine.poll().open == {A, B}
    report = _report(specs, A)
    seen = mine.poll()
    assert (seen.open, seen.reports) == ({B}, (report,))
    monkeypatch.setattr(slurm, "_UNSEEN_S", 0.0)
    last = mine.poll()
    assert last.open == frozenset()
    assert {report.shard: report.state for report in last.reports} == {4: "done", 5: "lost"}
    assert not (specs[0].folder / JOBS).exists(), "an array that has ended is forgotten"
    assert mine.poll().reports == ()


def test_a_silent_controller_changes_nothing_until_it_is_silent_for_too_long(
    pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec], monkeypatch: pytest.MonkeyPatch,
    lines: list[str],
) -> None:  # fmt: skip
    """What was open stays open, which is said once; every wait has an end."""
    pool().start(specs, _wake)
    queue.silent = True
    mine = pool()
    assert mine.poll().open == mine.poll().open == {A, B}
    assert sum("its jobs go on" in line for line in lines) == 1
    monkeypatch.setattr(slurm, "SILENCE_S", -1.0)
    with pytest.raises(PrerequisiteError, match="has not answered"):
        mine.poll()


def test_stopping_withdraws_what_waits_and_ends_what_must(
    pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec]
) -> None:
    """A job that runs looks at the stop file; only one that had to end now and lives in the end is cancelled."""
    mine = pool()
    mine.start(specs, _wake)
    name = queue.handed_in[0]["name"]
    queue.set("RUNNING", "PENDING")
    mine.poll()
    mine.stop(now=False)
    mine.close()
    assert queue.cancelled == [([name], True)]
    mine.stop(now=True)
    mine.close()
    assert queue.cancelled[1:] == [([name], True), ([name], False)]


def test_leaving_cancels_nothing(pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec]) -> None:
    """A command that ends does not end its jobs."""
    mine = pool()
    mine.start(specs, _wake)
    mine.poll()
    mine.close()
    assert queue.cancelled == []


def test_why_jobs_wait_is_shown_when_it_changes(
    pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec], lines: list[str]
) -> None:
    """Once, not at every look."""
    mine = pool()
    mine.start(specs, _wake)
    for _ in range(3):
        mine.poll()
    assert sum("jobs wait: Why" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("cases", "gpus", "parts"), [(20, 0, 3), (2, 0, 2), (20, 1, 3), (20, 2, 2), (20, 8, 1), (1000, 1, 20)]
)
def test_parts(pool: Callable[..., SlurmPool], cases: int, gpus: int, parts: int) -> None:
    """One for each job at once (at most 3 here, with 4 GPUs), and more where they would exceed 50 cases."""
    assert pool().parts(cases, gpus) == parts


def test_a_large_run_is_several_arrays(
    pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm bounds the size of an array."""
    monkeypatch.setattr(sbatch, "MAX_ELEMENTS", 2)
    mine = pool()
    mine.start([*specs, replace(specs[0], number=6)], _wake)
    assert [asked["count"] for asked in queue.handed_in] == [2, 1]
    assert mine.poll().open == {A, B, ShardId(RUN, 6)}


def test_a_damaged_list_of_jobs_is_refused(pool: Callable[..., SlurmPool], specs: list[ShardSpec]) -> None:
    """Handing in again what may be running would double it."""
    (specs[0].folder / JOBS).write_text("{")
    with pytest.raises(DataError, match=r"jobs\.json cannot be read"):
        pool().poll()


def test_a_pool_is_refused_before_anything_is_recorded(pool: Callable[..., SlurmPool], tmp_path: Path) -> None:
    """A shared folder that is not there, and options that are ours."""
    with pytest.raises(PrerequisiteError, match="shared folder"):
        pool(shared=tmp_path / "nowhere")
    with pytest.raises(UsageError, match="--array"):
        pool(sbatch=("--array=1-2",))


def test_what_was_proved_for_a_plan_is_believed(
    pool: Callable[..., SlurmPool], queue: Queue, specs: list[ShardSpec], tmp_path: Path
) -> None:
    """No job asks again; and a command that leaves waits for none."""
    write_proof(tmp_path, specs[0].plan, Proof(host="n1", at=0, lacks=("cannot count memory",)))
    assert pool().prove(specs[0], gpu_memory_mb=0) == ("cannot count memory",)
    leaving = SlurmPool(pool()._cluster, gpus=0, log=lambda _: None, detach=True)
    assert leaving.prove(replace(specs[0], plan="other"), gpu_memory_mb=0) == ()
    assert queue.handed_in == []
