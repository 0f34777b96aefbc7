"""Cores and memory are those that a process was given, not those of its machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.host import capacity
from harness.host.capacity import usable_cores, usable_memory

GIB = 2**30


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty tree of control groups on a machine of 64 cores."""
    monkeypatch.setattr(capacity, "CONTROL", tmp_path / "groups")
    monkeypatch.setattr(capacity, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    return tmp_path / "groups"


def _give(groups: Path, membership: str, files: dict[str, str]) -> None:
    groups.with_name("membership").write_text(membership)
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text + "\n")


def test_without_limits_the_machine_counts(groups: Path) -> None:
    """No control group is mounted, or /proc is hidden."""
    assert usable_cores() == 64
    assert usable_memory() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert not groups.exists()


@pytest.mark.parametrize(("limit", "cores"), [("200000 100000", 2), ("250000 100000", 3), ("5000 100000", 1)])
def test_a_share_of_a_core_is_a_core(groups: Path, limit: str, cores: int) -> None:
    """Version 2 has one line for quota and period."""
    _give(groups, "0::/job\n", {"job/cpu.max": limit})
    assert usable_cores() == cores


def test_the_least_limit_on_the_way_up_counts(groups: Path) -> None:
    """A step may be limited by its job, and a pod's container by its pod."""
    _give(
        groups,
        "0::/pod/box\n",
        {"pod/cpu.max": "400000 100000", "pod/box/cpu.max": "max 100000", "pod/memory.max": "max",
         "pod/box/memory.max": str(GIB)},
    )  # fmt: skip
    assert (usable_cores(), usable_memory()) == (4, GIB)


def test_the_first_version(groups: Path) -> None:
    """Each controller has a tree of its own, mounted under its names; -1 and a huge number are no limits."""
    _give(
        groups,
        "5:memory:/slurm/job_7\n4:cpu,cpuacct:/slurm/job_7\n0::/\n",
        {"memory/slurm/job_7/memory.limit_in_bytes": str(2 * GIB), "memory/memory.limit_in_bytes": str(2**63 - 4096),
         "cpu,cpuacct/slurm/job_7/cpu.cfs_quota_us": "300000", "cpu,cpuacct/slurm/job_7/cpu.cfs_period_us": "100000",
         "cpu,cpuacct/slurm/cpu.cfs_quota_us": "-1", "cpu,cpuacct/slurm/cpu.cfs_period_us": "100000"},
    )  # fmt: skip
    assert (usable_cores(), usable_memory()) == (3, 2 * GIB)


def test_in_a_container_the_mount_is_its_group(groups: Path) -> None:
    """The path of the host's tree is not there; the limit lies at the top of what is mounted."""
    _give(groups, "0::/docker/0123\n", {"cpu.max": "100000 100000", "memory.max": str(GIB)})
    assert (usable_cores(), usable_memory()) == (1, GIB)


def test_a_file_that_is_not_understood_is_no_limit(groups: Path) -> None:
    """Another kernel may write otherwise."""
    _give(groups, "nonsense\n0::/job\n", {"job/cpu.max": "a b", "job/memory.max": "", "job/cpu.cfs_quota_us": "7"})
    assert usable_cores() == 64


@pytest.mark.costly
def test_a_pinned_process_has_the_cores_that_it_is_pinned_to() -> None:
    """The real call, in a process that is pinned to one core as a scheduler pins its jobs."""
    core = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{core}}}); import harness.host.capacity as c; print(c.usable_cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
