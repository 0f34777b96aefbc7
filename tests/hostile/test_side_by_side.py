"""A run beside one that uses up all that it may have: its masks, its limits and its time are those of a run alone."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.hostile.conftest import Outcome

pytestmark = pytest.mark.docker

#: Times as long that the cases may take; both have one processor of their own, but share caches and the disk.
MOST = 4.0


def _findings(outcome: Outcome) -> Any:
    """Return what the record has of every finding, the digests of the masks included."""
    record = json.loads((outcome.bench.home / "runs" / outcome.shown["run"] / "record.json").read_text())
    assert "mask_sha256" in json.dumps(record["findings"])
    return record["findings"]


def _seconds(outcome: Outcome) -> float:
    return sum(case["seconds"] for case in outcome.cases.values())


def test_a_run_beside_a_hostile_one_is_as_alone(
    attack: Callable[..., Any], record_property: Callable[[str, object], None]
) -> None:
    """Processes, spinning, memory, disk, inotify and pipes up to every limit: the neighbour does not notice."""
    record_property("attack", "everything-at-once, beside another run")
    alone = attack("neighbour", cases=6)
    with ThreadPoolExecutor(1) as pool:
        hostile = pool.submit(attack, "everything-at-once", cases=6)
        while not hostile.done() and not subprocess.check_output(
            ["docker", "ps", "-q", "--filter", "label=org.groundbench.run"]
        ):
            time.sleep(0.2)
        time.sleep(2)
        beside = attack("neighbour", cases=6)
        met = not hostile.done()
        said = hostile.result().said("SAID")
    assert met, "the hostile run was over before the other"
    assert len(said) >= 3, said
    for outcome in (alone, beside):
        assert {case["status"] for case in outcome.cases.values()} == {"ok"}
    assert _findings(alone) == _findings(beside)
    assert set(alone.said("LIMITS")) == set(beside.said("LIMITS"))
    ratio = _seconds(beside) / _seconds(alone)
    record_property("outcome", f"same masks and limits, {ratio:.2f} times the seconds; beside: {', '.join(said)}"[:160])
    assert ratio < MOST
