"""Whatever happens to a run at any moment, the same command after it gives the undisturbed run's digits."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import processes
from tests.faults.conftest import CASES

if TYPE_CHECKING:
    from tests.conftest import Bench
    from tests.faults.conftest import Setting

Process = subprocess.Popen[str]

#: A home locked for longer than this many seconds is given up.
BUSY_S = 1

_IMPATIENT = f"import harness.store.database as d; d.BUSY_TIMEOUT_S = {BUSY_S}; from harness.cli import main; main()"

#: Wall clocks that jump by up to a day, to and fro, at every look.
_JUMPY = """
import random, time
from datetime import UTC, datetime, timedelta
import harness.runs.work as run
true, draw = time.time, random.Random(1)
time.time = lambda: true() + draw.uniform(-86400, 86400)
time.time_ns = lambda: int(time.time() * 10**9)
run._now = lambda: (datetime.now(UTC) + timedelta(seconds=draw.uniform(-86400, 86400))).isoformat()
from harness.cli import main
main()
"""


def _children(pid: int, word: str) -> list[int]:
    """Return the descendants of a process whose command line holds `word`."""
    running = processes()
    family = {pid}
    for _ in range(3):
        family |= {each.pid for each in running if each.parent in family}
    return [each.pid for each in running if each.pid in family - {pid} and word in each.command]


def kill_harness(process: Process, bench: Bench, draw: random.Random) -> None:
    """SIGKILL to the harness."""
    process.kill()


def kill_scorer(process: Process, bench: Bench, draw: random.Random) -> None:
    """SIGKILL to a scoring worker."""
    for _ in range(100):
        workers = _children(process.pid, "spawn_main")
        if workers or process.poll() is not None:
            break
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        for worker in workers[:1]:
            os.kill(worker, signal.SIGKILL)


def kill_container(process: Process, bench: Bench, draw: random.Random) -> None:
    """`docker kill` of the run's container, or SIGKILL to the local adapter."""
    for pid in _children(process.pid, "groundbench_sdk"):
        os.kill(pid, signal.SIGKILL)
    if "local" in map(str, process.args):
        return  # there is no container, and the local engine's tests may not ask the daemon
    with contextlib.suppress(Exception):
        import docker

        client = docker.from_env(timeout=20)
        for container in client.containers.list(filters={"label": f"org.groundbench.pid={process.pid}"}):
            container.kill()
        client.close()


def interrupt(process: Process, bench: Bench, draw: random.Random) -> None:
    """Ctrl-C, as a terminal sends it: to the whole group."""
    os.killpg(process.pid, signal.SIGINT)


def interrupt_twice(process: Process, bench: Bench, draw: random.Random) -> None:
    """Ctrl-C, and again."""
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(draw.uniform(0, 0.5))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)


def terminate(process: Process, bench: Bench, draw: random.Random) -> None:
    """SIGTERM, as a batch system sends it."""
    process.terminate()


def lock_database(process: Process, bench: Bench, draw: random.Random) -> None:
    """Another process holds the database, for less or for more than the run is ready to wait."""
    path = bench.home / "results.db"
    if not path.exists():
        return
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as other:
        other.execute("begin immediate")
        time.sleep(BUSY_S * draw.choice((0.5, 3)))
        other.rollback()


def fill_disk(process: Process, bench: Bench, draw: random.Random) -> None:
    """Fill the disk of the home to the last byte until the run has ended or a few seconds are over."""
    filler = bench.home.parent / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(2**16))
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=3)
    filler.unlink()


def read_only_home(process: Process, bench: Bench, draw: random.Random) -> None:
    """SIGKILL, and then a disk that is read-only: the command says so with exit 3 and changes nothing."""
    process.kill()
    process.wait()
    kill_container(process, bench, draw)  # it may still write
    disk = str(bench.home.parent)
    for _ in range(100):
        if subprocess.run(["mount", "-o", "remount,ro", disk], capture_output=True, check=False).returncode == 0:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the disk could not be made read-only")
    try:
        assert isinstance(process.args, list)
        refused = bench(*process.args[process.args.index("run") :], code=3)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert "is read-only" in refused.stderr, refused.stderr


def jump_clock(process: Process, bench: Bench, draw: random.Random) -> None:
    """Nothing now: the clock jumps from the start on. Then the harness is killed as well."""
    process.kill()


#: Fault -> exit codes that the disturbed command may have (0 where the moment came too late), and its program.
FAULTS: dict[Callable[..., None], tuple[set[int], tuple[str, ...]]] = {
    kill_harness: ({0, -9}, ("-m", "harness")),
    kill_scorer: ({0}, ("-m", "harness")),
    kill_container: ({0}, ("-m", "harness")),
    interrupt: ({0, 130}, ("-m", "harness")),
    interrupt_twice: ({0, 130}, ("-m", "harness")),
    terminate: ({0, 130}, ("-m", "harness")),
    lock_database: ({0, 3}, ("-c", _IMPATIENT)),
    fill_disk: ({0, 3}, ("-m", "harness")),
    read_only_home: ({0, -9}, ("-m", "harness")),
    jump_clock: ({0, -9}, ("-c", _JUMPY)),
}

#: Faults that need their own disk.
OF_THE_DISK = (fill_disk, read_only_home)

QUICK = [(fault, "local", 0) for fault in FAULTS]
QUICK += [(kill_harness, "docker", 0), (kill_container, "docker", 0), (interrupt_twice, "docker", 0)]
SLOW = [(fault, "docker" if seed % 2 else "local", seed) for fault in FAULTS for seed in range(1, 13)]


def _trial(fault: Callable[..., None], engine: str, seed: int, *marks: pytest.MarkDecorator) -> Any:
    needs = (pytest.mark.docker,) if engine == "docker" else ()
    name = fault.__name__.replace("_", "-")
    return pytest.param(fault, engine, seed, id=f"{name}-{engine}-{seed}", marks=[*needs, *marks])


@pytest.mark.parametrize(
    ("fault", "engine", "seed"),
    [*(_trial(*trial) for trial in QUICK), *(_trial(*trial, pytest.mark.slow) for trial in SLOW)],
)
def test_same_command_again(
    fault: Callable[..., None],
    engine: str,
    seed: int,
    settings: Callable[[str], Setting],
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    """A fault at a random moment, then the same command: same digits, no case lost or scored twice, nothing left."""
    setting = settings(engine)
    draw = random.Random(f"{fault.__name__} {engine} {seed}")
    # By how far the run is, not by the clock: on a busy machine that would mostly be too early or too late.
    after, then_s = draw.randint(-1, CASES - 1), draw.uniform(0, 0.4)
    record_property("fault", f"{fault.__name__.replace('_', '-')} {engine} {seed}")
    bench = setting.bench(request.getfixturevalue("small_disk" if fault in OF_THE_DISK else "tmp_path") / "home")
    codes, bench.program = FAULTS[fault]

    said: list[str] = []
    with bench.popen(*setting.command, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        reader = threading.Thread(target=said.extend, args=[process.stderr])
        reader.start()
        while process.poll() is None and _progress(said) < after:
            time.sleep(0.02)
        time.sleep(then_s)
        if process.poll() is None:
            fault(process, bench, draw)
        process.stdout.read()
        reader.join()
    first = "".join(said)
    assert process.returncode in codes, first
    assert "Traceback" not in first, first

    bench.program = ("-m", "harness")
    document, shown = setting.finish(bench)
    assert setting.same(document), document
    _each_case_once(bench, document["run"], first + shown)
    assert setting.strays(bench, document["run"]) == []
    kept = [line for line in shown.splitlines() if "kept from before" in line or "already finished" in line]
    record_property(
        "outcome",
        f"exit {process.returncode}, {then_s:.2f} s after "
        f"{'its first word' if after < 0 else f'{after} of {CASES} cases'}; then the same digits; "
        f"{kept[0].split(', ')[-1] if kept else 'nothing was done before'}",
    )


def _progress(said: list[str]) -> int:
    """Tell how many cases a command has shown as scored; -1 while it prepares, -2 while it has said nothing."""
    if not said:
        return -2
    done = [int(found[1]) for line in said if (found := re.match(r"  (\d+)/", line))]
    return max(done, default=0 if any("findings" in line for line in said) else -1)


def _each_case_once(bench: Bench, run: str, said: str) -> None:
    """No case is lost, none is scored twice, and every finding has one row."""
    with contextlib.closing(sqlite3.connect(bench.home / "results.db")) as db:
        cases = db.execute("select [case], scored from cases where run = ?", [run]).fetchall()
        findings = db.execute("select [case], finding from findings where run = ?", [run]).fetchall()
        states = db.execute("select state from runs").fetchall()
    assert states == [("done",)]
    assert all(scored for _, scored in cases)
    assert len(findings) == 2 * len(cases) == len(set(findings))
    # What a full disk spoilt is done again, and must be.
    lines = [line.split() for line in said.splitlines() if line.startswith("  ")]
    shown = Counter(words[1] for words in lines if "/" in words[0] and words[2] != "infra_error")
    assert all(count == 1 for count in shown.values()), shown
