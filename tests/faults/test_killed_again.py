"""A run that is killed again and again, its driver and its workers: nothing is lost, doubled or counted as fast."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.test_disturbed_runs import kill_container, kill_harness

if TYPE_CHECKING:
    from tests.faults.conftest import Setting

#: Kills of one run, at random moments each; in all fifty of the harness and its container on two engines.
KILLS = 10


@pytest.mark.parametrize(
    ("engine", "seed", "kills"),
    [
        pytest.param("local", 0, 3, id="local-0"),
        *(pytest.param("local", seed, KILLS, id=f"local-{seed}", marks=pytest.mark.slow) for seed in (1, 2, 3)),
        *(
            pytest.param("docker", seed, KILLS, id=f"docker-{seed}", marks=[pytest.mark.docker, pytest.mark.slow])
            for seed in (4, 5)
        ),
    ],
)
def test_killed_again_and_again(
    engine: str, seed: int, kills: int, settings: Callable[[str], Setting], tmp_path: Path
) -> None:
    """Whatever was done stays done; the last command gives the undisturbed run's digits and an honest pace."""
    setting, draw = settings(engine), random.Random(f"{engine} {seed}")
    bench = setting.bench(tmp_path / "home")
    done: set[str] = set()
    for number in range(kills):
        with bench.popen(*setting.command, start_new_session=True) as process:
            said = threading.Event()
            reader = threading.Thread(target=_listen, args=(process.stderr, said))
            reader.start()
            said.wait(60)
            time.sleep(draw.uniform(0, 0.6))
            (kill_container if number % 5 == 4 else kill_harness)(process, bench, draw)
            process.kill()
            assert process.stdout is not None
            process.stdout.read()
            reader.join()
        outcomes = {path.stem for path in bench.home.glob("runs/*/outcomes/*.json")}
        assert done <= outcomes, "an outcome that was there is gone"
        done = outcomes
    document, _ = setting.finish(bench)
    assert setting.same(document), document
    folder = bench.home / "runs" / document["run"]
    assert {path.stem for path in (folder / "outcomes").glob("*.json")} == {
        path.name for path in (folder / "masks").iterdir()
    }
    with contextlib.closing(sqlite3.connect(bench.home / "results.db")) as db:
        findings = db.execute("select [case], finding from findings").fetchall()
        timing = json.loads(db.execute("select timing from runs").fetchone()[0])
    assert len(findings) == len(set(findings)) == document["n_findings"]
    assert timing["cases_per_hour"] <= 3600 / timing["case_median_s"], "as fast as no container was"
    assert setting.strays(bench, document["run"]) == []


def _listen(stream: object, said: threading.Event) -> None:
    """Read all that a command says; `said` is set when its cases begin."""
    for line in stream:  # type: ignore[attr-defined]
        if "findings" in line:
            said.set()
    said.set()
