"""Slurm's commands, with stand-ins that note how they were called, and on a Slurm of one node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.cluster import sbatch
from harness.errors import PrerequisiteError, UsageError

if TYPE_CHECKING:
    from tests.slurm_node import SlurmNode

ROOT = Path(__file__).resolve().parents[3]

StandIn = Callable[..., Path]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Return a function that puts a program on PATH which notes its call, prints something and ends with a code."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(program: str, out: str = "", err: str = "", code: int = 0) -> Path:
        noted = tmp_path / f"{program}.json"
        (folder / program).write_text(
            f"#!{sys.executable}\nimport json, os, sys\n"
            f"note = dict(arguments=sys.argv[1:], stdin=sys.stdin.read(), environment=dict(os.environ))\n"
            f"open({str(noted)!r}, 'w').write(json.dumps(note))\n"
            f"print({out!r}, end='')\nprint({err!r}, end='', file=sys.stderr)\nsys.exit({code})\n"
        )
        (folder / program).chmod(0o755)
        return noted

    return make


def _hand_in(folder: Path, **changes: object) -> str:
    asked = {"name": "groundbench-r-1", "count": 3, "at_once": 2, "folder": folder, "logs": folder / "slurm", **changes}
    return sbatch.hand_in("#!/bin/sh\ntrue\n", **asked)  # type: ignore[arg-type]


def test_an_array_is_handed_in_as_one_job(stand_in: StandIn, tmp_path: Path) -> None:
    """The script goes by standard input, the user's options come first, and the number is read from a bare line."""
    noted = stand_in("sbatch", "4711\n")
    assert _hand_in(tmp_path, options=["--partition=gpu", "--time=04:00:00"]) == "4711"
    call = json.loads(noted.read_text())
    assert call["arguments"][:3] == ["--partition=gpu", "--time=04:00:00", "--parsable"]
    assert "--array=0-2%2" in call["arguments"]
    assert "--job-name=groundbench-r-1" in call["arguments"]
    assert f"--output={tmp_path}/slurm/%A_%a.log" in call["arguments"]
    assert call["stdin"] == "#!/bin/sh\ntrue\n"
    assert (tmp_path / "slurm").is_dir()


def test_the_number_is_read_beside_a_clusters_name(stand_in: StandIn, tmp_path: Path) -> None:
    """``--parsable`` prints the cluster's name after a semicolon where there are several."""
    stand_in("sbatch", "12;north\n")
    assert _hand_in(tmp_path) == "12"


def test_a_reply_without_a_number_is_no_job(stand_in: StandIn, tmp_path: Path) -> None:
    """A wrapper that prints a sentence is refused with what it printed."""
    stand_in("sbatch", "Submitted batch job 12\n")
    with pytest.raises(PrerequisiteError, match="Submitted batch job 12"):
        _hand_in(tmp_path)


def test_a_job_within_a_job_does_not_inherit_its_gpus(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Slurm gave the job that this process is a part of is not passed on; where Slurm is configured is."""
    noted = stand_in("sbatch", "1\n")
    for name in ("SLURM_JOB_ID", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES", "SLURM_MEM_PER_CPU"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("SLURM_CONF", "/etc/other.conf")
    monkeypatch.setenv("SBATCH_ACCOUNT", "lung")
    _hand_in(tmp_path)
    seen = json.loads(noted.read_text())["environment"]
    assert {name for name in seen if name.startswith("SLURM") or "VISIBLE" in name} == {"SLURM_CONF"}
    assert seen["SBATCH_ACCOUNT"] == "lung"


def test_outside_a_job_the_environment_stays(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that a user has set by hand is the user's."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    noted = stand_in("sbatch", "1\n")
    _hand_in(tmp_path)
    assert json.loads(noted.read_text())["environment"]["CUDA_VISIBLE_DEVICES"] == "1"


def test_a_refusal_is_told_in_slurms_words(stand_in: StandIn, tmp_path: Path) -> None:
    """An unknown partition is a prerequisite that is missing, not a job."""
    stand_in("sbatch", err="sbatch: error: invalid partition specified: nope\n", code=1)
    with pytest.raises(PrerequisiteError, match="invalid partition specified: nope") as caught:
        _hand_in(tmp_path)
    assert not isinstance(caught.value, sbatch.SlurmSilentError)


@pytest.mark.parametrize(
    "said",
    [
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
    ],
)
def test_a_silent_controller_is_no_refusal(stand_in: StandIn, tmp_path: Path, said: str) -> None:
    """No answer says nothing about a job: it may have been handed in."""
    stand_in("sbatch", err=said, code=1)
    with pytest.raises(sbatch.SlurmSilentError):
        _hand_in(tmp_path)


def test_a_command_that_hangs_is_given_up(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wait has an end."""
    monkeypatch.setattr(sbatch, "_PATIENCE_S", 0.5)
    (tmp_path / "bin" / "squeue").write_text("#!/bin/sh\nexec sleep 30\n")
    (tmp_path / "bin" / "squeue").chmod(0o755)
    began = time.monotonic()
    with pytest.raises(sbatch.SlurmSilentError, match="no answer within"):
        sbatch.look(["a"])
    assert time.monotonic() - began < 10


def test_a_machine_without_slurm_is_told_where_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the commands nothing can be handed in."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match="sbatch is not installed here"):
        _hand_in(tmp_path)


def test_the_queue_is_read_line_by_line(stand_in: StandIn) -> None:
    """Elements, their states and why they wait; what is no element of an array is left out."""
    noted = stand_in(
        "squeue",
        "x|5|0|RUNNING|n1|None\nx|5|1|PENDING||ReqNodeNotAvail, UnavailableNodes:n[2|3]\ny|6|2|CANCELLED|n1|None\n"
        "x|5|N/A|RUNNING|n1|None\nz|7|0|RUNNING|n1|None\nCLUSTER: north\n\n",
    )
    assert sbatch.look(["x", "y"]) == [
        sbatch.Element("x", "5", 0, "RUNNING", "n1"),
        sbatch.Element("x", "5", 1, "PENDING", "", "ReqNodeNotAvail, UnavailableNodes:n[2|3]"),
        sbatch.Element("y", "6", 2, "CANCELLED", "n1"),
    ]
    assert "--name=x,y" in json.loads(noted.read_text())["arguments"]


@pytest.mark.parametrize(
    ("state", "lives"),
    [
        ("PENDING", True), ("RUNNING", True), ("COMPLETING", True), ("SUSPENDED", True), ("REQUEUE_HOLD", True),
        ("A_STATE_OF_LATER", True), ("CANCELLED", False), ("TIMEOUT", False), ("NODE_FAIL", False),
        ("PREEMPTED", False),
    ],
)  # fmt: skip
def test_what_is_not_known_to_have_ended_lives(state: str, lives: bool) -> None:
    """A state that nobody has heard of is no reason to hand in a job again."""
    assert sbatch.Element("x", "1", 0, state).lives is lives


@pytest.mark.parametrize("option", ["--array=0-3", "-a0-3", "--parsable", "-Jmine", "--wrap=true", "-M", "--output=x"])
def test_options_that_are_ours_are_refused(option: str) -> None:
    """An option that would break what is read is refused with its reason."""
    with pytest.raises(UsageError, match="cannot be given"):
        sbatch.check_options(["--partition=gpu", option], "cluster 'hpc'")


def test_other_options_pass() -> None:
    """Partitions, accounts and names that only begin alike are the user's."""
    sbatch.check_options(["-pgpu", "--account=X", "--time=1:00", "--exclude=n1", "--wait-all-nodes=1", "-c4"], "here")


@pytest.mark.parametrize(
    ("options", "asks"),
    [
        (["--gres=gpu:1"], True),
        (["-G1"], True),
        (["-G", "1"], True),
        (["--gpus-per-node=2"], True),
        (["--mem=3G"], False),
    ],
)
def test_options_that_ask_for_gpus(options: list[str], asks: bool) -> None:
    """A request for GPUs in the configuration is not given twice."""
    assert sbatch.names_gpus(options) is asks


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("1:00", 60.0), ("0:05", 5.0), ("4:00:00", 14400.0), ("2-00:00:10", 172810.0), ("UNLIMITED", None),
        ("NOT_SET", None), ("INVALID", None), ("", None),
    ],
)  # fmt: skip
def test_the_time_that_is_left(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, said: str, seconds: float | None
) -> None:
    """Slurm's way to write a duration; a word means that nothing is known to limit it."""
    monkeypatch.setenv("SLURM_JOB_ID", "3")
    stand_in("squeue", f"4 9:00\n3 {said}\n")  # the number of an array stands for all of its elements
    assert sbatch.time_left() == seconds


def test_outside_a_job_no_time_is_left_to_ask_for(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that is run by hand has no wall time, and nobody is asked."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    noted = stand_in("squeue", "1:00\n")
    assert sbatch.time_left() is None
    assert not noted.exists()


def test_the_script_runs_bench_where_setup_provides_it(tmp_path: Path) -> None:
    """After setup the ``bench`` on the PATH runs, and the driver's interpreter where there is none."""
    tool = tmp_path / "bench"
    tool.write_text('#!/bin/sh\necho bench "$@"\n')
    tool.chmod(0o755)

    def run(script: str, element: int) -> str:
        environment = {"PATH": "/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": str(element)}
        ended = subprocess.run(
            ["bash"], input=script, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        return ended.stdout + ended.stderr

    calls = [["shard", "--scratch", "$TMPDIR", "/a b/1.json"], ["--version"]]
    assert run(sbatch.job_script(calls, setup=f"export PATH={tmp_path}:$PATH"), 0) == (
        "bench shard --scratch $TMPDIR /a b/1.json\n"
    )
    for setup in ("", "true"):  # without a bench on the PATH
        assert run(sbatch.job_script(calls, setup=setup), 1).startswith("bench, version")


@pytest.mark.slurm
def test_an_array_of_a_real_slurm(slurm: SlurmNode, tmp_path: Path) -> None:
    """Elements run beside each other with a GPU each, tell the time that is left, and are found by their name."""
    script = (
        f"#!/bin/sh\necho gpu $SLURM_JOB_GPUS\ncd {ROOT}\n"
        f"exec {sys.executable} -c 'from harness.cluster import sbatch; print(sbatch.time_left())'\n"
    )
    options = ["--gres=gpu:1", "--time=10"]
    number = sbatch.hand_in(
        script, name="groundbench-real", count=2, at_once=2, folder=tmp_path, logs=tmp_path / "slurm", options=options
    )
    slurm.wait_for(lambda: not any(e.lives for e in sbatch.look(["groundbench-real"])), "the array does not end")
    ended = sbatch.look(["groundbench-real"])
    assert {(e.job, e.index, e.state) for e in ended} == {(number, 0, "COMPLETED"), (number, 1, "COMPLETED")}
    said = [(tmp_path / "slurm" / f"{number}_{index}.log").read_text().split() for index in range(2)]
    assert sorted(words[1] for words in said) == ["0", "1"]
    assert all(500 < float(words[2]) <= 600 for words in said)


@pytest.mark.slurm
def test_cancelling_ends_an_array(slurm: SlurmNode, tmp_path: Path) -> None:
    """A name is cancelled as a whole, and cancelling what has ended is no failure."""
    sbatch.hand_in("#!/bin/sh\nsleep 60\n", name="groundbench-long", count=3, at_once=1, folder=tmp_path, logs=tmp_path)
    assert all(element.lives for element in sbatch.look(["groundbench-long"]))
    sbatch.cancel(["groundbench-long"])
    slurm.wait_for(lambda: not any(e.lives for e in sbatch.look(["groundbench-long"])), "it is not cancelled")
    sbatch.cancel(["groundbench-long"])


@pytest.mark.parametrize(
    ("states", "answers"),
    [("idle\ndown*\n", True), ("mixed\n", True), ("down*\n", False), ("unknown*\nidle*\n", False), ("", False)],
)
def test_nodes_that_have_not_reported(stand_in: StandIn, states: str, answers: bool) -> None:
    """After a restart every node is unknown or down for a while; where nobody can say, nothing is assumed."""
    stand_in("sinfo", out=states)
    assert sbatch.any_node_answers() == answers
    stand_in("sinfo", err="no", code=1)
    assert sbatch.any_node_answers()


@pytest.mark.slurm
def test_refusals_of_a_real_slurm(slurm: SlurmNode, tmp_path: Path) -> None:
    """What a real controller refuses, and what its silence looks like."""
    for options in (["--partition=nope"], ["--gres=gpu:9"], ["--no-such-option"], ["--time=never"]):
        with pytest.raises(PrerequisiteError, match="Slurm refused") as caught:
            _hand_in(tmp_path, options=options)
        assert not isinstance(caught.value, sbatch.SlurmSilentError), options
    assert "to start at" in sbatch.test_only(["--gres=gpu:2"])
    with pytest.raises(PrerequisiteError, match="Slurm refused"):
        sbatch.test_only(["--gres=gpu:9"])
    slurm.kill("slurmctld")
    with pytest.raises(sbatch.SlurmSilentError):
        _hand_in(tmp_path)
