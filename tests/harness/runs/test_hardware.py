"""The record of a run says on which hosts and hardware it was carried out."""

from __future__ import annotations

from typing import Any

from harness.runs.hardware import hosts_of
from harness.runs.outcome import ContainerFigures, ShardFigures

RAN = (ContainerFigures(0, None, None, None, None, wall_s=1.0),)


def _gpu(number: int, name: str = "H200") -> dict[str, Any]:
    return {"id": f"GPU-{number}", "name": name, "memory_mb": 1}


def _shard(node: str, *gpus: dict[str, Any], cpu: str = "c", **engine: str) -> ShardFigures:
    return ShardFigures(node, {"cpu": cpu, **({"gpus": list(gpus)} if gpus else {})}, engine, RAN)


def test_of_one_host_the_gpus_of_all_shards() -> None:
    """Each once, however many shards and commands it served."""
    shards = {"0": _shard("a", _gpu(0)), "1": _shard("a", _gpu(1)), "2": _shard("a", _gpu(0))}
    assert hosts_of(shards) == {"hardware": {"cpu": "c", "gpus": [_gpu(0), _gpu(1)]}}


def test_of_several_hosts_each_with_its_own() -> None:
    """And all GPUs together, of which a board counts the kinds."""
    shards = {"0": _shard("a", _gpu(0), version="1"), "1": _shard("b", _gpu(7, "T4"), version="1")}
    found = hosts_of(shards)
    assert [gpu["name"] for gpu in found["hardware"]["gpus"]] == ["H200", "T4"]
    assert [(host["node"], host["shards"]) for host in found["hosts"]] == [("a", 1), ("b", 1)]
    assert found["engine"] == {"version": "1"}
    shards["2"] = _shard("c", version="2")
    assert "engine" not in hosts_of(shards), "no engine is that of all hosts"


def test_a_shard_without_a_container_was_nowhere() -> None:
    """As one that found everything done."""
    assert hosts_of({"0": ShardFigures("a", {}, {})}) == {}
