"""The pool of a cluster is opened by its kind, and only where something could run in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.cluster import dask
from harness.cluster.config import DaskCluster
from harness.cluster.pool import check_cluster, open_pool
from harness.errors import PrerequisiteError

CLUSTER = DaskCluster(name="lab", kind="dask", address="tls://gpu1:8786", shared=Path("/proj"))


class Scheduler:
    """A scheduler with some workers."""

    address, lost = "tls://gpu1:8786", False
    closed: list[bool]
    offered: dict[str, Any]

    def __init__(self, _: DaskCluster) -> None:
        if self.offered == {"none": None}:
            raise PrerequisiteError("no scheduler answers", fix="start it")

    def workers(self) -> dict[str, Any]:
        return {name: {"name": name, "resources": offers} for name, offers in self.offered.items()}

    def ask(self, *_: Any, workers: list[str], **__: Any) -> dict[str, str]:
        return dict.fromkeys(workers, "null")

    def close(self) -> None:
        self.closed.append(True)


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> type[Scheduler]:
    """Return the scheduler that pools connect to."""
    monkeypatch.setattr(dask, "Session", Scheduler)
    Scheduler.closed, Scheduler.offered = [], {"a": {"SLOT": 1, "GPU": 1}}
    return Scheduler


def test_a_cluster_is_opened_only_with_workers(scheduler: type[Scheduler]) -> None:
    """And let go of where there are none with a GPU, before a data set is read."""
    pool = open_pool(CLUSTER, gpus=1, log=print)
    assert (pool.name, pool.engine, pool.shared) == ("dask lab", "docker", Path("/proj"))
    pool.close()
    scheduler.offered = {"a": {"SLOT": 1}}
    with pytest.raises(PrerequisiteError, match="needs 1 GPU"):
        open_pool(CLUSTER, gpus=4, log=print)
    assert scheduler.closed == [True, True]


def test_a_check_begins_with_the_scheduler(scheduler: type[Scheduler], tmp_path: Path) -> None:
    """Without one that is the only line; without workers the second one says so."""
    cluster = CLUSTER.model_copy(update={"shared": tmp_path})
    scheduler.offered = {"none": None}
    (line,) = check_cluster(cluster, gpus=0, shard=None, log=print)
    assert (line.host, line.subject, line.verdict, line.fix) == ("driver", "scheduler", "failed", "start it")
    scheduler.offered = {}
    first, second = check_cluster(cluster, gpus=0, shard=None, log=print)
    assert (first.verdict, "only for those who can read" in first.found) == ("ok", True)
    assert (second.subject, second.verdict, "has no workers" in second.found) == ("workers", "failed", True)
    scheduler.offered = {"a": {"SLOT": 1}}
    answered = list(check_cluster(cluster, gpus=0, shard=None, log=print))
    assert [(each.host, each.subject, each.verdict) for each in answered[1:]] == [("a", "worker", "failed")]
    assert scheduler.closed == [True, True]
