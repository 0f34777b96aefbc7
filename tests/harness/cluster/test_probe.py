"""What Slurm says to a job before it is handed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster import probe, sbatch
from harness.cluster.config import SlurmCluster
from harness.errors import PrerequisiteError


@pytest.mark.parametrize(("up_after", "kept"), [(2, True), (99, False)])
def test_a_refusal_right_after_a_restart_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, up_after: int, kept: bool
) -> None:
    """For a minute at most, and only while no node has reported; then the refusal stands."""
    asked: list[int] = []
    said: list[str] = []
    clock = iter(range(0, 10_000, 20))

    def refuses(_options: object) -> str:
        asked.append(1)
        if len(asked) <= up_after:
            raise PrerequisiteError("Slurm refused: Requested node configuration is not available", fix="")
        return "can start now"

    monkeypatch.setattr(sbatch, "test_only", refuses)
    monkeypatch.setattr(sbatch, "any_node_answers", lambda: False)
    monkeypatch.setattr(probe.time, "sleep", lambda _s: None)
    monkeypatch.setattr(probe.time, "monotonic", lambda: float(next(clock)))
    cluster = SlurmCluster(name="hpc", kind="slurm", shared=tmp_path)
    if kept:
        assert probe.require(cluster, gpus=0, log=said.append) == "can start now"
        assert len(said) == 1
        return
    with pytest.raises(PrerequisiteError, match="Slurm refused"):
        probe.require(cluster, gpus=0, log=said.append)
    assert len(asked) == 3  # at 0, 20 and 40 s; the minute is over at 60 s
    asked.clear()
    monkeypatch.setattr(sbatch, "any_node_answers", lambda: True)
    with pytest.raises(PrerequisiteError, match="Slurm refused"):
        probe.require(cluster, gpus=0, log=said.append)
    assert len(asked) == 1
