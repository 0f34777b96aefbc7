"""A run at a terminal that closes, in a pipe whose reader goes, and several models of which one fails."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import ROOT, processes

if TYPE_CHECKING:
    from tests.conftest import Bench

PLUGINS = Path(__file__).parent / "plugins"


def _misbehaving(variant: str, dataset: Path) -> list[str]:
    return [
        "run", "--plugin", "misbehaving", "--variant", variant, "--plugin-dir", str(PLUGINS / "misbehaving"),
        "--dataset", str(dataset), "--engine", "local",
    ]  # fmt: skip


def test_a_terminal_that_closes_ends_a_run_in_order(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """The connection drops: what is finished is kept, nothing of the run goes on, and its row says so."""
    command = [sys.executable, *bench.program, "--home", str(bench.home), *_misbehaving("slower", make_dataset(6))]
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
        os.chdir(ROOT)
        os.execve(command[0], command, bench.environment | {"TERM": "xterm", "COLUMNS": "40"})  # noqa: S606 - no shell
    shown = b""
    while b"1/6" not in shown:
        shown += os.read(terminal, 65536)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    (run,) = bench.json("results", "list")["runs"]
    assert run["state"] == "interrupted"
    deadline = time.monotonic() + 10
    while left := [one for one in processes() if str(bench.home) in one.command]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_a_reader_that_goes_away_does_not_end_a_run(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """`bench run … 2>&1 | head -1`: the run comes to its end."""
    command = [sys.executable, *bench.program, "--home", str(bench.home), *_misbehaving("slow", make_dataset(3))]
    with subprocess.Popen(
        command, cwd=ROOT, env=bench.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=120) == 0
    assert bench.json("results", "list")["runs"][0]["state"] == "done"


def test_a_run_that_was_killed_is_not_running(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """A process that is killed writes nothing any more; its lock tells."""
    with bench.popen(*_misbehaving("slower", make_dataset(3))) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "1/3" in line:
                break
        assert bench.json("results", "list")["runs"][0]["state"] == "running"
        process.kill()
    assert bench.json("results", "list")["runs"][0]["state"] == "interrupted"


def test_one_of_three_lacks_its_weights(bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """It is told before anything runs, the others are run and shown, and the exit code is that of what is lacking."""
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    (lacking / "Dockerfile").touch()
    (lacking / "__init__.py").write_text(
        "from harness import Model, Variant, Weights, hookimpl\n\n\n"
        "@hookimpl\n"
        "def bench_models():\n"
        "    return [Model(name='lacking', title='L', summary='Lacks all.', version='1', adapter='adapter:A',\n"
        "                  variants=(Variant('v', weights=('a.bin',)),),\n"
        "                  weights=(Weights('a.bin', 'owner/name', 'a.bin', '', '', 0, 'MIT'),))]\n"
    )
    ended = bench(
        "run", "--plugin", "empty,lacking,full", "--plugin-dir", lacking, "--dataset", make_dataset(1),
        "--engine", "local", "--json", code=3,
    )  # fmt: skip
    document = json.loads(ended.stdout)
    assert [run["plugin"] for run in document["runs"]] == ["empty", "full"]
    assert [(one["plugin"], one["exit_code"]) for one in document["failed"]] == [("lacking", 3)]
    assert ended.stderr.index("lacking: ") < ended.stderr.index("empty-default")


def test_slips_are_told_together_before_anything_runs(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """Two wrong names of three: both are named, and no row is left."""
    refused = bench("run", "--plugin", "empty,EMTPY,rulse", "--dataset", make_dataset(1), "--engine", "local", code=2)
    assert "did you mean empty" in refused.stderr
    assert "did you mean rules" in refused.stderr
    assert bench.json("results", "list")["runs"] == []
